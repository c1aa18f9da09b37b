//! What each transformation and operator costs, natively: nanoseconds a byte, the least of many runs, over texts that are in requests.
//! `costs [NAME]` measures those whose name contains NAME.

use std::{
    borrow::Cow,
    hint::black_box,
    time::{Duration, Instant},
};

use waf_engine::{
    operator::{Found, Making, Operator},
    transform::Transformation,
    world::Files,
};

/// Nothing is read.
struct Nothing;

impl Files for Nothing {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        Err(format!("{path}: not here"))
    }

    fn glob(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// With arguments like those of the Core Rule Set.
const OPERATORS: &[(&str, &str)] = &[
    ("beginsWith", "/admin"),
    ("contains", "/../"),
    ("containsWord", "select"),
    ("endsWith", ".php"),
    ("streq", "application/json"),
    ("within", "GET HEAD POST OPTIONS"),
    ("eq", "1"),
    ("pm", "select union insert update delete script onerror /etc/passwd cmd.exe"),
    ("ipMatch", "192.0.2.0/24,2001:db8::/32"),
    ("rx", r"(?i)union.*?select"),
    ("validateByteRange", "32-36,38-126"),
    ("validateUrlEncoding", ""),
    ("validateUtf8Encoding", ""),
    ("verifyCC", r"\d{13,16}"),
    ("verifySSN", r"\d{3}-?\d{2}-?\d{4}"),
    ("detectSQLi", ""),
    ("detectXSS", ""),
];

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let texts = texts();
    println!("{:22}{}", "", texts.iter().map(|(name, _)| format!("{name:>12}")).collect::<String>());
    for step in Transformation::ALL.iter().filter(|step| step.name().contains(&only)) {
        let mut out = Vec::new();
        row(step.name(), &texts, |text| {
            black_box(step.apply(text, &mut out, None));
        });
    }
    let making = Making { files: &Nothing, folder: "", backtrack_limit: 100_000 };
    for (name, argument) in OPERATORS.iter().filter(|(name, _)| name.contains(&only)) {
        let operator = match Operator::new(name, argument, &making) {
            Ok(operator) => operator,
            Err(why) => return eprintln!("{why}"),
        };
        let mut found = Found::default();
        row(name, &texts, |text| {
            let _ = black_box(operator.judge(text, &mut |_| Cow::Borrowed(b""), &mut found));
        });
    }
}

fn row(name: &str, texts: &[(&str, Vec<u8>)], mut work: impl FnMut(&[u8])) {
    print!("{name:22}");
    for (_, text) in texts {
        let rounds = (1 << 16) / text.len();
        let mut least = Duration::MAX;
        for _ in 0..20 {
            let began = Instant::now();
            (0..rounds).for_each(|_| work(black_box(text)));
            least = least.min(began.elapsed());
        }
        print!("{:>12.2}", least.as_secs_f64() * 1e9 / (rounds * text.len()) as f64);
    }
    println!();
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    let prose = "The quick brown fox jumps over the lazy dog, and it's fine. ";
    let form = "name=J%C3%BCrgen+Doe&mail=j.doe%40example.com&text=It%27s+a+%3Cb%3Etest%3C%2Fb%3E&";
    let path = "/assets/../images/./logo-2x.png";
    let json = r#"{"id": 12345, "tags": ["a", "b"], "text": "line\nline", "ok": true}, "#;
    let html = "<p class=\"x\">Tom &amp; Jerry &#8211; <a href='/x?y=1'>more</a> <!-- note --></p> ";
    let long = |text: &str| text.bytes().cycle().take(1 << 14).collect::<Vec<u8>>();
    vec![
        ("40 bytes", prose.as_bytes()[..40].to_vec()),
        ("words", vec![b'a'; 1 << 14]),
        ("prose", long(prose)),
        ("form", long(form)),
        ("paths", long(path)),
        ("JSON", long(json)),
        ("HTML", long(html)),
        ("UTF-8", long("Grüße aus Zürich, 東京 — ça va. ")),
        ("zeros", vec![0; 1 << 14]),
    ]
}
