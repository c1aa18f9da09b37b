//! The certificates in force, by name: looked at in each handshake, replaced as a whole.

use std::{collections::HashMap, sync::Arc};

use crate::{issued::Issued, settings::KeyKind, subject::Subject};

/// An immutable table.
#[derive(Debug, Default, Clone)]
pub struct Table {
    /// By host name or address, and by what follows `*.`.
    exact: HashMap<Box<str>, Vec<Arc<Issued>>>,
    wildcard: HashMap<Box<str>, Vec<Arc<Issued>>>,
}

impl Table {
    /// A table of these.
    pub fn new(certificates: impl IntoIterator<Item = Arc<Issued>>) -> Self {
        let mut table = Self::default();
        for issued in certificates {
            let list = match &issued.subject {
                Subject::Name(name) => table.exact.entry((**name).into()).or_default(),
                Subject::Address(address) => table.exact.entry(address.to_string().into()).or_default(),
                Subject::Wildcard(parent) => table.wildcard.entry((**parent).into()).or_default(),
            };
            list.push(issued);
        }
        for list in table.exact.values_mut().chain(table.wildcard.values_mut()) {
            list.sort_by_key(|issued| issued.kind);
        }
        table
    }

    /// The certificates for `host` (lower case, no trailing dot), elliptic ones first; exact names win over wildcards.
    pub fn covering(&self, host: &str) -> &[Arc<Issued>] {
        if let Some(list) = self.exact.get(host) {
            return list;
        }
        let parent = host.split_once('.').map(|(_, parent)| parent);
        parent.and_then(|parent| self.wildcard.get(parent)).map_or(&[], Vec::as_slice)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Issued>> {
        self.exact.values().chain(self.wildcard.values()).flatten()
    }

    /// The certificate of a subject and kind of key.
    pub fn get(&self, subject: &Subject, kind: KeyKind) -> Option<&Arc<Issued>> {
        let list = match subject {
            Subject::Name(name) => self.exact.get(&**name),
            Subject::Address(address) => self.exact.get(&*address.to_string()),
            Subject::Wildcard(parent) => self.wildcard.get(&**parent),
        };
        list?.iter().find(|issued| issued.kind == kind)
    }
}
