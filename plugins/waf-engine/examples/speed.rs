//! How long the engine takes for a request, natively: `speed [--plain] [--rules] FILE...`, in SecLang's order. Prints for each kind of
//! request the median of many runs; with `--rules` also which rules took the most of it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::ExitCode,
    sync::OnceLock,
    time::Instant,
};

use waf_engine::{
    seclang::Loader,
    transaction::{Engine, Start, Transaction},
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
    println!("loaded in {:?}", began.elapsed());
    for (name, request) in requests() {
        if std::env::var("SPEED_ONLY").is_ok_and(|only| !name.contains(&only)) {
            continue;
        }
        measure(&engine, name, &request, has("--rules"));
    }
    ExitCode::SUCCESS
}

fn measure(engine: &Engine, name: &str, request: &Request, by_rule: bool) {
    let world = Memory::new(now);
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ends = Ends { client: loopback, client_port: 40000, server: loopback, server_port: 80 };
    let start = Start { ends, id: "1763745600.000001", mode: None, route: "" };
    let mut transaction = Transaction::begin(engine, &start);
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < 10
        || (began.elapsed().as_millis() < std::env::var("SPEED_MS").map_or(700, |ms| ms.parse().unwrap())
            && times.len() < 2_000_000)
    {
        let before = Instant::now();
        transaction.restart(engine, &start);
        trial::judge(engine, &world, &mut transaction, request, &answer);
        times.push(before.elapsed());
    }
    times.sort();
    let logged: Vec<_> = transaction.matches().iter().filter(|found| found.log).map(|found| found.rule).collect();
    println!("{name:24} {:>10.1?} (least {:.1?})  {logged:?}", times[times.len() / 2], times[0]);
    if by_rule {
        transaction.measure();
        let rounds = 200;
        for _ in 0..rounds {
            transaction.restart(engine, &start);
            trial::judge(engine, &world, &mut transaction, request, &answer);
        }
        let mut costs = transaction.costs().to_vec();
        let (visited, all): (usize, u64) =
            (costs.iter().filter(|cost| cost.visits > 0).count(), costs.iter().map(|cost| cost.nanoseconds).sum());
        costs.sort_by_key(|cost| std::cmp::Reverse(cost.nanoseconds));
        println!("    {visited} rules visited, {} ns in all", all / rounds);
        for cost in costs.iter().take(25) {
            println!(
                "    {:8} {:>8} ns {:>5.1} visits {:>4.1} matches",
                cost.rule,
                cost.nanoseconds / rounds,
                cost.visits as f64 / rounds as f64,
                cost.matches as f64 / rounds as f64
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
