//! Any bytes, and a lot of them: an answer, in time, without a panic.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::check;

const GOOD: &str = include_str!("../../../../config/canary.toml");

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC*") {
        answered(&text);
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        answered(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn text_made_of_toml_gets_an_answer(parts in proptest::collection::vec(prop_oneof![
        Just("[["), Just("]]"), Just("["), Just("]"), Just("{"), Just("}"), Just("="), Just("\n"), Just("\""), Just("'''"),
        Just("listener"), Just("route"), Just("backend"), Just("."), Just("address"), Just(","), Just("#"), Just("\\"),
        Just("\"http://a\""), Just("1"), Just("true"), Just("1979-05-27"), Just("é"), Just("\r\n"), Just("\0"),
    ], 0..60)) {
        answered(&parts.concat());
    }

    #[test]
    fn a_damaged_file_gets_an_answer(at in 0..GOOD.len(), length in 0usize..40, patch in "\\PC{0,12}") {
        let mut bytes = GOOD.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, patch.bytes());
        answered(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_value_gets_an_answer(key in 0usize..KEYS.len(), value in "[ -~]{0,24}") {
        let value = value.replace(['\\', '"'], "");
        for value in [format!("\"{value}\""), format!("[\"{value}\"]"), format!("{{ \"{value}\" = \"{value}\" }}")] {
            answered(&format!("{} = {value}\n", KEYS[key]));
        }
    }
}

const KEYS: [&str; 24] = [
    "server.drain",
    "limits.header_bytes",
    "dns.nameservers",
    "dns.hosts.a",
    "dns.zone",
    "[[listener]]\naddress",
    "[[listener]]\ntls.unknown_sni",
    "[[listener]]\nallow",
    "[[certificate]]\ncert",
    "[[route]]\nhost",
    "[[route]]\npath",
    "[[route]]\npath_regex",
    "[[route]]\nmethod",
    "[[route]]\nheader",
    "[[route]]\nredirect",
    "[[route]]\nrespond",
    "[[route]]\nhost_header",
    "[[route]]\nreplace_prefix",
    "[[route]]\nrewrite.to",
    "[[route]]\nrequest_headers.set",
    "[backend.a]\nendpoints",
    "[backend.a]\ntls.sni",
    "backend",
    "route",
];

/// A report can always be made and shown, both ways.
fn answered(text: &str) {
    match check(text) {
        Ok(loaded) => assert!(!loaded.config.listeners.is_empty()),
        Err(report) => {
            assert!(!report.is_empty());
            assert!(report.to_string().lines().count() > 1);
            assert!(report.to_json().is_object());
        }
    }
}

/// Far above what it takes, far below what a step that grows with the square would take.
fn in_time<T>(what: &str, step: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = step();
    assert!(start.elapsed() < Duration::from_secs(20), "{what} took {:?}", start.elapsed());
    value
}

fn head() -> String {
    "[[listener]]\naddress = \":80\"\n[backend.api]\nendpoints = \"http://10.0.0.1\"\n".to_owned()
}

#[test]
fn ten_thousand_hosts_are_checked_in_time() {
    let mut text = head();
    for n in 0..10_000 {
        text += &format!("[[route]]\nhost = \"h{n}.example.com\"\npath = \"/api/\"\nbackend = \"api\"\n");
    }
    let loaded = in_time("ten thousand hosts", || check(&text)).unwrap();
    assert_eq!(loaded.config.routes.len(), 10_000);
}

#[test]
fn ten_thousand_tenants_of_one_path_are_checked_in_time() {
    let mut text = head();
    for n in 0..10_000 {
        text += &format!(
            "[[route]]\nheader = {{ x-tenant = \"t{n}\" }}\nclient = \"10.{}.{}.0/24\"\nbackend = \"api\"\n",
            n / 256,
            n % 256
        );
    }
    text += "[[route]]\nheader = { x-tenant = \"t77\" }\nclient = \"10.0.77.9\"\nbackend = \"api\"\n";
    let report = in_time("ten thousand tenants", || check(&text)).unwrap_err();
    assert_eq!(report.counts(), (1, 0), "{report}");
}

#[test]
fn ten_thousand_regexes_of_one_host_are_checked_in_time() {
    let mut text = head();
    for n in 0..10_000 {
        text += &format!("[[route]]\npath_regex = \"^/r{n}/x\"\nbackend = \"api\"\n");
    }
    let loaded = in_time("ten thousand regexes", || check(&text)).unwrap();
    assert!(loaded.warnings.iter().all(|one| one.message.contains("too many routes")), "{:?}", loaded.warnings);
}

#[test]
fn a_file_of_mistakes_is_answered_in_time() {
    for line in [
        "x = 1\n",
        "lisener = 1\n",
        "[[route]]\nbackend = \"apii\"\n",
        "[backend.x]\n",
        "= = =\n",
        "[[[[\n",
        "\u{1}\n",
        "a.b = 1\n",
    ] {
        let text = line.repeat(200_000 / line.len());
        let report = in_time(line, || check(&text).unwrap_err());
        assert!(report.diagnostics.len() <= 500);
        in_time(line, || report.to_string());
    }
}

#[test]
fn a_very_long_line_is_answered_in_time() {
    let text = format!("{}route = [{}]\n", head(), "{ backend = \"apii\" }, ".repeat(20_000));
    let report = in_time("a long line", || {
        check(&text.replace("[backend.api]\nendpoints", "backend.api.endpoints")).unwrap_err()
    });
    assert!(report.to_string().len() < 1_000_000);
}

#[test]
fn terminals_are_safe_from_a_file() {
    let report = check("a\u{202e}b = \"\u{7f}\" # \u{200b}\n").unwrap_err().to_string();
    assert!(!report.contains(['\u{202e}', '\u{7f}']), "{report}");
}
