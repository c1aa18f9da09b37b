//! What a route does and what it changes: redirects, fixed responses, shares of traffic, edits.

use regex::Regex;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{
    At, Filled, Map, Read,
    http::{EditableName, FieldValue, Path},
    net::{host, port},
    number::Whole,
    table::{clip, table},
    text::{Problem, Written},
};
use crate::{
    diagnostic::Sink,
    names::BackendName,
    tree::{Kind, Node},
};

table! {
    /// A backend and its share.
    Share {
        /// The name of a backend.
        backend: BackendName = required,
        /// Its share of the sum of weights: 1 to 1000000. Default 1.
        weight: Whole<1, 1_000_000>,
    }
}

table! {
    /// A regex.
    Pattern {
        /// Matches anywhere in the value unless anchored.
        regex: Regex = required,
    }
}

table! {
    /// A response made here.
    Fixed {
        /// 200 to 599.
        status: Whole<200, 599> = required,
        /// Default: empty.
        body: String,
        /// Default `text/plain; charset=utf-8`.
        content_type: FieldValue,
    }
}

table! {
    /// Replaces the beginning of a path, by whole segments.
    ReplacePrefix {
        /// What paths begin with.
        from: Path = required,
        /// What is put there.
        to: Path = required,
    }
}

table! {
    /// Replaces in the path what a regex matches.
    Rewriting {
        /// Against the path, without the query.
        regex: Regex = required,
        /// What is put there, with `$1` and `${name}` for groups.
        to: Target = required,
    }
}

table! {
    /// Edits of header fields, done in the order remove, set, add.
    HeaderEdits {
        /// Fields taken away.
        remove: Filled<EditableName>,
        /// Fields that then have this one value.
        set: Map<EditableName, FieldValue>,
        /// Fields that get one value more.
        add: Map<EditableName, FieldValue>,
    }
}

table! {
    /// Where a redirect leads. Parts that are left out stay as in the request.
    RedirectParts {
        /// 301, 302, 303, 307 or 308. Default 308.
        status: RedirectStatus,
        /// `http` or `https`.
        scheme: WebScheme,
        /// Host without port.
        host: RedirectHost,
        /// Default: the scheme's own.
        port: Whole<1, 65_535>,
        /// Path and query, replacing both.
        path: Target,
    }
}

/// A status that leads elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedirectStatus(pub(crate) u16);

impl RedirectStatus {
    /// Of RFC 9110 section 15.4, those that need nothing but a `Location`.
    const ALL: [u16; 5] = [301, 302, 303, 307, 308];
}

impl Read for RedirectStatus {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        let status = Whole::<100, 599>::read(node, out)?.to();
        if Self::ALL.contains(&status) {
            return Some(Self(status));
        }
        out.error(node.span, format!("status {status} does not redirect"))
            .expected("301, 302, 303, 307 or 308")
            .help("308 and 307 keep the method and the body; 301 and 308 are kept by caches");
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": Self::ALL })
    }
}

/// A path with perhaps a query, or a template of one: what can stand in a request line or a `Location`.
#[derive(Clone, Debug)]
pub(crate) struct Target(pub(crate) String);

impl Written for Target {
    const KIND: &'static str = "a path";
    const EXAMPLES: &'static [&'static str] = &["/new", "/user?id=$1"];

    fn parse(text: &str) -> Result<Self, Problem> {
        match text.chars().find(|c| !matches!(c, '!'..='~') || matches!(c, '#' | '"' | '<' | '>' | '\\')) {
            Some(odd) => Err(Problem::new(format!("`{}` is not allowed in a path", odd.escape_default()))
                .help("write it percent-encoded")),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// `http` or `https`.
#[derive(Clone, Debug)]
pub(crate) struct WebScheme(pub(crate) &'static str);

super::choice::choice!(WebScheme, "a scheme to redirect to", {
    "http" => WebScheme("http"),
    "https" => WebScheme("https"),
});

/// A host to send clients to.
#[derive(Clone, Debug)]
pub(crate) struct RedirectHost(pub(crate) String);

impl Written for RedirectHost {
    const KIND: &'static str = "a host";
    const EXAMPLES: &'static [&'static str] = &["www.example.com"];

    fn parse(text: &str) -> Result<Self, Problem> {
        host(text).map(Self)
    }
}

/// Where a redirect leads, however it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redirection {
    pub(crate) status: Option<u16>,
    pub(crate) scheme: Option<&'static str>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) path: Option<At<String>>,
    /// Whether a part could not be read.
    pub(crate) broken: bool,
}

impl Read for Redirection {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::String(text) => match Self::parse(text, node) {
                Ok(redirection) => Some(redirection),
                Err(problem) => {
                    out.error(node.span, problem.message)
                        .expected("\"https\", a URL, a path, or a table such as `{ host = \"www.example.com\", status = 301 }`")
                        .maybe_help(problem.help);
                    None
                }
            },
            Kind::Table(_) => RedirectParts::read(node, out).map(Self::from_parts),
            _ => {
                out.error(node.span, format!("expected a string or a table, found {}", node.describe())).expected(
                    "\"https\", a URL, a path, or a table such as `{ host = \"www.example.com\", status = 301 }`",
                );
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let table = RedirectParts::schema(generator);
        json_schema!({
            "anyOf": [{ "type": "string", "examples": ["https", "https://www.example.com", "/new"] }, table]
        })
    }
}

impl Redirection {
    /// `https`, `https://www.example.com`, `https://www.example.com/new`, `/new`.
    fn parse(text: &str, node: &Node) -> Result<Self, Problem> {
        let at = |text: &str| Target::parse(text).map(|Target(value)| Some(At { span: node.span, value }));
        if text.starts_with('/') {
            return Ok(Self { path: at(text)?, ..Self::default() });
        }
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        let scheme = match scheme {
            "http" => "http",
            "https" => "https",
            _ => return Err(Problem::new(format!("`{}` is not where a redirect can lead", clip(text)))),
        };
        if !text.contains("://") {
            return Ok(Self { scheme: Some(scheme), ..Self::default() });
        }
        let (authority, path) = match rest.find(['/', '?']) {
            Some(slash) => (&rest[..slash], at(&rest[slash..])?),
            None => (rest, None),
        };
        if path.as_ref().is_some_and(|path| !path.value.starts_with('/')) {
            return Err(Problem::new("a URL with a query and no path").help("put a `/` before the `?`"));
        }
        let (name, digits) = match authority.rsplit_once(':') {
            Some((name, digits)) if !digits.ends_with(']') => (name, Some(digits)),
            _ => (authority, None),
        };
        Ok(Self {
            status: None,
            scheme: Some(scheme),
            host: Some(host(name)?),
            port: digits.map(port).transpose()?,
            path,
            broken: false,
        })
    }

    fn from_parts(parts: RedirectParts) -> Self {
        Self {
            broken: parts.status.is_broken()
                || parts.scheme.is_broken()
                || parts.host.is_broken()
                || parts.port.is_broken()
                || parts.path.is_broken(),
            status: parts.status.get().map(|status| status.0),
            scheme: parts.scheme.get().map(|scheme| scheme.0),
            host: parts.host.get().map(|host| host.0.clone()),
            port: parts.port.get().map(|port| port.to()),
            path: parts.path.value.map(|at| At { span: at.span, value: at.value.0 }),
        }
    }
}
