use std::{
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::model::Piece;

/// Files in memory.
#[derive(Default)]
struct Shelf(HashMap<&'static str, &'static str>);

impl Files for Shelf {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or_else(|| "no such file".to_owned())
    }

    fn glob(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

fn shelf() -> Shelf {
    Shelf(HashMap::from([
        ("rules/words.data", "# words\nabc\n\n  Two Words \r\n#x\n|41|\n"),
        ("/etc/nets", "# ours\n192.0.2.0/24, 198.51.100.7 # two\n\n2001:db8::/32\n"),
        ("rules/bad.data", "192.0.2.1\nlocalhost\n"),
    ]))
}

fn try_make(name: &str, argument: &str) -> Result<Operator, String> {
    Operator::new(name, argument, &Making { files: &shelf(), folder: "rules/", backtrack_limit: 100_000 })
}

fn make(name: &str, argument: &str) -> Operator {
    try_make(name, argument).unwrap()
}

/// Every macro means the same here.
fn expand(template: &Template) -> Cow<'static, [u8]> {
    let pieces = template.0.iter().map(|piece| match piece {
        Piece::Text(text) => text.as_bytes(),
        _ => b"macro",
    });
    pieces.collect::<Vec<_>>().concat().into()
}

/// How long this thread has run, where the system says so: other programs do not count. It says so when threads take turns.
fn running() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    match account.split(' ').next().and_then(|time| time.parse().ok()) {
        None | Some(0) => BEGAN.elapsed(),
        Some(nanoseconds) => Duration::from_nanos(nanoseconds),
    }
}

/// Sixteen times as much may take a hundred times as long, not 256 times. `make` gives what is to be done with a value of about so many
/// bytes; `what` names it.
pub(super) fn assert_takes_time_in_proportion<Work: FnMut()>(what: &str, make: impl Fn(usize) -> Work) {
    let quickest = |size, times, enough| {
        let mut work = make(size);
        let mut best = Duration::MAX;
        for _ in 0..times {
            let begin = running();
            work();
            best = best.min(running() - begin);
            if best < enough {
                break;
            }
        }
        best
    };
    let short = quickest(8 << 10, 3, Duration::ZERO).max(Duration::from_micros(200));
    let long = quickest(128 << 10, 5, short * 100);
    assert!(long < short * 100, "{what}: {short:?} for 8 KiB, {long:?} for 128 KiB");
}

/// What is found, as text; `None` where there is no match.
fn find(operator: &Operator, value: &[u8]) -> Option<Vec<u8>> {
    let mut found = Found::default();
    let matched = operator.judge(value, &mut expand, &mut found).unwrap();
    matched.then(|| match (found.text, found.groups.0.first()) {
        (Some(text), _) => text,
        (None, Some(Some(range))) => value[range.clone()].to_vec(),
        _ => Vec::new(),
    })
}

#[track_caller]
fn check(name: &str, argument: &str, finds: &[(&str, &str)], not: &[&str]) {
    let operator = make(name, argument);
    for (value, expected) in finds {
        let found = find(&operator, value.as_bytes()).map(|found| String::from_utf8_lossy(&found).into_owned());
        assert_eq!(found.as_deref(), Some(*expected), "@{name} {argument} in {value}");
    }
    for value in not {
        assert_eq!(find(&operator, value.as_bytes()), None, "@{name} {argument} in {value}");
    }
}

#[test]
fn texts() {
    check("beginsWith", "ab", &[("abc", "ab"), ("ab", "ab")], &["a", "xab", "Abc", ""]);
    check("endsWith", "bc", &[("abc", "bc")], &["bcd", "c", ""]);
    check("contains", "b", &[("abc", "b")], &["ac", "B"]);
    check("contains", "", &[("", ""), ("x", "")], &[]);
    check("strmatch", "b c", &[("ab cd", "b c")], &["bc"]);
    check("streq", "a", &[("a", "a")], &["", "aa", "A"]);
    check("within", "GET POST", &[("POST", "POST"), ("", ""), ("T P", "T P")], &["PUT", "get"]);
    check("containsWord", "ab", &[("ab", "ab"), ("x ab.", "ab"), ("ab1", "ab"), ("xab ab", "ab")], &["abc", "xab", ""]);
    check("containsWord", "a a", &[("xa a a", "a a")], &["xa a", "a ab"]);
    check("beginsWith", "%{tx.x}!", &[("macro! x", "macro!")], &["macro", "x"]);
    check("within", "a %{tx.x}", &[("macro", "macro"), ("a m", "a m")], &["am"]);
}

#[test]
fn numbers() {
    check("eq", "5", &[("5", ""), ("5x", ""), (" 5", "")], &["6", "", "x5", "-5"]);
    check("ge", "5", &[("5", ""), ("6", ""), ("4294967301", "")], &["4", "x"]);
    check("gt", "-1", &[("x", ""), ("0", "")], &["-1"]);
    check("le", "5", &[("5", ""), ("", "")], &["6"]);
    check("lt", "%{tx.x}", &[("-1", "")], &["0", "1"]);
}

#[test]
fn phrases() {
    check(
        "pm",
        "abc  de|20 46|g |zz| a|b",
        &[("xABCx", "ABC"), ("de fG", "de fG"), ("|ZZ|", "|ZZ|"), ("A|B", "A|B")],
        &["de", "fg", "a b"],
    );
    check("pm", "\"abc d\"", &[("abc", "abc"), ("d", "d")], &["\""]);
    check(
        "pmFromFile",
        "words.data",
        &[("xABCx", "ABC"), ("two words", "two words"), ("|41|", "|41|")],
        &["two", "A", "# words", "#x"],
    );
    check("pmf", "words.data", &[("abc", "abc")], &[]);
    assert_eq!(try_make("pm", " ").unwrap_err(), "@pm: there is no phrase to look for");
    assert_eq!(try_make("pmFromFile", "none.data").unwrap_err(), "@pmFromFile: none.data: no such file");
    assert_eq!(
        try_make("pmFromFile", "https://example.com/x").unwrap_err(),
        "@pmFromFile: https://example.com/x: files are not fetched from elsewhere; name a file of this machine"
    );
}

#[test]
fn addresses() {
    let list = "192.0.2.0/24,198.51.100.7, 10.1.2.3/8 2001:db8::/32,::1";
    let yes =
        ["192.0.2.255", "198.51.100.7", "10.255.0.1", "2001:db8:ffff::1", "::1", "0:0:0:0:0:0:0:1", "::ffff:192.0.2.1"];
    let no = [
        "192.0.3.0",
        "198.51.100.8",
        "11.0.0.0",
        "2001:db9::",
        "::2",
        "",
        "x",
        "192.0.2.1:80",
        "192.0.2",
        "::ffff:192.0.3.1",
    ];
    let operator = make("ipMatch", list);
    for value in yes {
        assert!(find(&operator, value.as_bytes()).is_some(), "{value}");
    }
    for value in no {
        assert!(find(&operator, value.as_bytes()).is_none(), "{value}");
    }
    check(
        "ipMatchFromFile",
        "/etc/nets",
        &[("192.0.2.9", ""), ("198.51.100.7", ""), ("2001:db8::1", "")],
        &["198.51.100.8"],
    );
    assert_eq!(
        try_make("ipMatchF", "bad.data").unwrap_err(),
        "@ipMatchF: bad.data, line 2: localhost is neither an address nor a network like 192.0.2.0/24"
    );
    assert!(try_make("ipMatch", "192.0.2.0/33").is_err());
    assert!(try_make("ipMatch", "").is_err());
}

#[test]
fn regular_expressions() {
    check("rx", "b(.)d", &[("abcde", "bcd")], &["abd"]);
    check("rx", "", &[("", ""), ("x", "")], &[]);
    check("rx", "^%{tx.x}$", &[("macro", "macro")], &["macros"]);
    check("rx", "x%{2}y", &[("x%%y", "x%%y")], &["x%y"]);
    assert!(try_make("rx", "(").unwrap_err().starts_with("@rx: "));
    assert_eq!(
        try_make("rx", "%{nothing}").unwrap_err(),
        "@rx: there is no variable nothing, as in the macro %{nothing}"
    );

    let mut found = Found::default();
    let all = make("rxGlobal", "(a)|(b)|$");
    assert!(all.judge(b"xaxbx", &mut expand, &mut found).unwrap());
    assert_eq!(found.groups.0, [Some(5..5), Some(1..2), Some(3..4)]);
    assert!(!make("rxGlobal", "a").judge(b"x", &mut expand, &mut found).unwrap());
}

#[test]
fn validations() {
    check("validateByteRange", "32-126, 9,10", &[("\x0b", ""), ("\x7f", "")], &["a\t\n ~", ""]);
    check("validateByteRange", "0-255", &[], &["\u{ff}"]);
    for wrong in ["256", "5-4", "a", "1-2-3", "-1"] {
        let why = format!("@validateByteRange: {wrong} is neither a number from 0 to 255 nor a range like 32-126");
        assert_eq!(try_make("validateByteRange", wrong).unwrap_err(), why);
    }
    check("validateUrlEncoding", "", &[("%", ""), ("%4", ""), ("a%4g", ""), ("%%41", "")], &["", "a%41%fF"]);
    let utf8 = make("validateUtf8Encoding", "");
    for wrong in [&b"\xc0\xaf"[..], b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\x80"] {
        assert!(find(&utf8, wrong).is_some(), "{wrong:?}");
    }
    assert!(find(&utf8, "aé€😀".as_bytes()).is_none());
}

#[test]
fn identities() {
    check(
        "verifyCC",
        r"\b\d{13,16}\b",
        &[("no 4111111111111111.", "4111111111111111")],
        &["4111111111111112", "", "x"],
    );
    // The first match takes the separator with it with which the second begins.
    check("verifyCC", r"(?:^|\D)\d{16}(?:\D|$)", &[("4111111111111112 4111111111111111", " 4111111111111111")], &[]);
    check(
        "verifyCPF",
        r"[\d.-]{11,14}",
        &[("010.817.514-60", "010.817.514-60")],
        &["010.817.514-61", "111.111.111-11", "012.345.678-90"],
    );
    check(
        "verifySSN",
        r"\d{3}-?\d{2}-?\d{4}",
        &[("x 219-09-9999", "219-09-9999")],
        &["666-09-9999", "219-00-9999", "123-45-6789", "740-11-1111"],
    );
    check("verifySVNR", r"\d{4} ?\d{6}", &[("1237 010180", "1237 010180")], &["1238 010180", "1111 111111"]);
    check(
        "validateNid",
        r"cl [\dkK.-]+",
        &[("12.345.678-5", "12.345.678-5"), ("10.000.013-k", "10.000.013-k")],
        &["12.345.678-4", "1-9"],
    );
    assert!(try_make("validateNid", "xx .*").is_err());
}

#[test]
fn what_has_no_effect_says_so() {
    for name in ["geoLookup", "rbl"] {
        let operator = make(name, "x");
        assert!(operator.note().is_some());
        assert_eq!(find(&operator, b"127.0.0.1"), None);
    }
    assert!(make("rx", "x").note().is_none());
    assert_eq!(try_make("foo", "").unwrap_err(), "@foo: there is no such operator");
    for (name, why) in REFUSED {
        assert_eq!(try_make(name, "x").unwrap_err(), format!("@{name}: not supported: {why}"));
    }
    check("unconditionalMatch", "", &[("", "")], &[]);
    check("noMatch", "", &[], &["", "x"]);
}

#[test]
fn injections() {
    let sql = make("detectSQLi", "");
    assert_eq!(find(&sql, b"1' or '1'='1").as_deref(), Some(&b"s&sos"[..]));
    assert_eq!(find(&sql, b"-1 union select 1,2"), Some(b"1UE1".to_vec()));
    let script = make("detectXSS", "");
    assert_eq!(find(&script, b"a<script>").as_deref(), Some(&b"a<script>"[..]));
    for value in [&b""[..], b"hello", b"12345", b"O'Reilly", b"a <b> c", b"x=1"] {
        assert_eq!(find(&sql, value), None, "{value:?}");
        assert_eq!(find(&script, value), None, "{value:?}");
    }
}

fn holds(needs: &Needs, value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    value.len() >= needs.length
        && needs.clauses.iter().all(|clause| match clause {
            Clause::Bytes(set) => set.meets(&ByteSet::of(value)),
            Clause::Literals(all) => all.iter().any(|literal| memchr::memmem::find(&lower, literal).is_some()),
        })
}

/// One of each kind.
static QUESTIONS: LazyLock<Vec<Operator>> = LazyLock::new(|| {
    [
        ("beginsWith", "Ab"),
        ("contains", "aB"),
        ("containsWord", "ab"),
        ("endsWith", "b"),
        ("streq", "aB"),
        ("within", "aab<1"),
        ("contains", "%{tx.x}"),
        ("pm", "ab B1 =="),
        ("pmFromFile", "words.data"),
        ("ipMatch", "::/0,0.0.0.0/0"),
        ("rx", "a+(b|<)"),
        ("validateByteRange", "48-57,97-98"),
        ("validateUrlEncoding", ""),
        ("validateUtf8Encoding", ""),
        ("verifyCC", "[0-9]+"),
        ("verifySSN", "[0-9]+"),
        ("eq", "1"),
        ("noMatch", ""),
        ("unconditionalMatch", ""),
        ("detectSQLi", ""),
        ("detectXSS", ""),
    ]
    .map(|(name, argument)| make(name, argument))
    .into()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn what_matches_has_what_it_needs(
        value in prop::collection::vec(prop::sample::select(b"aAbB1:.%<= '-;\"/*xX\0\xff".to_vec()), 0..12)
    ) {
        for operator in &*QUESTIONS {
            if find(operator, &value).is_some() {
                prop_assert!(holds(&operator.needs(), &value), "{operator:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    /// Words and numbers of SQL written together, and pieces of markup without its signs.
    #[test]
    fn injections_have_what_they_need(
        value in prop::collection::vec(
            prop::sample::select(vec![
                "0b01", "0x1f", "2", "1e5", "1f", "1d", "union", "SELECT", "or", "and", "like", "is", "not", "null", "case", "in", "having",
                "order", "exec", "sleep", "x", "b", "n", "q", "u", "_", "a", "div", "between", "insert", "into", "if", "all", "on", "error",
                "script", "javascript:", "é", "\u{c0}\u{80}", " ", ">", "'", "\"", "`", "/", "-", "!--", "style", "href", "\0",
            ]),
            0..8,
        )
    ) {
        let value = value.concat();
        for name in ["detectSQLi", "detectXSS"] {
            let operator = make(name, "");
            if !holds(&operator.needs(), value.as_bytes()) {
                prop_assert_eq!(find(&operator, value.as_bytes()), None, "{}", name);
            }
        }
    }
}

#[test]
fn nothing_takes_more_than_linear_time() {
    let units: &[&[u8]] = &[
        b"a",
        b"1",
        b"1 ",
        b"'",
        b"\"",
        b"<",
        b"<a",
        b"<!--",
        b"<a b=",
        b"%",
        b"%4",
        b"/*",
        b"*/",
        b"(",
        b"1+",
        b"a b ",
        b"--",
        b"#",
        b"\\",
        b"$$",
        b"`",
        b"[",
        b"0x",
        b"<a href=",
        b"&#",
        b"=",
        b"aab",
        b"\xe2\x82",
        b"::",
        b"1.",
        b";",
        b"@",
        b"{",
        b"<?",
        b"<%",
        b"</",
        b"u&'",
        b"q'(",
        b"$a$",
    ];
    for unit in units {
        let value = unit.repeat((1 << 16) / unit.len());
        for operator in &*QUESTIONS {
            let begin = Instant::now();
            find(operator, &value);
            assert!(begin.elapsed() < Duration::from_secs(4), "{operator:?} of {unit:?}: {:?}", begin.elapsed());
        }
    }
}
