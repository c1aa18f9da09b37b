//! What the audit log must not show (`sanitiseArg` and its kin): stars take the place of secrets.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::{
    super::{BodyProcessor, Mask, Match, Transaction, fill::List},
    text::{owned, text},
};
use crate::body::{Slice, form};

/// Shorter secrets are not looked for in messages: they would be found everywhere.
const LEAST_SECRET: usize = 3;

/// Each is looked for in each message.
const MOST_SECRETS: usize = 256;

pub(super) struct Masks<'a> {
    masks: &'a [(Mask, (u32, u32))],
    /// The values that are masked somewhere, for messages that repeat them. Longest first.
    secrets: Vec<&'a [u8]>,
}

impl<'a> Masks<'a> {
    pub fn of(transaction: &'a Transaction) -> Self {
        let mut masks = Self { masks: &transaction.masks, secrets: Vec::new() };
        if masks.masks.is_empty() {
            return masks;
        }
        for list in [List::ArgsGet, List::ArgsPost, List::ArgsOther, List::RequestHeaders, List::ResponseHeaders] {
            for entry in &transaction.lists[list as usize] {
                let value = transaction.arena.get(entry.value);
                if value.len() >= LEAST_SECRET && masks.keep(list, transaction.arena.get(entry.name)).is_some() {
                    masks.secrets.push(value);
                }
            }
        }
        masks.secrets.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        masks.secrets.dedup();
        masks.secrets.truncate(MOST_SECRETS);
        masks
    }

    /// How many bytes at either end may be shown of a masked entry; `None` if it is none.
    fn keep(&self, list: List, name: &[u8]) -> Option<(u32, u32)> {
        self.masks
            .iter()
            .find(|(mask, _)| match (mask, list) {
                (Mask::RequestHeader(masked), List::RequestHeaders)
                | (Mask::ResponseHeader(masked), List::ResponseHeaders)
                | (Mask::Argument(masked), List::ArgsGet | List::ArgsPost | List::ArgsOther) => {
                    masked.eq_ignore_ascii_case(name)
                }
                _ => false,
            })
            .map(|(_, keep)| *keep)
    }

    fn any_argument(&self) -> bool {
        self.masks.iter().any(|(mask, _)| matches!(mask, Mask::Argument(_)))
    }

    /// A header field's value.
    pub fn field<'v>(&self, list: List, name: &[u8], value: &'v [u8]) -> Cow<'v, str> {
        match self.keep(list, name) {
            None => text(value),
            Some(keep) => {
                let mut masked = value.to_vec();
                star(&mut masked, keep);
                owned(masked)
            }
        }
    }

    /// An argument's value.
    pub fn argument<'v>(&self, name: &[u8], value: &'v [u8]) -> Cow<'v, [u8]> {
        match self.keep(List::ArgsPost, name) {
            None => Cow::Borrowed(value),
            Some(keep) => {
                let mut masked = value.to_vec();
                star(&mut masked, keep);
                Cow::Owned(masked)
            }
        }
    }

    /// A request's target, with the masked arguments of its query.
    pub fn target<'v>(&self, target: &'v [u8], separator: u8) -> Cow<'v, str> {
        match memchr(b'?', target) {
            Some(question) if self.any_argument() => {
                let mut masked = target.to_vec();
                self.form(&mut masked[question + 1..], separator);
                owned(masked)
            }
            _ => text(target),
        }
    }

    /// The beginning of a request's body, with its masked arguments.
    pub fn body<'v>(&self, body: &'v [u8], transaction: &Transaction, separator: u8) -> Cow<'v, str> {
        if self.masks.iter().any(|(mask, _)| matches!(mask, Mask::Body)) {
            return owned(vec![b'*'; body.len()]);
        }
        if !self.any_argument() {
            return text(body);
        }
        let mut masked = body.to_vec();
        match transaction.processor {
            Some(BodyProcessor::UrlEncoded) => self.form(&mut masked, separator),
            Some(BodyProcessor::Multipart | BodyProcessor::Json) => self.parsed(&mut masked, transaction),
            Some(BodyProcessor::Xml) | None => {}
        }
        owned(masked)
    }

    /// Masks the values of a form as it was sent: names are compared decoded, values are as long as before.
    fn form(&self, form: &mut [u8], separator: u8) {
        let mut at = 0;
        while at < form.len() {
            let end = memchr(separator, &form[at..]).map_or(form.len(), |length| at + length);
            let mut made = Vec::new();
            let mut pairs = Vec::new();
            form::read(&form[at..end], separator, 1, &mut made, &mut pairs);
            if let Some(pair) = pairs.first()
                && let Some(keep) = self.keep(List::ArgsGet, pair.name.of(&form[at..end], &made))
                && let Some(equals) = memchr(b'=', &form[at..end])
            {
                star(&mut form[at + equals + 1..end], keep);
            }
            at = end + 1;
        }
    }

    /// Masks the values of a body that was read. Where a secret's place is not known, because it was decoded, dropped, or came after
    /// an error, nothing of the body is shown.
    fn parsed(&self, body: &mut [u8], transaction: &Transaction) {
        let parsed = &transaction.parsed;
        let whole = transaction.arena.bytes(transaction.body);
        let mut unknown = parsed.error.is_some() || parsed.arguments_dropped;
        for pair in &parsed.arguments {
            let Some(keep) = self.keep(List::ArgsPost, pair.name.of(whole, &parsed.made)) else { continue };
            match range(pair.value) {
                Some((start, end)) if end <= body.len() => star(&mut body[start..end], keep),
                // Cut off by the log's own limit: no end is left to be shown.
                Some((start, _)) if start < body.len() => body[start..].fill(b'*'),
                Some(_) => {}
                None => unknown |= !pair.value.is_empty(),
            }
        }
        if unknown {
            body.fill(b'*');
        }
    }

    /// Whether what a rule matched is masked itself, so that no form of it may be shown.
    pub fn of_match<'m>(&self, matched: &'m Match) -> Option<&'m [u8]> {
        let colon = memchr(b':', &matched.variable)?;
        let (variable, name) = (&matched.variable[..colon], &matched.variable[colon + 1..]);
        let list = match variable {
            b"REQUEST_HEADERS" => List::RequestHeaders,
            b"RESPONSE_HEADERS" => List::ResponseHeaders,
            _ if variable.starts_with(b"ARGS") => List::ArgsGet,
            _ => return None,
        };
        self.keep(list, name).map(|_| matched.value.as_slice()).filter(|value| !value.is_empty())
    }

    /// A message without secrets: neither those known, nor `secret`.
    pub fn hide<'m>(&self, message: &'m [u8], secret: Option<&[u8]>) -> Cow<'m, str> {
        match self.hidden(message, secret) {
            None => text(message),
            Some(hidden) => owned(hidden),
        }
    }

    /// As [`hide`](Self::hide), of a text that was just written.
    pub fn hide_text(&self, message: String, secret: Option<&[u8]>) -> Cow<'static, str> {
        match self.hidden(message.as_bytes(), secret) {
            None => message.into(),
            Some(hidden) => owned(hidden),
        }
    }

    fn hidden(&self, message: &[u8], secret: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut hidden: Option<Vec<u8>> = None;
        for secret in secret.into_iter().chain(self.secrets.iter().copied()) {
            // A message shows no more of a long value than its beginning.
            let secret = &secret[..secret.len().min(super::message::MOST_VALUE)];
            let text = hidden.as_deref().unwrap_or(message);
            let places: Vec<_> = memmem::find_iter(text, secret).collect();
            if !places.is_empty() {
                let hidden = hidden.get_or_insert_with(|| message.to_vec());
                for at in places {
                    hidden[at..at + secret.len()].fill(b'*');
                }
            }
        }
        hidden
    }
}

fn range(slice: Slice) -> Option<(usize, usize)> {
    slice.offset().map(|start| (start, start + slice.len()))
}

/// Stars for all but the first and the last bytes; for all of them, where those would be everything.
fn star(value: &mut [u8], (first, last): (u32, u32)) {
    let (first, last) = (first as usize, last as usize);
    let length = value.len();
    match first.checked_add(last) {
        Some(shown) if shown < length => value[first..length - last].fill(b'*'),
        _ => value.fill(b'*'),
    }
}
