//! Fields as clients and proxies send them, and what the backend is told.

use proptest::prelude::*;

use super::*;

fn trusted() -> Networks {
    Networks(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, text) in fields {
        headers.append(*name, text.parse().unwrap());
    }
    headers
}

/// What the backend is told: client, for, proto, host, forwarded.
fn told(peer: &str, https: bool, host: &str, sent: &[(&'static str, &str)]) -> [String; 5] {
    let connection = ConnectionHeaders::new(peer.parse().unwrap(), https, &trusted());
    let mut headers = fields(sent);
    let origin = connection.origin(&headers, &trusted());
    connection.set(&origin, host, &mut headers);
    assert!(!headers.contains_key("x-real-ip") && !headers.contains_key("x-forwarded-port"));
    let text = |name: &str| {
        let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        assert!(values.len() <= 1, "{name} is set once");
        values.concat()
    };
    [
        origin.client.to_string(),
        text("x-forwarded-for"),
        text("x-forwarded-proto"),
        text("x-forwarded-host"),
        text("forwarded"),
    ]
}

const SPOOFED: &[(&str, &str)] = &[
    ("x-forwarded-for", "10.0.0.9"),
    ("x-forwarded-for", "1.1.1.1"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil"),
    ("x-forwarded-port", "1"),
    ("x-real-ip", "1.1.1.1"),
    ("forwarded", "for=1.1.1.1;host=evil;proto=https"),
];

#[test]
fn what_an_untrusted_peer_says_is_replaced() {
    assert_eq!(
        told("192.0.2.1:1234", false, "shop.test:8080", SPOOFED),
        ["192.0.2.1:1234", "192.0.2.1", "http", "shop.test:8080", "for=192.0.2.1;host=\"shop.test:8080\";proto=http"],
    );
    assert_eq!(
        told("[2001:db8::1]:1234", true, "shop.test", SPOOFED),
        ["[2001:db8::1]:1234", "2001:db8::1", "https", "shop.test", "for=\"[2001:db8::1]\";host=shop.test;proto=https"],
    );
    assert_eq!(
        told("[::ffff:192.0.2.1]:1", false, "", SPOOFED),
        ["192.0.2.1:1", "192.0.2.1", "http", "", "for=192.0.2.1;proto=http"],
    );
}

#[test]
fn the_client_is_the_first_untrusted_address_from_the_right() {
    let sent = [
        ("x-forwarded-for", "6.6.6.6, 192.0.2.7"),
        ("x-forwarded-for", "10.1.1.1,10.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.test"),
        ("forwarded", "for=6.6.6.6"),
    ];
    assert_eq!(
        told("10.0.0.1:1", false, "inner", &sent),
        [
            "192.0.2.7:0",
            "192.0.2.7, 10.1.1.1, 10.2.2.2, 10.0.0.1",
            "https",
            "shop.test",
            "for=192.0.2.7;host=shop.test;proto=https, for=10.0.0.1",
        ],
    );
}

#[test]
fn forwarded_is_read_with_quotes_ports_and_brackets() {
    let sent = [
        ("forwarded", "for=6.6.6.6, For=\"[2001:db8::7]:4711\";Proto=HTTPS;host=\"shop.test:444\""),
        ("forwarded", "for=\"10.1.1.1:80\";by=_hidden;ext=\"a,b;c\\\"d\""),
    ];
    assert_eq!(
        told("[fd00::1]:1", false, "inner", &sent),
        [
            "[2001:db8::7]:4711",
            "2001:db8::7, 10.1.1.1, fd00::1",
            "https",
            "shop.test:444",
            "for=\"[2001:db8::7]\";host=\"shop.test:444\";proto=https, for=\"[fd00::1]\"",
        ],
    );
}

#[test]
fn what_cannot_be_read_ends_the_chain() {
    for (sent, client) in [
        (&[("x-forwarded-for", "unknown")][..], "10.0.0.1:1"),
        (&[("x-forwarded-for", "1.1.1.1, unknown, 10.2.2.2")], "10.2.2.2:0"),
        (&[("x-forwarded-for", "")], "10.0.0.1:1"),
        (&[("x-forwarded-for", "1.1.1.1, ")], "10.0.0.1:1"),
        (&[("forwarded", "for=_hidden, for=10.2.2.2")], "10.2.2.2:0"),
        (&[("forwarded", "proto=https")], "10.0.0.1:1"),
        (&[("forwarded", "for=\"1.1.1.1")], "10.0.0.1:1"),
        (&[("x-forwarded-for", "10.3.3.3, 10.2.2.2")], "10.3.3.3:0"),
        (&[], "10.0.0.1:1"),
    ] {
        assert_eq!(told("10.0.0.1:1", false, "a", sent)[0], client, "{sent:?}");
    }
    let long = ["10.9.9.9"; 100].join(",");
    assert_eq!(told("10.0.0.1:1", false, "a", &[("x-forwarded-for", &long)])[1].split(',').count(), 33);
}

#[test]
fn a_list_of_schemes_or_a_bad_host_is_not_believed() {
    let sent = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https, http"), ("x-forwarded-host", "a b")];
    assert_eq!(told("10.0.0.1:1", false, "inner", &sent)[2..4], ["http", "inner"]);
}

#[test]
fn another_host_on_the_same_connection_is_told_as_well() {
    let connection = ConnectionHeaders::new("192.0.2.1:1".parse().unwrap(), false, &trusted());
    for host in ["a", "b", "a"] {
        let mut headers = HeaderMap::new();
        let origin = connection.origin(&headers, &trusted());
        connection.set(&origin, host, &mut headers);
        assert_eq!(headers["x-forwarded-host"], host);
        assert_eq!(headers["forwarded"], format!("for=192.0.2.1;host={host};proto=http"));
    }
}

proptest! {
    #[test]
    fn any_fields_from_a_trusted_peer_give_fields_that_can_be_sent(
        forwarded in "[ -~]{0,60}",
        chain in "[0-9a-f.:,\\[\\] ]{0,60}",
        which in any::<bool>(),
    ) {
        let field = if which { ("forwarded", &*forwarded) } else { ("x-forwarded-for", &*chain) };
        let [_, chain, _, _, forwarded] = told("10.0.0.1:1", false, "a", &[field]);
        prop_assert!(chain.ends_with("10.0.0.1"));
        prop_assert!(!forwarded.is_empty());
    }
}
