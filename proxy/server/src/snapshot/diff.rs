//! What a reload changed, for its log line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde_json::{Value, json};

use super::{Snapshot, build::fingerprints};

/// Names that were added, removed or changed, by kind of thing.
#[derive(Debug, Default)]
pub struct Changes {
    kinds: Vec<(&'static str, Change)>,
}

#[derive(Debug, Default)]
struct Change {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

/// What `new` has that `old` has not, and the other way round.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Changes {
    let listeners = |snapshot: &Snapshot| -> BTreeMap<String, _> {
        snapshot.config.listeners.iter().map(|l| (l.name.to_string(), l.clone())).collect()
    };
    let routes = |snapshot: &Snapshot| -> BTreeMap<String, _> {
        snapshot.config.routes.iter().map(|r| (r.name.to_string(), r.clone())).collect()
    };
    let backends = |snapshot: &Snapshot| -> BTreeMap<String, _> {
        let backends = snapshot.backends.iter();
        // An authority file that changed changes the backend though its table says the same.
        backends.map(|(name, b)| (name.to_string(), (b.config.clone(), *b.tls.authorities()))).collect()
    };
    let plugins = |snapshot: &Snapshot| -> BTreeMap<String, _> {
        let configured = snapshot.config.plugins.iter();
        // One whose file changed is another though its table says the same; so is one that a route configures otherwise.
        let built = |name: &str| {
            let of = snapshot.plugins.iter().filter(|plugin| *plugin.definition().name == *name);
            of.map(|plugin| Arc::as_ptr(plugin).addr()).collect::<BTreeSet<_>>()
        };
        configured.map(|(name, p)| (name.to_string(), (p.clone(), built(name.as_str())))).collect()
    };
    let mut changes = Changes::default();
    changes.note("listeners", &listeners(old), &listeners(new));
    changes.note("routes", &routes(old), &routes(new));
    changes.note("backends", &backends(old), &backends(new));
    changes.note("certificates", &fingerprints(&old.certificates), &fingerprints(&new.certificates));
    changes.note("plugins", &plugins(old), &plugins(new));
    let settings = [
        ("server", old.config.server != new.config.server),
        ("log", old.config.log != new.config.log),
        ("dns", old.config.dns != new.config.dns),
        // A file that the table names is part of it; so are the hosts that routes have now.
        ("acme", old.wanted != new.wanted),
    ];
    let changed: Vec<_> =
        settings.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name.to_owned()).collect();
    if !changed.is_empty() {
        changes.kinds.push(("settings", Change { changed, ..Change::default() }));
    }
    changes
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// `{"routes": {"added": [...], ...}, ...}`, without what is empty.
    pub fn to_json(&self) -> Value {
        let list = |change: &Change| {
            let mut value = json!({});
            for (word, names) in change.words() {
                value[word] = json!(names);
            }
            value
        };
        self.kinds.iter().map(|(kind, change)| ((*kind).to_owned(), list(change))).collect()
    }

    fn note<T: PartialEq>(&mut self, kind: &'static str, old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) {
        let mut change = Change::default();
        for (name, value) in new {
            match old.get(name) {
                None => change.added.push(name.clone()),
                Some(before) if before != value => change.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        change.removed.extend(old.keys().filter(|name| !new.contains_key(*name)).cloned());
        if change.words().next().is_some() {
            self.kinds.push((kind, change));
        }
    }
}

impl Change {
    fn words(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Names written out in a line; the rest is counted.
        const NAMES: usize = 8;
        if self.is_empty() {
            return f.write_str("nothing changed");
        }
        for (i, (kind, change)) in self.kinds.iter().enumerate() {
            write!(f, "{}{kind}", if i == 0 { "" } else { "; " })?;
            for (word, names) in change.words() {
                write!(f, " {word} {}", names[..names.len().min(NAMES)].join(", "))?;
                if names.len() > NAMES {
                    write!(f, " and {} more", names.len() - NAMES)?;
                }
            }
        }
        Ok(())
    }
}
