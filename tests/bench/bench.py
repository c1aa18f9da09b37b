#!/usr/bin/env python3
"""portcullis beside nginx, haproxy and envoy: CPU per request.

Every proxy has one worker on one core; the load generator and the origin share the other. All peers of a scenario are up
at once and are loaded in turn, in another order each round, so that a ratio compares neighbours in time. The result
is Markdown on standard output and in run/results/, beside the raw figures; progress is on standard error.
See docs/performance.md.
"""
import argparse
import fcntl
import json
import sys
import time

from lib import peers, places, prepare, process, report, scenarios, window


def arguments():
    def names(known):
        def parse(text):
            chosen = text.split(',')
            for name in chosen:
                if name not in known:
                    raise argparse.ArgumentTypeError(f'{name} is none of: {" ".join(known)}')
            return chosen
        return parse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('scenario', nargs='*', help=f'of: {" ".join(scenarios.ALL)} (all)')
    parser.add_argument('--peers', type=names(peers.ALL), default=list(peers.ALL),
                        help=f'of: {",".join(peers.ALL)} (all)')
    parser.add_argument('--reference', default='nginx', help='what ratios refer to (nginx)')
    parser.add_argument('--rounds', type=int, default=5, help='windows of each peer in a scenario (5)')
    parser.add_argument('--seconds', type=float, default=3, help='length of a window (3)')
    parser.add_argument('--patience', type=float, default=60,
                        help='seconds to wait before each window for other programs to be quiet (60)')
    parser.add_argument('--hosts', type=lambda text: [int(word) for word in text.split(',')], default=[10, 10_000],
                        help='numbers of hosts in the scenario routes (10,10000)')
    parser.add_argument('--idle', type=int, default=9000, help='connections in the scenario idle (9000)')
    parser.add_argument('--held', type=int, default=10_000, help='exchanges in the scenario held (10000)')
    options = parser.parse_args()
    for name in options.scenario:
        if name not in scenarios.ALL:
            parser.error(f'{name} is none of: {" ".join(scenarios.ALL)}')
    options.scenario = options.scenario or list(scenarios.ALL)
    return options


def find(names):
    """The peers that are there, with a sentence about each that is not."""
    found = []
    for name in names:
        peer = peers.ALL[name]
        peer.binary, why = peer.find()
        if peer.binary:
            found.append(peer)
        else:
            print(f'without {name}: {why}', file=sys.stderr)
    return found


def main():
    options = arguments()
    places.RUN.mkdir(exist_ok=True)
    with open(places.RUN / 'lock', 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit('another run is under way: they would share cores and ports')
        process.raise_limits()
        prepare.tools()
        prepare.certificate()
        found = find(options.peers)
        if not found:
            sys.exit('there is nothing to measure')
        return measure(options, found)


def measure(options, found):
    results = places.RUN / 'results'
    results.mkdir(exist_ok=True)
    stamp = time.strftime('%Y%m%d-%H%M%S', time.gmtime())
    markdown, raw, failed = open(results / f'{stamp}.md', 'w'), {}, False

    def say(text):
        print(text, flush=True)
        print(text, file=markdown, flush=True)

    origin = prepare.origin()
    try:
        say(report.machine(found) + '\n')
        run = scenarios.Run(found, window.Windows(origin, options.seconds, options.patience), options)
        for name in options.scenario:
            try:
                for number, (table, figures) in enumerate(scenarios.ALL[name](run)):
                    say(table)
                    raw[f'{name}-{number}'] = figures
            except (scenarios.Wrong, RuntimeError, OSError) as error:
                # The others may still be measured.
                failed = True
                say(f'### {name}\n\nNot measured: {error}\n')
    finally:
        process.stop(origin)
        markdown.close()
        (results / f'{stamp}.json').write_text(json.dumps(raw))
    print(f'{results / stamp}.md and .json', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
