//! The one thing a route does.

use std::collections::HashMap;

use super::{
    backends::{Backends, Use},
    redirect,
};
use crate::{
    diagnostic::Sink,
    names::BackendName,
    raw::{self, At, Filled},
    route::{Action, Respond, WeightedBackend},
    source::Span,
};

/// What a route does; `None` when that could not be read.
pub(super) fn action(at: &At<raw::Route>, backends: &mut Backends, out: &mut Sink<'_>) -> Option<Action> {
    let raw = &at.value;
    let written: Vec<(&str, Span)> = [
        ("backend", raw.backend.key),
        ("backends", raw.backends.key),
        ("redirect", raw.redirect.key),
        ("respond", raw.respond.key),
        ("passthrough", raw.passthrough.key),
    ]
    .into_iter()
    .filter_map(|(key, span)| Some((key, span?)))
    .collect();
    match written.as_slice() {
        [] => {
            out.error(at.span, "this route does nothing")
                .expected("one of `backend`, `backends`, `redirect`, `respond` or `passthrough`")
                .help("write `backend = \"NAME\"` to forward what it matches");
            return None;
        }
        [_] => {}
        [(first, span), rest @ ..] => {
            for (key, other) in rest {
                out.error(*other, format!("a route does one thing, and this one has `{first}` already"))
                    .other(*span, format!("`{first}` is here, so `{key}` cannot be"));
            }
        }
    }
    if let Some(name) = &raw.backend.value {
        backends.used(name, Use::Http, out);
        return Some(Action::Forward(vec![WeightedBackend { backend: name.value.clone(), weight: 1 }]));
    }
    if let Some(shares) = &raw.backends.value {
        return shared(&shares.value, backends, out);
    }
    if let Some(redirection) = &raw.redirect.value {
        return redirect::redirect(redirection, out).map(Action::Redirect);
    }
    if let Some(fixed) = &raw.respond.value {
        return respond(&fixed.value, out).map(Action::Respond);
    }
    let name = raw.passthrough.value.as_ref()?;
    backends.used(name, Use::Passthrough, out);
    Some(Action::Passthrough(name.value.clone()))
}

fn shared(shares: &Filled<raw::Share>, backends: &mut Backends, out: &mut Sink<'_>) -> Option<Action> {
    let mut first: HashMap<&BackendName, Span> = HashMap::new();
    let mut forward = Vec::new();
    for share in &shares.0 {
        let name = share.value.backend.value.as_ref()?;
        backends.used(name, Use::Http, out);
        if let Some(other) = first.insert(&name.value, name.span) {
            out.error(name.span, format!("backend `{}` is here twice", name.value))
                .other(other, "the first one is here")
                .help("a larger `weight` gives it a larger share");
        }
        forward.push(WeightedBackend {
            backend: name.value.clone(),
            weight: share.value.weight.get().map_or(1, |weight| weight.to()),
        });
    }
    Some(Action::Forward(forward))
}

fn respond(fixed: &raw::Fixed, out: &mut Sink<'_>) -> Option<Respond> {
    let status: u16 = fixed.status.get()?.to();
    let body = fixed.body.get().cloned().unwrap_or_default();
    // RFC 9110 sections 15.3.5 and 15.4.5.
    if matches!(status, 204 | 205 | 304)
        && !body.is_empty()
        && let Some(key) = fixed.body.key
    {
        out.error(key, format!("a response with status {status} has no body"));
    }
    let content_type = match fixed.content_type.get() {
        Some(value) => Some(value.0.clone()),
        None if body.is_empty() => None,
        None => Some("text/plain; charset=utf-8".to_owned()),
    };
    Some(Respond { status, body, content_type })
}
