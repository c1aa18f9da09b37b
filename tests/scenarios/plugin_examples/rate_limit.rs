use portcullis_tests::{
    client::http::{Connection, request},
    origin::Origin,
    proxy::{Plan, Proxy},
    scenario::scenario,
};

use super::{plan, text};

const TABLE: &str = r#"
grants = { key_value = true, clock = true, log = true }
[plugin.rate-limit.config]
limits = [{ requests = 10, window = "1h" }]
[server]
workers = 2
"#;

async fn limited(origin: &Origin) -> Proxy {
    plan("rate-limit", "", TABLE).set("origin", origin.address()).start().await
}

/// How many of `requests` pass, on connections that are spread over the workers.
async fn passing(proxy: &Proxy, connections: usize, requests: usize) -> usize {
    let asked = (0..connections).map(|_| async {
        let client = Connection::h1(proxy.address("http")).await;
        let mut passed = 0;
        for _ in 0..requests {
            let answer = client.get("a.example", "/").await;
            assert!([200, 429].contains(&answer.status), "{} {}", answer.status, answer.text());
            passed += usize::from(answer.status == 200);
        }
        passed
    });
    futures_util::future::join_all(asked).await.into_iter().sum()
}

#[test]
fn all_workers_count_together_and_none_gives_away_a_place_twice() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin).await;
        let at_once = passing(&proxy, 8, 10).await;
        assert!((1..=10).contains(&at_once), "{at_once}");
        // At the limit two that come at once may both be refused; by itself the next one gets the place.
        assert_eq!(at_once + passing(&proxy, 1, 12).await, 10);
        assert_eq!(origin.count(), 10);
    });
}

#[test]
fn the_client_learns_how_much_is_left_and_when_to_come_back() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin).await;
        let client = Connection::h1(proxy.address("http")).await;
        let answer = client.get("a.example", "/").await;
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=10;w=3600");
        assert!(answer.header("ratelimit").starts_with("\"default\";r=9;t="), "{}", answer.header("ratelimit"));
        passing(&proxy, 1, 9).await;
        let answer = client.get("a.example", "/").await;
        assert_eq!(answer.status, 429);
        assert!(answer.header("ratelimit").starts_with("\"default\";r=0;t="), "{}", answer.header("ratelimit"));
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=7200).contains(&seconds), "{seconds}");
        assert_eq!(answer.json()["violated-policies"], serde_json::json!(["default"]));
    });
}

#[test]
fn counts_outlive_a_reload() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = limited(&origin).await;
        assert_eq!(passing(&proxy, 1, 12).await, 10);
        // Another configuration of the plugin, so that it is built anew.
        let more = TABLE.replace("requests = 10", "requests = 12");
        proxy.apply(&text("rate-limit", "", &more)).await;
        assert_eq!(passing(&proxy, 1, 12).await, 2);
    });
}

#[test]
fn what_is_refused_does_not_count_and_other_keys_are_counted_apart() {
    scenario(async {
        let origin = Origin::start().await;
        let table = TABLE.replace("window = \"1h\"", "window = \"1h\", by = [\"header:x-api-key\"]");
        let proxy: Proxy = Plan::start(plan("rate-limit", "", &table).set("origin", origin.address())).await;
        let client = Connection::h1(proxy.address("http")).await;
        for key in ["one", "two"] {
            let mut passed = 0;
            for _ in 0..15 {
                let mut asked = request("GET", "a.example", "/");
                asked.headers_mut().insert("x-api-key", key.parse().unwrap());
                passed += usize::from(client.fetch(asked).await.status == 200);
            }
            assert_eq!(passed, 10, "{key}");
        }
    });
}
