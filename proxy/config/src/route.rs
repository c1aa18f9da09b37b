//! `[[route]]`: a match, and what is done with what it matches.
//!
//! Which of several matching routes wins does not depend on their order in the file. In this order:
//! 1. the higher `priority`;
//! 2. the more specific host: exact, then the longer wildcard suffix, then any;
//! 3. the more specific path: exact, then regex, then the longer prefix, then any;
//! 4. the more kinds of predicate it has among `listener`, `sni`, `method`, `header` (each one counts), `query` (each one counts), `client`.
//!
//! For [`Action::Passthrough`], which sees no host, the name in the TLS handshake (`sni`) takes the host's place in 2.
//!
//! Two routes that agree in all four and can both match one request are an error that names both lines, unless they
//! are provably apart (no common listener, no common method, no common SNI, one header or query asked for with two different exact values, networks that
//! do not touch, regexes whose literal beginnings differ).

use regex::Regex;

use crate::{
    Location,
    names::{BackendName, ListenerName, RouteName},
    network::Networks,
    plugin::Use,
    waf::Waf,
};

/// A match and what is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Unique among routes.
    pub name: RouteName,
    /// Where the table starts.
    pub at: Location,
    /// Only exchanges of these listeners; empty: of all with protocol HTTP.
    pub listeners: Vec<ListenerName>,
    /// Decides before everything else. Default 0.
    pub priority: i32,
    /// What a request must look like.
    pub matches: Match,
    /// What is done with it.
    pub action: Action,
    /// What is changed on the way.
    pub edits: Edits,
    /// The chain: plugins in the order in which they see a request, each at most once. They see the response in the reverse order.
    pub plugins: Vec<Use>,
    /// What the WAF among them does differently here.
    pub waf: Option<Waf>,
}

/// All predicates must hold; an empty list holds always.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The name in the TLS handshake. For [`Action::Passthrough`] the only predicate beside `listeners` and `clients`.
    pub sni: Vec<HostPattern>,
    /// The host of the request (`Host` or `:authority`), without port. Never empty: any host is `[HostPattern::Any]`.
    pub hosts: Vec<HostPattern>,
    /// The normalised path.
    pub path: PathPattern,
    /// Method names, as sent (they are case-sensitive, RFC 9110 section 9.1).
    pub methods: Vec<String>,
    /// Header fields; every one must hold.
    pub headers: Vec<FieldMatch>,
    /// Query parameters (percent-decoded, `+` is a space); every one must hold.
    pub query: Vec<FieldMatch>,
    /// The client's address, after PROXY protocol and trusted `Forwarded`.
    pub clients: Networks,
}

/// A host name pattern; names are lower case, without a trailing dot, in A-label form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name. An IP literal is kept as it is written in a URL, IPv6 in brackets.
    Exact(String),
    /// `*.SUFFIX`: any name with at least one label before the suffix; holds the suffix without `*.`.
    Wildcard(String),
    /// `*`.
    Any,
}

/// A path pattern, against the normalised path (dots resolved, double slashes joined, unreserved characters decoded).
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// Every path (also `*` of OPTIONS).
    Any,
    /// This path and nothing else.
    Exact(String),
    /// This path or what is below it, by whole segments: `/api` holds `/api` and `/api/x`, not `/apis`. Kept without
    /// a trailing slash, `/` as [`PathPattern::Any`] never appears here.
    Prefix(String),
    /// Anywhere in the path unless anchored.
    Regex(Regex),
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// A named field and what its value must be. Names of header fields are lower case, names of query parameters as written.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldMatch {
    /// Which field.
    pub name: String,
    /// What it must hold; any one of several values of the field is enough.
    pub value: ValueMatch,
}

/// What a field's value must be.
#[derive(Clone, Debug)]
pub enum ValueMatch {
    /// Anything: the field is there. `header = { x-debug = true }`.
    Present,
    /// These bytes. `header = { x-env = "blue" }`.
    Exact(String),
    /// A regex, anywhere unless anchored. `header = { x-env = { regex = "^b" } }`.
    Regex(Regex),
}

impl PartialEq for ValueMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, Self::Present) => true,
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// What is done with a matched exchange.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// To one of these backends, by weight. Never empty; weights are at least 1.
    Forward(Vec<WeightedBackend>),
    /// A redirect.
    Redirect(Redirect),
    /// A response made here.
    Respond(Respond),
    /// The connection's bytes, TLS and all, to an endpoint of this backend.
    Passthrough(BackendName),
}

/// A backend and its share.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedBackend {
    /// Which.
    pub backend: BackendName,
    /// Its share of the sum of weights, 1 to 1,000,000.
    pub weight: u32,
}

/// Where a redirect leads. Parts that are `None` stay as in the request. The path and the query are kept unless `path` is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308. Default 308.
    pub status: u16,
    /// `http` or `https`. `redirect = "https"` is the one line for http to https: it drops the port.
    pub scheme: Option<String>,
    /// Host without port.
    pub host: Option<String>,
    /// Port; default: none is written (the scheme's own).
    pub port: Option<u16>,
    /// Path and query, replacing both.
    pub path: Option<String>,
}

/// A response made here.
#[derive(Clone, Debug, PartialEq)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// Default empty.
    pub body: String,
    /// Default `text/plain; charset=utf-8` when there is a body.
    pub content_type: Option<String>,
}

/// What is changed on the way. Path edits happen in this order: prefix, then rewrite. The target that no edit touches
/// is sent as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    /// `strip_prefix = "/api"` (to `/`), `replace_prefix = { from = "/api", to = "/v2" }`. By whole segments; a path that does not
    /// begin with `from` stays.
    pub prefix: Option<PrefixEdit>,
    /// `rewrite = { regex = "^/u/(\\d+)$", to = "/user?id=$1" }` on path (without query); `to` may hold a `?`, then the query of the
    /// request is appended with `&`.
    pub rewrite: Option<Rewrite>,
    /// The `Host` (or `:authority`) sent to the backend; default: the client's.
    pub host: Option<String>,
    /// Of the request, after hop-by-hop fields were removed and the proxy's own were set.
    pub request_headers: HeaderEdits,
    /// Of the response.
    pub response_headers: HeaderEdits,
}

/// Replaces the beginning of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefixEdit {
    /// Without a trailing slash; never empty.
    pub from: String,
    /// Without a trailing slash; empty for `/`.
    pub to: String,
}

/// Replaces what a regex matches.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// Against the path.
    pub regex: Regex,
    /// With `$1` and `${name}` for groups.
    pub to: String,
}

impl PartialEq for Rewrite {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str() && self.to == other.to
    }
}

/// Header edits, done in the order remove, set, add. Names are lower case and valid, values are valid; framing and
/// hop-by-hop fields (`connection`, `content-length`, `transfer-encoding`, `upgrade`, `te`, `trailer`, `keep-alive`, `proxy-connection`) and `host` are refused at load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderEdits {
    /// Fields taken away.
    pub remove: Vec<String>,
    /// Fields that then have this one value.
    pub set: Vec<(String, String)>,
    /// Fields that get one value more.
    pub add: Vec<(String, String)>,
}
