use proptest::prelude::*;

use crate::{
    body::{Limits, Parsed},
    model::{BodyProcessor, XPath, XStep},
};

const LIMITS: Limits = Limits { arguments: 1000, separator: b'&', no_files: u64::MAX, json_depth: 100, files: None };

fn parse(body: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    parsed.read(body, BodyProcessor::Xml, b"text/xml", &LIMITS);
    parsed
}

fn values(parsed: &Parsed, path: &XPath) -> Vec<String> {
    let mut found = Vec::new();
    parsed.xml.select(path, |value| found.push(String::from_utf8_lossy(value).into_owned()));
    found
}

/// `/a//b/@c` as steps.
fn path(text: &str) -> XPath {
    let mut steps = Vec::new();
    let mut anywhere = false;
    for step in text.split('/').skip(1) {
        if step.is_empty() {
            anywhere = true;
            continue;
        }
        let name = step.trim_start_matches('@');
        let name = (name != "*").then(|| name.into());
        steps.push(XStep { anywhere: std::mem::take(&mut anywhere), attribute: step.starts_with('@'), name });
    }
    XPath::Path(steps.into())
}

const SHOP: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE shop>\n<s:shop xmlns:s='urn:s' open=\"1\"><!-- no -->\
    <book id='1&lt;2' lang=\"a\n&#98;\"><title>A &amp; &#x42;</title><price>3</price></book>\
    <book><title><![CDATA[<C>]]></title><?no no?><book s:id='3'/></book></s:shop>\n";

#[test]
fn paths_select_what_xpath_says() {
    let parsed = parse(SHOP.as_bytes());
    assert_eq!(parsed.error, None);
    assert_eq!(values(&parsed, &XPath::Elements), ["A & B3<C>"]);
    assert_eq!(values(&parsed, &XPath::Attributes), ["1", "1<2", "a b", "3"]);
    for (expression, expected) in [
        ("/*", &["A & B3<C>"][..]),
        ("/shop/book/title", &["A & B", "<C>"]),
        ("/shop/title", &[]),
        ("/book", &[]),
        ("//title", &["A & B", "<C>"]),
        ("//book//book", &[""]),
        ("/shop//book", &["A & B3", "<C>", ""]),
        ("//book/*", &["A & B", "3", "<C>", ""]),
        ("/*/*/price", &["3"]),
        ("//@id", &["1<2", "3"]),
        ("/shop/book/@id", &["1<2"]),
        ("/shop/@*", &["1"]),
        ("/shop/book//@id", &["1<2", "3"]),
        ("//@nothing", &[]),
    ] {
        assert_eq!(values(&parsed, &path(expression)), expected, "{expression}");
    }
    assert_eq!(values(&parsed, &path("//*")).len(), 7);
}

#[test]
fn what_is_not_well_formed_is_told() {
    for body in [
        "nothing",
        " ",
        "<a>",
        "<a></b>",
        "</a>",
        "<a/><b/>",
        "<a/>text",
        "text<a/>",
        "<a/>&amp;",
        "<a b='1' b='2'/>",
        "<a b/>",
        "<a b=1/>",
        "<a b='<'/>",
        "<a b='&x;'/>",
        "<a>&x;</a>",
        "<a>& </a>",
        "<a>&#0;</a>",
        "<a>&#xd800;</a>",
        "<a>]]></a>",
        "<a><!-- -- --></a>",
        "<a",
        "<1/>",
        "<a><![CDATA[",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY % x 'y'>]><a/>",
    ] {
        let error = parse(body.as_bytes()).error;
        assert!(error.is_some_and(|error| error.starts_with("XML parsing error: XML: ")), "{body}");
    }
    assert_eq!(parse(b"").error, None);
}

#[test]
fn what_came_before_an_error_is_there_for_rules_to_see() {
    let parsed = parse(b"<a b='attack'><c>text<d>more</x>");
    assert!(parsed.error.is_some());
    assert_eq!(values(&parsed, &XPath::Elements), ["textmore"]);
    assert_eq!(values(&parsed, &XPath::Attributes), ["attack"]);
}

#[test]
fn other_encodings_are_read() {
    let text = "<a>naïve 😀</a>";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for body in [&[b"\xff\xfe", &little[..]].concat(), &little, &[b"\xfe\xff", &big[..]].concat(), &big] {
        let parsed = parse(body);
        assert_eq!((parsed.error.as_deref(), values(&parsed, &XPath::Elements)), (None, vec!["naïve 😀".to_owned()]));
    }
    assert_eq!(values(&parse(b"\xef\xbb\xbf<a>b</a>"), &XPath::Elements), ["b"]);
    let latin = parse(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>na\xefve</a>");
    assert_eq!((latin.error.as_deref(), values(&latin, &XPath::Elements)), (None, vec!["naïve".to_owned()]));
    let wrong = parse(b"<?xml version='1.0' encoding='UTF-8'?><a>na\xefve</a>");
    assert!(wrong.error.is_some());
    assert_eq!(values(&wrong, &XPath::Elements), ["na"]);
    assert!(parse(b"\xff\xfe<\0a\0/\0>\0\0").error.is_some());
}

#[test]
fn bombs_are_bounded() {
    let size = 1 << 20;
    let attributes: String = (0..size / 12).map(|number| format!(" a{number:05}=''")).collect();
    for body in [
        "<a>".repeat(size / 3),
        format!("<a{attributes}/>"),
        format!("<a>{}</a>", "<b/>".repeat(size / 4)),
        format!("<a>{}</a>", "&amp;".repeat(size / 5)),
        format!("<a>{}</a>", "]".repeat(size)),
        format!("<a b='{}'/>", "&amp;".repeat(size / 5)),
        "<".repeat(size),
        format!("<a>{}</a>", "<![CDATA[]]>".repeat(size / 12)),
        format!("<!DOCTYPE a [{}]>", "<!ELEMENT a ANY>".repeat(size / 16)),
    ] {
        let start = std::time::Instant::now();
        let parsed = parse(body.as_bytes());
        let selected: usize = values(&parsed, &path("//*")).iter().map(String::len).sum();
        assert!(selected <= super::DEPTH * size);
        // Without optimisation; what is quadratic takes minutes.
        assert!(start.elapsed().as_secs() < 10, "{}…", &body[..20]);
    }
    assert!(parse(format!("{}{}", "<a>".repeat(257), "</a>".repeat(257)).as_bytes()).error.is_some());
    assert!(parse(format!("{}{}", "<a>".repeat(256), "</a>".repeat(256)).as_bytes()).error.is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_read(pieces in proptest::collection::vec(prop_oneof![
        "</?[a-z:]{1,3} ?[a-z]?=?['\"]?[&<a-z;]{0,5}['\"]? ?/?>", "<!\\[CDATA\\[.{0,5}\\]\\]>", "<!--.{0,5}-->", "<!DOCTYPE [a-z<\\[\\]>!]{0,8}>",
        "&#?x?[0-9a-z]{0,8};", "(?s).{0,8}",
    ], 0..10), cut in any::<prop::sample::Index>()) {
        let body = pieces.concat().into_bytes();
        let parsed = parse(&body);
        for selected in ["//*", "//@*", "/a//b"] {
            values(&parsed, &path(selected));
        }
        if !body.is_empty() {
            parse(&body[..cut.index(body.len())]);
        }
    }
}
