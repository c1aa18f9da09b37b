//! `endpoints` of a backend: URLs, with or without a weight.

use std::net::IpAddr;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{
    At, Read,
    net::{host, port},
    number::Whole,
    table::{clip, table},
    text::{Problem, Written, examples},
};
use crate::{
    backend::{OriginHost, Scheme},
    diagnostic::Sink,
    nearest::{did_you_mean, one_of},
    tree::{Kind, Node},
};

/// An element of `endpoints`.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// `None` when the table's `url` could not be read.
    pub(crate) url: Option<At<EndpointUrl>>,
    pub(crate) weight: u32,
}

table! {
    /// An endpoint with a weight.
    WeightedUrl {
        /// Where it is.
        url: EndpointUrl = required,
        /// Its share: 1 to 1000. Default 1.
        weight: Whole<1, 1000>,
    }
}

impl Read for Endpoint {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Table(_) => WeightedUrl::read(node, out)
                .map(|table| Self { weight: table.weight.get().map_or(1, |weight| weight.to()), url: table.url.value }),
            Kind::String(_) => {
                EndpointUrl::read(node, out).map(|value| Self { url: Some(At { span: node.span, value }), weight: 1 })
            }
            _ => {
                out.error(node.span, format!("expected an endpoint, found {}", node.describe()))
                    .expected("a URL such as \"http://my-api:3000\", or `{ url = \"...\", weight = 3 }`");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let url = <EndpointUrl as Written>::schema();
        let table = WeightedUrl::schema(generator);
        json_schema!({ "anyOf": [url, table] })
    }
}

/// `SCHEME://HOST:PORT`.
#[derive(Clone, Debug)]
pub(crate) struct EndpointUrl {
    pub(crate) scheme: Scheme,
    pub(crate) host: OriginHost,
    pub(crate) port: u16,
}

const SCHEMES: [(&str, Scheme, Option<u16>); 5] = [
    ("http", Scheme::Http, Some(80)),
    ("https", Scheme::Https, Some(443)),
    ("h2c", Scheme::H2c, Some(80)),
    ("tcp", Scheme::Tcp, None),
    ("tls", Scheme::Tls, None),
];

impl Written for EndpointUrl {
    const KIND: &'static str = "an endpoint";
    const EXAMPLES: &'static [&'static str] = &["http://my-api:3000", "https://10.0.0.2"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let host = Host::parse(text).is_ok() && !text.is_empty();
            let problem = Problem::new(format!("`{}` has no scheme", clip(text))).expected(examples::<Self>());
            return Err(if host { problem.help(format!("write \"http://{}\"", clip(text))) } else { problem });
        };
        let (plain, srv) = match scheme.strip_suffix("+srv") {
            Some(plain) => (plain, true),
            None => (scheme, false),
        };
        let Some((_, scheme, default)) = SCHEMES.into_iter().find(|(name, ..)| *name == plain) else {
            return Err(no_such_scheme(scheme, rest));
        };
        if let Some(at) = rest.find(['/', '?', '#', '@'])
            && &rest[at..] != "/"
        {
            let part = match rest.as_bytes()[at] {
                b'/' => "a path",
                b'?' => "a query",
                b'#' => "a fragment",
                _ => "user information",
            };
            let problem = Problem::new(format!("an endpoint is a scheme, a host and a port; this one has {part}"));
            return Err(match part {
                "a path" => problem.help("routes edit paths: `replace_prefix = { from = \"/api\", to = \"/v2\" }`"),
                _ => problem,
            });
        }
        let Host { host, port } = Host::parse(rest.strip_suffix('/').unwrap_or(rest))?;
        if srv {
            return match (host, port) {
                (_, Some(_)) => Err(Problem::new("the port comes from the SRV records").help("leave it out")),
                (OriginHost::Name(name), None) => Ok(Self { scheme, host: OriginHost::Srv(name), port: 0 }),
                _ => Err(Problem::new("an address has no SRV records")
                    .help(format!("write \"{plain}://...\" with a port, or a name"))),
            };
        }
        match port.or(default) {
            Some(port) => Ok(Self { scheme, host, port }),
            None => Err(Problem::new(format!("`{plain}` has no port of its own"))
                .help(format!("write it: \"{plain}://{}:5432\", for example", clip(rest.trim_end_matches('/'))))),
        }
    }
}

fn no_such_scheme(scheme: &str, rest: &str) -> Problem {
    let names = SCHEMES.iter().map(|(name, ..)| *name);
    let problem = Problem::new(format!("no endpoint has the scheme `{}`", clip(scheme)))
        .expected(format!("{}, each also with `+srv`", one_of(names.clone())));
    let instead = match scheme {
        "ws" => Some("http"),
        "wss" | "grpcs" => Some("https"),
        "grpc" | "h2" => Some("h2c"),
        _ => None,
    };
    let help = match instead {
        Some(instead) => Some(format!("write \"{instead}://{}\"", clip(rest))),
        None => did_you_mean(scheme, names),
    };
    Problem { help, ..problem }
}

/// `HOST` or `HOST:PORT`.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) host: OriginHost,
    pub(crate) port: Option<u16>,
}

impl Host {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        if text.contains("://") {
            return Err(Problem::new("a host, not a URL").help("leave out the scheme and what follows the host"));
        }
        let (name, digits) = match text.rsplit_once(':') {
            // A colon inside brackets belongs to the address.
            Some((name, digits)) if !digits.ends_with(']') => (name, Some(digits)),
            _ => (text, None),
        };
        if name.contains(':') && !name.starts_with('[') {
            return Err(Problem::new("an IPv6 address as a host").help("write it in brackets: \"[fd00::1]:80\""));
        }
        let port = digits.map(port).transpose()?;
        let host = host(name)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        Ok(match bare.parse::<IpAddr>() {
            Ok(address) => Self { host: OriginHost::Ip(address), port },
            Err(_) => Self { host: OriginHost::Name(host), port },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> (Scheme, OriginHost, u16) {
        let url = EndpointUrl::parse(text).unwrap();
        (url.scheme, url.host, url.port)
    }

    #[test]
    fn endpoints_have_the_port_of_their_scheme() {
        assert_eq!(url("http://My-Api."), (Scheme::Http, OriginHost::Name("my-api".into()), 80));
        assert_eq!(url("https://10.0.0.1/"), (Scheme::Https, OriginHost::Ip([10, 0, 0, 1].into()), 443));
        assert_eq!(url("tcp://[fd00::1]:5432").2, 5432);
        assert_eq!(
            url("http+srv://_http._tcp.app.example"),
            (Scheme::Http, OriginHost::Srv("_http._tcp.app.example".into()), 0)
        );
    }

    #[test]
    fn endpoints_have_nothing_behind_the_port() {
        for text in [
            "http://a/b",
            "http://a?b",
            "http://u@a",
            "http://a#b",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:99999",
            "http://a:",
            "tcp://a",
            "ws://a",
            "a:80",
            "",
            "http+srv://a:1",
            "http+srv://10.0.0.1",
            "http://fd00::1",
            "http://a b",
            "://",
            "http://[::1",
            "http://[::1]x:80",
        ] {
            assert!(EndpointUrl::parse(text).is_err(), "{text}");
        }
        assert_eq!(EndpointUrl::parse("api:80").unwrap_err().help.unwrap(), "write \"http://api:80\"");
    }
}
