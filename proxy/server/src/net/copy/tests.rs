use std::future::pending;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    sync::oneshot,
};

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[tokio::test]
async fn carries_both_ways_and_passes_on_each_end() {
    let (mut client, mut a) = duplex(1000);
    let (mut b, mut server) = duplex(777);
    let (up, down) = (pattern(300_000, 1), pattern(200_000, 2));
    let counts = Counts::default();
    let talk = async {
        client.write_all(&up).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    };
    let answer = async {
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        // Sent only after the client's end has arrived: the other direction must still be open.
        server.write_all(&down).await.unwrap();
        server.shutdown().await.unwrap();
        got
    };
    let head = Bytes::from_static(b"head ");
    let (end, down_got, up_got) = tokio::join!(copy_both(&mut a, &mut b, head, &counts, LONG, pending()), talk, answer);
    assert!(matches!(end, End::Finished), "{end:?}");
    assert_eq!(up_got, [b"head ", &up[..]].concat());
    assert_eq!(down_got, down);
    assert_eq!((counts.a_to_b.get(), counts.b_to_a.get()), (300_005, 200_000));
}

#[tokio::test]
async fn ends_when_nothing_moves_and_not_before() {
    let (mut client, mut a) = duplex(100);
    let (mut b, mut server) = duplex(100);
    let counts = Counts::default();
    let started = Instant::now();
    let talk = async {
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            client.write_all(b"x").await.unwrap();
            server.read_exact(&mut [0]).await.unwrap();
        }
    };
    let copying = copy_both(&mut a, &mut b, Bytes::new(), &counts, Duration::from_millis(250), pending());
    let (end, ()) = tokio::join!(copying, talk);
    assert!(matches!(end, End::Idle), "{end:?}");
    // Eight messages 50 ms apart, each less than the idle time after the one before; then silence.
    assert!(started.elapsed() >= Duration::from_millis(8 * 50 + 250), "{:?}", started.elapsed());
}

#[tokio::test]
async fn stops_when_told_and_the_counts_are_there() {
    let (mut client, mut a) = duplex(100);
    let (mut b, mut server) = duplex(100);
    let counts = Counts::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let talk = async {
        client.write_all(b"abc").await.unwrap();
        server.read_exact(&mut [0; 3]).await.unwrap();
        stop.send(()).unwrap();
    };
    let stopped = async { stopped.await.unwrap() };
    let (end, ()) = tokio::join!(copy_both(&mut a, &mut b, Bytes::new(), &counts, LONG, stopped), talk);
    assert!(matches!(end, End::Stopped), "{end:?}");
    assert_eq!(counts.a_to_b.get(), 3);
}

#[tokio::test]
async fn says_which_side_broke() {
    let (mut client, mut a) = duplex(100);
    let (mut b, server) = duplex(100);
    drop(server);
    client.write_all(b"abc").await.unwrap();
    let end = copy_both(&mut a, &mut b, Bytes::new(), &Counts::default(), LONG, pending()).await;
    assert!(matches!(end, End::Broken(Broken { side: Side::B, .. })), "{end:?}");
}

#[tokio::test]
async fn what_is_not_taken_is_bounded() {
    let (mut client, mut a) = duplex(1 << 20);
    let (mut b, _server) = duplex(10);
    client.write_all(&pattern(1 << 19, 3)).await.unwrap();
    let counts = Counts::default();
    {
        let mut copying = pin!(copy_both(&mut a, &mut b, Bytes::new(), &counts, LONG, pending()));
        for _ in 0..10 {
            assert!(futures_util::poll!(copying.as_mut()).is_pending());
        }
    }
    assert_eq!(counts.a_to_b.get(), 10);
    drop(client);
    let mut unread = Vec::new();
    a.read_to_end(&mut unread).await.unwrap();
    assert_eq!(unread.len(), (1 << 19) - SCRATCH, "one buffer was read ahead, no more");
}
