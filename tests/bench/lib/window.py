"""One window of load on one proxy, and what both cost meanwhile."""
import json
import re
import resource
import subprocess
import threading
import time

from . import places, process

# A round is repeated when other programs took more than these shares of a core.
FOREIGN, FOREIGN_LOAD, STOLEN = 0.08, 0.15, 0.05


def wait_until_quiet(seconds):
    """Waits, at most so long, until both cores were nearly idle for half a second."""
    start, quiet = time.monotonic(), 0
    while quiet < 2 and time.monotonic() - start < seconds:
        before = process.core_times()
        time.sleep(0.25)
        after = process.core_times()
        busy = max(after[core][0] + after[core][1] - before[core][0] - before[core][1] for core in after)
        quiet = quiet + 1 if busy / 0.25 < 0.15 else 0


def speed():
    """Microseconds per unit of fixed work on the proxy's core right now."""
    command = process.spawn([places.TOOL, 'calib', '--ms', '60'], places.PROXY_CORE, stdout=subprocess.PIPE, text=True)
    return float(command.communicate(timeout=30)[0])


class Windows:
    """Windows of one length, against one origin."""

    def __init__(self, origin, seconds, patience):
        self.origin = process.Meter(origin.pid)
        self.seconds = seconds
        self.patience = patience

    def load(self, peer, *options):
        """A window of benchtool's load generator."""
        figures, output = self._run(peer, [places.TOOL, 'load', '--warmup', 0.5, '--duration', self.seconds, *options])
        return self._per_request(figures | json.loads(output.strip().splitlines()[-1]))

    def h2load(self, peer, program, url_path):
        """A window of h2load: 16 connections of 10 streams. It warms up by shaking hands only."""
        log = places.RUN / peer.dir / 'h2load.log'
        log.unlink(missing_ok=True)
        figures, output = self._run(peer, [
            program, '-t1', '-c16', '-m10', '-D', max(1, round(self.seconds)), '--log-file', log,
            '--connect-to', f'127.0.0.1:{peer.tls}', f'https://bench.test{url_path}'])
        counts = re.search(r'requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded', output)
        rate = re.search(r'finished in [\d.]+m?s, ([\d.]+) req/s', output)
        if not counts or not rate or int(counts[2]) == 0 or 'Application protocol: h2' not in output:
            raise RuntimeError(f'{peer.name}: h2load says:\n{output[-800:]}')
        done, succeeded = int(counts[1]), int(counts[2])
        latencies = sorted(int(line.split('\t')[2]) for line in open(log))
        log.unlink()

        def quantile(share):
            return latencies[int((len(latencies) - 1) * share)] if latencies else 0

        # What is in flight at the end h2load aborts; that is no failure.
        return self._per_request(figures | {
            'rps': float(rate[1]), 'requests': succeeded, 'p50_us': quantile(0.5), 'p99_us': quantile(0.99),
            'max_us': quantile(1), 'bytes': succeeded * 1024, 'fails': done - succeeded,
            'errors': {'h2load': done - succeeded} if done > succeeded else {}})

    @staticmethod
    def _per_request(figures):
        figures['us_request'] = figures['cpu_s'] / max(1, figures['requests']) * 1e6
        figures['mb_cpu_s'] = figures['bytes'] / max(figures['cpu_s'], 1e-9) / 1e6
        figures['proxy_share'] = figures['cpu_s'] / figures['wall_s']
        figures['noisy'] = (figures['foreign'] > FOREIGN or figures['foreign_load'] > FOREIGN_LOAD
                            or figures['stolen'] > STOLEN)
        return figures

    def _run(self, peer, command):
        """Runs a load generator to its end: (figures of proxy and machine, its output)."""
        wait_until_quiet(self.patience)
        speed_before = speed()
        meter = peer.meter
        meter.refresh()
        meter.peak = 0
        load_before = self._load_cpu()
        cpu, cores, start = meter.cpu(), process.core_times(), time.monotonic()
        generator = process.spawn(command, places.LOAD_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        result = []
        thread = threading.Thread(target=lambda: result.append(generator.communicate()), daemon=True)
        thread.start()
        while thread.is_alive():
            meter.rss()
            thread.join(0.2)
            if time.monotonic() - start > self.seconds + 60:
                process.stop(generator)
        wall = time.monotonic() - start
        cpu, cores_after = meter.cpu() - cpu, process.core_times()
        load = self._load_cpu() - load_before
        meter.rss()
        output, errors = result[0]
        if generator.returncode != 0:
            raise RuntimeError(f'{" ".join(map(str, command))} ended with {generator.returncode}: {errors[-500:]}')
        busy = {core: (cores_after[core][0] - cores[core][0]) / wall for core in cores}
        return {
            'cpu_s': cpu, 'wall_s': wall, 'peak_rss': meter.peak,
            'load_core': busy[places.LOAD_CORE],
            'foreign': max(0.0, busy[places.PROXY_CORE] - cpu / wall),
            'foreign_load': max(0.0, busy[places.LOAD_CORE] - load / wall),
            'stolen': sum(cores_after[core][1] - cores[core][1] for core in cores) / wall,
            'speed': (speed_before + speed()) / 2,
        }, output

    def _load_cpu(self):
        """Seconds of the origin and of all generators that have ended."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return self.origin.cpu() + ended.ru_utime + ended.ru_stime


def write_requests(path, requests):
    """The load generator's file of requests."""
    with open(path, 'wb') as file:
        for request in requests:
            file.write(b'%d\n' % len(request) + request)
