"""nginx of the system."""
import json
import os
import pathlib
import signal

from .. import places, prepare
from .peer import Peer, fill, first_line

MODULES = pathlib.Path(os.environ.get('NGINX_MODULES', '/usr/lib/nginx/modules'))
STREAM = MODULES / 'ngx_stream_module.so'
MODSECURITY = MODULES / 'ngx_http_modsecurity_module.so'


class Nginx(Peer):
    name = 'nginx'
    # With libmodsecurity: the rule files.
    rules = ()

    @classmethod
    def find(cls):
        return prepare.program('nginx', 'nginx')

    @classmethod
    def lacks(cls, scenario):
        if scenario == 'passthrough' and not STREAM.exists():
            return (f'{STREAM} does not exist (Debian: apt-get install libnginx-mod-stream; elsewhere NGINX_MODULES '
                    'names the folder)')
        return None

    @classmethod
    def extended(cls, task):
        if task.name != 'waf' or not MODSECURITY.exists():
            return []
        return [type(cls.__name__, (cls,), {'name': 'nginx-modsecurity', 'bare': cls, 'rules': json.loads(task.config)})]

    def version(self):
        return first_line(self.binary, '-v').removeprefix('nginx version: ')

    def render(self, model):
        upstreams = [f'    upstream {name} {{ server {address}; keepalive 512; keepalive_requests 1000000000; '
                     f'keepalive_timeout 300s; }}' for name, address in model.pools.items()]
        plain, secure = f'listen 127.0.0.1:{self.http}', f'listen 127.0.0.1:{self.tls} ssl http2'
        servers = [f'    server {{ {plain} default_server backlog=16384; {secure} default_server backlog=16384; '
                   f'location / {{ proxy_pass http://{model.default}; }} }}']
        for host, rules in model.routes:
            locations = ' '.join(f'location {path} {{ proxy_pass http://{pool}; }}' for path, pool in rules)
            servers.append(f'    server {{ {plain}; {secure}; server_name {host}; {locations} }}')
        modules = stream = ''
        if self.rules:
            modules = f'load_module {MODSECURITY};'
            self.write('rules.conf', ''.join(f'Include {path}\n' for path in self.rules))
            servers.insert(0, f'    modsecurity on;\n    modsecurity_rules_file {places.RUN / self.dir}/rules.conf;')
        if model.sni:
            modules = f'load_module {STREAM};'
            names = ' '.join(f'{name} {address};' for name, address in model.sni.items())
            stream = (f'stream {{\n    map $ssl_preread_server_name $target {{ default 127.0.0.1:1; {names} }}\n'
                      f'    server {{ listen 127.0.0.1:{self.l4} backlog=16384; ssl_preread on; tcp_nodelay on; '
                      f'proxy_pass $target; }}\n}}')
        self.write('nginx.conf', fill(
            'nginx.conf', DIR=self.dir, MODULES=modules, STREAM=stream, CONNECTIONS=model.connections,
            NAMES=max(512, 4 * len(model.routes)), CERT=places.CERT, KEY=places.KEY,
            UPSTREAMS='\n'.join(upstreams), SERVERS='\n'.join(servers)))

    def command(self, model):
        return [self.binary, '-p', places.RUN, '-c', f'{self.dir}/nginx.conf', '-e', f'{self.dir}/error.log']

    def trigger_reload(self):
        self.signal(signal.SIGHUP)
