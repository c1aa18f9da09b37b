use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Bytes that transformations care about, and some that they do not.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(b"\\%+&#;ux0123fFaZ/.*-<!>'\"^, \t\n\0\xa0\xc2\xe2\x96\xa0\xff=".to_vec());
    prop::collection::vec(prop_oneof![4 => telling, 1 => any::<u8>()], 0..40)
}

fn becomes(step: Transformation, input: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"left over".to_vec();
    step.apply(input, &mut out, None).then_some(out)
}

fn text(step: Transformation, input: &str) -> String {
    let input = input.as_bytes();
    String::from_utf8_lossy(&becomes(step, input).unwrap_or_else(|| input.to_vec())).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn says_truly_whether_it_changes(input in value()) {
        for &step in Transformation::ALL {
            let changed = becomes(step, &input);
            prop_assert_ne!(changed.as_deref(), Some(&input[..]), "{}", step.name());
            if !step.could_change(&ByteSet::of(&input)) {
                prop_assert_eq!(changed, None, "{} changed what could not change", step.name());
            }
        }
    }

    #[test]
    fn what_is_encoded_can_be_decoded(input in prop::collection::vec(any::<u8>(), 0..40)) {
        for (encode, decode) in [
            (Transformation::Base64Encode, Transformation::Base64Decode),
            (Transformation::Base64Encode, Transformation::Base64DecodeExt),
            (Transformation::HexEncode, Transformation::HexDecode),
            (Transformation::UrlEncode, Transformation::UrlDecode),
            (Transformation::UrlEncode, Transformation::UrlDecodeUni),
        ] {
            let encoded = becomes(encode, &input).unwrap_or_else(|| input.clone());
            let decoded = becomes(decode, &encoded).unwrap_or(encoded);
            prop_assert_eq!(&decoded, &input, "{}", encode.name());
        }
    }

    #[test]
    fn a_normal_path_stays_normal(input in "[ab./]{0,20}") {
        for step in [Transformation::NormalizePath, Transformation::NormalizePathWin] {
            let normal = text(step, &input);
            prop_assert!(!normal.contains("//") && !format!("/{normal}/").contains("/./"), "{:?}", &normal);
            prop_assert_eq!(text(step, &normal), normal);
        }
    }
}

#[test]
fn names_go_both_ways() {
    for &step in Transformation::ALL {
        assert_eq!(Transformation::from_name(&step.name().to_uppercase()), Some(step));
    }
    assert_eq!(Transformation::from_name("normalisePath"), Some(Transformation::NormalizePath));
    assert_eq!(Transformation::from_name("none"), None);
}

#[test]
fn nothing_takes_more_than_linear_time() {
    // Each is the beginning of something that never ends.
    let hard: &[&[u8]] = &[
        b"a",
        b"\\",
        b"%",
        b"%u",
        b"&",
        b"&#",
        b"&#1",
        b"&a",
        b"/*",
        b"*/",
        b"<!--",
        b"-",
        b"../",
        b"a/",
        b"a/../",
        b"/",
        b"0x",
        b"0x4",
        b"0",
        b" ",
        b"\xe2\x96",
        b"\xf0",
        b"\0",
        b"'",
        b"=",
        b"\\u00",
        b"#x",
        b"*",
        b"\xa0",
        b"\xc2\xa0",
    ];
    let mut out = Vec::new();
    for unit in hard {
        let mut input = unit.repeat((1 << 16) / unit.len());
        for prefix in [&b""[..], b"/*", b"<!--", b"&#", b"\\"] {
            input.splice(..0, prefix.iter().copied());
            for &step in Transformation::ALL {
                let begin = Instant::now();
                step.apply(&input, &mut out, None);
                // Linear time is a millisecond, quadratic time half a minute.
                assert!(begin.elapsed() < Duration::from_secs(4), "{} of {unit:?}", step.name());
            }
            input.drain(..prefix.len());
        }
    }
}

#[test]
fn paths() {
    use Transformation::{NormalizePath, NormalizePathWin};
    for (input, expected) in [
        ("/a/..", ""),
        ("/a/../", "/"),
        ("/..", ""),
        ("/", "/"),
        ("//", "/"),
        ("./", ""),
        ("a/..", ""),
        ("../.", ".."),
        ("a/b../c", "a/b../c"),
        ("a/../../b/../c", "../c"),
        ("/../../etc//./passwd", "/etc/passwd"),
    ] {
        assert_eq!(text(NormalizePath, input), expected, "{input}");
        assert_eq!(text(NormalizePathWin, &input.replace('/', "\\")), expected, "{input}");
    }
    assert_eq!(text(NormalizePath, "a\\..\\b"), "a\\..\\b");
}

#[test]
fn comments() {
    use Transformation::{RemoveComments, RemoveCommentsChar, ReplaceComments};
    assert_eq!(text(RemoveComments, "a/**/b<!-- c -->d"), "abd");
    assert_eq!(text(RemoveComments, "a/*b"), "a ");
    assert_eq!(text(RemoveComments, "a/*b*/"), "a\0");
    assert_eq!(text(RemoveComments, "a -- b"), "a ");
    assert_eq!(text(RemoveComments, "a # b"), "a ");
    assert_eq!(text(RemoveComments, "a < b / c - d"), "a < b / c - d");
    assert_eq!(text(ReplaceComments, "un/*x*/ion/**/select/*"), "un ion select ");
    assert_eq!(text(ReplaceComments, "/*/a*/b"), " b");
    assert_eq!(text(RemoveCommentsChar, "a/*b*/c--d#e<!--f-->g-h"), "abcdefg-h");
}

#[test]
fn escapes() {
    use Transformation::{CssDecode, EscapeSeqDecode, JsDecode};
    assert_eq!(text(CssDecode, "\\6a\\61 v\\0061script\\"), "javascript");
    assert_eq!(text(CssDecode, "\\ff41\\00ff42\\1ff43"), "abC");
    assert_eq!(text(JsDecode, "\\u0061\\uFF1C\\x62\\143\\477\\q\\"), "a<bc'7q\\");
    assert_eq!(text(EscapeSeqDecode, "\\n\\x41\\101\\X42\\xg\\q\\"), "\nAABxgq\\");
}

#[test]
fn entities() {
    use Transformation::HtmlEntityDecode;
    assert_eq!(text(HtmlEntityDecode, "&lt&#x61;&#98&QUOT;&amp;lt;"), "<ab\"&lt;");
    assert_eq!(text(HtmlEntityDecode, "&quote; & &#; &#x; &"), "&quote; & &#; &#x; &");
    assert_eq!(becomes(HtmlEntityDecode, b"&nbsp;&#99999999999999999999;").as_deref(), Some(&b"\xa0\xff"[..]));
}

#[test]
fn characters() {
    use Transformation::{UrlDecodeUni, Utf8ToUnicode};
    assert_eq!(text(UrlDecodeUni, "%u003c%uff1e%u2019%u4e41%U0041"), "<>'AA");
    assert_eq!(text(Utf8ToUnicode, "aé€😀"), "a%u00e9%u20ac%u1f600");
    assert_eq!(becomes(Utf8ToUnicode, b"a\xc0<\x80\0b").as_deref(), Some(&b"a<\x80b"[..]));
    assert_eq!(becomes(Utf8ToUnicode, b"\xc0\xaf").as_deref(), Some(&b"%u002f\xc0"[..]));
}

#[test]
fn code_pages_are_read() {
    let file =
        b"1250  (ANSI - Central Europe)\n00a1:7e\n\n20127 (US-ASCII)\n00a1:21 201c:22\n201c:27\n\n1251 (x)\n00a1:41\n";
    let map = UnicodeMap::parse(file, 20127).unwrap();
    let mut out = Vec::new();
    assert!(Transformation::UrlDecodeUni.apply(b"%u00a1%u201C%u2018", &mut out, Some(&map)));
    assert_eq!(out, b"!'\x18");
    // The pairs may stand in the heading's line, as in the reduced file of libmodsecurity's tests.
    let short = UnicodeMap::parse(b"1251 0434:64 043e:6f 0440:70\n", 1251).unwrap();
    out.clear();
    assert!(Transformation::UrlDecodeUni.apply(b"%u0434%u043e%u0440", &mut out, Some(&short)));
    assert_eq!(out, b"dop");
    assert_eq!(UnicodeMap::parse(file, 437).unwrap_err(), "there is no code page 437");
    assert_eq!(UnicodeMap::parse(b"20127\n00a1:zz", 20127).unwrap_err(), "line 2: 00a1:zz is not a pair like 00a1:21");
}

#[test]
fn encodings() {
    use Transformation::{Base64Decode, Base64DecodeExt, Length, Md5, RemoveWhitespace, SqlHexDecode};
    assert_eq!(text(Base64Decode, "YWJj\nZA!YWJj"), "abcd");
    assert_eq!(text(Base64DecodeExt, "Y.W=J j\nZA"), "abcd");
    assert_eq!(text(SqlHexDecode, "x=0x414g 0X42430x44"), "x=A4g BCD");
    assert_eq!(text(Length, "1"), "1");
    assert_eq!(becomes(Md5, b"").map(|sum| sum[0]), Some(0xd4));
    assert_eq!(becomes(RemoveWhitespace, b"\xc2\xa0a\xa0b\xc2c").as_deref(), Some(&b"ab\xc2c"[..]));
}
