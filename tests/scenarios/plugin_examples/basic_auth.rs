use portcullis_tests::{
    client::http::{Answer, Connection, request},
    origin::Origin,
    scenario::scenario,
};

use super::plan;

/// `alice` with "open sesame".
const TABLE: &str = r#"
grants = { key_value = true }
limits = { time = "5s", wait = "10s" }
[plugin.basic-auth.config]
realm = "staging"
attempts = 3
forward = "x-remote-user"
htpasswd = "alice:$2y$05$k2hbQ8IRTzKOG25jHOyUQO9kkGyKV2RHghxlaWwyMh0KssHNvw4TG"
"#;

async fn ask(client: &Connection, credentials: Option<&str>) -> Answer {
    let mut asked = request("GET", "a.example", "/");
    asked.headers_mut().insert("x-remote-user", "root".parse().unwrap());
    if let Some(credentials) = credentials {
        asked.headers_mut().insert("authorization", format!("Basic {credentials}").parse().unwrap());
    }
    client.fetch(asked).await
}

/// `alice:open sesame` and `alice:guess`.
const GOOD: &str = "YWxpY2U6b3BlbiBzZXNhbWU=";
const BAD: &str = "YWxpY2U6Z3Vlc3M=";

#[test]
fn who_knows_the_password_comes_in_and_the_backend_gets_the_name() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan("basic-auth", "", TABLE).set("origin", origin.address()).start().await;
        for client in [Connection::h1(proxy.address("http")).await, Connection::h2c(proxy.address("http")).await] {
            let answer = ask(&client, None).await;
            let asked = "Basic realm=\"staging\", charset=\"UTF-8\"";
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, asked));
            let answer = ask(&client, Some(GOOD)).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.seen("x-remote-user"), ["alice"]);
            assert!(answer.seen("authorization").is_empty());
        }
        assert_eq!(origin.count(), 2);
    });
}

#[test]
fn who_guesses_is_not_listened_to_and_who_is_known_is() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan("basic-auth", "", TABLE).set("origin", origin.address()).start().await;
        let client = Connection::h1(proxy.address("http")).await;
        assert_eq!(ask(&client, Some(GOOD)).await.status, 200);
        for _ in 0..3 {
            assert_eq!(ask(&client, Some(BAD)).await.status, 401);
        }
        let answer = ask(&client, Some(BAD)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, "60"));
        assert_eq!(ask(&client, Some(GOOD)).await.status, 200);
    });
}
