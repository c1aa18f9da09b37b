use libinjectionrs::{SqliFlags, SqliState, sqli::sqli_data::SQL_KEYWORDS};
use proptest::prelude::*;

use super::{detect, tokenizer::Kind, words};
use crate::operator::tests::assert_takes_time_in_proportion;

fn found(value: &[u8]) -> Option<String> {
    detect(value).map(|fingerprint| fingerprint.letters().escape_ascii().to_string())
}

#[test]
fn the_list_of_words_is_all_there() {
    for entry in SQL_KEYWORDS {
        let small = entry.word.to_ascii_lowercase();
        if entry.token_type == b'F' {
            assert!(words::is_fingerprint(&small.as_bytes()[1..]), "{small}");
        } else {
            for text in [entry.word, &small] {
                assert_eq!(words::find(text.as_bytes()).map(|word| word.kind as u8), Some(entry.token_type), "{text}");
            }
            if let Some((first, last)) = small.rsplit_once(' ') {
                let both = words::find_two(first.as_bytes(), last.as_bytes());
                assert_eq!(both.map(|word| word.text), Some(entry.word.as_bytes()));
            }
        }
    }
    for nothing in [&b""[..], b"foo", b"unionx", b"0s&1", b"group  by", &[b'a'; 100]] {
        assert!(words::find(nothing).is_none(), "{nothing:?}");
        assert!(!words::is_fingerprint(nothing), "{nothing:?}");
    }
}

#[test]
fn every_reading_counts() {
    let as_it_stands = [
        ("1 union select 2", "1UE1"),
        ("1;drop table x", "1;Tnn"),
        ("1 or 1=1", "1&1"),
        ("sleep(5)", "f(1)"),
        ("sleep 5", ""),
    ];
    let within_quotes =
        [("x' or 'a'='a", "s&sos"), ("x\" or \"a\"=\"a", "s&sos"), ("'+'", "sos"), ("it's", ""), ("a \"word\"", "")];
    let comments = [
        ("1--", "1c"),
        ("1 -- x", "1c"),
        ("1234-abc--", "1c"),
        ("1234abc--", ""),
        ("x -- y", ""),
        ("1/*x*/", "1c"),
        ("1 /*!or*/ 1", "X"),
    ];
    let mysql = [("1 and#\n1=1", "1&1"), ("1--+1", "1c"), ("x' and 1=1#", "s&1c")];
    for (value, fingerprint) in [&as_it_stands[..], &within_quotes, &comments, &mysql].concat() {
        assert_eq!(found(value.as_bytes()).unwrap_or_default(), fingerprint, "{value}");
    }
}

/// As in C's libinjection, where the crate has it otherwise.
#[test]
fn what_the_crate_reads_differently() {
    for (value, fingerprint) in [
        // `into` in small letters does the same harm.
        ("x' into outfile 'a", "sks"),
        // The name of a variable is without `@`.
        ("u&' ;if [a] @user(<=>~ ", "s;Tnf"),
        // Words that are known only because they go on are known.
        ("user()at time x'41'", "f()n1"),
    ] {
        assert_eq!(found(value.as_bytes()).as_deref(), Some(fingerprint), "{value:?}");
        let mut state = SqliState::new(value.as_bytes(), SqliFlags::FLAG_NONE);
        assert!(!state.detect() || state.fingerprint_string() != fingerprint, "{value:?}: no longer different");
    }
}

#[test]
fn the_whole_value_is_read() {
    let mut value = b"1,".repeat(100_000);
    assert_eq!(found(&value), None);
    value.extend_from_slice(b"1 union select 2");
    assert_eq!(found(&value).as_deref(), Some("1UE1"));
}

/// Pieces that libinjection reads alike in C and in Rust.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"1",
        b"0x1f",
        b"1.5e3",
        b"1e",
        b"1d",
        b"0b",
        b"'",
        b"\"",
        b"`",
        b" ",
        b" ",
        b"\n",
        b"union",
        b"select ",
        b"or",
        b"and ",
        b"--",
        b"#",
        b"/*",
        b"*/",
        b"/*!",
        b"(",
        b")",
        b",",
        b"=",
        b"<>",
        b";",
        b".",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\\",
        b"|",
        b"||",
        b"&&",
        b"!",
        b"~",
        b"+",
        b"-",
        b"*",
        b"/",
        b"?",
        b":",
        b"::",
        b":=",
        b"<=>",
        b"$1.0",
        b"$a$",
        b"$$",
        b"n'",
        b"q'[",
        b"]'",
        b"u&'",
        b"x'41'",
        b"b'01'",
        b"e'",
        b"nq'(",
        b")'",
        b"foo",
        b"a.b",
        b"sleep",
        b"user",
        b"like",
        b"not ",
        b"in ",
        b"is ",
        b"null",
        b"case",
        b"when",
        b"from",
        b"having",
        b"group by",
        b"order ",
        b"by ",
        b"exec",
        b"xp_cmdshell",
        b"int",
        b"collate ",
        b"utf8_bin",
        b"if",
        b"else",
        b"@@a ",
        b"@`b`",
        b"\xc3\xa9",
        b"sys.stragg",
        b"div",
        b"true",
        b"begin",
        b"waitfor ",
        b"delay",
        b"insert into",
        b"high_priority ",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn fingerprints_are_those_of_libinjection(value in pieces()) {
        let mut state = SqliState::new(&value, SqliFlags::FLAG_NONE);
        let theirs = state.detect().then(|| state.fingerprint_string().into_bytes().escape_ascii().to_string());
        prop_assert_eq!(found(&value), theirs, "{}", value.escape_ascii());
    }
}

#[test]
fn long_values_take_time_in_proportion() {
    let units = [
        "a",
        "1",
        "'",
        "\"",
        "/*",
        "*/",
        "(",
        "1+",
        "--",
        "#\n",
        "\\",
        "$$",
        "$a",
        "`",
        "[",
        "u&'",
        "q'(",
        "a,",
        "\\'",
        "a.",
        "a`",
        "a.a.a,",
        "select.",
        "select`",
        "if.",
        "1=1 or ",
        "not ",
        "x'0",
        "b'0",
        "e'",
        "@@",
        "{a ",
        "1,-1,",
        "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a,",
        "''+",
        "group by ",
        "1 /**/,",
    ];
    for unit in units {
        assert_takes_time_in_proportion(unit, |size| {
            // All readings.
            let mut value = b"#\n".to_vec();
            value.extend(unit.bytes().cycle().take(size));
            value.extend_from_slice(b" '\" --x");
            move || {
                std::hint::black_box(detect(&value));
            }
        });
    }
}

#[test]
fn kinds_have_their_letters() {
    let letters: std::collections::BTreeSet<u8> = SQL_KEYWORDS.iter().map(|entry| entry.token_type).collect();
    for letter in letters {
        assert_eq!(Kind::from_letter(letter).map(|kind| kind as u8), Some(letter).filter(|letter| *letter != b'F'));
    }
}
