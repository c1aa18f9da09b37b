use portcullis_tests::{
    client::{
        http::{Connection, request, request_with_body},
        raw::Raw,
    },
    origin::{Origin, stock},
    proxy::Proxy,
    scenario::{scenario, soon},
};

use super::{GRANTS, good, guest, plan};
use crate::ground::full_log;

const HOST: &str = "a.example";

async fn clients(proxy: &Proxy) -> [Connection; 2] {
    [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await]
}

/// A chain of one that tags, one that decides in `phase`, and another that tags.
async fn deciding(origin: &Origin, what: &str) -> Proxy {
    let tables = good("outer", "do = 'tag', name = 'outer'")
        + &good("decide", what)
        + &good("inner", "do = 'tag', name = 'inner'");
    plan(origin, &tables, r#"["outer", "decide", "inner"]"#).start().await
}

fn tags(answer: &portcullis_tests::client::http::Answer) -> Vec<&str> {
    answer.headers.get_all("x-chain").iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn an_answer_to_the_request_is_seen_by_those_further_out_alone() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = deciding(&origin, "do = 'respond', phase = 'request_head', status = 403, body = 'no'").await;
        for client in clients(&proxy).await {
            let answer = client.get(HOST, "/").await;
            assert_eq!((answer.status, answer.text().as_str(), answer.header("content-length")), (403, "no", "2"));
            assert_eq!(tags(&answer), ["outer"]);
        }
        assert_eq!(origin.count(), 0, "the backend has seen nothing");
        for line in full_log(&proxy, 2).await {
            assert_eq!(line["decided_by"], "decide");
            assert_eq!(line["plugins"][1]["verdict"], "respond");
        }
    });
}

#[test]
fn an_answer_to_the_request_body_comes_in_place_of_the_backends() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = deciding(&origin, "do = 'respond', phase = 'request_body', status = 422, body = 'bad'").await;
        for client in clients(&proxy).await {
            // The origin answers what it has read to the end, so never before the plugin.
            let answer = client.fetch(request_with_body("POST", HOST, "/x", stock::full(vec![b'x'; 1000]))).await;
            assert_eq!((answer.status, answer.text().as_str()), (422, "bad"));
            assert_eq!(tags(&answer), ["outer"]);
        }
        let status = proxy.status().await;
        assert_eq!(status["backends"][0]["endpoints"][0]["state"], "good", "it is not the backend's doing");
    });
}

#[test]
fn an_answer_does_not_wait_for_the_rest_of_a_request() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = deciding(&origin, "do = 'respond', phase = 'request_body', status = 422, body = 'bad'").await;
        let mut raw = Raw::connect(proxy.address("http")).await;
        raw.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 50000\r\n\r\nhalf").await;
        let answer = soon("the answer", raw.response()).await;
        assert_eq!((answer.status, answer.text().as_str()), (422, "bad"));
    });
}

#[test]
fn an_answer_to_the_response_head_replaces_it() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = deciding(&origin, "do = 'respond', phase = 'response_head', status = 451, body = 'hidden'").await;
        for client in clients(&proxy).await {
            let answer = client.get(HOST, "/bytes?n=100000").await;
            assert_eq!((answer.status, answer.text().as_str()), (451, "hidden"));
            assert_eq!(tags(&answer), ["outer"]);
        }
        assert_eq!(origin.count(), 2);
    });
}

#[test]
fn an_answer_in_the_middle_of_a_response_cuts_it_off() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = deciding(&origin, "do = 'respond', phase = 'response_body', status = 451").await;
        for client in clients(&proxy).await {
            assert!(
                client.try_fetch(request("GET", HOST, "/bytes?n=100000")).await.is_err(),
                "the client sees a break"
            );
        }
        for line in full_log(&proxy, 2).await {
            assert_eq!((line["end"].as_str(), line["origin"].as_str()), (Some("aborted"), Some("plugin")), "{line}");
        }
    });
}

#[test]
fn closing_sends_nothing_in_every_phase() {
    for phase in ["request_head", "request_body", "response_head", "response_body"] {
        scenario(async {
            let origin = Origin::start().await;
            let proxy = deciding(&origin, &format!("do = 'close', phase = '{phase}'")).await;
            for client in clients(&proxy).await {
                let body = stock::full(vec![b'x'; 1000]);
                let answer = client.try_fetch(request_with_body("POST", HOST, "/x", body)).await;
                assert!(answer.is_err(), "{phase}: {answer:?}");
            }
            for line in full_log(&proxy, 2).await {
                assert_eq!(line["plugins"][1]["verdict"], "close", "{phase}: {line}");
                assert_eq!(line["end"], "aborted", "{phase}: {line}");
            }
        });
    }
}

#[test]
fn closing_one_stream_leaves_the_others_of_a_connection() {
    scenario(async {
        let origin = Origin::start().await;
        let text = super::configuration(&good("close", "do = 'close'"), r#"["close"]"#)
            + "[[route]]\npath = \"/free/\"\nbackend = \"app\"\n";
        let proxy = portcullis_tests::proxy::Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h2c(proxy.address("http")).await;
        assert!(client.try_fetch(request("GET", HOST, "/")).await.is_err());
        assert_eq!(client.get(HOST, "/free/x").await.status, 200);
    });
}

#[test]
fn a_plugin_that_traps_refuses_or_is_left_out_as_the_operator_says() {
    scenario(async {
        let origin = Origin::start().await;
        let table = |name: &str, on_failure: &str| {
            format!(
                "[plugin.{name}]\nmodule = \"{}\"\non_failure = \"{on_failure}\"\n{GRANTS}\nconfig = {{ do = 'trap', phase = 'request_head' }}\n",
                guest("hostile")
            )
        };
        let text = super::configuration(&(table("strict", "refuse") + &table("lax", "continue")), r#"["strict"]"#)
            + "[[route]]\npath = \"/lax/\"\nbackend = \"app\"\nplugins = [\"lax\"]\n";
        let proxy = portcullis_tests::proxy::Plan::new(text).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = client.get(HOST, "/").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("proxy-status"), "portcullis; error=proxy_internal_error");
        assert_eq!(client.get(HOST, "/lax/x").await.status, 200);
        let lines = full_log(&proxy, 2).await;
        assert_eq!(
            (lines[0]["origin"].as_str(), lines[0]["plugins"][0]["failure"].as_str()),
            (Some("plugin"), Some("trap"))
        );
        assert_eq!(
            (lines[1]["status"].as_u64(), lines[1]["plugins"][0]["failure"].as_str()),
            (Some(200), Some("trap"))
        );
    });
}

#[test]
fn a_body_goes_on_unharmed_without_a_plugin_that_failed_on_it() {
    for bodies in ["", ", bodies = { hold = 1000000 }"] {
        for phase in ["request_body", "response_body"] {
            scenario(async {
                let origin = Origin::start().await;
                let table = format!(
                    "[plugin.bad]\nmodule = \"{}\"\non_failure = \"continue\"\n{GRANTS}\nconfig = {{ do = 'trap', phase = '{phase}'{bodies} }}\n",
                    guest("hostile")
                );
                let tables = table + &good("look", "do = 'looker'");
                let proxy = plan(&origin, &tables, r#"["look", "bad"]"#).start().await;
                for client in clients(&proxy).await {
                    let body = vec![b'x'; 300_000];
                    let sum = stock::checksum(0, &body);
                    let echo = client.fetch(request_with_body("POST", HOST, "/x", stock::full(body))).await.json();
                    assert_eq!(
                        (echo["length"].as_u64(), echo["sum"].as_u64()),
                        (Some(300_000), Some(sum)),
                        "{phase}{bodies}"
                    );
                    assert_eq!(client.get(HOST, "/bytes?n=300000").await.body.len(), 300_000, "{phase}{bodies}");
                }
                for line in full_log(&proxy, 4).await {
                    assert_eq!(line["plugins"][1]["failure"], "trap", "{line}");
                    assert_eq!(line["status"], 200);
                }
            });
        }
    }
}
