//! Names of routes: those in the file, and those that are made for routes without.

use std::collections::{HashMap, HashSet};

use crate::{
    diagnostic::Sink,
    names::RouteName,
    raw::{self, At},
    route::HostPattern,
    source::Span,
};

/// Names that routes have, and those that are made for routes without.
pub(super) struct Names {
    taken: HashSet<RouteName>,
    /// How often each made name was wanted.
    made: HashMap<String, usize>,
}

impl Names {
    pub(super) fn of(tables: &[At<raw::Route>], out: &mut Sink<'_>) -> Self {
        let mut first: HashMap<&RouteName, Span> = HashMap::new();
        for name in tables.iter().filter_map(|at| at.value.name.value.as_ref()) {
            if let Some(other) = first.insert(&name.value, name.span) {
                out.error(name.span, format!("two routes are called `{}`", name.value))
                    .other(other, "the first one is here");
            }
        }
        Self { taken: first.into_keys().cloned().collect(), made: HashMap::new() }
    }

    /// The name in the file; or the first host (or name in the handshake) and the path, with a number when it is taken.
    pub(super) fn of_route(&mut self, raw: &raw::Route) -> RouteName {
        if let Some(name) = raw.name.get() {
            return name.clone();
        }
        let host = raw.host.get().or(raw.sni.get()).and_then(|hosts| hosts.0.first()).map(|at| &at.value);
        let host = match host {
            None | Some(HostPattern::Any) => "*".to_owned(),
            Some(HostPattern::Exact(name)) => name.clone(),
            Some(HostPattern::Wildcard(suffix)) => format!("*.{suffix}"),
        };
        let path = match (raw.path.get().or(raw.path_exact.get()), raw.path_regex.get()) {
            (Some(path), _) => &path.written,
            (None, Some(regex)) => regex.as_str(),
            (None, None) => "",
        };
        let base = format!("{host}{path}");
        let wanted = self.made.entry(base.clone()).or_default();
        loop {
            *wanted += 1;
            let name = match *wanted {
                1 => RouteName::new(&base),
                n => RouteName::new(&format!("{base}#{n}")),
            };
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}
