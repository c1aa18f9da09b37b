"""haproxy of the system, in master-worker mode."""
import signal

from .. import places, prepare
from .peer import Peer, fill, first_line


class Haproxy(Peer):
    name = 'haproxy'
    # Lines for both sides of a passed-through connection.
    passthrough_options = ''

    @classmethod
    def find(cls):
        return prepare.program('haproxy', 'haproxy')

    def version(self):
        return ' '.join(first_line(self.binary, '-v').split()[:3]).replace('HAProxy version', 'haproxy')

    def render(self, model):
        frontends = [f'frontend web\n    bind 127.0.0.1:{self.http} backlog 16384\n'
                     f'    bind 127.0.0.1:{self.tls} backlog 16384 ssl crt {places.BOTH} alpn h2,http/1.1\n'
                     '    http-request set-header X-Forwarded-Proto https if { ssl_fc }\n'
                     '    http-request set-header X-Forwarded-Proto http unless { ssl_fc }']
        if model.routes:
            self.write('routes.map', ''.join(f'{host}{path} {pool}\n'
                                             for host, rules in model.routes for path, pool in rules))
            frontends.append(f'    use_backend %[base,map_beg({self.dir}/routes.map,{model.default})]')
        frontends.append(f'    default_backend {model.default}')
        backends = [f'backend {name}\n    server s {address}' for name, address in model.pools.items()]
        if model.sni:
            self.write('sni.map', ''.join(f'{name} {name}\n' for name in model.sni))
            frontends.append(f'frontend l4\n    mode tcp\n    bind 127.0.0.1:{self.l4} backlog 16384\n'
                             '    tcp-request inspect-delay 5s\n'
                             '    tcp-request content reject unless { req.ssl_hello_type 1 }\n'
                             f'{self.passthrough_options}'
                             f'    use_backend %[req.ssl_sni,lower,map({self.dir}/sni.map,nobody)]\n'
                             'backend nobody\n    mode tcp')
            backends += [f'backend {name}\n    mode tcp\n{self.passthrough_options}    server s {address}'
                         for name, address in model.sni.items()]
        self.write('haproxy.cfg', fill('haproxy.cfg', DIR=self.dir, CONNECTIONS=model.connections,
                                       FRONTENDS='\n'.join(frontends), BACKENDS='\n'.join(backends)))

    def command(self, model):
        return [self.binary, '-W', '-db', '-q', '-f', f'{self.dir}/haproxy.cfg']

    def trigger_reload(self):
        self.signal(signal.SIGUSR2)


class HaproxySplice(Haproxy):
    """Passes bytes on with splice(2), as portcullis does."""
    name = 'haproxy-splice'
    scenarios = frozenset({'passthrough'})
    passthrough_options = '    option splice-request\n    option splice-response\n'
