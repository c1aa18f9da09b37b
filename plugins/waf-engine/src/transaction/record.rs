//! What the audit log tells of a transaction.

use crate::{
    model::{AuditEngine, AuditParts, Mode, Variable},
    transaction::{Intervention, Mask, Match, Transaction, fill::List},
    world::Ends,
};

/// A transaction as the audit log sees it, after its end. Bytes are as they came.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub ends: &'a Ends,
    pub id: &'a str,
    /// Nanoseconds since 1970.
    pub began: u64,
    /// As `ctl` left it.
    pub mode: Mode,
    /// As `ctl` left it.
    pub engine: AuditEngine,
    /// As `ctl` left them.
    pub parts: AuditParts,
    pub method: &'a [u8],
    /// As sent.
    pub target: &'a [u8],
    pub protocol: &'a [u8],
    pub request_fields: Vec<(&'a [u8], &'a [u8])>,
    /// As much of it as was looked at.
    pub request_body: &'a [u8],
    pub response_protocol: &'a [u8],
    /// What the client got.
    pub status: u16,
    pub response_fields: Vec<(&'a [u8], &'a [u8])>,
    /// As much of it as was looked at.
    pub response_body: &'a [u8],
    pub matches: &'a [Match],
    pub intervention: Option<&'a Intervention>,
    /// What must not be shown, and how many bytes at the beginning and at the end may be.
    pub masks: &'a [(Mask, (u32, u32))],
}

impl Transaction {
    pub(crate) fn record(&self) -> Record<'_> {
        Record {
            ends: &self.ends,
            id: &self.id,
            began: self.began,
            mode: self.mode,
            engine: self.audit_engine,
            parts: self.audit_parts,
            method: self.known(Variable::RequestMethod),
            target: self.known(Variable::RequestUriRaw),
            protocol: self.known(Variable::RequestProtocol),
            request_fields: self.fields(List::RequestHeaders),
            request_body: self.arena.bytes(self.body),
            response_protocol: self.known(Variable::ResponseProtocol),
            status: std::str::from_utf8(self.known(Variable::Status))
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            response_fields: self.fields(List::ResponseHeaders),
            response_body: self.known(Variable::ResponseBody),
            matches: &self.matches,
            intervention: self.intervention.as_ref(),
            masks: &self.masks,
        }
    }

    fn known(&self, variable: Variable) -> &[u8] {
        let node = self.singles[variable as usize];
        if node.is_none() { b"" } else { self.arena.get(node) }
    }

    fn fields(&self, list: List) -> Vec<(&[u8], &[u8])> {
        let entries = self.lists[list as usize].iter();
        entries.map(|entry| (self.arena.get(entry.name), self.arena.get(entry.value))).collect()
    }
}
