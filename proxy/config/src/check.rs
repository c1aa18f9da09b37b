//! From the file as written to [`Config`]: defaults, and everything that values mean together. Goes on after a mistake, so
//! that one report has all of them; what it returns is used only when there was none.

mod acme;
mod action;
mod ambiguity;
mod backends;
mod beginnings;
mod certificates;
mod dns;
mod edits;
mod limits;
mod listeners;
mod names;
mod plugins;
mod process;
mod redirect;
mod routes;
mod served;
mod usage;
mod waf;

use crate::{
    Config,
    diagnostic::{Draft, Sink},
    nearest::{did_you_mean, one_of},
    raw,
};

/// Checks a whole configuration.
pub(crate) fn check(file: &raw::File, out: &mut Sink<'_>) -> Config {
    let server = process::server(file.server.get(), out);
    let log = process::log(file.log.get(), out);
    let dns = dns::dns(file.dns.get(), out);
    let limits = limits::limits(file.limits.get(), limits::DEFAULT);
    let certificates = certificates::Certificates::check(file, out);
    let mut backends = backends::Backends::check(file, out);
    let listeners = listeners::Listeners::check(file, &limits, &certificates, &mut backends, out);
    let mut plugins = plugins::Plugins::check(file, &mut backends, out);
    let routes = routes::check(file, &listeners, &mut backends, &mut plugins, out);
    ambiguity::check(&routes, out);
    let acme = acme::acme(&file.acme, out);
    usage::check(&listeners, &certificates, file.acme.key, &routes, &backends, &plugins, out);
    Config {
        server,
        log,
        listeners: listeners.finish(),
        certificates: certificates.finish(),
        routes: routes.into_iter().map(|checked| checked.route).collect(),
        backends: backends.finish(),
        plugins: plugins.finish(),
        dns,
        acme,
    }
}

/// Says that nothing is called `name`, and what is.
fn unknown_name<'o>(
    at: crate::source::Span,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'o str> + Clone,
    out: &'o mut Sink<'_>,
) -> &'o mut Draft {
    // With a flood of mistakes, looking through all names for each would take longer than it helps.
    let (help, expected) = match out.full() {
        true => (None, None),
        false => (did_you_mean(name, known.clone()), Some(one_of(known))),
    };
    let draft = out.error(at, format!("there is no {what} `{name}`"));
    match (help, expected) {
        (Some(help), _) => draft.help(help),
        (None, Some(expected)) => draft.expected(expected),
        (None, None) => draft,
    }
}
