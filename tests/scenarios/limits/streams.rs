use portcullis_tests::{
    client::{
        frames::{END_HEADERS, END_STREAM, Frames, encode, get, kind},
        http::Connection,
        raw::Raw,
    },
    origin::Origin,
    scenario::{eventually, scenario},
};

use super::limited;
use crate::ground::plain;

#[test]
fn the_number_of_concurrent_streams_is_announced_and_enforced() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "streams = 5").await;
        let mut frames = Frames::open(Raw::connect(proxy.address("http")).await).await;
        let settings = frames.until(kind::SETTINGS).await.unwrap().payload;
        let announced = settings.chunks(6).any(|pair| pair == [0, 3, 0, 0, 0, 5]);
        assert!(announced, "{settings:?}");
        let mut bytes = encode(kind::SETTINGS, 1, 0, &[]);
        for stream in 0..8 {
            let block = get("a", "/slow?ms=700", &[]);
            bytes.extend(encode(kind::HEADERS, END_HEADERS | END_STREAM, 1 + 2 * stream, &block));
        }
        frames.send_bytes(&bytes).await;
        let refused = frames.until(kind::RST_STREAM).await.unwrap();
        // REFUSED_STREAM: the client may ask again (RFC 9113 section 8.7).
        assert_eq!((refused.stream, refused.error_code()), (11, Some(7)));
        let mut answered = 0;
        while answered < 5 {
            if frames.next().await.unwrap().kind == kind::HEADERS {
                answered += 1;
            }
        }
        assert_eq!(origin.count(), 5);
    });
}

#[test]
fn rapid_resets_end_the_connection_with_goaway() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plain(&origin).await;
        let mut frames = Frames::open(Raw::connect(proxy.address("http")).await).await;
        // CVE-2023-44487: each stream is cancelled as soon as it is opened.
        let mut bytes = Vec::new();
        for stream in (1..4000_u32).step_by(2) {
            bytes.extend(encode(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get("a", "/slow?ms=500", &[])));
            bytes.extend(encode(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        frames.send_bytes(&bytes).await;
        let goaway = frames.until(kind::GOAWAY).await.expect("GOAWAY before the end");
        // ENHANCE_YOUR_CALM
        assert_eq!(goaway.error_code(), Some(11));
        eventually("it is counted", async || (proxy.counter("http2_goaways").await >= 1).then_some(())).await;
        assert!(origin.count() < 500, "{} of 2000 requests reached the origin", origin.count());
        assert_eq!(Connection::h2c(proxy.address("http")).await.get("a", "/").await.status, 200);
    });
}

#[test]
fn the_number_of_resets_can_be_set() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin, "resets = 300").await;
        let mut frames = Frames::open(Raw::connect(proxy.address("http")).await).await;
        let mut bytes = Vec::new();
        for stream in (1..400_u32).step_by(2) {
            bytes.extend(encode(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get("a", "/slow?ms=500", &[])));
            bytes.extend(encode(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        bytes.extend(encode(kind::HEADERS, END_HEADERS | END_STREAM, 401, &get("a", "/name", &[])));
        frames.send_bytes(&bytes).await;
        let answer = frames.until(kind::HEADERS).await.expect("200 resets are fewer than 300");
        assert_eq!(answer.stream, 401);
    });
}

#[test]
fn floods_of_control_frames_never_grow_the_proxy() {
    scenario(async {
        let origin = Origin::start().await;
        let mut proxy = plain(&origin).await;
        for frame in [encode(kind::PING, 0, 0, &[0; 8]), encode(kind::SETTINGS, 0, 0, &[])] {
            let before = proxy.resident();
            let mut frames = Frames::open(Raw::connect(proxy.address("http")).await).await;
            let flood = frame.repeat(20_000);
            // The answers are not read: what is owed must not pile up without end.
            let sending = async {
                for _ in 0..20 {
                    frames.send_bytes(&flood).await;
                }
            };
            drop(tokio::time::timeout(std::time::Duration::from_secs(2), sending).await);
            let grown = proxy.resident().saturating_sub(before);
            assert!(grown < 16 * 1024, "{grown} KiB");
        }
        assert!(proxy.is_running());
        assert_eq!(Connection::h2c(proxy.address("http")).await.get("a", "/").await.status, 200);
    });
}
