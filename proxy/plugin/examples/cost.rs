//! What a plugin's part in an exchange costs: `cargo run --release -p portcullis-plugin --example cost -- FILE [CONFIG]`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use portcullis_plugin::{
    BodyMode, Definition, Facts, Grants, Host, Isolation, Limits, Local, OnFailure, Plugin, RequestHead, ResponseHead,
    Settings,
};

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("a plugin's file");
    let config = args.next().unwrap_or_else(|| "{}".into());
    let module = Bytes::from(std::fs::read(file).expect("the file can be read"));
    for isolation in [Isolation::Worker, Isolation::Exchange] {
        let host = Host::new(Settings::default()).expect("a host");
        let definition = Definition {
            name: Arc::from("measured"),
            module: module.clone(),
            config: config.clone(),
            limits: Limits::default(),
            grants: Grants {
                log: true,
                metrics: true,
                clock: true,
                random: true,
                key_value: true,
                http: Some(Vec::new()),
            },
            isolation,
            on_failure: OnFailure::Refuse,
            workers: 1,
        };
        let begun = Instant::now();
        let plugin = Plugin::build(&host, definition).expect("a plugin");
        println!("{isolation:?}: built in {:?}, imaged: {}", begun.elapsed(), plugin.is_imaged());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(measure(plugin));
    }
}

async fn measure(plugin: Arc<Plugin>) {
    let (outbound, _requests) = tokio::sync::mpsc::channel(1);
    let local = Local::new(plugin.clone(), outbound);
    let mut fields = HeaderMap::new();
    for i in 0..10 {
        let name = HeaderName::from_bytes(format!("x-field-{i}").as_bytes()).expect("a name");
        fields.insert(name, HeaderValue::from_static("a value of some length, as they are"));
    }
    let wants = *plugin.declaration();
    let facts = || Facts {
        client: ([127, 0, 0, 1], 1).into(),
        peer: ([127, 0, 0, 1], 1).into(),
        tls: None,
        listener: "l".into(),
        route: "r".into(),
        request_id: "id".into(),
    };
    const ROUNDS: u32 = 20_000;
    for _ in 0..3 {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            let mut run = local.begin(facts);
            if wants.request_head {
                let head = RequestHead {
                    method: "GET",
                    https: true,
                    authority: "example.com",
                    target: "/",
                    version: http::Version::HTTP_11,
                    fields: &fields,
                };
                run.request_head(head).await.expect("a verdict");
            }
            if wants.response_head {
                run.response_head(ResponseHead { status: StatusCode::OK, fields: &fields }).await.expect("a verdict");
            }
        }
        println!("  exchange: {:?}", begun.elapsed() / ROUNDS);
    }
    if wants.request_body == BodyMode::Stream {
        for size in [16 << 10, 64 << 10] {
            let chunk = vec![b'x'; size];
            let mut run = local.begin(facts);
            let begun = Instant::now();
            for _ in 0..ROUNDS {
                run.request_body(&chunk, None).await.expect("a verdict");
            }
            let took: Duration = begun.elapsed();
            let rate = f64::from(ROUNDS) * size as f64 / took.as_secs_f64() / (1u64 << 30) as f64;
            println!("  {size} byte pieces: {:?} each, {rate:.2} GiB/s", took / ROUNDS);
        }
    }
}
