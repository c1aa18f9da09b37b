"""The programs that are compared. A new one: a module here with a subclass of `Peer`, and its name in `ALL`."""
from .envoy import Envoy
from .floor import Floor
from .haproxy import Haproxy, HaproxySplice
from .nginx import Nginx
from .portcullis import Portcullis

ALL = {peer.name: peer for peer in (Portcullis, Nginx, Haproxy, HaproxySplice, Envoy, Floor)}
