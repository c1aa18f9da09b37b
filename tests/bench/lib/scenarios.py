"""What is measured. A scenario starts its peers, checks that each answers right, and measures them in turn."""
import random
import subprocess
import sys
import time

from . import client, places, prepare, process, report, waf, window
from .peers.peer import Model, Task

WEB = {name: places.POOLS[name] for name in 'AB'}
CONNECT_FROM = ['--sources', 16]


class Wrong(Exception):
    """A proxy did not do what it was configured for: there is nothing to compare."""


def expect(holds, peer, what):
    if not holds:
        raise Wrong(f'{peer.name}: {what}')


def answers(peer, tls=False, length=1024):
    """The proxy passes on what the origin says."""
    status, headers, body, version = client.get(peer.tls if tls else peer.http, f'/b/{length}', tls=tls)
    right = status == 200 and headers.get('x-backend') == 'A' and body == b'a' * length
    expect(right, peer, f'answers {status}, {headers}, {len(body)} bytes')
    expect(not tls or version == 'TLSv1.3', peer, f'speaks {version}')


class Run:
    """The peers and windows of one call of the benchmark."""

    def __init__(self, peers, windows, options):
        self.peers = peers
        self.windows = windows
        self.options = options

    # -- running

    def start(self, scenario, tag, model):
        """Those that take part, running."""
        kinds = []
        for kind in self.peers:
            if scenario in kind.scenarios:
                why = kind.lacks(scenario)
                if why:
                    print(f'{tag} without {kind.name}: {why}', file=sys.stderr)
                else:
                    kinds.append(kind)
        return self.start_all(kinds, tag, model)

    def start_all(self, kinds, tag, model):
        """All of them, running."""
        running = []
        try:
            for number, kind in enumerate(kinds):
                peer = kind(number, tag)
                running.append(peer)
                peer.started_in = peer.start(model)
        except Exception:
            self.stop(running)
            raise
        return running

    @staticmethod
    def stop(running):
        for peer in running:
            peer.stop()

    def rounds(self, tag, running, measure):
        """Every peer in every round, each round in another order: {name: [figures]}."""
        results = {peer.name: [] for peer in running}
        for number in range(self.options.rounds):
            turn = number % len(running)
            order = running[turn:] + running[:turn]
            for peer in order if number % 2 == 0 else reversed(order):
                for _ in range(3):
                    figures = measure(peer)
                    if not figures['noisy']:
                        break
                results[peer.name].append(figures)
                note = ' NOISY' if figures['noisy'] else ''
                note += f' FAILURES {figures["errors"]}' if figures['fails'] else ''
                print(f'{tag} {number + 1}/{self.options.rounds} {peer.name:15} {figures["us_request"]:8.1f} µs '
                      f'{figures["rps"]:8.0f}/s proxy {figures["proxy_share"]:.2f} load {figures["load_core"]:.2f} '
                      f'foreign {figures["foreign"]:.2f}/{figures["foreign_load"]:.2f} stolen {figures["stolen"]:.2f} '
                      f'speed {figures["speed"]:.2f}{note}', file=sys.stderr, flush=True)
        return results

    def compare(self, scenario, tag, title, check, measure, model=None, bulk=False):
        """The usual scenario: (Markdown, raw figures)."""
        running = self.start(scenario, tag, model or Model(WEB))
        if not running:
            return f'### {tag}\n\nNot measured: no peer can take part.\n', {}
        try:
            for peer in running:
                check(peer)
            results = self.rounds(tag, running, measure)
        finally:
            self.stop(running)
        return f'### {tag}\n\n{title}\n\n{report.comparison(results, self.options.reference, bulk)}\n', results

    # -- the scenarios

    def h1(self):
        yield self.compare('h1', 'h1', 'HTTP/1.1 kept alive, 64 connections, 1 KiB.', answers,
                           lambda peer: self.windows.load(peer, '--target', f'127.0.0.1:{peer.http}', '--conns', 64))

    def h1_tls(self):
        yield self.compare(
            'h1-tls', 'h1-tls', 'The same over TLS 1.3 (AES-128-GCM).', lambda peer: answers(peer, True),
            lambda peer: self.windows.load(peer, '--target', f'127.0.0.1:{peer.tls}', '--tls', '--conns', 64))

    def h2_tls(self):
        program, why = prepare.program('h2load', 'nghttp2-client')
        if program is None:
            yield f'### h2-tls\n\nNot measured: {why}.\n', {}
            return

        def check(peer):
            answers(peer, True)
            spoken = client.alpn(peer.tls)
            expect(spoken == 'h2', peer, f'speaks {spoken} where h2 is offered')

        yield self.compare('h2-tls', 'h2-tls', 'HTTP/2 over TLS 1.3, 16 connections of 10 streams, 1 KiB; h2load.',
                           check, lambda peer: self.windows.h2load(peer, program, '/b/1024'))

    def tls_handshake(self):
        yield self.compare(
            'tls-handshake', 'tls-handshake',
            'A new connection each: full TLS 1.3 handshake (X25519, ECDSA P-256), one request of 64 bytes, close.',
            lambda peer: answers(peer, True),
            lambda peer: self.windows.load(peer, '--target', f'127.0.0.1:{peer.tls}', '--tls', '--close', '--conns', 32,
                                           '--path', '/b/64', *CONNECT_FROM))

    def large(self):
        yield self.compare(
            'large', 'large', '1 MiB responses over TLS 1.3 (AES-128-GCM), 16 connections.',
            lambda peer: answers(peer, True, places.MIB),
            lambda peer: self.windows.load(peer, '--target', f'127.0.0.1:{peer.tls}', '--tls', '--conns', 16,
                                           '--path', f'/b/{places.MIB}'), bulk=True)

    def passthrough(self):
        hellos = {name: client.client_hello(name) for name in ('a.test', 'b.test', 'nobody.test')}
        requests = places.RUN / 'hello.requests'
        window.write_requests(requests, [hellos['a.test']])

        def check(peer):
            # A name that nobody has ends in a close, or in an alert before it.
            for name, wanted in (('a.test', [b'RA\n']), ('b.test', [b'RB\n']), ('nobody.test', [b'', b'\x15\x03\x03'])):
                if peer.name != 'floor' or name == 'a.test':
                    got = client.first_bytes(peer.l4, hellos[name], 3)
                    expect(got in wanted, peer, f'SNI {name} leads to {got!r}')

        def measure(connections):
            return lambda peer: self.windows.load(peer, '--target', f'127.0.0.1:{peer.l4}', '--raw', 'RA\n', '--conns',
                                                  connections, '--requests-file', requests, *CONNECT_FROM)

        for tag, title, pool, connections in (
                ('passthrough', 'By SNI, a new connection each: a ClientHello in, 1 KiB back, close.', 'RA', 64),
                ('passthrough-bulk', 'By SNI, 64 MiB on each connection.', 'RAbulk', 8)):
            model = Model(WEB, sni={'a.test': places.POOLS[pool], 'b.test': places.POOLS['RB']})
            yield self.compare('passthrough', tag, title, check, measure(connections), model, bulk=pool == 'RAbulk')

    def routes(self):
        for count in self.options.hosts:
            yield self._routes(count)

    def _routes(self, count):
        tag = f'routes-{count}'
        model = Model(WEB, routes=[(f'h{number}.bench.test', [('/', 'A'), ('/api', 'B')]) for number in range(count)])
        requests = places.RUN / 'routes.requests'
        chance = random.Random(1)
        window.write_requests(requests, [
            f'GET {chance.choice(["/b/1024", "/api/b/1024", "/static/b/1024"])} HTTP/1.1\r\n'
            f'Host: h{chance.randrange(count)}.bench.test\r\nUser-Agent: benchtool\r\nAccept: */*\r\n\r\n'.encode()
            for _ in range(10_000)])

        def leads(peer, host, path, pool):
            try:
                status, headers, *_ = client.get(peer.http, path, f'{host}.bench.test')
                return status == 200 and headers.get('x-backend') == pool
            except OSError:
                return False

        def eventually(seconds, holds):
            start = time.monotonic()
            while not holds():
                if time.monotonic() - start > seconds:
                    return None
                time.sleep(0.01)
            return time.monotonic() - start

        running = self.start('routes', tag, model)
        memory = {}
        try:
            for peer in running:
                # envoy accepts before its routes are there.
                eventually(60, lambda: leads(peer, f'h{count - 1}', '/api/b/8', 'B'))
                for number in {0, count // 2, count - 1}:
                    expect(leads(peer, f'h{number}', '/b/8', 'A') and leads(peer, f'h{number}', '/api/b/8', 'B'),
                           peer, f'host {number} does not lead where it should')
                peer.meter.refresh()
                memory[peer.name] = peer.meter.pss()
            results = self.rounds(tag, running, lambda peer: self.windows.load(
                peer, '--target', f'127.0.0.1:{peer.http}', '--conns', 64, '--requests-file', requests))
            model.routes.append(('new.bench.test', [('/', 'B')]))
            lines = [['', 'start s', 'PSS MiB', 'reload to effect s', 'CPU of it s']]
            for peer in running:
                peer.meter.refresh()
                peer.render(model)
                before = peer.meter.cpu()
                peer.trigger_reload()
                effect = eventually(60, lambda: leads(peer, 'new', '/b/8', 'B'))
                # Old workers are still going.
                time.sleep(1)
                peer.meter.refresh()
                lines.append([peer.name, f'{peer.started_in:.2f}', f'{memory[peer.name] / places.MIB:.1f}',
                              'never' if effect is None else f'{effect:.3f}', f'{peer.meter.cpu() - before:.2f}'])
        finally:
            self.stop(running)
        title = f'{count} hosts with two paths each, requests spread over all of them; HTTP/1.1, plain, 64 connections.'
        table = report.comparison(results, self.options.reference)
        return f'### {tag}\n\n{title}\n\n{table}\n\n{report.rows(*lines)}\n', results

    def idle(self):
        count = self.options.idle
        lines, raw = [], {}
        for number, kind in enumerate(self.peers):
            if 'idle' not in kind.scenarios:
                continue
            peer = kind(number, 'idle')
            holder = None
            try:
                peer.start(Model(WEB, connections=count + 300))
                answers(peer, True)
                time.sleep(0.5)
                peer.meter.refresh()
                before, cpu = peer.meter.pss(), peer.meter.cpu()
                holder = process.spawn([places.TOOL, 'idle', '--target', f'127.0.0.1:{peer.tls}', '--count', count],
                                       places.LOAD_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                _, opened, failed, _ = holder.stdout.readline().split()
                opened = int(opened)
                setup = peer.meter.cpu() - cpu
                time.sleep(3)
                peer.meter.refresh()
                during, cpu = peer.meter.pss(), peer.meter.cpu()
                time.sleep(10)
                idle = peer.meter.cpu() - cpu
                alive = int(holder.communicate('\n', timeout=30)[0].split()[1])
                figures = {'opened': opened, 'failed': int(failed), 'alive': alive, 'pss_before': before,
                           'pss_during': during, 'cpu_setup_s': setup, 'cpu_idle_10s': idle}
                raw[peer.name] = figures
                each = (during - before) / max(1, opened) / 1024
                lines.append((each, [peer.name, f'{opened} ({alive} alive after 13 s)', f'{before / places.MIB:.1f}',
                                     f'{during / places.MIB:.1f}', f'{each:.1f}', f'{idle * 100:.0f}',
                                     f'{setup / max(1, opened) * 1e6:.0f}']))
                print('idle', peer.name, figures, file=sys.stderr, flush=True)
            finally:
                process.stop(holder)
                peer.stop()
        head = ['', 'connections', 'PSS before MiB', 'PSS with them MiB', 'KiB per connection',
                'CPU ms per idle second', 'CPU µs to open one']
        table = report.rows(head, *(line for _, line in sorted(lines, key=lambda line: line[0])))
        yield f'### idle\n\n{count} idle TLS 1.3 connections, one request made on each.\n\n{table}\n', raw

    def plugins(self):
        noop = Task('noop', '{ do = "heads" }', 'noop')
        headers = Task('headers', '{ do = "reader-writer" }', 'headers')
        body = Task('body', '{ do = "looker" }', 'body')
        for tag, title, task, length, connections in (
                ('plugin-noop', 'Asked about both heads, does nothing. 1 KiB.', noop, 1024, 64),
                ('plugin-headers', 'Reads three fields of the request and sets two. 1 KiB.', headers, 1024, 64),
                ('plugin-body', 'Looks at every byte of both bodies. 1 KiB.', body, 1024, 64),
                ('plugin-body-1m', 'Looks at every byte of both bodies. 1 MiB.', body, places.MIB, 16)):
            yield self._plugins(tag, title, task, length, connections)

    def _plugins(self, tag, title, task, length, connections):
        kinds = [kind for peer in self.peers for kind in [peer, *peer.extended(task)] if peer.extended(task)]
        if not kinds:
            return f'### {tag}\n\nNot measured: no peer can take part.\n', {}
        running = self.start_all(kinds, tag, Model(WEB))
        try:
            for peer in running:
                answers(peer, length=length)
                self._does(peer, task)
            results = self.rounds(tag, running, lambda peer: self.windows.load(
                peer, '--target', f'127.0.0.1:{peer.http}', '--conns', connections, '--path', f'/b/{length}'))
        finally:
            self.stop(running)
        bare = {peer.name: peer.bare.name for peer in running if peer.bare}
        return f'### {tag}\n\n{title} HTTP/1.1, {connections} connections.\n\n{report.added(results, bare, length)}\n', results

    def _does(self, peer, task):
        """A plugin that is not asked would be a cheap one."""
        if task.name == 'headers':
            head = client.get(peer.http, '/head')[2].decode().lower()
            expect(('x-reader: portcullis' in head) == bool(peer.bare), peer, f'sends the origin\n{head}')

    def held(self):
        """Exchanges whose requests stop in the middle, in a plugin that waits for the rest."""
        count = self.options.held
        lines, raw = [], {}
        kinds = [kind for peer in self.peers for kind in peer.extended(Task('held', HOLDER, ''))
                 if peer.name == 'portcullis']
        for kind in kinds:
            kind.instances = count + 100
            peer = kind(0, 'held')
            holder = None
            try:
                peer.start(Model(WEB, connections=count + 300))
                time.sleep(0.5)
                peer.meter.refresh()
                before, cpu = peer.meter.rss(), peer.meter.cpu()
                holder = process.spawn([places.TOOL, 'hold', '--target', f'127.0.0.1:{peer.http}', '--count', count],
                                       places.LOAD_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                opened = int(holder.stdout.readline().split()[1])
                time.sleep(3)
                during, cpu = peer.meter.rss(), peer.meter.cpu() - cpu
                answered = int(holder.communicate('\n', timeout=60)[0].split()[1])
                expect(answered == count, peer, f'answers {answered} of {count} when the rest has come')
                raw[peer.name] = {'opened': opened, 'rss_before': before, 'rss_during': during, 'cpu_s': cpu}
                lines.append([peer.name, opened, f'{before / places.MIB:.1f}', f'{during / places.MIB:.1f}',
                              f'{(during - before) / max(1, opened) / 1024:.1f}', f'{cpu / max(1, opened) * 1e6:.0f}'])
            finally:
                process.stop(holder)
                peer.stop()
        head = ['', 'exchanges', 'RSS before MiB', 'RSS with them MiB', 'KiB for each', 'CPU µs for each']
        yield (f'### held\n\n{count} requests with half of their 2 KiB of body, each in an instance of a plugin that wants the head and holds '
               f'the body.\n\n{report.rows(head, *lines)}\n'), raw


    def waf(self):
        yield from waf.scenario(self)


# Wants the head too, so that an instance belongs to the exchange from the beginning.
HOLDER = '{ do = "holder", limit = 65536, head = true }'

ALL = {name: getattr(Run, name.replace('-', '_'))
       for name in ('h1', 'h1-tls', 'h2-tls', 'tls-handshake', 'large', 'passthrough', 'routes', 'idle',
                    'plugins', 'held', 'waf')}
