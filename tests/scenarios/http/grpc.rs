use futures_util::StreamExt;
use portcullis_tests::{
    certificates::{authority, leaf},
    client::grpc::Notes,
    origin::grpc::{GrpcOrigin, Note},
    proxy::{Plan, Proxy},
    scenario::{scenario, soon},
};
use tonic::Code;

use crate::ground::{PLAIN, TLS, channel};

async fn over_tls() -> (Proxy, GrpcOrigin, Notes) {
    let origin = GrpcOrigin::start().await;
    let proxy = Plan::new(TLS.replace("http://@", "h2c://@"))
        .leaf("leaf", &leaf(&["notes.example"]))
        .set("origin", origin.address())
        .start()
        .await;
    let client = Notes::tls(proxy.address("https"), "notes.example", &authority().client(&["h2"])).await;
    (proxy, origin, client)
}

#[test]
fn a_unary_call_goes_there_and_back() {
    scenario(async {
        let (proxy, _origin, mut client) = over_tls().await;
        let answer = client.say("hello", 1).await.unwrap().into_inner();
        assert_eq!(answer, Note { text: "you said hello".into(), number: 2 });
        let line = proxy.log_of("/portcullis.Notes/Say").await;
        assert_eq!((&line["status"], &line["version"]), (&200.into(), &"HTTP/2.0".into()));
    });
}

#[test]
fn a_call_without_tls_goes_there_and_back() {
    scenario(async {
        let origin = GrpcOrigin::start().await;
        let proxy = Plan::new(PLAIN.replace("http://@", "h2c://@")).set("origin", origin.address()).start().await;
        let mut client = Notes::plain(proxy.address("http")).await;
        assert_eq!(client.say("hello", 41).await.unwrap().into_inner().number, 42);
    });
}

#[test]
fn an_error_status_arrives_in_headers_and_in_trailers() {
    scenario(async {
        let (_proxy, _origin, mut client) = over_tls().await;
        let status = client.say("fail", 1).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "as you wish"));
        let (notes, end) = client.count("fail", 3).await.unwrap();
        assert_eq!(notes.len(), 3);
        let status = end.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::DataLoss, "the end is lost"));
    });
}

#[test]
fn a_stream_of_answers_arrives_one_by_one_and_ends_well() {
    scenario(async {
        let (_proxy, _origin, mut client) = over_tls().await;
        let (notes, end) = client.count("well", 20).await.unwrap();
        end.unwrap();
        assert!(notes.iter().map(|note| note.number).eq(0..20));
    });
}

#[test]
fn both_sides_talk_at_once() {
    scenario(async {
        let (_proxy, _origin, mut client) = over_tls().await;
        let (say, said) = channel();
        say.send(Note { text: "a".into(), number: 1 }).await.unwrap();
        let mut answers = client.talk(said).await.unwrap();
        for number in 1..50 {
            let answer = soon("an answer while asking", answers.next()).await.unwrap().unwrap();
            assert_eq!(answer.number, number * 2);
            say.send(Note { text: "a".into(), number: number + 1 }).await.unwrap();
        }
        drop(say);
        assert_eq!(soon("the last answer", answers.next()).await.unwrap().unwrap().number, 100);
        assert!(soon("the end", answers.next()).await.is_none());
    });
}

#[test]
fn calls_share_one_connection_to_the_backend_per_worker() {
    scenario(async {
        let (proxy, _origin, mut client) = over_tls().await;
        for number in 0..20 {
            assert_eq!(client.say("x", number).await.unwrap().into_inner().number, number + 1);
        }
        let status = proxy.status().await;
        let connections = status["backends"][0]["endpoints"][0]["connections"].as_u64().unwrap();
        assert_eq!(connections, 1, "{status}");
    });
}
