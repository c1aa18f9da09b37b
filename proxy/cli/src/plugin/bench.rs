//! `portcullis plugin bench`

use std::{
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use portcullis_plugin::{
    BodyEnd, BodyMode, Facts, Failure, Host, Isolation, Local, Plugin, RequestHead, ResponseHead, Settings,
    cache_folder,
};
use serde_json::{Value, json};

use super::{definition, load};
use crate::{
    outline,
    output::{Outcome, Paint, print, print_json},
};

const EXAMPLES: &str = "\
Examples:
  portcullis plugin bench geo-block.wasm
  portcullis plugin bench builtin:headers --config '{ \"response\": { \"preset\": \"strict\" } }' --seconds 5

What is measured is the plugin with the host around it, on one thread, without a proxy. An exchange has the heads of a request and
a response with ten fields each. Only a release build's figures say something about production.";

/// Pieces that bodies are streamed in, in bytes.
const PIECES: [usize; 2] = [16 << 10, 64 << 10];

/// The body that is shown to a plugin that holds bodies, if it takes so much.
const HELD: usize = 64 << 10;

/// Measure what a plugin costs: each exchange, each byte, and starting
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// The plugin's file, or builtin:NAME
    file: PathBuf,

    /// Its table, as a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    config: String,

    /// How long each figure is measured
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    seconds: f64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        ensure!(self.seconds >= 0.01 && self.seconds <= 600.0, "--seconds is a number from 0.01 to 600");
        let module = load(&self.file)?;
        let inspection =
            portcullis_plugin::inspect(&module).map_err(|error| anyhow!("{}: {error}", self.file.display()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut rows = Vec::new();
        let mut starts = json!({});
        for isolation in [Isolation::Worker, Isolation::Exchange] {
            let definition = definition(&inspection, &module, &self.config, isolation)?;
            let build = |cache: Option<PathBuf>| {
                let host = Host::new(Settings { cache, ..Settings::default() }).context("no plugin can be run here")?;
                let begun = Instant::now();
                let plugin = Plugin::build(&host, definition.clone())?;
                anyhow::Ok((plugin, begun.elapsed()))
            };
            if isolation == Isolation::Worker {
                let (_, cold) = build(None)?;
                // The cache is filled by the first of these.
                let warm = match cache_folder() {
                    Some(cache) => {
                        build(Some(cache.clone()))?;
                        Some(build(Some(cache))?.1)
                    }
                    None => None,
                };
                starts = json!({
                    "compiled_ms": milliseconds(cold),
                    "from_the_cache_ms": warm.map(milliseconds),
                });
            }
            let (plugin, _) = build(cache_folder())?;
            let name = if isolation == Isolation::Worker { "worker" } else { "exchange" };
            let measured = runtime
                .block_on(measure(&plugin, Duration::from_secs_f64(self.seconds)))
                .map_err(|failure| anyhow!("{} fails: {}", self.file.display(), failure.message))?;
            rows.extend(
                measured.into_iter().map(|(what, value)| json!({ "isolation": name, "what": what, "value": value })),
            );
            starts["image"] = plugin.is_imaged().into();
        }
        let value = json!({
            "file": self.file.display().to_string(),
            "file_bytes": inspection.size,
            "memory_at_start_bytes": inspection.memory,
            "start": starts,
            "costs": rows,
            "release_build": !cfg!(debug_assertions),
        });
        match self.json {
            true => print_json(&value)?,
            false => print(&outline::render(&value, Paint::for_stdout()))?,
        }
        Ok(Outcome::Well)
    }
}

type Measured = Vec<(String, Value)>;

/// All figures of one isolation.
async fn measure(plugin: &Arc<Plugin>, length: Duration) -> Result<Measured, Failure> {
    // Requests of the plugin have nobody to answer them: they fail at once.
    let (outbound, _) = tokio::sync::mpsc::channel(1);
    let local = Local::new(plugin.clone(), outbound);
    let wants = *plugin.declaration();
    let fields = fields();
    let mut measured = Measured::new();
    let heads = [wants.request_head.then_some("request"), wants.response_head.then_some("response")];
    let heads = heads.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    if !heads.is_empty() {
        let mut first = None;
        let each = repeat(length, async || {
            let begun = Instant::now();
            let memory = exchange(&local, &fields).await?;
            first.get_or_insert((begun.elapsed(), memory));
            Ok(())
        })
        .await?;
        measured.push((format!("heads of {heads}"), json!(microseconds(each))));
        if let Some((time, memory)) = first {
            measured.push(("the first exchange".into(), json!(microseconds(time))));
            measured.push(("memory of an instance".into(), json!(format!("{} KiB", memory >> 10))));
        }
    }
    for (name, mode, is_request) in
        [("request body", wants.request_body, true), ("response body", wants.response_body, false)]
    {
        match mode {
            BodyMode::None => {}
            BodyMode::Stream => {
                for size in PIECES {
                    let piece = body(size);
                    let mut run = local.begin(facts);
                    let each = repeat(length, async || show(&mut run, is_request, &piece, None).await).await?;
                    measured.push((format!("{name}, pieces of {} KiB", size >> 10), rate(size, each)));
                }
            }
            BodyMode::Hold { limit, .. } => {
                let size = limit.min(HELD);
                let piece = body(size);
                let each = repeat(length, async || {
                    let mut run = local.begin(facts);
                    show(&mut run, is_request, &piece, Some(BodyEnd::Complete(None))).await
                })
                .await?;
                measured.push((format!("{name}, {} KiB held", size >> 10), rate(size, each)));
            }
        }
    }
    Ok(measured)
}

async fn exchange(local: &Rc<Local>, fields: &HeaderMap) -> Result<u64, Failure> {
    let wants = *local.plugin().declaration();
    let mut run = local.begin(facts);
    if wants.request_head {
        let head = RequestHead {
            method: "GET",
            https: true,
            authority: "www.example.com",
            target: "/products/7?color=blue",
            version: Version::HTTP_11,
            fields,
        };
        run.request_head(head).await?;
    }
    if wants.response_head {
        run.response_head(ResponseHead { status: StatusCode::OK, fields }).await?;
    }
    Ok(run.memory())
}

async fn show(
    run: &mut portcullis_plugin::Run,
    is_request: bool,
    piece: &[u8],
    end: Option<BodyEnd<'_>>,
) -> Result<(), Failure> {
    match is_request {
        true => run.request_body(piece, end).await.map(drop),
        false => run.response_body(piece, end).await.map(drop),
    }
}

/// The median of the time that `work` takes, over batches until `length` is over.
async fn repeat(length: Duration, mut work: impl AsyncFnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let begun = Instant::now();
    // Reading the clock costs about as much as a small plugin: once for each batch.
    work().await?;
    let mut batches = Vec::new();
    let mut size = 1u32;
    while batches.len() < 5 || begun.elapsed() < length {
        let batch = Instant::now();
        for _ in 0..size {
            work().await?;
        }
        let took = batch.elapsed();
        batches.push(took / size);
        if took < Duration::from_micros(500) {
            size = size.saturating_mul(2);
            batches.clear();
        }
        tokio::task::yield_now().await;
    }
    let middle = batches.len() / 2;
    Ok(*batches.select_nth_unstable(middle).1)
}

fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(http::header::HOST, HeaderValue::from_static("www.example.com"));
    for name in [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "cookie",
        "content-type",
        "referer",
        "user-agent",
        "x-a",
    ] {
        fields.insert(HeaderName::from_static(name), HeaderValue::from_static("a value of some length, as they are"));
    }
    fields
}

/// Text, so that a plugin that looks for something has to look.
fn body(size: usize) -> Bytes {
    b"The quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(size).collect()
}

fn facts() -> Facts {
    Facts {
        client: ([192, 0, 2, 1], 40000).into(),
        peer: ([192, 0, 2, 1], 40000).into(),
        server: ([192, 0, 2, 2], 443).into(),
        tls: None,
        listener: "bench".into(),
        route: "bench".into(),
        request_id: "0123456789abcdef".into(),
        absolute_target: None,
    }
}

fn rate(size: usize, each: Duration) -> Value {
    let rate = size as f64 / each.as_secs_f64() / (1u64 << 30) as f64;
    json!(format!("{rate:.2} GiB/s ({})", microseconds(each)))
}

fn microseconds(time: Duration) -> String {
    format!("{:.2} us", time.as_nanos() as f64 / 1000.0)
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
