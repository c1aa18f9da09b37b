"""What all peers have in common."""
import dataclasses
import os
import re
import shutil
import subprocess
import time

from .. import places, process


@dataclasses.dataclass
class Model:
    """What every proxy is asked to do, whatever its configuration looks like."""
    # name -> address, of the pools that speak HTTP
    pools: dict
    # [(host, [(path prefix, pool)])]
    routes: list = dataclasses.field(default_factory=list)
    # the pool for every other host
    default: str = 'A'
    # SNI -> address, for TLS that is passed through
    sni: dict = dataclasses.field(default_factory=dict)
    connections: int = 4096


@dataclasses.dataclass(frozen=True)
class Task:
    """What a plugin of one proxy and a filter of another both do."""
    name: str
    # The table of the tests' guest `good`.
    config: str
    # The filter in filters/.
    filter: str


def fill(template, **values):
    """A file of `templates/` with its @@NAMES@@ replaced."""
    text = (places.TEMPLATES / template).read_text()
    return re.sub(r'@@([A-Z]+)@@', lambda match: str(values[match[1]]), text)


class Peer:
    """One proxy: its own ports, its own folder, one core."""
    name = ''
    # Scenarios it takes part in.
    scenarios = frozenset({'h1', 'h1-tls', 'h2-tls', 'tls-handshake', 'large', 'passthrough', 'routes', 'idle'})
    # Set by `find`.
    binary = None
    # The peer that this one is with a plugin; its cost is what is added to that.
    bare = None

    @classmethod
    def find(cls):
        """(path of the program, None), or (None, why it is not there)."""
        raise NotImplementedError

    @classmethod
    def lacks(cls, scenario):
        """Why it cannot take part in one of its scenarios here; None if it can."""
        return None

    @classmethod
    def extended(cls, task):
        """Peers that do the same and have a plugin for `task` in the way."""
        return []

    def render(self, model):
        """Writes the configuration."""
        raise NotImplementedError

    def command(self, model):
        """The command line."""
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def trigger_reload(self):
        """Has the configuration read again."""
        raise NotImplementedError

    def __init__(self, number, tag):
        self.http, self.tls, self.l4, self.admin = (places.PORTS + 10 * number + offset for offset in range(4))
        # As the proxies see it: they run in places.RUN.
        self.dir = f'{tag}-{self.name}'
        self.process = self.meter = None

    def write(self, name, text):
        """A file of its folder, replaced whole."""
        path = places.RUN / self.dir / name
        path.with_name(name + '.tmp').write_text(text)
        path.with_name(name + '.tmp').replace(path)

    def start(self, model):
        """Starts; the seconds until it accepts connections."""
        folder = places.RUN / self.dir
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.render(model)
        with open(folder / 'output.log', 'w') as log:
            self.process = process.spawn(self.command(model), places.PROXY_CORE, stdout=log, stderr=log)
        try:
            seconds = process.wait_for_port(self.l4 if model.sni else self.http, self.process)
            # Workers that a master starts come up after the port is there.
            time.sleep(0.3)
        except RuntimeError as error:
            self.stop()
            raise RuntimeError(f'{self.name} {error}:\n{(folder / "output.log").read_text()[-2000:]}') from None
        self.meter = process.Meter(self.process.pid)
        return seconds

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self):
        process.stop(self.process)
        self.process = None


def first_line(*command):
    """What a program says about its version."""
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]
