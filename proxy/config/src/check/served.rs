//! The listeners a route can be asked on, and whether it can be asked at all.

use super::listeners::{self, Listeners};
use crate::{
    diagnostic::Sink,
    raw::{self, At},
    source::Span,
};

/// The listeners a route can be asked on.
pub(super) struct Served<'l> {
    /// Those it names, with where; all that speak HTTP when it names none.
    pub(super) listeners: Vec<(&'l listeners::Checked, Option<Span>)>,
    /// Whether one that it names is not there, or some could not be read.
    pub(super) unsure: bool,
}

impl<'l> Served<'l> {
    pub(super) fn of(at: &At<raw::Route>, listeners: &'l Listeners, out: &mut Sink<'_>) -> Self {
        let field = &at.value.listener;
        let mut served = Self { listeners: Vec::new(), unsure: listeners.is_unsure() || field.is_broken() };
        match field.get() {
            None => {
                served.listeners = listeners.iter().filter(|one| one.speaks_http()).map(|one| (one, None)).collect();
            }
            Some(names) => {
                for name in &names.0 {
                    match listeners.find(name, out) {
                        Some(checked) if checked.speaks_http() => {
                            served.listeners.push((checked, Some(name.span)));
                        }
                        Some(checked) => {
                            served.unsure = true;
                            out.error(name.span, format!("listener `{}` speaks TCP: it asks no route", name.value))
                                .other(checked.named, "the listener is here")
                                .help("a `tcp` listener copies everything to its own `backend`");
                        }
                        None => served.unsure = true,
                    }
                }
            }
        }
        served
    }

    /// Passthrough happens before HTTP is seen, and only where TLS is.
    pub(super) fn passthrough(&self, at: &At<raw::Route>, listeners: &Listeners, out: &mut Sink<'_>) {
        let raw = &at.value;
        if !raw.sni.is_written() {
            out.error(at.span, "`passthrough` needs `sni`")
                .help("nothing but the name in the TLS handshake can be matched here");
        }
        let http = [
            ("host", raw.host.key),
            ("path", raw.path.key),
            ("path_exact", raw.path_exact.key),
            ("path_regex", raw.path_regex.key),
            ("method", raw.method.key),
            ("header", raw.header.key),
            ("query", raw.query.key),
            ("strip_prefix", raw.strip_prefix.key),
            ("replace_prefix", raw.replace_prefix.key),
            ("rewrite", raw.rewrite.key),
            ("host_header", raw.host_header.key),
            ("request_headers", raw.request_headers.key),
            ("response_headers", raw.response_headers.key),
        ];
        for (key, span) in http {
            if let Some(span) = span {
                let draft = out
                    .error(span, format!("`{key}` cannot be with `passthrough`: what is inside the TLS is not seen"));
                if key == "host" {
                    draft.help("write `sni`");
                }
            }
        }
        for (listener, name) in &self.listeners {
            if let (None, Some(name)) = (listener.tls, name) {
                out.error(*name, format!("listener `{}` has no TLS to pass through", listener.listener.name))
                    .other(listener.named, "the listener is here")
                    .help("write `tls = {}` there");
            }
        }
        if !self.unsure && !listeners.iter().any(|one| one.tls.is_some() && one.speaks_http()) {
            let key = raw.passthrough.key.unwrap_or(at.span);
            out.error(key, "no listener has TLS to pass through").help("write `tls = {}` under the `[[listener]]`");
        }
    }

    /// Warns about a route that nothing can ask.
    pub(super) fn reachable(&self, at: &At<raw::Route>, out: &mut Sink<'_>) {
        if self.unsure {
            return;
        }
        if self.listeners.is_empty() {
            out.warn(at.span, "no listener can serve this route: none speaks HTTP");
            return;
        }
        if let Some(key) = at.value.sni.key
            && self.listeners.iter().all(|(listener, _)| listener.tls.is_none())
        {
            out.warn(key, "no listener can serve this route: `sni` is known only where TLS is")
                .help("`host` matches the host of the request");
        }
    }
}
