"""nginx of the system."""
import os
import pathlib
import signal

from .. import places, prepare
from .peer import Peer, fill, first_line

STREAM = pathlib.Path(os.environ.get('NGINX_MODULES', '/usr/lib/nginx/modules')) / 'ngx_stream_module.so'


class Nginx(Peer):
    name = 'nginx'

    @classmethod
    def find(cls):
        return prepare.program('nginx', 'nginx')

    @classmethod
    def lacks(cls, scenario):
        if scenario == 'passthrough' and not STREAM.exists():
            return (f'{STREAM} does not exist (Debian: apt-get install libnginx-mod-stream; elsewhere NGINX_MODULES '
                    'names the folder)')
        return None

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
