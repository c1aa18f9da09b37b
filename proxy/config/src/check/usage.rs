//! What fits together only when everything is known: listeners that could never answer, backends that nothing uses.

use super::{backends::Backends, certificates::Certificates, listeners::Listeners, plugins::Plugins, routes::Checked};
use crate::{diagnostic::Sink, route::Action, source::Span};

pub(super) fn check(
    listeners: &Listeners,
    certificates: &Certificates,
    acme: Option<Span>,
    routes: &[Checked],
    backends: &Backends,
    plugins: &Plugins,
    out: &mut Sink<'_>,
) {
    for checked in listeners.iter() {
        let name = &checked.listener.name;
        let on_it = |route: &&Checked| {
            let names = &route.route.listeners;
            names.is_empty() || names.contains(name)
        };
        if let Some(key) = checked.tls
            && certificates.is_empty()
            && acme.is_none()
            && !checked.listener.tls.as_ref().is_some_and(|tls| tls.local)
            && !routes.iter().filter(on_it).any(|route| matches!(route.route.action, Action::Passthrough(_)))
        {
            out.error(key, format!("listener `{name}` has TLS, and there is no certificate"))
                .help("write `[[certificate]]` with `cert = \"FILE\"` and `key = \"FILE\"`, or `[acme]` to have certificates ordered");
        }
        // With errors, the routes that are missed may be those that could not be read.
        if checked.speaks_http() && !out.failed() && !routes.iter().any(|route| on_it(&route)) {
            out.warn(checked.named, format!("no route is served on listener `{name}`: every request gets 404"));
        }
    }
    if let Some(key) = acme
        && !listeners.is_unsure()
        && listeners.iter().all(|checked| checked.tls.is_none())
    {
        out.warn(key, "no listener has TLS: no certificate is ordered")
            .help("write `tls = {}` in the listener of port 443");
    }
    if !out.failed() {
        for (name, key) in backends.unused() {
            out.warn(key, format!("backend `{name}` is used by no route and by no listener"));
        }
        for (name, key) in plugins.unused() {
            out.warn(key, format!("plugin `{name}` is in no route's `plugins`"));
        }
    }
}
