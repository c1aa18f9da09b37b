"""portcullis itself."""
import signal

from .. import places, prepare
from .peer import Peer, fill, first_line


class Portcullis(Peer):
    name = 'portcullis'
    # With a plugin: what it does, and how its instances are used.
    task = isolation = None
    instances = 1000

    @classmethod
    def find(cls):
        return prepare.portcullis()

    @classmethod
    def extended(cls, task):
        if task.name == 'waf':
            return [type(cls.__name__, (cls,), {'name': 'portcullis-waf', 'bare': cls, 'task': task, 'isolation': 'worker'})]
        return [type(cls.__name__, (cls,), {'name': f'{cls.name}-{isolation}', 'bare': cls, 'task': task,
                                            'isolation': isolation}) for isolation in ('worker', 'exchange')]

    def version(self):
        return first_line(self.binary, '--version')

    def render(self, model):
        routes, backends = [], []
        for host, rules in model.routes:
            routes += [f'[[route]]\nlistener = ["http", "https"]\nhost = "{host}"\npath = "{path}"\nbackend = "{pool}"\n'
                       for path, pool in rules]
        for name, address in model.pools.items():
            backends.append(f'[backend.{name}]\nendpoints = ["http://{address}"]\n'
                            'pool = { idle = 512, idle_time = "5m", connections = 8192 }\n')
        if model.sni:
            routes.insert(0, f'[[listener]]\nname = "l4"\naddress = "127.0.0.1:{self.l4}"\ntls = {{}}\n')
            for name, address in model.sni.items():
                routes.append(f'[[route]]\nlistener = "l4"\nsni = "{name}"\npassthrough = "{name}"\n')
                backends.append(f'[backend."{name}"]\nendpoints = ["tcp://{address}"]\n')
        use = plugin = ''
        if self.task and self.task.name == 'waf':
            use = 'plugins = ["waf"]\n'
            plugin = f'[plugin.waf]\nmodule = "builtin:waf"\n[plugin.waf.config]\nrules = {self.task.config}\n'
        elif self.task:
            use = 'plugins = ["measured"]\n'
            plugin = (f'[plugin.measured]\nmodule = "{prepare.GUEST}"\nisolation = "{self.isolation}"\n'
                      f'limits = {{ instances = {self.instances} }}\nconfig = {self.task.config}\n')
        self.write('portcullis.toml', fill(
            'portcullis.toml', DIR=places.RUN / self.dir, CERT=places.CERT, KEY=places.KEY, HTTP=self.http,
            TLS=self.tls, DEFAULT=model.default, ROUTES=use + '\n'.join(routes), BACKENDS='\n'.join([*backends, plugin])))

    def command(self, model):
        return [self.binary, 'run', f'{self.dir}/portcullis.toml']

    def trigger_reload(self):
        self.signal(signal.SIGHUP)
