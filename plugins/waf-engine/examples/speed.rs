//! How long the engine takes for a request, natively: `speed [--plain] [--rules] [--only=KIND] [--for=MILLISECONDS] [--requests=FILE] RULES...`,
//! in SecLang's order; `--bombs` takes bodies of 1 MiB that are made to be slow instead. Prints for each kind of request the median of many runs; with `--rules` also which rules took the most of it. With a
//! file of requests (each after its length in decimal and a newline) it prints one line of JSON: the mean over all of them, for `make bench-waf`.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::ExitCode,
    sync::OnceLock,
    time::{Duration, Instant},
};

use waf_engine::{
    seclang::Loader,
    transaction::{Cost, Engine, Start, Transaction},
    trial::{self, Memory, Request, Response},
    world::{Ends, Files},
};

struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        fs::read(path).map_err(|error| format!("{path}: {error}"))
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (folder, name) = pattern.rsplit_once('/').unwrap_or((".", pattern));
        let Some((before, after)) = name.split_once('*') else {
            return Ok(if Path::new(pattern).exists() { vec![pattern.to_owned()] } else { Vec::new() });
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))? {
            let name = entry.map_err(|error| error.to_string())?.file_name().to_string_lossy().into_owned();
            if name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after) {
                found.push(format!("{folder}/{name}"));
            }
        }
        found.sort();
        Ok(found)
    }
}

fn main() -> ExitCode {
    let (options, files): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let has = |name: &str| options.iter().any(|option| option == name);
    let mut loader = Loader::new(&Disk);
    for file in &files {
        loader.file(file);
    }
    let began = Instant::now();
    let rules = match loader.finish() {
        Ok(loaded) => loaded.rules,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return ExitCode::FAILURE;
        }
    };
    let engine = if has("--plain") { Engine::plain(rules) } else { Engine::new(rules) };
    if let Some(path) = options.iter().find_map(|option| option.strip_prefix("--requests=")) {
        return match recorded(path) {
            Ok(requests) => mean(&engine, &requests),
            Err(error) => {
                eprintln!("{path}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    println!("loaded in {:?}", began.elapsed());
    if has("--bombs") {
        bombs(&engine);
        return ExitCode::SUCCESS;
    }
    let only = options.iter().find_map(|option| option.strip_prefix("--only=")).unwrap_or_default();
    for (name, request) in requests().into_iter().filter(|(name, _)| name.contains(only)) {
        measure(&engine, name, &request, has("--rules"));
    }
    ExitCode::SUCCESS
}

/// The load generator's file.
fn recorded(path: &str) -> Result<Vec<Request>, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let mut rest = &bytes[..];
    let mut requests = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or("a length without a newline")?;
        let length =
            str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<usize>().ok()).ok_or("no length")?;
        let request = rest.get(end + 1..end + 1 + length).ok_or("cut off")?;
        requests.push(trial::first_request(request).ok_or("no request")?);
        rest = &rest[end + 1 + length..];
    }
    if requests.is_empty() { Err("no requests".into()) } else { Ok(requests) }
}

/// Processor time of this program so far, which has one thread: what it costs, however busy the machine is. Of Linux; elsewhere the wall's.
fn processor() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let text = fs::read_to_string("/proc/self/schedstat").ok();
    let nanoseconds = text.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGAN.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// All requests in turn, as one worker would judge them.
fn mean(engine: &Engine, requests: &[Request]) -> ExitCode {
    let world = Memory::new(now);
    let start = start();
    let mut transaction = Transaction::begin(engine, &start);
    let mut rounds = 0_u32;
    let mut began = processor();
    // The first half second fills what is built when it is first needed.
    let mut warm = false;
    loop {
        for request in requests {
            transaction.restart(engine, &start);
            trial::judge(engine, &world, &mut transaction, request, &answer);
        }
        rounds += 1;
        let elapsed = processor() - began;
        if !warm && elapsed.as_millis() >= 500 {
            (warm, rounds, began) = (true, 0, processor());
        } else if warm && elapsed.as_millis() >= 2000 && rounds >= 3 {
            let count = f64::from(rounds) * requests.len() as f64;
            println!("{{\"us_request\": {:.3}}}", elapsed.as_secs_f64() * 1e6 / count);
            return ExitCode::SUCCESS;
        }
    }
}

/// What each body of 1 MiB costs; the slowest first.
fn bombs(engine: &Engine) {
    const MIB: usize = 1 << 20;
    const FORM: &str = "application/x-www-form-urlencoded";
    let fill = |piece: &str| piece.repeat(MIB / piece.len());
    let part = "--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nb\r\n";
    let mut bodies: Vec<(String, &str, String)> = [
        "a",
        "a.",
        "a`",
        "=",
        "'",
        "\"",
        "(",
        "<",
        "<a ",
        "&",
        "&#x41;",
        "%25",
        "%u0041",
        "\\u0041",
        "\\",
        "/*",
        "*/",
        "../",
        "a=b&",
        "&&",
        " or 1=1 ",
        "select ",
        "union select ",
        "on=",
        "javascript:",
        "${",
        "$(",
        ";;",
        "--",
        "# ",
        "\t",
        "%00",
        "QUFB",
        "0x41",
        "1e1",
        "[",
        "{{",
        "é",
    ]
    .into_iter()
    .map(|piece| (format!("form: {piece:?}"), FORM, format!("x={}", fill(piece))))
    .collect();
    bodies.push(("json: [[[[".into(), "application/json", fill("[")));
    bodies.push((
        "json: one text of quotes".into(),
        "application/json",
        format!("{{\"a\":\"{}\"}}", fill("\\\"' or ")),
    ));
    bodies.push(("json: many numbers".into(), "application/json", format!("[{}1]", fill("1,"))));
    bodies.push(("json: many keys".into(), "application/json", format!("{{{}\"z\":1}}", fill("\"k\":\"'a' or b\","))));
    bodies.push(("xml: nested".into(), "application/xml", fill("<a>")));
    bodies.push(("xml: many attributes".into(), "application/xml", format!("<a {}/>", fill("b='c' "))));
    bodies.push(("xml: many elements".into(), "application/xml", format!("<a>{}</a>", fill("<b>c or d</b>"))));
    bodies.push((
        "multipart: many parts".into(),
        "multipart/form-data; boundary=b",
        format!("{}--b--\r\n", fill(part)),
    ));
    bodies.push((
        "multipart: near boundaries".into(),
        "multipart/form-data; boundary=b",
        format!("--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n{}", fill("\r\n--")),
    ));
    let world = Memory::new(now);
    let start = start();
    let mut transaction = Transaction::begin(engine, &start);
    let mut costs: Vec<(Duration, String)> = Vec::new();
    for (name, media, body) in bodies {
        let request = post(media, &body);
        let mut best = Duration::MAX;
        for _ in 0..2 {
            let before = processor();
            transaction.restart(engine, &start);
            trial::judge(engine, &world, &mut transaction, &request, &answer);
            best = best.min(processor() - before);
        }
        costs.push((best, name));
    }
    costs.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
    for (cost, name) in costs {
        println!("{:>9.1} ms  {name}", cost.as_secs_f64() * 1e3);
    }
}

fn start() -> Start<'static> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ends = Ends { client: loopback, client_port: 40000, server: loopback, server_port: 80 };
    Start { ends, id: "1763745600.000001", mode: None, route: "" }
}

fn measure(engine: &Engine, name: &str, request: &Request, by_rule: bool) {
    let world = Memory::new(now);
    let start = start();
    let mut transaction = Transaction::begin(engine, &start);
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < 10 || began.elapsed().as_millis() < milliseconds() {
        let before = Instant::now();
        transaction.restart(engine, &start);
        trial::judge(engine, &world, &mut transaction, request, &answer);
        times.push(before.elapsed());
    }
    times.sort();
    let logged: Vec<_> = transaction.matches().iter().filter(|found| found.log).map(|found| found.rule).collect();
    println!("{name:24} {:>10.1?} (least {:.1?})  {logged:?}", times[times.len() / 2], times[0]);
    if by_rule {
        // The least of many rounds, for each rule by itself: what else runs on this machine does not count.
        transaction.measure();
        let mut least: Vec<Cost> = Vec::new();
        let mut before: Vec<Cost> = Vec::new();
        for _ in 0..200 {
            transaction.restart(engine, &start);
            trial::judge(engine, &world, &mut transaction, request, &answer);
            let costs = transaction.costs();
            for (index, cost) in costs.iter().enumerate() {
                let mut round = *cost;
                if let Some(before) = before.get(index) {
                    round.visits -= before.visits;
                    round.matches -= before.matches;
                    round.nanoseconds -= before.nanoseconds;
                }
                match least.get_mut(index) {
                    Some(least) => least.nanoseconds = least.nanoseconds.min(round.nanoseconds),
                    None => least.push(round),
                }
            }
            before = costs.to_vec();
        }
        least.retain(|cost| cost.visits > 0);
        least.sort_by_key(|cost| std::cmp::Reverse(cost.nanoseconds));
        let sum: u64 = least.iter().map(|cost| cost.nanoseconds).sum();
        println!("    {} rules visited, {sum} ns in all", least.len() - 1);
        for cost in least {
            println!(
                "    {:8} {:>6} ns, {} visits, {} matches",
                cost.rule, cost.nanoseconds, cost.visits, cost.matches
            );
        }
    }
}

fn now() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    1_763_745_600_000_000_000 + u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(0)
}

fn answer(_: &Request) -> Response {
    Response {
        status: 200,
        protocol: b"HTTP/1.1".to_vec(),
        fields: vec![
            (b"Content-Type".to_vec(), b"application/octet-stream".to_vec()),
            (b"Content-Length".to_vec(), b"2".to_vec()),
        ],
        body: b"ok".to_vec(),
    }
}

/// The kinds of request that the project's figures are about.
fn requests() -> Vec<(&'static str, Request)> {
    let form: String = (0..20).map(|n| format!("field{n}=some+value+that+a+person+typed+{n}%2C+with+words&")).collect();
    let item = r#"{"id":12345,"name":"A thing of some kind","tags":["red","blue"],"price":12.5,"note":"ordinary text, nothing else"},"#;
    let json = |bytes: usize| format!("[{}{{}}]", item.repeat(bytes / item.len()));
    vec![
        ("plain GET", get("/index.html")),
        ("GET, five arguments", get("/search?q=wooden+table&page=2&sort=price&order=asc&lang=en")),
        ("form, 1 KiB", post("application/x-www-form-urlencoded", &form[..1024])),
        ("JSON, 4 KiB", post("application/json", &json(4096))),
        ("JSON, 64 KiB", post("application/json", &json(65536))),
        ("attack: SQL", get("/item?id=1%27%20UNION%20SELECT%20password%20FROM%20users--")),
        ("attack: script", get("/item?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E")),
        ("attack: path", get("/download?file=../../../../etc/passwd")),
    ]
}

fn get(target: &str) -> Request {
    let fields = [
        ("Host", "shop.example.com"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Referer", "https://shop.example.com/catalogue"),
        ("Cookie", "session=4f2a9c1e7b8d4e6f9a0b1c2d3e4f5a6b; theme=dark; consent=yes"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    Request {
        method: b"GET".to_vec(),
        target: target.as_bytes().to_vec(),
        protocol: b"HTTP/1.1".to_vec(),
        fields: fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        body: Vec::new(),
    }
}

fn post(media: &str, body: &str) -> Request {
    let mut request = get("/api/items");
    request.method = b"POST".to_vec();
    request.body = body.as_bytes().to_vec();
    for (name, value) in [("Content-Type", media), ("Content-Length", &body.len().to_string())] {
        request.fields.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    request
}

/// `--for=MILLISECONDS`: how long each kind of request is repeated.
fn milliseconds() -> u128 {
    let chosen = std::env::args().find_map(|argument| argument.strip_prefix("--for=")?.parse().ok());
    chosen.unwrap_or(700)
}
