"""Single requests, for checking that a proxy answers right before it is measured."""
import http.client
import socket
import ssl


def _context(alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(alpn)
    return context


def get(port, path='/b/1024', host='bench.test', tls=False, timeout=10):
    """One request on a connection of its own: (status, headers, body, TLS version)."""
    with socket.create_connection(('127.0.0.1', port), timeout) as plain:
        stream = _context(['http/1.1']).wrap_socket(plain, server_hostname=host) if tls else plain
        with stream:
            stream.sendall(f'GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
            response = http.client.HTTPResponse(stream)
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read(), stream.version() if tls else None


def alpn(port, host='bench.test'):
    """What a client that can do both speaks there."""
    with socket.create_connection(('127.0.0.1', port), 10) as plain:
        with _context(['h2', 'http/1.1']).wrap_socket(plain, server_hostname=host) as stream:
            return stream.selected_alpn_protocol()


def client_hello(name):
    """The bytes of a ClientHello for this name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = _context(['http/1.1']).wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def first_bytes(port, request, count):
    """Sends bytes; what comes back first, at most `count` bytes."""
    received = b''
    with socket.create_connection(('127.0.0.1', port), 8) as stream:
        try:
            stream.sendall(request)
            while len(received) < count:
                more = stream.recv(count - len(received))
                if not more:
                    break
                received += more
        except OSError:
            pass
    return received
