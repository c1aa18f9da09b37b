//! `[[route]]`.

use ipnet::IpNet;
use regex::Regex;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{
    Filled, Fixed, HeaderEdits, Map, Pattern, Read, Redirection, ReplacePrefix, Rewriting, Share,
    http::{MatchableName, Method, Path},
    number::Whole,
    plugin::Chain,
    table::table,
    text::{Problem, Written},
    waf::Waf,
};
use crate::{
    diagnostic::Sink,
    names::{BackendName, ListenerName, RouteName},
    route::{HostPattern, ValueMatch},
    tree::{Kind, Node},
};

table! {
    /// A match, and what is done with what it matches: one of `backend`, `backends`, `redirect`, `respond`, `passthrough`.
    Route {
        /// What logs call it. Default: its first host and its path.
        name: RouteName,
        /// Only exchanges of these listeners. Default: all that speak HTTP.
        listener: Filled<ListenerName>,
        /// Decides before everything else; the higher wins. Default 0.
        priority: Whole<-1_000_000, 1_000_000>,
        /// Names in the TLS handshake: exact, `*.` wildcards, or `*`.
        sni: Filled<HostPattern>,
        /// Hosts: exact, `*.` wildcards, or `*`. Default: any.
        host: Filled<HostPattern>,
        /// This path and everything below it, by whole segments. Default: any.
        path: Path,
        /// This path and nothing else.
        path_exact: Path,
        /// Paths that this regex matches, anywhere unless anchored.
        path_regex: Regex,
        /// Methods, as sent. Default: any.
        method: Filled<Method>,
        /// Header fields: `"text"`, `true` (it is there), or `{ regex = "..." }`. All must hold.
        header: Map<MatchableName, ValuePattern>,
        /// Query parameters, written as header fields are. All must hold.
        query: Map<String, ValuePattern>,
        /// Networks of clients. Default: any.
        client: Filled<IpNet>,
        /// Forwards to this backend.
        backend: BackendName,
        /// Forwards to several backends, by weight.
        backends: Filled<Share>,
        /// Redirects: `"https"`, a URL, a path, or a table of parts.
        redirect: Redirection,
        /// Answers with a fixed response.
        respond: Fixed,
        /// Sends the connection, TLS and all, to this backend. Needs `sni`.
        passthrough: BackendName,
        /// Plugins in the order in which they see a request: names, or `{ name = "...", config = { ... } }`. They see the response in
        /// the reverse order.
        plugins: Chain,
        /// What the WAF does on this route that differs from its own table.
        waf: Waf,
        /// Takes this off the beginning of the path.
        strip_prefix: Path,
        /// Replaces the beginning of the path.
        replace_prefix: ReplacePrefix,
        /// Replaces in the path what a regex matches.
        rewrite: Rewriting,
        /// The `Host` sent to the backend. Default: the client's.
        host_header: Authority,
        /// Edits of the request's header fields.
        request_headers: HeaderEdits,
        /// Edits of the response's header fields.
        response_headers: HeaderEdits,
    }
}

/// What a header field or a query parameter must hold.
#[derive(Clone, Debug)]
pub(crate) struct ValuePattern(pub(crate) ValueMatch);

impl Read for ValuePattern {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::String(text) => Some(Self(ValueMatch::Exact(text.clone()))),
            Kind::Boolean(true) => Some(Self(ValueMatch::Present)),
            Kind::Table(_) => Pattern::read(node, out)?.regex.value.map(|regex| Self(ValueMatch::Regex(regex.value))),
            kind => {
                let found = if matches!(kind, Kind::Boolean(_)) { "`false`" } else { node.describe() };
                out.error(node.span, format!("a value cannot be matched with {found}"))
                    .expected("\"text\", `true` for any value, or `{ regex = \"...\" }`");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let table = Pattern::schema(generator);
        json_schema!({ "anyOf": [{ "type": "string" }, { "const": true }, table] })
    }
}

/// A host, with or without port.
#[derive(Clone, Debug)]
pub(crate) struct Authority(pub(crate) String);

impl Written for Authority {
    const KIND: &'static str = "a host";
    const EXAMPLES: &'static [&'static str] = &["internal.example", "internal.example:8080"];

    fn parse(text: &str) -> Result<Self, Problem> {
        super::Host::parse(text).map(|_| Self(text.to_ascii_lowercase()))
    }
}
