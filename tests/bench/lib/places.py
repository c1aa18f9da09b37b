"""Where things are, and which ports and cores they use."""
import os
import pathlib

BENCH = pathlib.Path(__file__).resolve().parent.parent
ROOT = BENCH.parent.parent
TEMPLATES = BENCH / 'templates'
RUN = BENCH / 'run'
CERT, KEY, BOTH = RUN / 'certs/cert.pem', RUN / 'certs/key.pem', RUN / 'certs/both.pem'
TOOL = RUN / 'target/release/benchtool'

PROXY_CORE = int(os.environ.get('BENCH_PROXY_CORE', 0))
LOAD_CORE = int(os.environ.get('BENCH_LOAD_CORE', 1))
PORTS = int(os.environ.get('BENCH_PORTS', 21000))

# The origin's addresses: two web pools, two raw ones (they answer a ClientHello with bytes), one that sends much.
ORIGIN = PORTS + 900
POOLS = {name: f'127.0.0.1:{ORIGIN + number}' for number, name in enumerate(('A', 'B', 'RA', 'RB', 'RAbulk'))}
MIB = 1 << 20
