//! What the proxy counts as a failure of the plugin, so that a test shows it.

use crate::{Field, FieldEdit, Verdict, check_name};

/// Where a verdict was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) response: bool,
    /// Whether the head can still be changed.
    pub(crate) head: bool,
    pub(crate) body: bool,
    /// Whether this was the end `complete`.
    pub(crate) complete: bool,
}

/// Panics where the proxy would end the plugin's part in the exchange.
pub(crate) fn verdict(verdict: &Verdict, place: Place) {
    let edits = match verdict {
        Verdict::Continue | Verdict::Close => return,
        Verdict::Respond(response) => {
            assert!(
                (200..=599).contains(&response.status),
                "a response's status is 200 to 599, not {}",
                response.status
            );
            assert!(response.body.len() <= 1 << 20, "a response's body has at most 1 MiB, not {}", response.body.len());
            response.fields.iter().for_each(field);
            return;
        }
        Verdict::Edit(edits) => edits,
    };
    assert!(place.head || edits.fields.is_empty(), "the head has gone: its fields can no longer be changed");
    for edit in &edits.fields {
        match edit {
            FieldEdit::Set(edit) | FieldEdit::Append(edit) => field(edit),
            FieldEdit::Remove(removed) => name(removed),
        }
    }
    if let Some(target) = &edits.target {
        assert!(place.head && !place.response, "the target can be changed only while a request's head is held");
        assert!(
            target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic()),
            "{target:?} is no path and query: it begins with / and has no spaces",
        );
    }
    if let Some(status) = edits.status {
        assert!(place.head && place.response, "the status can be changed only while a response's head is held");
        assert!((200..=599).contains(&status), "a status is 200 to 599, not {status}");
    }
    assert!(place.body || edits.data.is_none(), "only body phases have data to change");
    if let Some(trailers) = &edits.trailers {
        assert!(place.complete, "trailers can be changed only at the end `complete`");
        trailers.iter().for_each(field);
    }
}

fn field(field: &Field) {
    field.check().unwrap_or_else(|why| panic!("{why}"));
}

fn name(name: &str) {
    check_name(name).unwrap_or_else(|why| panic!("{why}"));
}
