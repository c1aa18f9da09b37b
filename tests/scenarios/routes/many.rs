use std::fmt::Write as _;

use portcullis_tests::{client::http::Connection, scenario::scenario};

use super::{answers, route, routes};

#[test]
fn ten_thousand_hosts_are_loaded_and_each_is_found() {
    scenario(async {
        let mut text = String::new();
        for number in 0..10_000 {
            write!(text, "{}", route(&format!("r{number}"), &format!("host = \"h{number}.example\""))).unwrap();
        }
        text += &route("wild", "host = \"*.example\"");
        let begun = std::time::Instant::now();
        let proxy = routes(&text).await;
        let client = Connection::h1(proxy.address("http")).await;
        for number in (0..10_000).step_by(101) {
            assert_eq!(answers(&client, &format!("h{number}.example"), "/").await, format!("r{number}"));
        }
        assert_eq!(answers(&client, "h10000.example", "/").await, "wild");
        // A scan would show here: the debug build loads it in a few seconds.
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
        // Counted, not timed: what an exchange looked at does not grow with the file.
        let line = proxy.log_line(|line| line["host"] == "h10000.example").await;
        assert!(line["misses"].as_array().is_none_or(|misses| misses.len() <= 8), "{line}");
    });
}
