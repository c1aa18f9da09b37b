//! Verdicts that ask for what is not allowed, or for too much of it.

use crate::{
    config::Attack,
    portcullis::filter::types::{Edits, Field, FieldEdit, Response, Verdict},
};

pub fn of(attack: &Attack) -> Verdict {
    match attack {
        Attack::Edit { set, append, remove, many, target, status, data, trailers } => {
            let mut fields = Vec::new();
            for _ in 0..*many {
                fields.extend(set.iter().map(|pair| FieldEdit::Set(field(pair))));
                fields.extend(append.iter().map(|pair| FieldEdit::Append(field(pair))));
                fields.extend(remove.iter().cloned().map(FieldEdit::Remove));
            }
            Verdict::Edit(Edits {
                fields,
                target: target.clone(),
                status: *status,
                data: data.map(|bytes| vec![b'x'; bytes]),
                trailers: trailers.as_ref().map(|trailers| trailers.iter().map(field).collect()),
            })
        }
        Attack::Respond { status, fields, body } => Verdict::Respond(Response {
            status: *status,
            fields: fields.iter().map(field).collect(),
            body: vec![b'x'; *body],
        }),
        _ => Verdict::Continue,
    }
}

fn field((name, value): &(String, String)) -> Field {
    Field { name: name.clone(), value: value.clone().into_bytes() }
}
