"""benchtool's `floor`: framing and bytes moved, nothing else. Not a proxy, a limit."""
from .. import places
from .peer import Peer


class Floor(Peer):
    name = 'floor'
    scenarios = frozenset({'h1', 'h1-tls', 'tls-handshake', 'large', 'passthrough', 'idle'})

    @classmethod
    def find(cls):
        return str(places.TOOL), None

    def version(self):
        return 'floor (a bare epoll loop, with rustls where TLS)'

    def render(self, model):
        """All of it is in the command line."""

    def command(self, model):
        words = [self.binary, 'floor', '--upstream', model.pools[model.default], '--http', f'127.0.0.1:{self.http}',
                 '--tls', f'127.0.0.1:{self.tls}', '--cert', places.CERT, '--key', places.KEY]
        if model.sni:
            # One destination: it does not read the ClientHello.
            words += ['--l4', f'127.0.0.1:{self.l4}', '--l4-upstream', model.sni['a.test']]
        return words
