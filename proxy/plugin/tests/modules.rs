//! Files that are no plugins, plugins of another contract, plugins that want what they were not given, and answers in bytes that no
//! compiler makes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_plugin::{FailureKind, Grants, Limits, Plugin};
use wasm_encoder::ValType::I32;

use portcullis_tests::{
    plugin_host::{HOST, definition, exchange, fails, guest, local, on_a_worker},
    raw_plugin::{ROOM, Raw, edit, field_edit},
};

/// What the load error of `module` says.
fn refused(what: &str, module: Bytes) -> String {
    match Plugin::build(&HOST, definition("refused", module, "{}")) {
        Ok(_) => panic!("{what} was taken"),
        Err(error) => {
            assert!(!error.0.contains("a bug in portcullis"), "{what}: {error}");
            error.0
        }
    }
}

fn says(what: &str, module: Bytes, words: &[&str]) {
    let said = refused(what, module);
    for word in words {
        assert!(said.contains(word), "{what}: {said:?} does not say {word:?}");
    }
    assert!(said.len() < 3000 && !said.contains('\n'), "{what}: one line that can be read: {said}");
}

#[test]
fn the_raw_module_works_when_nothing_is_wrong_with_it() {
    let plugin = Plugin::build(&HOST, definition("raw", Raw::default().module(), "{}")).expect("it builds");
    on_a_worker(async {
        let local = local(&plugin);
        for _ in 0..3 {
            assert_eq!(exchange(&local, "/").await.expect("it continues").len(), 1);
        }
    });
}

#[test]
fn files_that_are_no_plugins_are_refused() {
    says("nothing", Bytes::new(), &["no WebAssembly"]);
    says("text", Bytes::from_static(b"#!/bin/sh\necho\n"), &["no WebAssembly"]);
    says("a header alone", Bytes::from_static(b"\0asm\x01\0\0\0"), &["portcullis:filter"]);
    says(
        "an empty component",
        Bytes::from_static(b"\0asm\x0d\0\x01\0"),
        &["does not export portcullis:filter/filter@0.1.0"],
    );
    says("an unknown layer", Bytes::from_static(b"\0asm\x0e\0\x07\0"), &["it"]);
}

#[test]
fn no_part_of_a_plugin_is_taken_for_one_and_no_byte_ends_the_process() {
    let whole = Raw::default().module();
    for length in 0..whole.len() - 1 {
        refused(&format!("the first {length} bytes"), whole.slice(..length));
    }
    // A changed byte may well leave a plugin that works; what counts is that there is an answer.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let mut bytes = whole.to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(8..bytes.len());
            bytes[at] = random.u8(..);
        }
        let _ = portcullis_plugin::inspect(&bytes);
    }
    let component = guest("good");
    for length in [1000, component.len() / 2, component.len() - 1] {
        refused(&format!("the first {length} bytes of a guest"), component.slice(..length));
    }
}

#[test]
fn another_contract_is_named() {
    let of = |version| Raw { version, ..Raw::default() }.module();
    says("0.2.0", of("0.2.0"), &["portcullis:filter@0.2.0", "this proxy speaks 0.1"]);
    says("1.0.0", of("1.0.0"), &["portcullis:filter@1.0.0"]);
    says("0.1.7", of("0.1.7"), &["portcullis:filter@0.1.7"]);
}

#[test]
fn imports_that_nobody_has_are_refused() {
    let other =
        Raw { import: Some(("secret", "read")), world: "import secret: interface { read: func(); }", ..Raw::default() };
    says("an interface of its own", other.module(), &["imports secret", "which this proxy does not have"]);
    let far = Raw {
        import: Some(("acme:files/all@1.0.0", "read")),
        world: "import acme:files/all@1.0.0;",
        packages: &["package acme:files@1.0.0; interface all { read: func(); }"],
        ..Raw::default()
    };
    says("an interface of others", far.module(), &["imports acme:files/all@1.0.0", "which this proxy does not have"]);
}

#[test]
fn imports_without_a_grant_say_what_to_write() {
    let mut definition = definition("greedy", guest("hostile"), r#"{"phase": "request_head", "do": "nothing"}"#);
    definition.grants = Grants::default();
    let said = Plugin::build(&HOST, definition.clone()).map(drop).expect_err("nothing is granted").0;
    for grant in ["log = true", "metrics = true", "clock = true", "random = true", "key_value = true", "http = [\""] {
        assert!(said.contains(grant), "{said}");
    }
    definition.grants =
        Grants { log: true, metrics: true, random: true, key_value: true, http: Some(vec![]), ..Grants::default() };
    let said = Plugin::build(&HOST, definition).map(drop).expect_err("the clock is not granted").0;
    assert!(said.contains("imports clock without a grant") && !said.contains("log = true"), "{said}");
}

/// WASI is there for languages that cannot do without, and shows nothing of the machine.
#[test]
fn wasi_shows_no_environment_and_no_files() {
    const CLI: &str =
        "package wasi:cli@0.2.0; interface environment { get-environment: func() -> list<tuple<string, string>>; }";
    const FILES: &str = "package wasi:filesystem@0.2.0; interface types { resource descriptor; } \
        interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }";
    for (module, name, world, packages) in [
        ("wasi:cli/environment@0.2.0", "get-environment", "import wasi:cli/environment@0.2.0;", &[CLI][..]),
        ("wasi:filesystem/preopens@0.2.0", "get-directories", "import wasi:filesystem/preopens@0.2.0;", &[FILES]),
    ] {
        let raw = Raw {
            import: Some((module, name)),
            import_types: (vec![I32], vec![]),
            // Traps if the list has an element.
            calls: Some(|sink| {
                let length = wasm_encoder::MemArg { offset: 4, align: 2, memory_index: 0 };
                sink.i32_const(ROOM.cast_signed()).call(1);
                sink.i32_const(ROOM.cast_signed())
                    .i32_load(length)
                    .if_(wasm_encoder::BlockType::Empty)
                    .unreachable()
                    .end();
            }),
            room: vec![0xff; 64],
            world,
            packages,
            ..Raw::default()
        };
        let plugin = Plugin::build(&HOST, definition(name, raw.module(), "{}"))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        on_a_worker(async {
            exchange(&local(&plugin), "/").await.unwrap_or_else(|failure| panic!("{name} shows something: {failure}"));
        });
    }
}

#[test]
fn answers_in_bytes_that_are_none_end_the_call() {
    let long_name = field_edit(0, [ROOM + 64, 2, ROOM, 1]);
    let mut not_utf8 = long_name.clone();
    not_utf8.resize(64, 0);
    not_utf8.extend([0xff, 0xfe]);
    let answers: [(&str, Raw); 10] = [
        ("a verdict that there is not", Raw { verdict: vec![9; 64], ..Raw::default() }),
        ("a list out of bounds", Raw { verdict: edit(0xffff_fff0, 10, [0; 4]), ..Raw::default() }),
        ("a list without end", Raw { verdict: edit(ROOM, u32::MAX, [0; 4]), ..Raw::default() }),
        ("an unaligned list", Raw { verdict: edit(ROOM + 1, 1, [0; 4]), ..Raw::default() }),
        ("an option that is neither", Raw { verdict: edit(0, 0, [7, 0, 200, 0]), ..Raw::default() }),
        (
            "an edit that there is not",
            Raw { verdict: edit(ROOM, 1, [0; 4]), room: field_edit(8, [ROOM; 4]), ..Raw::default() },
        ),
        (
            "a name out of bounds",
            Raw { verdict: edit(ROOM, 1, [0; 4]), room: field_edit(0, [0x7fff_ffff, 5, ROOM, 1]), ..Raw::default() },
        ),
        ("a name that is not UTF-8", Raw { verdict: edit(ROOM, 1, [0; 4]), room: not_utf8, ..Raw::default() }),
        ("an answer out of bounds", Raw { returns: (0x100, 0xffff_fff0), ..Raw::default() }),
        ("an unaligned answer", Raw { returns: (0x100, 0x203), ..Raw::default() }),
    ];
    for (what, raw) in answers {
        let plugin = Plugin::build(&HOST, definition(what, raw.module(), "{}"))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        on_a_worker(async {
            let local = local(&plugin);
            for _ in 0..2 {
                fails(&local, "/", FailureKind::Trap, "request_head trapped").await;
            }
        });
    }
}

#[test]
fn handles_that_were_never_given_end_the_call() {
    let raw = Raw { handle: Some(77), ..Raw::default() };
    let plugin = Plugin::build(&HOST, definition("handles", raw.module(), "{}")).expect("it builds");
    on_a_worker(async { fails(&local(&plugin), "/", FailureKind::Trap, "trapped").await });
}

#[test]
fn a_configure_that_answers_rubbish_is_a_load_error() {
    let mut hold = Raw::default().declaration;
    // request-body = hold(limit 2^40, refuse)
    hold[16] = 2;
    hold[24..32].copy_from_slice(&(1u64 << 40).to_le_bytes());
    let mut refusal = vec![1, 0, 0, 0, 0, 0, 0, 0];
    refusal.extend([0u32.to_le_bytes(), u32::MAX.to_le_bytes()].concat());
    for (what, raw) in [
        ("a result that is neither", Raw { declaration: vec![9; 64], ..Raw::default() }),
        ("a refusal out of bounds", Raw { declaration: refusal, ..Raw::default() }),
        ("a place out of bounds", Raw { returns: (0xffff_fff0, 0x200), ..Raw::default() }),
        ("a room for the text out of bounds", Raw { realloc: 0xffff_fff0, ..Raw::default() }),
        ("a body larger than any", Raw { declaration: hold, ..Raw::default() }),
        (
            "a start that traps",
            Raw {
                start: Some(|sink| {
                    sink.unreachable();
                }),
                ..Raw::default()
            },
        ),
    ] {
        says(what, raw.module(), &["it"]);
    }
}

#[test]
fn beginning_with_more_than_the_limits_is_a_load_error() {
    says("4 GiB of memory", Raw { pages: 65536, ..Raw::default() }.module(), &["limits.memory allows 16384 KiB"]);
    says("17 MiB of memory", Raw { pages: 17 * 16, ..Raw::default() }.module(), &["limits.memory"]);
    says("a table of everything", Raw { table: u64::from(u32::MAX), ..Raw::default() }.module(), &["table"]);
}

#[test]
fn more_than_the_machine_can_give_is_a_load_error() {
    let mut definition = definition("huge", Raw::default().module(), "{}");
    definition.limits = Limits { memory: 4 << 30, instances: u32::MAX, ..definition.limits };
    let said = Plugin::build(&HOST, definition).map(drop).expect_err("nobody has that much").0;
    assert!(said.contains("limits.instances") && said.contains("limits.memory"), "{said}");
}

#[test]
fn many_functions_are_compiled_in_bounded_time() {
    let begun = Instant::now();
    let raw = Raw { more_functions: 100_000, ..Raw::default() };
    match Plugin::build(&HOST, definition("large", raw.module(), "{}")) {
        Ok(plugin) => on_a_worker(async { exchange(&local(&plugin), "/").await.map(drop).expect("it continues") }),
        Err(error) => assert!(error.0.contains("it"), "{error}"),
    }
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
}
