//! `[[certificate]]`: names, and files seen from the folder of the file that names them.

use std::collections::HashMap;

use super::process::path;
use crate::{
    diagnostic::Sink,
    listener::Certificate,
    names::CertificateName,
    raw::{self, At},
    source::Span,
};

/// The certificates there are.
pub(super) struct Certificates {
    all: Vec<Certificate>,
    names: HashMap<CertificateName, Span>,
    /// Whether some could not be read, so that one that is missed may be among them.
    unsure: bool,
}

impl Certificates {
    pub(super) fn check(file: &raw::File, out: &mut Sink<'_>) -> Self {
        let mut certificates = Self { all: Vec::new(), names: HashMap::new(), unsure: file.certificate.is_broken() };
        for at in file.certificate.get().map(|tables| tables.0.as_slice()).unwrap_or_default() {
            certificates.add(at, out);
        }
        certificates
    }

    fn add(&mut self, at: &At<raw::Certificate>, out: &mut Sink<'_>) {
        let raw = &at.value;
        let (Some(cert), Some(key)) = (path(&raw.cert, out), path(&raw.key, out)) else {
            self.unsure = true;
            return;
        };
        self.unsure |= raw.name.is_broken();
        let written = raw.cert.get().map(|cert| cert.display().to_string()).unwrap_or_default();
        let name = raw.name.get().cloned().unwrap_or_else(|| CertificateName::new(&written));
        let span = raw.name.value.as_ref().map_or(at.span, |name| name.span);
        if let Some(first) = self.names.insert(name.clone(), span) {
            let draft = out.error(span, format!("two certificates are called `{name}`"));
            draft.other(first, "the first one is here");
            if !raw.name.is_written() {
                draft.help("a certificate without `name` is called by its `cert` file");
            }
        }
        self.all.push(Certificate { name, at: out.sources.locate(at.span), cert, key });
    }

    /// Reports a name that no certificate has.
    pub(super) fn expect(&self, name: &At<CertificateName>, out: &mut Sink<'_>) {
        if !self.unsure && !self.names.contains_key(&name.value) {
            let mut known: Vec<_> = self.names.keys().map(CertificateName::as_str).collect();
            known.sort_unstable();
            super::unknown_name(name.span, "certificate", name.value.as_str(), known.iter().copied(), out);
        }
    }

    /// Whether there is none at all, and none was meant to be.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && !self.unsure
    }

    pub(super) fn finish(self) -> Vec<Certificate> {
        self.all
    }
}
