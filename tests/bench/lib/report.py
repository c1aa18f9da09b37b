"""Markdown: tables, and what machine they come from."""
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time

from . import places


def spread(values, digits=1):
    """Median, and the least and the most."""
    text = f'{statistics.median(values):.{digits}f}'
    return text if len(values) < 2 else f'{text} [{min(values):.{digits}f}–{max(values):.{digits}f}]'


def rows(*lines):
    """A table: the first line is its head."""
    head, *body = lines
    rule = ['---'] * len(head)
    return '\n'.join('| ' + ' | '.join(str(cell) for cell in line) + ' |' for line in (head, rule, *body))


def comparison(results, reference, bulk=False):
    """{peer: [figures of each round]} as a table, cheapest first. Ratios are of neighbours in time: round by round."""
    def column(name, key, scale=1):
        return [figures[key] * scale for figures in results[name]]

    cost = 'MB per CPU second' if bulk else 'CPU µs per request'
    lines = [['', cost, f'CPU, ratio to {reference}', 'requests per second', 'p50 ms', 'p99 ms', 'peak RSS of the tree MiB',
              'CPU of the proxy', 'failures']]
    for name in sorted(results, key=lambda name: statistics.median(column(name, 'us_request'))):
        ratios = [a / b for a, b in zip(column(name, 'us_request'), column(reference, 'us_request'))] \
            if reference in results else []
        share = statistics.median(column(name, 'proxy_share', 100))
        noisy = sum(figures['noisy'] for figures in results[name])
        notes = (['not the bottleneck'] if share < 95 else []) + ([f'{noisy} noisy rounds'] if noisy else [])
        lines.append([
            name,
            spread(column(name, 'mb_cpu_s'), 0) if bulk else spread(column(name, 'us_request')),
            spread(ratios, 2) if ratios else '–',
            spread(column(name, 'rps'), 0),
            f'{statistics.median(column(name, "p50_us", 1e-3)):.2f}',
            f'{statistics.median(column(name, "p99_us", 1e-3)):.2f}',
            f'{max(column(name, "peak_rss")) / places.MIB:.1f}',
            f'{share:.0f} %' + (f' ({", ".join(notes)})' if notes else ''),
            sum(column(name, 'fails')),
        ])
    return rows(*lines)


def added(results, bare, length):
    """What each peer with a plugin costs more than the same without: {peer: [figures of each round]}, {peer: name of the same without}."""
    lines = [['', 'CPU µs per request', 'added', 'GiB/s of a core for what is added' if length > 1 << 16 else None,
              'peak RSS of the tree MiB', 'CPU of the proxy', 'failures']]
    for name in results:
        cost = [figures['us_request'] for figures in results[name]]
        more = [a - b['us_request'] for a, b in zip(cost, results.get(bare.get(name), []))]
        rate = [length / (1 << 30) / (micros * 1e-6) for micros in more if micros > 0]
        share = statistics.median(figures['proxy_share'] for figures in results[name]) * 100
        noisy = sum(figures['noisy'] for figures in results[name])
        lines.append([name, spread(cost), spread(more) if more else '–', spread(rate) if rate else '–',
                      f'{max(figures["peak_rss"] for figures in results[name]) / places.MIB:.1f}',
                      f'{share:.0f} %' + (f' ({noisy} noisy rounds)' if noisy else ''),
                      sum(figures['fails'] for figures in results[name])])
    shown = [column for column, head in enumerate(lines[0]) if head is not None]
    return rows(*([line[column] for column in shown] for line in lines))


def median_added(results, name, bare):
    """µs that `name` costs more than `bare`, in the median round."""
    return statistics.median(a['us_request'] - b['us_request'] for a, b in zip(results[name], results[bare]))


def _first(pattern, path, default):
    with open(path) as file:
        match = re.search(pattern, file.read(), re.M)
    return match[1].strip() if match else default


def machine(peers):
    """Where and when, and what was compared."""
    model = _first(r'^model name\s*:\s*(.*)$', '/proc/cpuinfo', platform.machine())
    memory = int(_first(r'^MemTotal:\s+(\d+)', '/proc/meminfo', '0')) / (1 << 20)
    system = _first(r'^PRETTY_NAME="?([^"\n]*)', '/etc/os-release', platform.system())
    commit = subprocess.run(['git', '-C', places.ROOT, 'describe', '--always', '--dirty'],
                            capture_output=True, text=True).stdout.strip() or 'unknown'
    words = ' '.join(shlex.quote(word) for word in sys.argv[1:])
    return rows(
        ['', ''],
        ['date', time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())],
        ['command', f'`tests/bench/bench.py {words}`'.replace(' `', '`')],
        ['source', commit],
        ['machine', f'{model}, {os.cpu_count()} cores, {memory:.0f} GiB'],
        ['system', f'{system}, Linux {platform.release()}'],
        ['cores', f'proxy on {places.PROXY_CORE}, load and origin on {places.LOAD_CORE}'],
        *[[peer.name, peer.version(peer)] for peer in peers])
