//! The answers, made once.

use portcullis_sdk::{RequestHead, Response};

use crate::{accept::prefers_json, config::Config};

/// The proxy takes responses of up to 1 MiB from a plugin; a page of that size says something else is wrong.
const LARGEST: usize = 256 << 10;

pub(crate) struct Pages {
    html: Response,
    json: Response,
}

impl Pages {
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        if !(200..=599).contains(&config.status) {
            return Err(format!(
                "status: {} is none that an answer can have: write one from 200 to 599, mostly 503",
                config.status
            ));
        }
        if let Some(json) = &config.json {
            serde_json::from_str::<serde::de::IgnoredAny>(json)
                .map_err(|error| format!("json: it is no JSON: {error}"))?;
        }
        for (key, text) in [("html", &config.html), ("json", &config.json)] {
            let size = text.as_ref().map_or(0, String::len);
            if size > LARGEST {
                return Err(format!("{key}: it has {size} bytes, and {LARGEST} are allowed"));
            }
        }
        let html = match &config.html {
            Some(html) => begin(config).html(html),
            // The page is known and has no scripts: so nothing else may run in it.
            None => begin(config)
                .field(
                    "content-security-policy",
                    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
                )
                .html(page(&config.title, &config.message)),
        };
        let json = config
            .json
            .clone()
            .unwrap_or_else(|| serde_json::json!({ "error": "maintenance", "message": config.message }).to_string());
        Ok(Self { html, json: begin(config).json(json) })
    }

    /// The answer that this client can read best.
    pub(crate) fn response(&self, head: &RequestHead) -> Response {
        if head.text("accept").is_some_and(prefers_json) { self.json.clone() } else { self.html.clone() }
    }
}

fn begin(config: &Config) -> Response {
    let response = Response::new(config.status).field("cache-control", "no-store").field("vary", "accept");
    match config.retry_after {
        Some(after) => response.field("retry-after", after.seconds_up().to_string()),
        None => response,
    }
}

fn page(title: &str, message: &str) -> String {
    let (title, message) = (escaped(title), escaped(message));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>body{{font:1.1em/1.5 system-ui,sans-serif;max-width:36em;margin:20vh auto;padding:0 1em}}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<p>{message}</p>\n</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
