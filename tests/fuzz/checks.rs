//! What holds for any bytes whatsoever: there is an answer, in time and without a panic, and it is one answer however the
//! bytes come.
//!
//! The fuzz targets call these, and so do the scenarios in `fuzz.rs`, with the seeds and with mutations of them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::OnceLock,
    time::Duration,
};

use portcullis_config::load::{Source, parse};
use portcullis_server::{
    http::{
        guard::{BodyLength, HeadFacts, Rules, check_head},
        path::{check_query, normalise},
    },
    net::{
        hello,
        proxy_protocol::{self, Header, ProxyVersion},
    },
};
use waf_engine::{
    seclang::Loader,
    transaction::{Engine, Start, Transaction},
    trial::{self, Memory, Request, Response},
    world::{Ends, Files},
};

/// What is asked of some bytes; panics where it does not hold.
type Check = fn(&[u8]);

/// Each by the name of its fuzz target.
pub const CHECKS: [(&str, Check); 8] = [
    ("client_hello", client_hello),
    ("config", config),
    ("head", head),
    ("path", path),
    ("plugin", plugin),
    ("proxy_protocol", proxy_protocol),
    ("seclang", seclang),
    ("waf", waf),
];

/// Runs the check of a fuzz target.
pub fn check(target: &str, bytes: &[u8]) {
    let (_, check) =
        CHECKS.into_iter().find(|(name, _)| *name == target).expect("a fuzz target has a check of its name");
    check(bytes);
}

/// A plugin's file, with its manifest.
fn plugin(bytes: &[u8]) {
    match portcullis_plugin::inspect(bytes) {
        Ok(inspection) => {
            assert!(inspection.contract.starts_with("0.1."), "{inspection:?}");
            assert!(inspection.imports.is_sorted() && inspection.other_imports.is_sorted(), "{inspection:?}");
            assert_eq!(inspection.size, bytes.len());
        }
        Err(error) => assert!(!error.0.is_empty() && error.0.len() < 16 << 10, "{} bytes of error", error.0.len()),
    }
}

/// There are no other files: rules of a stranger see nothing.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        Err(format!("there is no {path}"))
    }

    fn glob(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// A file of rules: it loads and judges, or is refused with places and words.
fn seclang(bytes: &[u8]) {
    let mut loader = Loader::new(&NoFiles);
    loader.text("rules", bytes);
    match loader.finish() {
        Ok(loaded) => {
            let request = trial::first_request(b"POST /a/b.php?c=d&e=%27f HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 5\r\n\r\ng=h+i");
            judged(&Engine::new(loaded.rules), &request.expect("it is a request"));
        }
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= 101, "{} problems", problems.len());
            for problem in problems {
                let text = problem.to_string();
                assert!(!text.is_empty() && text.len() < 16 << 10, "{} bytes of error", text.len());
            }
        }
    }
}

/// A request: the engine with all its shortcuts and the one without see the same.
fn waf(bytes: &[u8]) {
    static ENGINES: OnceLock<[Engine; 2]> = OnceLock::new();
    let engines = ENGINES.get_or_init(|| {
        let rules = || {
            let mut loader = Loader::new(&NoFiles);
            loader.text("engine", "SecRuleEngine On\nSecRule REQUEST_HEADERS:Content-Type \"@rx json\" \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\nSecRule REQUEST_HEADERS:Content-Type \"@rx xml\" \"id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"");
            loader.text("baseline", include_str!("../../plugins/waf/rules/baseline.conf"));
            loader.finish().unwrap_or_else(|problems| panic!("{}", problems[0])).rules
        };
        [Engine::new(rules()), Engine::plain(rules())]
    });
    let Some(request) = trial::first_request(bytes) else { return };
    assert_eq!(judged(&engines[0], &request), judged(&engines[1], &request));
}

/// What matched and what came of it.
fn judged(engine: &Engine, request: &Request) -> (Vec<u64>, Option<u16>, Option<Vec<u8>>) {
    let world = Memory::new(|| 1_763_745_600_000_000_000);
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ends = Ends { client: loopback, client_port: 40000, server: loopback, server_port: 80 };
    let start = Start { ends, id: "1", mode: None, route: "" };
    let mut transaction = Transaction::begin(engine, &start);
    let refused = trial::judge(engine, &world, &mut transaction, request, &|_| Response::empty());
    let matched = transaction.matches().iter().map(|matched| matched.rule).collect();
    (matched, refused.map(|intervention| intervention.status), transaction.audit(engine))
}

/// The ClientHello peek.
fn client_hello(bytes: &[u8]) {
    let whole = hello::parse(bytes);
    if let Ok(Some(hello)) = &whole {
        if let Some(name) = hello.sni.as_deref() {
            assert!(!name.is_empty() && !name.ends_with('.'), "{name:?}");
            assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()), "{name:?}");
            assert!(name.parse::<IpAddr>().is_err(), "{name:?} is an address");
        }
        assert!(hello.alpn().map(<[u8]>::len).sum::<usize>() < bytes.len());
        assert!(!hello.newest_name().is_empty());
    }
    let fingerprint = hello::ja4(bytes);
    if let Some(text) = &fingerprint {
        assert!(!matches!(whole, Ok(None)), "{text} of a part");
        assert!(text.len() == 36 && text.is_ascii(), "{text}");
    }
    for cut in cuts(bytes) {
        if let Some(early) = hello::ja4(&bytes[..cut]) {
            assert_eq!(Some(early), fingerprint, "after {cut} bytes");
        }
        match (hello::parse(&bytes[..cut]), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(early)), Ok(Some(late))) => assert_eq!(early, *late, "after {cut} bytes"),
            (early, late) => panic!("after {cut} bytes {early:?}, after all {late:?}"),
        }
    }
}

/// PROXY protocol headers.
fn proxy_protocol(bytes: &[u8]) {
    let whole = proxy_protocol::parse(bytes);
    if let Ok(Some((header, length))) = &whole {
        assert!(*length <= bytes.len());
        assert!(matches!(proxy_protocol::parse(&bytes[..*length]), Ok(Some(same)) if same == (*header, *length)));
        assert!(matches!(proxy_protocol::parse(&bytes[..length - 1]), Ok(None)), "it is whole only with its last byte");
        if let Header::Proxied { client, local } = header {
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let again = proxy_protocol::encode(version, *client, *local);
                let Ok(Some((Header::Proxied { client: same, .. }, length))) = proxy_protocol::parse(&again) else {
                    panic!("{header:?} is written as {again:?}, which is no header");
                };
                assert_eq!((same.ip().to_canonical(), same.port()), (client.ip().to_canonical(), client.port()));
                assert_eq!(length, again.len());
            }
        }
    }
    for cut in cuts(bytes) {
        match (proxy_protocol::parse(&bytes[..cut]), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(early)), Ok(Some(late))) => assert_eq!(early, *late, "after {cut} bytes"),
            (early, late) => panic!("after {cut} bytes {early:?}, after all {late:?}"),
        }
    }
}

/// A configuration.
fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    match parse(&[Source { name: "fuzz.toml".into(), text }]) {
        Ok(loaded) => assert!(!loaded.config.listeners.is_empty()),
        Err(report) => {
            assert!(!report.is_empty());
            let text = report.to_string();
            assert!(text.lines().count() > 1, "{text}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            assert!(report.to_json().is_object());
        }
    }
}

/// HTTP/1 request heads.
fn head(bytes: &[u8]) {
    let rules = Rules {
        header_bytes: 4096,
        header_count: 32,
        target_length: 1024,
        header_time: Duration::from_secs(10),
        idle_time: Duration::from_secs(75),
    };
    let whole = check_head(bytes, &rules);
    match &whole {
        Ok(Some(facts)) => {
            assert!(facts.length <= bytes.len().min(rules.header_bytes + 2), "{facts:?}");
            let head = &bytes[..facts.length];
            assert_eq!(check_head(head, &rules).as_ref(), Ok(&Some(facts.clone())), "what follows changes nothing");
            agrees(head, facts);
        }
        Ok(None) => {}
        Err(refusal) => {
            assert!([400, 408, 414, 431, 505].contains(&refusal.status), "{refusal:?}");
            assert!(!refusal.reason.is_empty() && refusal.method.is_ascii() && refusal.target.is_ascii());
        }
    }
    for cut in cuts(bytes) {
        match (check_head(&bytes[..cut], &rules), &whole) {
            (Ok(None), _) => {}
            (Ok(Some(early)), Ok(Some(late))) => assert_eq!(early, *late, "after {cut} bytes"),
            (Err(early), Err(late)) => assert_eq!(early.status, late.status, "after {cut} bytes: {early} {late}"),
            (early, late) => panic!("after {cut} bytes {early:?}, after all {late:?}"),
        }
    }
}

/// What was let through means the same to the parser behind.
fn agrees(head: &[u8], facts: &HeadFacts) {
    let lines = head.split(|byte| *byte == b'\n');
    let whole = lines.clone().take(lines.count() - 1);
    for line in whole {
        let (last, rest) = line.split_last().expect("a line ends with CR");
        assert!(*last == b'\r' && !rest.contains(&b'\r'), "a bare CR or LF: {}", head.escape_ascii());
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let encoded = facts.encoded(head);
    let parsed = request.parse(&encoded);
    assert_eq!(parsed, Ok(httparse::Status::Complete(encoded.len())), "{}", head.escape_ascii());
    assert_eq!(request.method.map(str::as_bytes), Some(&head[facts.method.clone()]));
    let target = facts.target.start..facts.target.end + 2 * facts.unencoded;
    assert_eq!(request.path.map(str::as_bytes), Some(&encoded[target]));
    assert_eq!(request.version, Some(u8::from(facts.http11)));
    let values = |name: &str| {
        let named = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii()).collect::<Vec<_>>()
    };
    let (lengths, codings, hosts) = (values("content-length"), values("transfer-encoding"), values("host"));
    match facts.body {
        BodyLength::Known(length) => {
            assert!(codings.is_empty() && lengths.len() == 1, "{}", head.escape_ascii());
            assert_eq!(std::str::from_utf8(lengths[0]).ok().and_then(|text| text.parse().ok()), Some(length));
        }
        BodyLength::Chunked => assert!(lengths.is_empty() && codings.len() == 1, "{}", head.escape_ascii()),
        BodyLength::None => {
            assert!(codings.is_empty() && lengths.len() <= 1, "{}", head.escape_ascii());
            assert!(lengths.iter().all(|length| length.iter().all(|byte| *byte == b'0')));
        }
    }
    assert!(hosts.len() <= 1, "{}", head.escape_ascii());
    assert_eq!(facts.host.clone().map(|host| &head[host]), hosts.first().copied());
    assert!(!facts.http11 || hosts.len() == 1, "{}", head.escape_ascii());
}

/// Paths and queries of targets.
fn path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // Whether it may be one is all that is asked.
    _ = check_query(&text);
    let Ok(path) = normalise(&text) else { return };
    assert_eq!(normalise(&path).as_deref(), Ok(&*path), "the same again changes nothing");
    assert!(path.len() <= text.len() + 1, "{text:?} became {path:?}");
    if path == "*" {
        return;
    }
    assert!(path.starts_with('/') && !path.contains("//"), "{text:?} became {path:?}");
    assert!(!path.split('/').any(|segment| [".", ".."].contains(&segment)), "{text:?} became {path:?}");
    for (at, _) in path.match_indices('%') {
        let digits = &path[at + 1..at + 3];
        assert!(digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')), "{text:?} became {path:?}");
        let byte = u8::from_str_radix(digits, 16).expect("two hexadecimal digits are a byte");
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        assert!(byte != 0 && !plain, "{text:?} became {path:?}");
    }
}

/// Where to cut: everywhere in what is short, at some places in what is long.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let step = bytes.len().div_ceil(40).max(1);
    (0..bytes.len()).step_by(step).chain(bytes.len().checked_sub(1))
}
