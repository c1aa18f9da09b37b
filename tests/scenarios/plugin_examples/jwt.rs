use portcullis_tests::{
    client::http::{Answer, Connection, request},
    origin::{Origin, stock},
    proxy::{Plan, Proxy},
    scenario::{eventually, scenario},
};
use serde_json::{Value, json};

use super::plan;

const TABLE: &str = r#"
grants = { key_value = true, clock = true, log = true, http = ["issuer"] }
limits = { time = "5s", wait = "10s" }
[plugin.jwt.config]
realm = "shop"
remote = { backend = "issuer", target = "/jwks.json", ttl = "1s", refetch = "1s" }
forward = { x-user = "sub" }
[backend.issuer]
endpoints = ["http://@issuer@"]
[server]
workers = 2
"#;

/// Keys, and tokens that another implementation signed with them.
fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../plugins/jwt/src/tests/vectors.json")).unwrap()
}

fn token(at: usize, algorithm: &str) -> String {
    vectors()[at]["tokens"][algorithm].as_str().unwrap().to_owned()
}

/// Publishes all keys of the vectors.
async fn issuer() -> Origin {
    let keys: Vec<Value> = vectors().iter().map(|vector| vector["jwk"].clone()).collect();
    let set = json!({ "keys": keys }).to_string();
    Origin::plan("issuer")
        .answering(move |request, _| {
            let set = set.clone();
            async move { stock::text(if request.uri().path() == "/jwks.json" { &set } else { "no" }) }
        })
        .start()
        .await
}

async fn ask(client: &Connection, token: &str) -> Answer {
    let mut asked = request("GET", "a.example", "/");
    asked.headers_mut().insert("x-user", "root".parse().unwrap());
    if !token.is_empty() {
        asked.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    client.fetch(asked).await
}

async fn start(plan: Plan, origin: &Origin, issuer: &Origin) -> Proxy {
    plan.set("origin", origin.address()).set("issuer", issuer.address()).start().await
}

#[test]
fn tokens_of_every_kind_are_checked_with_the_issuer_s_keys() {
    scenario(async {
        let (origin, issuer) = (Origin::start().await, issuer().await);
        let proxy = start(plan("jwt", "", TABLE), &origin, &issuer).await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            for vector in vectors() {
                for (algorithm, token) in vector["tokens"].as_object().unwrap() {
                    let token = token.as_str().unwrap();
                    let answer = ask(&client, token).await;
                    assert_eq!(answer.status, 200, "{algorithm} {}", answer.text());
                    assert_eq!(answer.seen("x-user"), ["alice"], "{algorithm}");
                    let (signed, signature) = token.rsplit_once('.').unwrap();
                    let first = if signature.starts_with('A') { "B" } else { "A" };
                    let answer = ask(&client, &format!("{signed}.{first}{}", &signature[1..])).await;
                    assert_eq!(answer.status, 401, "{algorithm}");
                    assert!(
                        answer.header("www-authenticate").starts_with("Bearer realm=\"shop\", error=\"invalid_token\"")
                    );
                }
            }
            let answer = ask(&client, "").await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer realm=\"shop\""));
        }
        assert!(issuer.requests().iter().all(|seen| seen.target == "/jwks.json"));
    });
}

#[test]
fn the_set_is_shared_by_all_workers() {
    scenario(async {
        let (origin, issuer) = (Origin::start().await, issuer().await);
        let table = TABLE.replace("ttl = \"1s\"", "ttl = \"1h\"");
        let proxy = start(plan("jwt", "", &table), &origin, &issuer).await;
        assert_eq!(issuer.count(), 0, "loading asks nobody");
        for _ in 0..20 {
            // A connection each, so that both workers have some.
            let client = Connection::h1(proxy.address("http")).await;
            assert_eq!(ask(&client, &token(3, "EdDSA")).await.status, 200);
        }
        assert_eq!(issuer.count(), 1);
    });
}

#[test]
fn the_old_set_serves_on_while_the_issuer_is_away() {
    scenario(async {
        let (origin, issuer) = (Origin::start().await, issuer().await);
        let proxy = start(plan("jwt", "", TABLE), &origin, &issuer).await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(ask(&client, &token(1, "ES256")).await.status, 200);
        issuer.leave();
        // The set is good for a second; after that it is asked for in vain, which the log says.
        eventually("a vain fetch", async || {
            assert_eq!(ask(&client, &token(1, "ES256")).await.status, 200);
            proxy.error_log().contains("issuer/jwks.json cannot be used").then_some(())
        })
        .await;
        assert_eq!(ask(&client, &token(2, "ES384")).await.status, 200);
    });
}

#[test]
fn without_any_keys_the_answer_is_503_until_the_issuer_is_there() {
    scenario(async {
        let origin = Origin::start().await;
        let issuer = issuer().await;
        let address = issuer.address();
        drop(issuer);
        let proxy = plan("jwt", "", TABLE).set("origin", origin.address()).set("issuer", address).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = ask(&client, &token(3, "EdDSA")).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        assert_eq!(origin.count(), 0);
    });
}
