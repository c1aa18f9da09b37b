//! Guests that do not let themselves be loaded. Half a minute is given to `configure`, which this program waits for.

use std::{
    thread,
    time::{Duration, Instant},
};

use portcullis_plugin::Plugin;
use wasm_encoder::BlockType;

use portcullis_tests::{
    plugin_host::{HOST, built_with, definition},
    raw_plugin::Raw,
};

#[test]
fn loading_ends_for_guests_that_never_return() {
    let begun = Instant::now();
    thread::scope(|scope| {
        let configure = scope.spawn(|| {
            built_with("hostile", r#"{"phase": "configure", "do": "spin"}"#, |_| {}).map(drop).expect_err("it spins").0
        });
        let start = scope.spawn(|| {
            let raw = Raw {
                start: Some(|sink| {
                    sink.loop_(BlockType::Empty).br(0).end();
                }),
                ..Raw::default()
            };
            Plugin::build(&HOST, definition("endless", raw.module(), "{}")).map(drop).expect_err("it spins").0
        });
        for said in [configure.join().expect("no panic"), start.join().expect("no panic")] {
            assert!(said.contains("configuring it failed") && said.contains("longer than"), "{said}");
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(100), "{:?}", begun.elapsed());
}

#[test]
fn what_configure_does_wrong_is_a_load_error() {
    for (attack, says) in [
        (r#""do": "trap""#, "it gave up"),
        (r#""do": "recurse""#, "recursed too deep"),
        (r#""do": "allocate", "bytes": 100000000"#, "limits.memory"),
        (r#""do": "facts""#, "outside of an exchange"),
        (r#""do": "random", "bytes": 4294967295"#, "at most 65536"),
    ] {
        let config = format!(r#"{{"phase": "configure", {attack}}}"#);
        let said = built_with("hostile", &config, |_| {}).map(drop).expect_err("it fails").0;
        assert!(said.contains(says), "{attack}: {said}");
    }
    // Nothing is shared and nobody is asked while it is configured, and that is an answer.
    for attack in [
        r#""do": "keys", "count": 10, "bytes": 10"#,
        r#""do": "requests", "backend": "silent", "count": 10, "timeout_ms": 100000"#,
    ] {
        let config = format!(r#"{{"phase": "configure", {attack}}}"#);
        let plugin = built_with("hostile", &config, |_| {}).unwrap_or_else(|error| panic!("{attack}: {error}"));
        assert_eq!(HOST.key_value(&plugin.definition().name).used(), 0, "{attack}");
    }
    // The host reads it first: which files it names is a grant.
    let said = built_with("hostile", "no json", |_| {}).map(drop).expect_err("it is no JSON").0;
    assert!(said.contains("its configuration is no JSON"), "{said}");
}
