//! Patterns beside PCRE2 itself: the Core Rule Set's on values made from each pattern's own tree, and random small patterns.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{syntax::*, *};
use crate::{bytes::ByteSet, needs::Clause};

/// `PCRE2_DOLLAR_ENDONLY | PCRE2_DOTALL`.
const FLAGS: u32 = 0x10 | 0x20;
const OPTIONS: Options = Options { ignore_case: false, backtrack_limit: 1_000_000 };

/// Numbers that look random, the same in every run.
pub(in crate::pattern) struct Chance(u64);

impl Chance {
    pub(in crate::pattern) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(in crate::pattern) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

/// A string that the pattern matches but for its assertions and back-references.
pub(in crate::pattern) fn sample(node: &Node, chance: &mut Chance, out: &mut Vec<u8>) {
    match node {
        Node::Class(set) => {
            let all: Vec<u8> = set.iter().collect();
            let plain: Vec<u8> = set.iter().filter(|byte| (0x20..0x7f).contains(byte)).collect();
            let bytes = if plain.is_empty() || chance.below(8) == 0 { &all } else { &plain };
            if !bytes.is_empty() {
                out.push(bytes[chance.below(bytes.len())]);
            }
        }
        Node::Concat(parts) => parts.iter().for_each(|part| sample(part, chance, out)),
        Node::Alternate(branches) => sample(&branches[chance.below(branches.len())], chance, out),
        Node::Repeat { min, max, body, .. } => {
            let most = max.unwrap_or(min + 3).min(min + 3);
            for _ in 0..*min as usize + chance.below((most - min) as usize + 1) {
                if out.len() < 2000 {
                    sample(body, chance, out);
                }
            }
        }
        Node::Capture(_, body) | Node::Atomic(body) | Node::Around { negated: false, body, .. } => {
            sample(body, chance, out);
        }
        Node::Conditional { yes, .. } => sample(yes, chance, out),
        Node::Newline => out.extend_from_slice(b"\r\n"),
        Node::Empty | Node::Assert(_) | Node::Around { .. } | Node::BackReference { .. } | Node::KeepOut => {}
    }
}

/// A value around and beside a sample.
pub(in crate::pattern) fn value(node: &Node, chance: &mut Chance) -> Vec<u8> {
    const AROUND: &[&[u8]] = &[b"", b"", b" ", b"\n", b"x", b"a=", b"'", b"\xc3\xa9", b"foo bar", b"(", b"1"];
    let mut out = AROUND[chance.below(AROUND.len())].to_vec();
    sample(node, chance, &mut out);
    if chance.below(4) == 0 {
        sample(node, chance, &mut out);
    }
    out.extend_from_slice(AROUND[chance.below(AROUND.len())]);
    for _ in 0..chance.below(3) {
        if !out.is_empty() {
            let at = chance.below(out.len());
            match chance.below(3) {
                0 => drop(out.remove(at)),
                1 => out[at] = chance.below(256) as u8,
                _ => out.insert(at, out[chance.below(out.len())]),
            }
        }
    }
    out
}

pub(in crate::pattern) fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("PORTCULLIS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    path.join("waf").is_dir().then_some(path)
}

/// Every pattern of the rule files there are, with its file and line; says what there is not.
pub(crate) fn crs() -> Vec<(String, Vec<u8>)> {
    let mut folders = vec![PathBuf::from("/usr/share/modsecurity-crs/rules")];
    folders.extend(shared().map(|shared| shared.join("waf/crs-v4.28.0/rules")));
    if folders.len() < 2 {
        eprintln!("SKIPPED: no shared test data");
    }
    let mut found = Vec::new();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            eprintln!("SKIPPED: there is no {}", folder.display());
            continue;
        };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "conf")) {
            for (line, text) in logical_lines(&std::fs::read(file).unwrap()) {
                let Some(argument) = rx(&text) else { continue };
                found.push((format!("{}:{line}", file.display()), argument));
            }
        }
    }
    found
}

/// Lines with those joined that end in a backslash, without comments.
fn logical_lines(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let (line, more) = line.strip_suffix(b"\\").map_or((line, false), |line| (line, true));
        match lines.last_mut() {
            Some((_, last)) if goes_on => last.extend_from_slice(line),
            _ => lines.push((index + 1, line.to_vec())),
        }
        goes_on = more;
    }
    lines.retain(|(_, line)| line.trim_ascii_start().starts_with(b"SecRule "));
    lines
}

/// The pattern of a `SecRule VARIABLES "@rx ..." "..."`, escapes of the quotes taken off.
fn rx(line: &[u8]) -> Option<Vec<u8>> {
    let mut rest = line.trim_ascii_start().strip_prefix(b"SecRule ")?.trim_ascii_start();
    // The variables may have blanks in selectors, but then they are quoted.
    let end = if rest[0] == b'"' { 1 + rest[1..].iter().position(|&byte| byte == b'"')? } else { 0 };
    rest = rest[end + rest[end..].iter().position(|&byte| byte == b' ')?..].trim_ascii_start();
    let rest = rest.strip_prefix(b"\"")?;
    let mut argument = Vec::new();
    let mut bytes = rest.iter().copied();
    loop {
        match bytes.next()? {
            b'"' => break,
            b'\\' => match bytes.next()? {
                b'"' => argument.push(b'"'),
                other => argument.extend_from_slice(&[b'\\', other]),
            },
            byte => argument.push(byte),
        }
    }
    let argument = argument.strip_prefix(b"!").unwrap_or(&argument);
    Some(argument.strip_prefix(b"@rx ")?.to_vec())
}

/// What the peer says: for each pattern whether it compiles, and what it finds in each value. `None`: there is no peer.
fn ask(cases: &[(Vec<u8>, Vec<Vec<u8>>)]) -> Option<Vec<(String, Vec<String>)>> {
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let mut script = String::new();
    for (pattern, values) in cases {
        let _ = writeln!(script, "P {FLAGS} {}", hex(pattern));
        for value in values {
            let _ = writeln!(script, "V {}", hex(value));
        }
    }
    let program = include_str!("../../tests/peers/pcre2.py");
    let child = Command::new("python3").args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: no python3");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    // The peer answers at the end, so nothing can block.
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        eprintln!("SKIPPED: no libpcre2-8");
        return None;
    }
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap().to_owned();
    Some(cases.iter().map(|(_, values)| (next(), values.iter().map(|_| next()).collect())).collect())
}

fn show(groups: &Groups) -> String {
    let count = groups.0.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let mut text = String::new();
    for group in &groups.0[..count] {
        text.push_str(if text.is_empty() { "" } else { " " });
        let _ = match group {
            Some(range) => write!(text, "{},{}", range.start, range.end),
            None => write!(text, "."),
        };
    }
    text
}

/// Whether a value has what is needed.
fn fulfilled(needs: &Needs, value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    value.len() >= needs.length
        && needs.clauses.iter().all(|clause| match clause {
            Clause::Bytes(set) => set.meets(&ByteSet::of(value)),
            Clause::Literals(all) => {
                all.iter().any(|literal| lower.windows(literal.len()).any(|part| part == &**literal))
            }
        })
}

/// Whether a repetition can have rounds that take nothing: where those are counted differs between the engines.
fn empty_rounds(node: &Node) -> bool {
    match node {
        Node::Repeat { max: None, body, .. } => follow::Follow::of(body).may_be_empty() || empty_rounds(body),
        Node::Repeat { body, .. } | Node::Capture(_, body) | Node::Atomic(body) | Node::Around { body, .. } => {
            empty_rounds(body)
        }
        Node::Concat(parts) | Node::Alternate(parts) => parts.iter().any(empty_rounds),
        _ => false,
    }
}

/// Differences, at most one a pattern.
fn compare(named: &[(String, Vec<u8>)], values: impl Fn(usize, &Node) -> Vec<Vec<u8>>) -> Option<(usize, Vec<String>)> {
    let cases: Vec<(Vec<u8>, Vec<Vec<u8>>)> = named
        .iter()
        .enumerate()
        .map(|(index, (_, source))| {
            let parsed = parser::parse(source, false);
            (source.clone(), parsed.map(|parsed| values(index, &parsed.node)).unwrap_or_default())
        })
        .collect();
    let answers = ask(&cases)?;
    let mut matches = 0;
    let mut differences = Vec::new();
    for (((name, source), (_, values)), (compiled, answers)) in named.iter().zip(&cases).zip(answers) {
        let text = String::from_utf8_lossy(&source[..source.len().min(300)]).into_owned();
        let pattern = match Pattern::new(source, OPTIONS) {
            Ok(pattern) => pattern,
            Err(_) if compiled != "ok" => continue,
            Err(error) => {
                differences.push(format!("{name}: `{text}`: {error}; the peer takes it"));
                continue;
            }
        };
        // What PCRE2 refuses and PCRE 8, Perl or the engine here read.
        let lenient =
            ["quantifier does not follow", "invalid range in character class", "lookbehind assertion is not fixed"];
        if lenient.iter().any(|text| compiled.contains(text)) {
            continue;
        }
        if compiled != "ok" {
            differences.push(format!("{name}: `{text}`: taken here, and the peer says {compiled}"));
            continue;
        }
        let places = !parser::parse(source, false).is_ok_and(|parsed| empty_rounds(&parsed.node));
        for (value, answer) in values.iter().zip(answers) {
            let mut groups = Groups::default();
            let ours = match pattern.groups(value, &mut groups) {
                Ok(true) => {
                    assert!(fulfilled(&pattern.needs(), value), "{name}: `{text}` on \"{}\"", value.escape_ascii());
                    show(&groups)
                }
                Ok(false) => "-".into(),
                Err(LimitExceeded) => "limit".into(),
            };
            assert_eq!(pattern.is_match(value), pattern.groups(value, &mut groups), "{name}: `{text}`");
            matches += usize::from(ours != "-");
            let same = answer == ours || (!places && answer != "-" && ours != "-");
            if answer != "limit" && ours != "limit" && !same {
                let value = value.escape_ascii();
                differences.push(format!("{name}: `{text}` on \"{value}\": {ours} here, {answer} by the peer"));
                break;
            }
        }
    }
    Some((matches, differences))
}

/// A number from the environment.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn all_of_crs_compiles() {
    let mut backtracking = 0;
    for (name, source) in crs() {
        let pattern = Pattern::new(&source, OPTIONS).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(reason) = pattern.backtracks() {
            backtracking += 1;
            eprintln!("{name} backtracks: {reason}");
        }
    }
    // Look-behind in 920120, a back-reference in 942130, look-ahead in 953120.
    assert!(backtracking <= 3, "{backtracking} patterns of CRS backtrack");
}

#[test]
fn crs_finds_what_pcre_finds() {
    let named = crs();
    let rounds = number("PATTERN_ROUNDS", 12);
    let Some((matches, differences)) = compare(&named, |index, node| {
        let mut chance = Chance::new(index as u64 + 1);
        (0..rounds).map(|_| value(node, &mut chance)).collect()
    }) else {
        return;
    };
    eprintln!("{} patterns, {matches} matches", named.len());
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(named.is_empty() || matches > named.len() * rounds / 10, "only {matches} matches");
}

/// A small pattern of few letters, so that many values match.
fn invent(chance: &mut Chance, depth: usize) -> String {
    const ATOMS: &[&str] = &[
        "a",
        "b",
        "c",
        "ab",
        ".",
        "\\n",
        "[ab]",
        "[^a]",
        "\\w",
        "\\s",
        "\\d",
        "\\W",
        "\\b",
        "\\B",
        "^",
        "$",
        "\\A",
        "\\z",
        "\\Z",
        "(?m)^",
        "(?m)$",
        "\\R",
        "\\N",
        "\\h",
        "\\1",
        "\\x61",
        "[[:alpha:]]",
        "(?i)",
        "(?-i)",
        "{",
        "}",
        "]",
        "a{2",
        "\\Qa.\\E",
        "[]a]",
        "[a\\]b]",
        "[\\w-]",
        "[b-]",
        "\\K",
        "(?s)",
        "(?-s)",
        "(?U)",
        "\\x{62}",
        "\\141",
        "[\\n\\x62]",
    ];
    const SUFFIXES: &[&str] =
        &["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,1}?", "*+", "++", "?+", "{1,}"];
    const OPEN: &[&str] = &["(", "(?:", "(?i:", "(?>", "(?=", "(?!", "(?<=", "(?<!", "(", "(?:", "(?|"];
    let mut text = String::new();
    for part in 0..1 + chance.below(4) {
        if part > 0 && chance.below(5) == 0 {
            text.push('|');
        }
        if depth > 0 && chance.below(3) == 0 {
            text.push_str(OPEN[chance.below(OPEN.len())]);
            text.push_str(&invent(chance, depth - 1));
            text.push(')');
        } else {
            let atoms = if chance.below(2) == 0 { &ATOMS[..8] } else { ATOMS };
            text.push_str(atoms[chance.below(atoms.len())]);
        }
        text.push_str(SUFFIXES[chance.below(SUFFIXES.len())]);
    }
    text
}

#[test]
fn invented_patterns_find_what_pcre_finds() {
    let count = number("PATTERN_COUNT", 1000);
    let seed = number("PATTERN_SEED", 7);
    let mut chance = Chance::new(seed as u64);
    let named: Vec<_> = (0..count).map(|index| (format!("{index}"), invent(&mut chance, 2).into_bytes())).collect();
    let Some((matches, differences)) = compare(&named, |index, node| {
        const BYTES: &[u8] = b"aaabbbcAB \n\r\n-_1.{\xa0";
        let mut chance = Chance::new(index as u64 + 1);
        let mut values: Vec<_> = (0..10).map(|_| value(node, &mut chance)).collect();
        values.extend(
            (0..10).map(|_| (0..chance.below(8)).map(|_| BYTES[chance.below(BYTES.len())]).collect::<Vec<u8>>()),
        );
        values
    }) else {
        return;
    };
    eprintln!("{count} patterns, {matches} matches");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Ordinary values, none of which is an attack.
pub(crate) const ORDINARY: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "gzip, deflate, br",
    "en-US,en;q=0.5",
    "www.example.com",
    "keep-alive",
    "/products/shoes/red-sneaker.html",
    "id",
    "page",
    "42",
    "red running shoes",
    "anna.muster@example.com",
    "2026-11-21T17:03:00Z",
    "session=0af7651916cd43dd8448eb211c80319c; theme=dark",
    "https://www.example.com/cart?step=2&from=search",
    "GET",
    "HTTP/1.1",
    "/search?q=red+shoes&sort=price&page=2",
    "application/json",
    "The quick brown fox jumps over the lazy dog. It was a nice day, and we went home at 5 o'clock.",
    "a7f3c1e0-9b1d-4f0e-8f43-2b1f2a1f7c11",
    "no-cache",
    "\"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"24\"",
    "?0",
    "document",
];

/// `cargo test needs_report -- --ignored --nocapture`: how well the needs choose, pattern by pattern.
#[test]
#[ignore = "prints figures and asserts nothing; run it by its name"]
fn needs_report() {
    let mut without = 0;
    let (mut passed, mut asked) = (0, 0);
    let named = crs();
    for (name, source) in &named {
        let needs = Pattern::new(source, OPTIONS).unwrap().needs();
        let count = ORDINARY.iter().filter(|value| fulfilled(&needs, value.as_bytes())).count();
        passed += count;
        asked += ORDINARY.len();
        without += usize::from(needs.clauses.is_empty());
        let clauses: Vec<String> = needs
            .clauses
            .iter()
            .map(|clause| match clause {
                Clause::Bytes(set) => format!("[{}]", set.iter().collect::<Vec<u8>>().escape_ascii()),
                Clause::Literals(all) => {
                    let text =
                        all.iter().map(|literal| literal.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
                    format!("{}: {}", all.len(), &text[..text.len().min(200)])
                }
            })
            .collect();
        let file = name.rsplit('/').next().unwrap_or(name);
        let text = String::from_utf8_lossy(&source[..source.len().min(100)]);
        println!(
            "{count:2} of {} pass, {} or more bytes, {file} `{text}`\n     {}",
            ORDINARY.len(),
            needs.length,
            clauses.join("\n     ")
        );
    }
    println!("{} patterns, {without} without clauses; {passed} of {asked} questions remain", named.len());
}

/// `cargo test memory_report -- --ignored --nocapture`: what automata and caches take.
#[test]
#[ignore = "prints figures and asserts nothing; run it by its name"]
fn memory_report() {
    for folder in ["modsecurity-crs", "crs-v4"] {
        let (mut count, mut fixed, mut grouping, mut fresh, mut used) = (0, 0, 0, 0, 0);
        let mut all = Vec::new();
        for (name, source) in crs().iter().filter(|(name, _)| name.contains(folder)) {
            let pattern = Pattern::new(source, OPTIONS).unwrap();
            count += 1;
            fixed += pattern.regular.size();
            grouping += pattern.grouping.as_ref().map_or(0, |grouping| grouping.size());
            fresh += pattern.regular.memory().size();
            for value in ORDINARY {
                let _ = pattern.is_match(value.as_bytes());
            }
            let kept = caches::with(&pattern.regular, |memory| memory.size());
            used += kept;
            all.push((pattern.regular.size(), kept, name.clone()));
        }
        all.sort();
        println!(
            "{folder}: {count} patterns, {fixed} bytes fixed, {grouping} for groups, caches {fresh} fresh, {used} after ordinary values"
        );
        for (fixed, cache, name) in all.iter().rev().take(12) {
            println!("    {fixed} {cache} {}", name.rsplit('/').next().unwrap());
        }
    }
}

/// `cargo test --release slowest_report -- --ignored --nocapture`: what long values cost that come close to a match.
#[test]
#[ignore = "prints times and asserts nothing; run it by its name, in release"]
fn slowest_report() {
    let length = number("PATTERN_LENGTH", 64 << 10);
    let mut all = Vec::new();
    for (index, (name, source)) in crs().iter().enumerate() {
        let pattern = Pattern::new(source, OPTIONS).unwrap();
        let node = parser::parse(source, false).unwrap().node;
        let mut chance = Chance::new(index as u64 + 1);
        let mut values: Vec<Vec<u8>> =
            [&b"a"[..], b"'", b"(", b" ", b"a=", b"1 "].map(|text| text.repeat(length / text.len())).to_vec();
        for repeated in [true, true, false] {
            let mut value = Vec::new();
            while value.len() < length {
                let mut part = Vec::new();
                sample(&node, &mut chance, &mut part);
                part.truncate(chance.below(part.len()));
                part.push(b'x');
                let times = if repeated { length / part.len() } else { 1 };
                value.extend(part.repeat(times));
            }
            values.push(value);
        }
        for (kind, value) in values.iter().enumerate() {
            let begin = std::time::Instant::now();
            let mut groups = Groups::default();
            let result = pattern.groups(value, &mut groups);
            let spent = begin.elapsed().as_nanos() as f64 / value.len() as f64;
            all.push((spent, format!("{} value {kind}: {result:?}", name.rsplit('/').next().unwrap())));
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (spent, name) in all.iter().take(25) {
        println!("{spent:8.1} ns a byte  {name}");
    }
}
