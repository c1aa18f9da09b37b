//! Every shortcut of the engine, proved harmless: the quick engine and the plain one must come to the same, match by match, on the
//! tests of CRS, on the project's own requests and on random ones. `WAF_DIFFERENTIAL=all` takes all tests instead of some.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use waf_engine::{
    model::RuleSet,
    transaction::{Engine, Match},
    trial::{self, Request},
};

use crate::{
    backend, crs, ftw,
    support::{self, Source},
};

/// The same rules, compiled in both ways.
struct Pair {
    quick: Engine,
    plain: Engine,
}

impl Pair {
    fn new(rules: impl Fn() -> RuleSet) -> Self {
        Self { quick: Engine::new(rules()), plain: Engine::plain(rules()) }
    }

    /// What differs, if anything does.
    fn compare(&self, request: &Request) -> Option<String> {
        let judge = |engine: &Engine| {
            let (transaction, intervention) =
                trial::begin_and_judge(engine, &support::world(), &support::local(), request, &backend::answer);
            let mut variables: Vec<_> = transaction
                .variables(engine)
                .filter(|(name, _)| !name.eq_ignore_ascii_case(b"real_ip"))
                .map(|(name, value)| (name.escape_ascii().to_string(), value.escape_ascii().to_string()))
                .collect();
            variables.sort();
            (transaction.matches().to_vec(), intervention, variables)
        };
        let (quick, plain) = (judge(&self.quick), judge(&self.plain));
        if quick == plain {
            return None;
        }
        let shown = |found: &Match| {
            format!(
                "{} {} = {} ({}, {})",
                found.rule,
                found.variable.escape_ascii(),
                found.value.escape_ascii(),
                found.data.escape_ascii(),
                found.score
            )
        };
        let differences: Vec<_> = quick
            .0
            .iter()
            .filter(|found| !plain.0.contains(found))
            .map(|found| format!("only quick: {}", shown(found)))
            .chain(quick.2.iter().filter(|one| !plain.2.contains(one)).map(|one| format!("only quick: {one:?}")))
            .chain(
                plain
                    .0
                    .iter()
                    .filter(|found| !quick.0.contains(found))
                    .map(|found| format!("only plain: {}", shown(found))),
            )
            .chain(plain.2.iter().filter(|one| !quick.2.contains(one)).map(|one| format!("only plain: {one:?}")))
            .collect();
        let head = format!("{} {}", request.method.escape_ascii(), request.target.escape_ascii());
        Some(format!("{head}\n  {}", differences.join("\n  ")))
    }

    /// Compares all, on all cores.
    fn compare_all(&self, requests: &[Request]) {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Some(difference) = self.compare(request) {
                            panic!("{difference}");
                        }
                    }
                });
            }
        });
    }
}

fn all() -> bool {
    std::env::var("WAF_DIFFERENTIAL").is_ok_and(|value| value == "all")
}

/// Requests of the tests of CRS: each one, or every so many.
fn requests_of_crs(shared: &Path, step: usize) -> Vec<Request> {
    let tests = ftw::tests(&shared.join("crs-v4.28.0/tests/regression/tests"));
    let inputs = tests.iter().flat_map(|test| &test.stages).map(|stage| stage.input.bytes());
    inputs.flat_map(|bytes| trial::requests(&bytes)).step_by(if all() { 1 } else { step }).collect()
}

#[test]
fn crs_4_is_judged_the_same_with_and_without_shortcuts() {
    let Some(shared) = support::shared() else { return };
    let pair = Pair::new(|| crs::rules(&shared));
    let crs = requests_of_crs(&shared, 16);
    let random = random(&crs, if all() { 3000 } else { 120 }, 0x9e37_79b9_7f4a_7c15);
    pair.compare_all(&crs);
    pair.compare_all(&random);
}

#[test]
fn debians_crs_is_judged_the_same_with_and_without_shortcuts() {
    let Some(shared) = support::shared() else { return };
    let load = "/usr/share/modsecurity-crs/owasp-crs.load";
    if !Path::new(load).exists() {
        eprintln!("SKIPPED: Debian's modsecurity-crs is not installed");
        return;
    }
    let on = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n";
    let sources = [Source::Text("on", on), Source::File(load)];
    let pair = Pair::new(|| support::load(&shared, &sources).unwrap_or_else(|problems| panic!("{problems}")));
    let crs = requests_of_crs(&shared, 32);
    let random = random(&crs, if all() { 3000 } else { 60 }, 0xd1b5_4a32_d192_ed03);
    pair.compare_all(&crs);
    pair.compare_all(&random);
}

#[test]
fn the_own_rules_are_judged_the_same_with_and_without_shortcuts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = root.join("../waf/rules");
    let sources = [Source::Text("on", "SecRuleEngine On\n"), Source::File("baseline.conf")];
    let pair = Pair::new(|| support::load(&rules, &sources).unwrap_or_else(|problems| panic!("{problems}")));
    let mut requests = Vec::new();
    let mut open = vec![root.join("../../tests/conformance")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "http") {
                requests.extend(trial::requests(&fs::read(&path).unwrap()));
            }
        }
    }
    assert!(requests.len() > 100);
    let random = random(&requests, if all() { 3000 } else { 300 }, 0x2545_f491_4f6c_dd1d);
    pair.compare_all(&requests);
    pair.compare_all(&random);
}

/// Numbers that are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64 (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Requests put together from words of others, spelled in many ways, in all places where a client can put them.
fn random(sources: &[Request], count: usize, seed: u64) -> Vec<Request> {
    let mut chance = Chance(seed);
    let mut words: Vec<Vec<u8>> = Vec::new();
    for request in sources {
        for text in request.fields.iter().map(|(_, value)| value).chain([&request.target, &request.body]) {
            words.extend(text.split(|byte| b"&=; ".contains(byte)).map(<[u8]>::to_vec));
        }
    }
    words.retain(|word| !word.is_empty() && word.len() < 200);
    (0..count).map(|_| request(&mut chance, &words)).collect()
}

fn request(chance: &mut Chance, words: &[Vec<u8>]) -> Request {
    let pairs = |chance: &mut Chance, most: usize, encode: bool| {
        let mut text = Vec::new();
        for index in 0..chance.below(most) {
            if index > 0 {
                text.push(b'&');
            }
            let name = if chance.below(4) == 0 { value(chance, words) } else { b"q".to_vec() };
            for (part, end) in [(name, b'='), (value(chance, words), b' ')] {
                let part = if encode { escaped(&part) } else { part };
                text.extend_from_slice(&part);
                if end == b'=' {
                    text.push(end);
                }
            }
        }
        text
    };
    let mut target = b"/".to_vec();
    if chance.below(3) == 0 {
        target.extend(escaped(&value(chance, words)));
    }
    target.push(b'?');
    let encode = chance.below(3) > 0;
    target.extend(pairs(chance, 4, encode));
    let mut fields = vec![(b"Host".to_vec(), b"localhost".to_vec())];
    for name in [&b"User-Agent"[..], b"Referer", b"Cookie", b"Accept", b"X-Filename", b"Content-Encoding", b"Range"] {
        if chance.below(3) == 0 {
            fields.push((name.to_vec(), value(chance, words)));
        }
    }
    let mut body = Vec::new();
    let media: &[u8] = match chance.below(6) {
        0 => b"",
        1 | 2 => {
            body = pairs(chance, 5, encode);
            b"application/x-www-form-urlencoded"
        }
        3 => {
            let text = String::from_utf8_lossy(&value(chance, words)).into_owned();
            body = serde_json::json!({ "a": text, "b": [1, true, { text.clone(): text }] }).to_string().into_bytes();
            b"application/json"
        }
        4 => {
            body = [&b"<a b=\"c\"><d>"[..], &value(chance, words), b"</d></a>"].concat();
            b"text/xml"
        }
        _ => {
            let (name, text) = (value(chance, words), value(chance, words));
            let head = b"--x\r\nContent-Disposition: form-data; name=\"";
            body = [&head[..], &name, b"\"; filename=\"", &name, b"\"\r\n\r\n", &text, b"\r\n--x--\r\n"].concat();
            b"multipart/form-data; boundary=x"
        }
    };
    if !media.is_empty() {
        fields.push((b"Content-Type".to_vec(), media.to_vec()));
        fields.push((b"Content-Length".to_vec(), body.len().to_string().into_bytes()));
    }
    let method = chance.pick(&[&b"GET"[..], b"POST", b"PUT", b"OPTIONS"]).to_vec();
    Request { method, target, protocol: b"HTTP/1.1".to_vec(), fields, body }
}

/// A few words, spelled in a way that some transformation undoes.
fn value(chance: &mut Chance, words: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..=chance.below(3) {
        let mut word = chance.pick(words).clone();
        match chance.below(12) {
            0 => word.make_ascii_uppercase(),
            1 => word = escaped(&word),
            2 => word = word.iter().flat_map(|byte| format!("&#x{byte:x};").into_bytes()).collect(),
            3 => word = word.iter().flat_map(|byte| format!("\\x{byte:02x}").into_bytes()).collect(),
            4 => word = word.iter().flat_map(|byte| format!("%u00{byte:02x}").into_bytes()).collect(),
            5 => word = word.chunks(2).collect::<Vec<_>>().join(&b"/**/"[..]),
            6 => word = word.chunks(3).collect::<Vec<_>>().join(&b"\0"[..]),
            7 => word = word.chunks(1).collect::<Vec<_>>().join(*chance.pick::<&[u8]>(&[b"\\", b"^", b"\"", b"'"])),
            _ => {}
        }
        text.extend(word);
        text.extend_from_slice(chance.pick::<&[u8]>(&[b"", b" ", b"+", b"  ", b"/", b"../", b"\t"]));
    }
    text
}

fn escaped(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect()
}
