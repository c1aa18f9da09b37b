use std::future::pending;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const LONG: Duration = Duration::from_secs(30);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3].wrapping_add(seed)).collect()
}

async fn send_and_receive(stream: TcpStream, out: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = stream.into_split();
    let send = async {
        writer.write_all(out).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let (_, result) = tokio::join!(send, reader.read_to_end(&mut got));
    result.unwrap();
    got
}

#[tokio::test]
async fn carries_megabytes_both_ways_at_once() {
    let ((client, mut a), (mut b, server)) = (pair().await, pair().await);
    let (up, down) = (pattern(9_000_001, 1), pattern(7_000_003, 2));
    let counts = Counts::default();
    let (end, at_client, at_server) = tokio::join!(
        splice_both(&mut a, &mut b, Bytes::from_static(b"hello"), &counts, LONG, pending()),
        send_and_receive(client, &down),
        send_and_receive(server, &up),
    );
    assert!(matches!(end, End::Finished), "{end:?}");
    assert!(at_client == up, "{} of {}", at_client.len(), up.len());
    assert!(at_server == [b"hello", &down[..]].concat(), "{} of {}", at_server.len(), down.len());
    assert_eq!((counts.a_to_b.get(), counts.b_to_a.get()), (7_000_008, 9_000_001));
}

#[tokio::test]
async fn the_end_of_one_side_leaves_the_other_open() {
    let ((mut client, mut a), (mut b, mut server)) = (pair().await, pair().await);
    let counts = Counts::default();
    let talk = async {
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        let answer = pattern(1_000_000, 3);
        let (_, got) = tokio::join!(
            async {
                server.write_all(&answer).await.unwrap();
                server.shutdown().await.unwrap();
            },
            async {
                let mut got = Vec::new();
                client.read_to_end(&mut got).await.unwrap();
                got
            }
        );
        assert!(got == answer);
    };
    let (end, ()) = tokio::join!(splice_both(&mut a, &mut b, Bytes::new(), &counts, LONG, pending()), talk);
    assert!(matches!(end, End::Finished), "{end:?}");
}

#[tokio::test]
async fn a_sink_that_does_not_read_holds_the_source_back() {
    let ((client, mut a), (mut b, mut server)) = (pair().await, pair().await);
    let sent = Cell::new(0_u64);
    let counts = Counts::default();
    let data = pattern(64 << 20, 4);
    let flood = async {
        let (_reader, mut writer) = client.into_split();
        for chunk in data.chunks(64 * 1024) {
            writer.write_all(chunk).await.unwrap();
            sent.set(sent.get() + chunk.len() as u64);
        }
        writer.shutdown().await.unwrap();
    };
    let read_late = async {
        // Until the sender has been stuck for a while.
        let mut before = u64::MAX;
        while before != sent.get() {
            before = sent.get();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let stuck_at = sent.get();
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        server.shutdown().await.unwrap();
        (stuck_at, got)
    };
    let (end, (), (stuck_at, got)) =
        tokio::join!(splice_both(&mut a, &mut b, Bytes::new(), &counts, LONG, pending()), flood, read_late);
    assert!(matches!(end, End::Finished), "{end:?}");
    assert!(stuck_at < 32 << 20, "{stuck_at} bytes were taken while nobody read");
    assert!(got == data);
}

#[tokio::test]
async fn short_messages_travel_without_a_pipe() {
    let ((mut client, mut a), (mut b, mut server)) = (pair().await, pair().await);
    let counts = Counts::default();
    let talk = async {
        let mut buffer = [0; 4];
        for _ in 0..100 {
            client.write_all(b"ping").await.unwrap();
            server.read_exact(&mut buffer).await.unwrap();
            server.write_all(b"pong").await.unwrap();
            client.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"pong");
        }
        drop((client, server));
    };
    let (end, ()) = tokio::join!(splice_both(&mut a, &mut b, Bytes::new(), &counts, LONG, pending()), talk);
    assert!(matches!(end, End::Finished), "{end:?}");
    assert_eq!((counts.a_to_b.get(), counts.b_to_a.get()), (400, 400));
}

#[tokio::test]
async fn copies_where_splice_does_not_work() {
    let ((client, mut a), (mut b, server)) = (pair().await, pair().await);
    let data = pattern(3_000_000, 5);
    let count = Cell::new(0);
    let mut direction = Direction::new(Side::A, Bytes::new());
    direction.pace = Pace::CopyOnly;
    let copying = std::future::poll_fn(|context| direction.poll(context, &mut a, &mut b, &count));
    let (result, _, got) = tokio::join!(
        copying,
        async {
            let (_reader, mut writer) = client.into_split();
            writer.write_all(&data).await.unwrap();
            writer.shutdown().await.unwrap();
        },
        async {
            let (mut reader, _writer) = server.into_split();
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            got
        }
    );
    result.unwrap();
    assert!(got == data);
}

#[tokio::test]
async fn a_reset_names_its_side() {
    let ((client, mut a), (mut b, server)) = (pair().await, pair().await);
    server.set_zero_linger().unwrap();
    drop(server);
    let end = splice_both(&mut a, &mut b, Bytes::new(), &Counts::default(), LONG, pending()).await;
    assert!(matches!(end, End::Broken(Broken { side: Side::B, .. })), "{end:?}");
    drop(client);
}

#[tokio::test]
async fn silence_ends_it() {
    let ((_client, mut a), (mut b, _server)) = (pair().await, pair().await);
    let idle = Duration::from_millis(30);
    let end = splice_both(&mut a, &mut b, Bytes::new(), &Counts::default(), idle, pending()).await;
    assert!(matches!(end, End::Idle), "{end:?}");
}
