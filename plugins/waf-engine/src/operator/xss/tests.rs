use proptest::prelude::*;

use super::detect;
use crate::operator::tests::assert_takes_time_in_proportion;

#[test]
fn what_runs_is_found_wherever_it_lands() {
    let text = [
        "<script>",
        "a<svg/onload=x",
        "<a href=javascript:x>",
        "<a href=' &#x6a;ava&#115;cript:x'>",
        "<!doctype x>",
        "<!--[if x",
        "<?import x>",
        "<%`%>",
    ];
    let tag = [
        "onload=x",
        "x onerror =x",
        "style=x",
        "a=b href=data:x",
        "/onclick='x'",
        "x=1 attributename=onload",
        "xlink:href=x",
    ];
    let value = ["x' onload=x", "x\" onload=x", "x` onload=x", "'><script>", "x'/onload=x"];
    // A comment, a declaration and a section of text end where they should.
    let behind = [
        "<!--x--><script>",
        "<!--x-\0!><script>",
        "<![CDATA[<b>]]><script>",
        "<!x><script>",
        "</x><script>",
        "<a b='>'><xml>",
        "<%%><script>",
    ];
    for value in [&text[..], &tag, &value, &behind].concat() {
        assert!(detect(value.as_bytes()), "{value}");
    }
    let harmless = [
        "",
        "<",
        "=",
        "x=1",
        "a < b",
        "<b>",
        "</script>",
        "<a href=http://x>",
        "on=x",
        "onload",
        "href=x",
        "<!--x-->",
        "<![CDATA[<script>]]>",
        "<!-- <script> -->",
        "it's = 'mine'",
        "<a b=\"<script>\">",
        "a=1&onward",
    ];
    for value in harmless {
        assert!(!detect(value.as_bytes()), "{value}");
    }
}

#[test]
fn names_are_found_in_disguise() {
    for value in [
        "<SCRIPT>",
        "<s\0cript>",
        "<\0script>",
        "\0onload=x",
        "x\0onload\0=\0x",
        "<a HREF=&#x4A;AVA&#83cript:x>",
        "<a href=\x01\u{e9}java\0\nscript:x>",
        "<a href=vb&#0;script:x>",
    ] {
        assert!(detect(value.as_bytes()), "{value:?}");
    }
    for value in [
        "<scripts>",
        "<a href=xjavascript:x>",
        "<a href=&#9999999;java:x>",
        "<a href=&#;java:x>",
        "<b ref=javascript:x>",
        "<ab>",
    ] {
        assert!(!detect(value.as_bytes()), "{value:?}");
    }
}

/// libinjection in C takes this byte for the end; browsers go on.
#[test]
fn no_byte_ends_a_value_early() {
    assert!(detect(b"<a \xff onload=x>"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Pieces that libinjection reads alike in C and in Rust.
    #[test]
    fn verdicts_are_those_of_libinjection(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "<", ">", "script", "/", " ", "=", "\"", "'", "`", "style", "href", "javascript:", "&#x6a;", "&#106",
                "&#", "x", "img", "svg", "src", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "<%", "%>", "<!doctype",
                "<!entity", "[if", "xml", "import", "\n", "a", "to", "from", "attributename", "data:", "xmlns", "<!",
                "!", "-", "%", "\u{c}", "é", "&colon;", "handler",
            ]),
            0..12,
        )
    ) {
        let value = pieces.concat();
        let theirs = libinjectionrs::detect_xss(value.as_bytes()).is_injection();
        prop_assert_eq!(detect(value.as_bytes()), theirs, "{}", value);
    }
}

#[test]
fn long_values_take_time_in_proportion() {
    let units = [
        "<",
        "=",
        "<a",
        "<a ",
        "a=b ",
        "<a b=",
        "/",
        "a/",
        "<!--",
        "<!",
        "<%",
        "%",
        "-",
        "--",
        "-\0",
        "<a href=",
        "&#",
        "&#0",
        "]]",
        "<![CDATA[",
        "\0",
        "'",
        "a\0",
        "x='y' ",
        "</a ",
        "href=\x01 ",
    ];
    for unit in units {
        assert_takes_time_in_proportion(unit, |size| {
            let mut value = b"<'\"`=".to_vec();
            value.extend(unit.bytes().cycle().take(size));
            move || {
                std::hint::black_box(detect(&value));
            }
        });
    }
}
