//! `redirect`: a status that redirects, and a place that is not the same one.

use super::served::Served;
use crate::{
    diagnostic::Sink,
    raw::{At, Redirection},
    route::Redirect,
    source::Span,
};

pub(super) fn redirect(at: &At<Redirection>, out: &mut Sink<'_>) -> Option<Redirect> {
    let raw = &at.value;
    if raw.broken {
        return None;
    }
    if raw.scheme.is_none() && raw.host.is_none() && raw.port.is_none() && raw.path.is_none() {
        out.error(at.span, "this redirect leads to where the request was")
            .expected("at least one of `scheme`, `host`, `port` and `path`");
    }
    if let Some(path) = &raw.path
        && !path.value.starts_with('/')
    {
        out.error(path.span, "a path begins with a slash").help(format!("write \"/{}\"", path.value));
    }
    Some(Redirect {
        status: raw.status.unwrap_or(308),
        scheme: raw.scheme.map(str::to_owned),
        host: raw.host.clone(),
        port: raw.port,
        path: raw.path.as_ref().map(|path| path.value.clone()),
    })
}

/// Warns about a redirect to https that is also given to those who came by https.
pub(super) fn loops(redirect: &Redirect, key: Option<Span>, served: &Served<'_>, out: &mut Sink<'_>) {
    let only_scheme = redirect.host.is_none() && redirect.port.is_none() && redirect.path.is_none();
    let (true, Some(scheme), Some(key)) = (only_scheme, redirect.scheme.as_deref(), key) else { return };
    let same = |tls: bool| tls == (scheme == "https");
    let Some((listener, _)) = served.listeners.iter().find(|(one, _)| same(one.tls.is_some())) else { return };
    let others: Vec<_> = served
        .listeners
        .iter()
        .filter(|(one, _)| !same(one.tls.is_some()))
        .map(|(one, _)| format!("\"{}\"", one.listener.name))
        .collect();
    let draft = out.warn(key, format!("on listener `{}` this redirect leads to itself", listener.listener.name));
    draft.other(listener.named, format!("this listener speaks {scheme} already"));
    if !others.is_empty() {
        draft.help(format!("write `listener = [{}]` in the route", others.join(", ")));
    }
}
