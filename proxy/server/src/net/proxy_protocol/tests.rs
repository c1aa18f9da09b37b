use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn proxied(client: &str, local: &str) -> Header {
    Header::Proxied { client: client.parse().unwrap(), local: local.parse().unwrap() }
}

fn samples() -> Vec<(Vec<u8>, Header)> {
    let v4 = ("192.0.2.1:56324", "198.51.100.2:443");
    let v6 = ("[2001:db8::1]:1", "[2001:db8::2]:65535");
    let mut samples = vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n".to_vec(), proxied(v4.0, v4.1)),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n".to_vec(), proxied(v6.0, v6.1)),
        (b"PROXY UNKNOWN\r\n".to_vec(), Header::Local),
        (b"PROXY UNKNOWN ffff:f::ffff ffff:f::ffff 65535 65535\r\n".to_vec(), Header::Local),
    ];
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        for (client, local) in [v4, v6] {
            let bytes = encode(version, client.parse().unwrap(), local.parse().unwrap());
            samples.push((bytes, proxied(client, local)));
        }
    }
    let mut local = v2::PROTOCOL_PREFIX.to_vec();
    local.extend([0x20, 0x11, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2]);
    samples.push((local, Header::Local));
    let mut with_tlv = v2::PROTOCOL_PREFIX.to_vec();
    with_tlv.extend([0x21, 0x11, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2, 4, 0, 2, 0, 0]);
    samples.push((with_tlv, proxied("1.2.3.4:1", "5.6.7.8:2")));
    samples
}

#[tokio::test]
async fn reads_headers_cut_at_every_byte_and_keeps_what_follows() {
    for (bytes, expected) in samples() {
        for cut in 0..=bytes.len() {
            let (mut far, mut near) = tokio::io::duplex(8192);
            let tail = b"GET / HTTP/1.1\r\n";
            let (first, second) = bytes.split_at(cut);
            let (first, second) = (first.to_vec(), [second, tail].concat());
            let writer = async move {
                far.write_all(&first).await.unwrap();
                tokio::task::yield_now().await;
                far.write_all(&second).await.unwrap();
                far
            };
            let mut buffer = BytesMut::new();
            let (header, _far) = tokio::join!(read(&mut near, &mut buffer, soon()), writer);
            assert_eq!(header.unwrap(), expected);
            while buffer.len() < tail.len() {
                near.read_buf(&mut buffer).await.unwrap();
            }
            assert_eq!(buffer, tail[..]);
        }
    }
}

#[test]
fn no_prefix_of_a_header_is_one() {
    for (bytes, expected) in samples() {
        for cut in 0..bytes.len() {
            assert!(matches!(parse(&bytes[..cut]), Ok(None)), "{:?}", &bytes[..cut]);
        }
        assert_eq!(parse(&bytes).unwrap(), Some((expected, bytes.len())));
    }
}

#[test]
fn what_cannot_become_a_header_is_refused_at_once() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"PROXz", b"proxy TCP4", b"\r\n\r\n\0\r\nQUIX", b"\n"] {
        assert!(matches!(parse(bytes), Err(ProxyError::Missing)), "{bytes:?}");
    }
}

#[test]
fn refuses_text_that_breaks_the_format() {
    for line in [
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r2\r\n",
        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY \r\n",
    ] {
        assert!(
            matches!(parse(line.as_bytes()), Err(ProxyError::Malformed(_))),
            "{line:?}: {:?}",
            parse(line.as_bytes())
        );
    }
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert!(matches!(parse(long.as_bytes()), Err(ProxyError::Malformed(_))));
}

#[test]
fn refuses_binary_that_breaks_the_format() {
    for rest in [
        &[0x11, 0x11, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[0x22, 0x11, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x21, 0x41, 0, 0],
        &[0x21, 0x12, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x21, 0x11, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x21, 0x11, 0xff, 0xff],
    ] {
        let bytes = [v2::PROTOCOL_PREFIX, rest].concat();
        assert!(matches!(parse(&bytes), Err(ProxyError::Malformed(_))), "{rest:?}: {:?}", parse(&bytes));
    }
}

#[test]
fn mixed_families_are_written_as_ipv6() {
    let client: SocketAddr = "192.0.2.1:5".parse().unwrap();
    let local: SocketAddr = "[2001:db8::2]:443".parse().unwrap();
    let text = encode(ProxyVersion::V1, client, local);
    assert_eq!(text, b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 5 443\r\n");
    let (header, _) = parse(&encode(ProxyVersion::V2, client, local)).unwrap().unwrap();
    assert_eq!(header, proxied("[::ffff:192.0.2.1]:5", "[2001:db8::2]:443"));
}

#[tokio::test]
async fn a_silent_peer_ends_at_the_deadline_and_a_closed_one_at_once() {
    let (far, mut near) = tokio::io::duplex(64);
    let deadline = Instant::now() + Duration::from_millis(20);
    let error = read(&mut near, &mut BytesMut::new(), deadline).await.unwrap_err();
    assert!(matches!(error, ProxyError::Deadline));
    drop(far);
    let error = read(&mut near, &mut BytesMut::new(), soon()).await.unwrap_err();
    assert!(matches!(error, ProxyError::Closed));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(tail in proptest::collection::vec(any::<u8>(), 0..64), start in 0..3_usize) {
        let prefix: &[u8] = [v2::PROTOCOL_PREFIX, b"PROXY ", b""][start];
        let _ = parse(&[prefix, &tail].concat());
    }

    #[test]
    fn what_is_encoded_is_read_back(a: u32, b: u32, port_a: u16, port_b: u16, text: bool) {
        let client = SocketAddr::from((std::net::Ipv4Addr::from(a), port_a));
        let local = SocketAddr::from((std::net::Ipv4Addr::from(b), port_b));
        let bytes = encode(if text { ProxyVersion::V1 } else { ProxyVersion::V2 }, client, local);
        prop_assert_eq!(parse(&bytes).unwrap(), Some((Header::Proxied { client, local }, bytes.len())));
    }
}
