use std::time::Duration;

use proptest::prelude::*;
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName, server::Acceptor};
use tokio::io::AsyncWriteExt;

use super::*;

/// What a rustls client would send.
fn rustls_hello(name: &str, alpn: &[&str]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same handshake bytes in records of at most `size`.
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in hello[RECORD_HEADER..].chunks(size) {
        out.extend([22, 3, 1]);
        out.extend((chunk.len() as u16).to_be_bytes());
        out.extend(chunk);
    }
    out
}

/// A minimal ClientHello with these extensions.
fn built(version: u16, extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, content) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend((content.len() as u16).to_be_bytes());
        list.extend(*content);
    }
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0, 47, 1, 0]);
    body.extend((list.len() as u16).to_be_bytes());
    body.extend(list);
    let mut message = vec![1, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

fn name_extension(name: &[u8]) -> Vec<u8> {
    let mut content = ((name.len() + 3) as u16).to_be_bytes().to_vec();
    content.push(0);
    content.extend((name.len() as u16).to_be_bytes());
    content.extend(name);
    content
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[test]
fn reads_name_protocols_and_version() {
    let hello = parse(&rustls_hello("Shop.Example.COM", &["h2", "http/1.1"])).unwrap().unwrap();
    assert_eq!(hello.sni.as_deref(), Some("shop.example.com"));
    assert_eq!(hello.alpn().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
    assert_eq!(hello.newest_name(), "TLS 1.3");
}

#[test]
fn agrees_with_rustls_on_the_name() {
    for name in ["a.example", "xn--nxasmq6b.example", "my_api", "a-b.c_d.example.", "192.0.2.7"] {
        let bytes = rustls_hello(name, &[]);
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut &bytes[..]).unwrap();
        let accepted = acceptor.accept().unwrap().unwrap();
        let theirs = accepted.client_hello().server_name().map(|name| name.trim_end_matches('.').to_owned());
        assert_eq!(parse(&bytes).unwrap().unwrap().sni.as_deref(), theirs.as_deref(), "{name}");
    }
}

#[test]
fn reads_it_cut_at_every_byte_and_into_records_of_every_size() {
    let whole = rustls_hello("shop.example.com", &["h2"]);
    let expected = parse(&whole).unwrap().unwrap();
    for cut in 0..whole.len() {
        assert!(parse(&whole[..cut]).unwrap().is_none(), "{cut}");
    }
    for size in (1..40).chain([100, 1000, 16384]) {
        let bytes = in_records(&whole, size);
        let mut records = Records::default();
        for end in 0..bytes.len() {
            assert!(records.advance(&bytes[..end], parse_body).unwrap().is_none(), "{size} {end}");
        }
        assert_eq!(records.advance(&bytes, parse_body).unwrap().unwrap(), expected, "{size}");
    }
}

#[tokio::test]
async fn the_bytes_stay_in_the_buffer_with_what_came_behind() {
    let mut bytes = rustls_hello("shop.example.com", &[]);
    bytes.extend(b"behind");
    let (mut far, mut near) = tokio::io::duplex(64);
    let sent = bytes.clone();
    let writer = async move {
        for chunk in sent.chunks(7) {
            far.write_all(chunk).await.unwrap();
        }
        far
    };
    let mut buffer = BytesMut::from(&b""[..]);
    let (hello, _far) = tokio::join!(read(&mut near, &mut buffer, soon()), writer);
    assert_eq!(hello.unwrap().sni.as_deref(), Some("shop.example.com"));
    while buffer.len() < bytes.len() {
        near.read_buf(&mut buffer).await.unwrap();
    }
    assert_eq!(buffer, bytes);
}

#[tokio::test]
async fn a_hello_that_is_in_the_buffer_already_is_not_waited_for() {
    let (_far, mut near) = tokio::io::duplex(64);
    let mut buffer = BytesMut::from(&rustls_hello("a.example", &[])[..]);
    let hello = read(&mut near, &mut buffer, soon()).await.unwrap();
    assert_eq!(hello.sni.as_deref(), Some("a.example"));
}

#[test]
fn tells_plain_http_and_other_protocols() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"OPTIONS * HTTP/1.1", b"CONNECT a:443 HTTP/1.1", b"PRI * HTTP/2.0\r\n"] {
        assert!(matches!(parse(bytes), Err(HelloError::PlainHttp)), "{bytes:?}");
    }
    for bytes in [
        &b"\0"[..],
        b"SSH-2.0-OpenSSH",
        b"\x80\x2e\x01",
        b"\x16\x02\x00\x00\x05",
        b"\x16\x03\x01\x00\x01\x02",
        b"ABCDEFGH",
    ] {
        assert!(matches!(parse(bytes), Err(HelloError::NotTls)), "{bytes:?}: {:?}", parse(bytes));
    }
    for bytes in [&b""[..], b"GE", b"GET", b"\x16", b"\x16\x03\x01\x00"] {
        assert!(matches!(parse(bytes), Ok(None)), "{bytes:?}");
    }
}

#[test]
fn finds_the_name_in_hellos_that_rustls_refuses() {
    let bytes = built(0x0301, &[(0, &name_extension(b"old.example"))]);
    let hello = parse(&bytes).unwrap().unwrap();
    assert_eq!(hello.sni.as_deref(), Some("old.example"));
    assert_eq!(hello.newest_name(), "TLS 1.0");
    assert_eq!(hello.alpn().count(), 0);
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &bytes[..]).unwrap();
    assert!(acceptor.accept().is_err());
}

#[test]
fn refuses_what_could_be_read_in_two_ways() {
    let name = name_extension(b"a.example");
    let two_names = [&[0, 24][..], &name[2..], &name[2..]].concat();
    for (what, extensions) in [
        ("the extension twice", vec![(0, &name[..]), (0, &name[..])]),
        ("two names in it", vec![(0, &two_names[..])]),
        ("an unknown kind of name", vec![(0, &[0, 4, 1, 0, 1, b'a'][..])]),
        ("bytes behind the name", vec![(0, &[0, 4, 0, 0, 1, b'a', 0][..])]),
        ("an empty name", vec![(0, &[0, 3, 0, 0, 0][..])]),
    ] {
        assert!(matches!(parse(&built(0x0303, &extensions)), Err(HelloError::Malformed(_))), "{what}");
    }
    for name in [&b"a..example"[..], b".", b"a.example/", b"a b", b"a\0.example", b"\xff", &[b'a'; 64]] {
        assert!(
            matches!(parse(&built(0x0303, &[(0, &name_extension(name))])), Err(HelloError::Malformed(_))),
            "{name:?}"
        );
    }
}

#[test]
fn bounds_what_it_reads() {
    let mut announced = vec![22, 3, 1, 0x40, 0, 1, 2, 0, 0];
    announced.resize(RECORD_HEADER + (1 << 14), 0);
    assert!(matches!(parse(&announced), Err(HelloError::TooLarge)));
    // 61444 bytes of message are within bounds, but not at six bytes of record for each.
    let mut message = vec![1, 0, 0xf0, 0];
    message.resize(LIMIT / 6 + 1, 0);
    let crumbs: Vec<u8> = message.iter().flat_map(|&byte| [22, 3, 1, 0, 1, byte]).collect();
    assert!(matches!(parse(&crumbs), Err(HelloError::TooLarge)));
    assert!(matches!(parse(&[22, 3, 1, 0, 0]), Err(HelloError::Malformed(_))));
    assert!(matches!(parse(&[22, 3, 1, 0x40, 1]), Err(HelloError::Malformed(_))));
}

#[tokio::test]
async fn says_how_much_had_arrived_when_the_client_stalls_or_goes() {
    let (mut far, mut near) = tokio::io::duplex(64);
    far.write_all(&[22, 3, 1]).await.unwrap();
    let mut buffer = BytesMut::new();
    let deadline = Instant::now() + Duration::from_millis(20);
    assert!(matches!(read(&mut near, &mut buffer, deadline).await, Err(HelloError::Deadline(3))));
    drop(far);
    assert!(matches!(read(&mut near, &mut buffer, soon()).await, Err(HelloError::Closed(3))));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        cut in 0..2000_usize,
        changes in proptest::collection::vec((0..2000_usize, any::<u8>()), 0..8),
        size in 1..2000_usize,
    ) {
        let mut bytes = rustls_hello("shop.example.com", &["h2", "http/1.1"]);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(cut.max(RECORD_HEADER));
        let _ = parse(&bytes);
        let _ = parse(&in_records(&bytes, size));
    }
}
