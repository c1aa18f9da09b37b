//! `[plugin.NAME]`, and `plugins` of a route.

use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Map as Object;

use super::{
    At, List, Read,
    choice::choice,
    json::Json,
    number::Whole,
    table::table,
    text::{Problem, Written},
    unit::{Bytes, Within},
};
use crate::{
    diagnostic::Sink,
    names::{BackendName, PluginName},
    plugin::{Isolation, OnFailure, Reference},
    tree::{Kind, Node},
};

/// The page of a WebAssembly memory, and as much as 32 bits address.
pub(crate) const PAGE: u64 = 64 << 10;
const LARGEST: u64 = 4 << 30;

table! {
    /// A WebAssembly guest in the way of exchanges.
    Plugin {
        /// Its code: a file, `builtin:NAME` for one that comes with portcullis, or `oci://REGISTRY/REPOSITORY:TAG` (also with
        /// `@sha256:...`) for one that `portcullis plugin pull` has fetched.
        module: Module = required,
        /// The SHA-256 that the code must have: 64 hexadecimal digits. Default: any.
        sha256: Digest,
        /// `exchange`: a fresh instance for each exchange; `worker`: each worker keeps instances. Default `worker`.
        isolation: Isolation,
        /// When it fails: `refuse` the exchange with 503, or `continue` without it. Default `refuse`.
        on_failure: OnFailure,
        /// What it may use.
        limits: PluginLimits,
        /// What it may call. Default: nothing.
        grants: Grants,
        /// Its own table; what is in it, the plugin decides.
        config: Json,
    }
}

table! {
    /// What a plugin may use.
    PluginLimits {
        /// Memory of one instance, rounded up to 64KiB. Default 64MiB, at most 4GiB.
        memory: Bytes<PAGE, LARGEST>,
        /// Of a processor, for one call of a phase. Default 50ms, at most 10s.
        time: Within<1, 10_000>,
        /// Wall clock for one call, what it waits for included; at least `time`. Default 5s, at most 60s.
        wait: Within<1, 60_000>,
        /// Instances at once, over all workers. Default 1000, at most 20000.
        instances: Whole<1, 20_000>,
        /// Bytes of the values that its instances share. Default 1MiB, at most 1GiB.
        key_value: Bytes<0, { 1 << 30 }>,
    }
}

table! {
    /// What a plugin may call: its imports, each by its name.
    Grants {
        /// Lines in the log. Default false, true for `builtin:`.
        log: bool,
        /// Counters, gauges and histograms. Default false, true for `builtin:`.
        metrics: bool,
        /// The time. Default false, true for `builtin:`.
        clock: bool,
        /// Random numbers. Default false, true for `builtin:`.
        random: bool,
        /// Values that its instances share. Default false, true for `builtin:`.
        key_value: bool,
        /// Requests to these backends; `[]` lets it have the import and no backend. Default: none.
        http: List<BackendName>,
        /// Reading these files, and all that is below these folders, when it is loaded. Beside those that its own table names.
        files: List<PathBuf>,
        /// Adding lines to this file.
        journal: PathBuf,
    }
}

table! {
    /// A plugin, with a configuration for this route.
    PluginUse {
        /// The name of a plugin.
        name: PluginName = required,
        /// Keys that replace those of the plugin's own `config` here.
        config: Json,
    }
}

choice!(Isolation, "a kind of isolation", {
    "exchange" => Isolation::Exchange,
    "worker" => Isolation::Worker,
});

choice!(OnFailure, "what can happen when a plugin fails", {
    "refuse" => OnFailure::Refuse,
    "continue" => OnFailure::Continue,
});

/// The plugins of a route, in the order of its requests.
pub(crate) type Chain = List<Link>;

/// A plugin of a route, however it is written.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) name: Option<At<PluginName>>,
    pub(crate) config: Option<Object<String, serde_json::Value>>,
}

impl Read for Link {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Table(_) => PluginUse::read(node, out)
                .map(|table| Self { config: table.config.get().map(|json| json.0.clone()), name: table.name.value }),
            Kind::String(_) => PluginName::read(node, out)
                .map(|value| Self { name: Some(At { span: node.span, value }), config: None }),
            _ => {
                out.error(node.span, format!("expected a plugin, found {}", node.describe()))
                    .expected("its name, or `{ name = \"...\", config = { ... } }`");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let name = <PluginName as Written>::schema();
        let table = PluginUse::schema(generator);
        json_schema!({ "anyOf": [name, table] })
    }
}

/// Where code is, as written.
#[derive(Clone, Debug)]
pub(crate) enum Module {
    File(PathBuf),
    Builtin(String),
    Oci(Reference),
}

impl Written for Module {
    const KIND: &'static str = "a module";
    const EXAMPLES: &'static [&'static str] =
        &["/etc/portcullis/plugins/geo.wasm", "builtin:headers", "oci://ghcr.io/team/geo:1.2"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if let Some(name) = text.strip_prefix("builtin:") {
            return PluginName::parse(name).map(|name| Self::Builtin(name.as_str().to_owned()));
        }
        match text.split_once("://") {
            Some(("oci", reference)) => Reference::parse(reference).map(Self::Oci).map_err(Problem::new),
            Some(("http" | "https", _)) => Err(Problem::new("a module is not fetched from a web server")
                .expected(super::text::examples::<Self>())
                .help("download it, and write the file's path")),
            Some(("file", path)) => Err(Problem::new("a file is written without a scheme")
                .help(format!("write \"{}\"", super::table::clip(path)))),
            Some((scheme, _)) => {
                Err(Problem::new(format!("`{}` is no scheme of a module", super::table::clip(scheme)))
                    .expected(super::text::examples::<Self>()))
            }
            None if text.ends_with(".wat") => {
                Err(Problem::new("a module in text form").help("translate it with `wat2wasm` or `wasm-tools parse`"))
            }
            None => PathBuf::parse(text).map(Self::File),
        }
    }
}

/// A SHA-256.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Written for Digest {
    const KIND: &'static str = "a SHA-256";
    const EXAMPLES: &'static [&'static str] = &["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let problem = || {
            Problem::new("not a SHA-256")
                .expected("64 hexadecimal digits")
                .help("`sha256sum FILE` prints it, and `portcullis plugin inspect FILE` does")
        };
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(problem());
        }
        let mut digest = [0; 32];
        for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
            // A sign would be taken for part of the number.
            let digits = hex.get(at..at + 2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(problem)?;
        }
        Ok(Self(digest))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^(sha256:)?[0-9a-fA-F]{64}$" })
    }
}

impl Written for PluginName {
    const KIND: &'static str = "the name of a plugin";
    const EXAMPLES: &'static [&'static str] = &["rate-limit"];

    fn parse(text: &str) -> Result<Self, Problem> {
        const LONGEST: usize = 64;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match !text.is_empty() && text.len() <= LONGEST && text.chars().all(fits) {
            true => Ok(Self::new(text)),
            false => Err(Problem::new(format!("`{}` is not the name of a plugin", super::table::clip(text)))
                .expected(format!("1 to {LONGEST} of a to z, 0 to 9 and `-`"))),
        }
    }
}
