//! `portcullis explain`

use std::{net::IpAddr, path::PathBuf};

use anyhow::{bail, ensure};
use clap::{ArgGroup, Args};
use portcullis_server::control::{ExplainRequest, Request};

use crate::{
    config_file, outline,
    output::{Outcome, Paint, print, print_json},
    request_file,
    running::{Running, or_use_a_file},
    server,
};

const EXAMPLES: &str = "\
Examples:
  portcullis explain GET https://shop.example.com/api/cart
  portcullis explain POST https://shop.example.com/api/cart -H 'x-env: blue' --client 203.0.113.9
  portcullis explain --config portcullis.toml https://shop.example.com/
  portcullis explain --request request.txt --tls
  portcullis explain 4f7a1c09b2d3e8f6

The last one is the id of a finished exchange, from X-Request-Id or the access log.
No request is sent: what is shown is what would be decided.";

/// Say why a request is answered as it is: listener, certificate, route and near misses, backend, endpoints
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("what").required(true).args(["subject", "request"]))]
pub(crate) struct Explain {
    /// METHOD URL, or a URL alone (GET), or the id of a finished exchange
    #[arg(value_name = "METHOD URL | URL | ID", num_args = 1..=2)]
    subject: Vec<String>,

    /// A raw HTTP/1 request in a file
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,

    /// The raw request comes over TLS
    #[arg(long, requires = "request")]
    tls: bool,

    /// A header field; can be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header, conflicts_with = "request")]
    headers: Vec<(String, String)>,

    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,

    /// The name in the handshake, where it is not the URL's host
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,

    /// The listener; by default the one for the URL's scheme and port
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,

    /// Ask a configuration instead of the running process
    #[arg(long, value_name = "FILE", conflicts_with = "control")]
    config: Option<PathBuf>,

    #[command(flatten)]
    running: Running,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let subject = self.subject()?;
        let value = match (&self.config, &subject) {
            (None, subject) => self.running.ask(subject).map_err(or_use_a_file)?,
            (Some(path), Request::Explain(request)) => {
                server::explain_offline(&config_file::load(path)?.config, path, request)?
            }
            (Some(_), _) => bail!("only the running process knows finished exchanges: leave --config away"),
        };
        if self.json {
            print_json(&value)?;
        } else {
            print(&outline::render(&value, Paint::for_stdout()))?;
        }
        Ok(Outcome::Well)
    }

    fn subject(&self) -> anyhow::Result<Request> {
        let mut request = match (&self.request, &*self.subject) {
            (Some(file), _) => request_file::read(file, self.tls)?,
            (None, [method, url]) => ExplainRequest { method: method.clone(), url: url.clone(), ..Default::default() },
            (None, [url]) if url.contains("://") => {
                ExplainRequest { method: "GET".into(), url: url.clone(), ..Default::default() }
            }
            (None, [id]) => return Ok(Request::Recall { id: id.clone() }),
            // clap asks for one or two, or for --request.
            (None, _) => bail!("nothing to explain"),
        };
        let known = ["http://", "https://"].iter().any(|scheme| request.url.starts_with(scheme));
        ensure!(known, "`{}` is not a URL: write it with http:// or https://", request.url);
        request.headers.extend(self.headers.iter().cloned());
        request.client = self.client;
        request.sni.clone_from(&self.sni);
        request.listener.clone_from(&self.listener);
        Ok(Request::Explain(request))
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.trim().into(), value.trim().into())),
        _ => Err("a header field is written 'NAME: VALUE'".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        explain: Explain,
    }

    fn subject(line: &[&str]) -> anyhow::Result<Request> {
        Line::try_parse_from([&["explain"], line].concat())?.explain.subject()
    }

    #[test]
    fn one_word_is_a_url_or_an_id() {
        assert_eq!(subject(&["4f7a"]).unwrap(), Request::Recall { id: "4f7a".into() });
        let Request::Explain(request) = subject(&["https://a.example/", "-H", "X-Env:blue"]).unwrap() else {
            panic!("a URL is explained")
        };
        assert_eq!((&*request.method, &*request.url), ("GET", "https://a.example/"));
        assert_eq!(request.headers, [("X-Env".into(), "blue".into())]);
    }

    #[test]
    fn nothing_too_much_and_no_url_are_errors() {
        for line in
            [&[][..], &["GET", "https://a/", "x"], &["GET", "a.example/"], &["x", "--request", "f"], &["x", "-H", "y"]]
        {
            assert!(subject(line).is_err(), "{line:?}");
        }
    }
}
