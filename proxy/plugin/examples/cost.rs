//! What the boundary between proxy and plugin costs, without a proxy: processor time of this thread per exchange, per piece of a body and
//! per instance, and memory per instance that is held.
//!
//!     cargo run --release -p portcullis-plugin --example cost                 # the tests' guests
//!     cargo run --release -p portcullis-plugin --example cost -- FILE CONFIG  # another one, with its table as JSON
//!     ... --held NUMBER --only WORD                                           # so many held instances; only rows with that word
//!
//! Times are medians of rounds with the least and the most, of the thread's own time as the kernel accounts it, so that other programs
//! disturb little.

use std::{
    error::Error,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use portcullis_plugin::{
    BodyEnd, BodyMode, Definition, Facts, Grants, Host, Isolation, Limits, Local, OnFailure, Plugin, RequestHead,
    ResponseHead, Run, Settings, Verdict,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What to measure.
struct Plan {
    /// A guest and its table; the tests' guests otherwise.
    file: Option<(PathBuf, String)>,
    held: u32,
    only: String,
}

fn main() -> Result<()> {
    let mut plan = Plan { file: None, held: 10_000, only: String::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next();
        match word.as_str() {
            "--held" => plan.held = value.ok_or("--held needs a number")?.parse()?,
            "--only" => plan.only = value.ok_or("--only needs a word")?,
            file => plan.file = Some((file.into(), value.unwrap_or_else(|| "{}".into()))),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, measure(&plan))
}

async fn measure(plan: &Plan) -> Result<()> {
    let good = PathBuf::from("target/plugins/test/good.wasm");
    let guests = match &plan.file {
        Some((file, config)) => vec![("it", file.clone(), config.clone())],
        None => ["heads", "reader-writer", "looker"]
            .map(|name| (name, good.clone(), format!("{{\"do\": \"{name}\"}}")))
            .to_vec(),
    };
    println!("| what | isolation | |");
    println!("| --- | --- | --- |");
    for isolation in [Isolation::Worker, Isolation::Exchange] {
        for (guest, file, config) in &guests {
            if guest.contains(&plan.only) {
                let (_host, local) = load(file, config, isolation, 100)?;
                show(guest, &local).await?;
            }
        }
        let (_, file, config) = &guests[0];
        if "held".contains(&plan.only) {
            let (_host, local) = load(file, config, isolation, plan.held)?;
            held(&local, plan.held).await?;
        }
    }
    Ok(())
}

/// All that a guest wants to see.
async fn show(guest: &str, local: &Rc<Local>) -> Result<()> {
    let wants = *local.plugin().declaration();
    if wants.request_head || wants.response_head {
        row(local, &format!("{guest}: heads of an exchange, µs"), &heads(local).await?, 1e-3);
    }
    if wants.response_body == BodyMode::Stream {
        for size in [1 << 10, 16 << 10, 64 << 10] {
            let each = pieces(local, size).await?;
            row(local, &format!("{guest}: a piece of {} KiB, µs", size >> 10), &each, 1e-3);
            let rates: Vec<f64> = each.iter().map(|nanos| size as f64 / nanos * 1e9 / f64::from(1 << 30)).collect();
            row(local, &format!("{guest}: pieces of {} KiB, GiB/s", size >> 10), &rates, 1.0);
        }
    }
    Ok(())
}

/// A guest, built as the proxy builds it, on this thread.
fn load(file: &Path, config: &str, isolation: Isolation, instances: u32) -> Result<(Arc<Host>, Rc<Local>)> {
    let host = Host::new(Settings::default())?;
    let module = fs::read(file).map_err(|error| format!("{}: {error}; `make plugins` builds it", file.display()))?;
    let definition = Definition {
        name: "measured".into(),
        module: module.into(),
        config: config.into(),
        // A machine that is busy with other things must not end a guest that is measured.
        limits: Limits { instances, time: Duration::from_secs(5), ..Limits::default() },
        grants: Grants {
            log: true,
            metrics: true,
            clock: true,
            random: true,
            key_value: true,
            http: Some(Vec::new()),
            ..Grants::default()
        },
        isolation,
        on_failure: OnFailure::Refuse,
        workers: 1,
    };
    let plugin = Plugin::build(&host, definition)?;
    // Nobody serves requests of guests here: they are answered with `unavailable`.
    let (outbound, _) = mpsc::channel(1);
    Ok((host, Local::new(plugin, outbound)))
}

/// Nanoseconds of an exchange in which the heads that are wanted are shown, by round.
async fn heads(local: &Rc<Local>) -> Result<Vec<f64>> {
    let wants = *local.plugin().declaration();
    let (request, response) = (request_fields(), response_fields());
    rounds(5_000, async || {
        let mut run = begin(local);
        if wants.request_head {
            expect(&run.request_head(request_head(&request)).await?)?;
        }
        if wants.response_head {
            expect(&run.response_head(ResponseHead { status: StatusCode::OK, fields: &response }).await?)?;
        }
        Ok(())
    })
    .await
}

/// Nanoseconds of a piece of a response's body of this size, by round.
async fn pieces(local: &Rc<Local>, size: usize) -> Result<Vec<f64>> {
    const PIECES: usize = 64;
    let piece = vec![b'a'; size];
    let each = rounds(100, async || {
        let mut run = begin(local);
        for _ in 1..PIECES {
            expect(&run.response_body(&piece, None).await?)?;
        }
        expect(&run.response_body(&piece, Some(BodyEnd::Complete(None))).await?)
    })
    .await?;
    Ok(each.into_iter().map(|nanos| nanos / PIECES as f64).collect())
}

/// Memory and time of instances that exchanges hold all at once, each after its request's head.
async fn held(local: &Rc<Local>, count: u32) -> Result<()> {
    let fields = request_fields();
    // What is made once is there before.
    expect(&begin(local).request_head(request_head(&fields)).await?)?;
    let (memory, start) = (resident()?, thread_nanos());
    let mut runs: Vec<Run> = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let mut run = begin(local);
        expect(&run.request_head(request_head(&fields)).await?)?;
        runs.push(run);
    }
    let each = (thread_nanos() - start) / f64::from(count);
    let kilobytes = resident()?.saturating_sub(memory) as f64 / f64::from(count) / 1024.0;
    row(local, &format!("{count} held: each, µs"), &[each], 1e-3);
    row(local, &format!("{count} held: each, KiB"), &[kilobytes], 1.0);
    let start = thread_nanos();
    drop(runs);
    let each = (thread_nanos() - start) / f64::from(count);
    row(local, &format!("{count} held: to give one back, µs"), &[each], 1e-3);
    Ok(())
}

fn begin(local: &Rc<Local>) -> Run {
    local.begin(|| {
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 4711));
        Facts {
            client,
            peer: client,
            server: ([192, 0, 2, 2], 80).into(),
            tls: None,
            listener: "web".into(),
            route: "all".into(),
            request_id: "3f2a9c5d7e8b4c6f".into(),
            absolute_target: None,
        }
    })
}

/// A guest that does not do its part would be measured as a fast one.
fn expect(verdict: &Verdict) -> Result<()> {
    match verdict {
        Verdict::Continue | Verdict::Edit(_) => Ok(()),
        Verdict::Respond(_) | Verdict::Close => Err(format!("the guest says {}", verdict.name()).into()),
    }
}

/// Seven rounds after one that warms up: nanoseconds of one call of `work` in each.
async fn rounds(count: u32, mut work: impl AsyncFnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut found = Vec::new();
    for round in 0..8 {
        let start = thread_nanos();
        for _ in 0..count {
            work().await?;
        }
        if round > 0 {
            found.push((thread_nanos() - start) / f64::from(count));
        }
    }
    Ok(found)
}

fn row(local: &Local, what: &str, values: &[f64], scale: f64) {
    let isolation = match local.plugin().definition().isolation {
        Isolation::Worker => "worker",
        Isolation::Exchange => "exchange",
    };
    let mut values: Vec<f64> = values.iter().map(|value| value * scale).collect();
    values.sort_by(f64::total_cmp);
    let median = values[values.len() / 2];
    match (values.first(), values.last()) {
        (Some(least), Some(most)) if values.len() > 1 => {
            println!("| {what} | {isolation} | {median:.2} [{least:.2}–{most:.2}] |");
        }
        _ => println!("| {what} | {isolation} | {median:.2} |"),
    }
}

fn request_head(fields: &HeaderMap) -> RequestHead<'_> {
    RequestHead {
        method: "GET",
        https: true,
        authority: "shop.example",
        target: "/catalogue/shoes?colour=green&page=2",
        version: Version::HTTP_11,
        fields,
    }
}

/// Ten, as a browser sends them.
fn request_fields() -> HeaderMap {
    fields(&[
        ("host", "shop.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://shop.example/catalogue"),
        ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; seen=1"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
    ])
}

/// Eight.
fn response_fields() -> HeaderMap {
    fields(&[
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "48211"),
        ("date", "Sat, 21 Nov 2026 14:00:00 GMT"),
        ("server", "origin"),
        ("cache-control", "private, max-age=0"),
        ("etag", "\"5f2a-61a8c0\""),
        ("vary", "Accept-Encoding"),
        ("set-cookie", "seen=2; Path=/; Secure; HttpOnly"),
    ])
}

fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
    list.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// Time that this thread has had a processor, in nanoseconds.
fn thread_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Bytes of memory that is this process's alone: pages of the image that instances share count for each of them in the resident size.
fn resident() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("the kernel does not say RssAnon")?;
    let kibibytes: u64 = line.split_whitespace().next().ok_or("RssAnon is empty")?.parse()?;
    Ok(kibibytes << 10)
}
