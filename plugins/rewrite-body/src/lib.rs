//! Replaces text in bodies as they stream by: literals and regular expressions, found across the borders of pieces, in bounded memory.
//!
//! [`Rules`] is what is looked for, [`Stream`] one body on its way through it. This file decides which bodies those are.

mod config;
mod media;
mod rules;
mod stream;

use portcullis_sdk::{Body, BodyEnd, Edits, Field, Plugin, RequestHead, ResponseHead, Verdict, Wants};

pub use self::{config::Config, rules::Rules, stream::Stream};

use self::media::Types;

/// Fields that speak of the very bytes of a body, and are wrong when those change.
const DIGESTS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];

/// The plugin.
pub struct RewriteBody {
    types: Types,
    ranges: bool,
    request: Rules,
    response: Rules,
}

/// The bodies of one exchange: none where there is nothing to do.
#[derive(Default)]
pub struct Exchange {
    request: Option<Stream>,
    response: Option<Stream>,
}

impl Plugin for RewriteBody {
    type Config = Config;
    type Exchange = Exchange;

    fn configure(config: Config) -> Result<Self, String> {
        let types = Types::new(&config.content_types).map_err(|why| format!("content_types: {why}"))?;
        let (request, response) = config.rules()?;
        Ok(Self { types, ranges: config.ranges, request, response })
    }

    fn wants(&self) -> Wants {
        let mut wants = Wants::new().request_head();
        if !self.request.is_empty() {
            wants = wants.request_body(Body::Stream);
        }
        if !self.response.is_empty() {
            wants = wants.response_head().response_body(Body::Stream);
        }
        wants
    }

    fn request_head(&self, exchange: &mut Exchange, head: &RequestHead) -> Verdict {
        let mut edits = Edits::new();
        if !self.request.is_empty() && self.rewrites(&head.fields) {
            exchange.request = Some(Stream::new());
            edits = without_digests(edits, &head.fields);
        }
        if !self.response.is_empty() {
            // Compressed text cannot be searched, and parts of the original do not fit to parts of what it becomes.
            if head.has("accept-encoding") {
                edits = edits.set("accept-encoding", "identity");
            }
            if !self.ranges {
                for name in ["range", "if-range"] {
                    if head.has(name) {
                        edits = edits.remove(name);
                    }
                }
            }
        }
        edits.into()
    }

    fn request_body(&self, exchange: &mut Exchange, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        rewrite(&self.request, &mut exchange.request, data, end)
    }

    fn response_head(&self, exchange: &mut Exchange, head: &ResponseHead) -> Verdict {
        // 206: where the part begins and ends is said of the original.
        if head.status == 206 || !self.rewrites(&head.fields) {
            return Verdict::Continue;
        }
        exchange.response = Some(Stream::new());
        let mut edits = without_digests(Edits::new(), &head.fields);
        if head.has("accept-ranges") {
            edits = edits.remove("accept-ranges");
        }
        // The tag names the original's bytes; as a weak one it names what they mean, and revalidating goes on working.
        if let Some(tag) = head.get("etag").filter(|tag| !tag.starts_with(b"W/")) {
            edits = edits.set("etag", [b"W/", tag].concat());
        }
        edits.into()
    }

    fn response_body(&self, exchange: &mut Exchange, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        rewrite(&self.response, &mut exchange.response, data, end)
    }
}

impl RewriteBody {
    /// Whether a body with these fields is searched: one of the types, and not compressed.
    fn rewrites(&self, fields: &[Field]) -> bool {
        let all = |name: &'static str| fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        let plain = all("content-encoding").all(|field| field.value.trim_ascii().eq_ignore_ascii_case(b"identity"));
        plain && all("content-type").next().and_then(Field::text).is_some_and(|kind| self.types.has(kind))
    }
}

fn without_digests(mut edits: Edits, fields: &[Field]) -> Edits {
    for name in DIGESTS {
        if fields.iter().any(|field| field.name.eq_ignore_ascii_case(name)) {
            edits = edits.remove(name);
        }
    }
    edits
}

fn rewrite(rules: &Rules, stream: &mut Option<Stream>, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
    match stream {
        None => Verdict::Continue,
        Some(stream) => Edits::new().data(stream.push(rules, data, end.is_some())).into(),
    }
}

portcullis_sdk::export!(RewriteBody);

#[cfg(test)]
mod tests;
