//! A plugin's answer in the words of HTTP, checked: nothing that a guest says reaches a message unchecked.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, uri::PathAndQuery};

use crate::{
    Failure, FailureKind, Phase,
    contract::portcullis::filter::types::{self as guest},
    services::calls::BODY_MAX,
};

/// Changes to one head in one verdict, and the bytes of their names and values.
const EDITS_MAX: usize = 1024;
const EDIT_BYTES_MAX: usize = 128 << 10;

/// What a plugin decided.
#[derive(Debug)]
pub enum Verdict {
    /// Go on, unchanged.
    Continue,
    /// Go on with changes.
    Edit(Box<Edits>),
    /// Answer the client with this.
    Respond(Box<http::Response<Bytes>>),
    /// End the exchange without an answer.
    Close,
}

impl Verdict {
    /// The word in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Edit(_) => "edit",
            Self::Respond(_) => "respond",
            Self::Close => "close",
        }
    }
}

/// Changes that are valid where they were made.
#[derive(Debug, Default)]
pub struct Edits {
    /// To the head, in order.
    pub fields: Vec<FieldEdit>,
    /// In place of path and query.
    pub target: Option<PathAndQuery>,
    /// In place of the status.
    pub status: Option<StatusCode>,
    /// In place of the bytes that were shown.
    pub data: Option<Bytes>,
    /// In place of the trailers.
    pub trailers: Option<HeaderMap>,
}

/// One change to a head.
#[derive(Clone, Debug)]
pub enum FieldEdit {
    /// Removes all of that name and adds this one.
    Set(HeaderName, HeaderValue),
    /// Adds one.
    Append(HeaderName, HeaderValue),
    /// Removes all of that name.
    Remove(HeaderName),
}

impl Edits {
    /// Makes the changes to a head's fields. A head that can hold no more of them stays as it is from there on.
    pub fn apply(&self, fields: &mut HeaderMap) {
        for edit in &self.fields {
            match edit {
                FieldEdit::Set(name, value) => drop(fields.try_insert(name, value.clone())),
                FieldEdit::Append(name, value) => drop(fields.try_append(name, value.clone())),
                FieldEdit::Remove(name) => drop(fields.remove(name)),
            }
        }
    }
}

/// Where an answer was given: what it may say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The phase.
    pub phase: Phase,
    /// Whether the head has not gone yet.
    pub head_is_held: bool,
    /// Whether this is the end of the whole body.
    pub is_complete: bool,
}

/// Whether a field frames the message or belongs to one connection: the proxy's business alone (RFC 9110 section 7.6.1,
/// RFC 9112 section 6).
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::CONTENT_LENGTH
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Checks and translates.
///
/// # Errors
/// [`FailureKind::Invalid`], with what is wrong.
pub(crate) fn translate(verdict: guest::Verdict, place: Place) -> Result<Verdict, Failure> {
    Ok(match verdict {
        guest::Verdict::Continue => Verdict::Continue,
        guest::Verdict::Close => Verdict::Close,
        guest::Verdict::Respond(answer) => Verdict::Respond(Box::new(response(answer)?)),
        guest::Verdict::Edit(wanted) => Verdict::Edit(Box::new(edits(wanted, place)?)),
    })
}

fn invalid(what: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Invalid, what)
}

fn edits(wanted: guest::Edits, place: Place) -> Result<Edits, Failure> {
    let guest::Edits { fields, target, status, data, trailers } = wanted;
    let phase = place.phase.name();
    let is_request = matches!(place.phase, Phase::RequestHead | Phase::RequestBody);
    let in_body = matches!(place.phase, Phase::RequestBody | Phase::ResponseBody);
    if !place.head_is_held && (!fields.is_empty() || target.is_some() || status.is_some()) {
        return Err(invalid(format!(
            "it edited a head in {phase}, after the head had gone; it would have to hold the body"
        )));
    }
    if target.is_some() && !is_request {
        return Err(invalid(format!("it edited the target in {phase}")));
    }
    if status.is_some() && is_request {
        return Err(invalid(format!("it edited the status in {phase}")));
    }
    if data.is_some() && !in_body {
        return Err(invalid(format!("it replaced body bytes in {phase}")));
    }
    if trailers.is_some() && !place.is_complete {
        return Err(invalid(format!("it replaced trailers in {phase}, before the end of the body")));
    }
    if fields.len() > EDITS_MAX {
        return Err(invalid(format!("{} edits at once; at most {EDITS_MAX}", fields.len())));
    }
    let mut bytes = 0;
    let mut checked = Vec::with_capacity(fields.len());
    for edit in fields {
        bytes += match &edit {
            guest::FieldEdit::Set(field) | guest::FieldEdit::Append(field) => field.name.len() + field.value.len(),
            guest::FieldEdit::Remove(name) => name.len(),
        };
        if bytes > EDIT_BYTES_MAX {
            return Err(invalid(format!("edits of more than {EDIT_BYTES_MAX} bytes")));
        }
        checked.push(match edit {
            guest::FieldEdit::Set(field) => {
                let (name, value) = valid(field)?;
                FieldEdit::Set(name, value)
            }
            guest::FieldEdit::Append(field) => {
                let (name, value) = valid(field)?;
                if is_request && name == header::HOST {
                    return Err(invalid("it added a second `host`"));
                }
                FieldEdit::Append(name, value)
            }
            guest::FieldEdit::Remove(name) => {
                let name = editable(&name)?;
                if is_request && name == header::HOST {
                    return Err(invalid("it removed `host`"));
                }
                FieldEdit::Remove(name)
            }
        });
    }
    let target = match target {
        None => None,
        Some(target) => match PathAndQuery::try_from(target.as_str()) {
            Ok(parsed) if target.starts_with('/') && !target.contains('#') => Some(parsed),
            _ => return Err(invalid(format!("it edited the target into {:?}, which is no path", clip(&target)))),
        },
    };
    let status = status.map(self::status).transpose()?;
    let trailers = trailers.map(self::fields).transpose()?;
    Ok(Edits { fields: checked, target, status, data: data.map(Bytes::from), trailers })
}

fn response(answer: guest::Response) -> Result<http::Response<Bytes>, Failure> {
    if answer.body.len() > BODY_MAX {
        return Err(invalid(format!("it responded with {} bytes; at most {BODY_MAX}", answer.body.len())));
    }
    let mut response = http::Response::new(Bytes::from(answer.body));
    *response.status_mut() = status(answer.status)?;
    *response.headers_mut() = fields(answer.fields)?;
    Ok(response)
}

fn status(status: u16) -> Result<StatusCode, Failure> {
    match StatusCode::from_u16(status) {
        Ok(code) if (200..=599).contains(&status) => Ok(code),
        _ => Err(invalid(format!("it said status {status}; 200 to 599 are possible"))),
    }
}

fn fields(list: Vec<guest::FieldResult>) -> Result<HeaderMap, Failure> {
    if list.len() > EDITS_MAX {
        return Err(invalid(format!("{} fields at once; at most {EDITS_MAX}", list.len())));
    }
    let mut bytes = 0;
    let mut map = HeaderMap::with_capacity(list.len());
    for field in list {
        bytes += field.name.len() + field.value.len();
        if bytes > EDIT_BYTES_MAX {
            return Err(invalid(format!("fields of more than {EDIT_BYTES_MAX} bytes")));
        }
        let (name, value) = valid(field)?;
        if map.try_append(name, value).is_err() {
            return Err(invalid("too many fields"));
        }
    }
    Ok(map)
}

fn valid(field: guest::FieldResult) -> Result<(HeaderName, HeaderValue), Failure> {
    let name = editable(&field.name)?;
    let value = HeaderValue::from_maybe_shared(Bytes::from(field.value))
        .map_err(|_| invalid(format!("the value it gave `{name}` has bytes that HTTP does not allow")))?;
    Ok((name, value))
}

fn editable(name: &str) -> Result<HeaderName, Failure> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| invalid(format!("it used {:?} as the name of a field", clip(name))))?;
    if is_framing(&parsed) {
        return Err(invalid(format!("it edited `{parsed}`, which only the proxy sets")));
    }
    Ok(parsed)
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Place = Place { phase: Phase::RequestHead, head_is_held: true, is_complete: false };

    fn field(name: &str, value: &[u8]) -> guest::FieldResult {
        guest::FieldResult { name: name.into(), value: value.into() }
    }

    fn empty() -> guest::Edits {
        guest::Edits { fields: vec![], target: None, status: None, data: None, trailers: None }
    }

    fn refused(wanted: guest::Edits, place: Place) -> String {
        let failure = translate(guest::Verdict::Edit(wanted), place).expect_err("it is invalid");
        assert_eq!(failure.kind, FailureKind::Invalid);
        failure.message
    }

    #[test]
    fn edits_are_made_in_order() {
        let wanted = guest::Edits {
            fields: vec![
                guest::FieldEdit::Set(field("x-a", b"1")),
                guest::FieldEdit::Append(field("X-A", b"2")),
                guest::FieldEdit::Remove("x-b".into()),
            ],
            target: Some("/new?q".into()),
            ..empty()
        };
        let Ok(Verdict::Edit(edits)) = translate(guest::Verdict::Edit(wanted), HEAD) else { panic!() };
        let mut fields = HeaderMap::new();
        fields.insert("x-a", HeaderValue::from_static("old"));
        fields.insert("x-b", HeaderValue::from_static("old"));
        edits.apply(&mut fields);
        assert_eq!(fields.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert!(!fields.contains_key("x-b"));
        assert_eq!(edits.target.unwrap(), "/new?q");
    }

    #[test]
    fn what_http_does_not_allow_is_a_failure() {
        let set = |name: &str, value: &[u8]| guest::Edits {
            fields: vec![guest::FieldEdit::Set(field(name, value))],
            ..empty()
        };
        for name in ["connection", "Content-Length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive"] {
            assert!(refused(set(name, b"x"), HEAD).contains("only the proxy sets"), "{name}");
        }
        for name in ["", "a b", ":path", "x\r\ny", "ü"] {
            assert!(refused(set(name, b"x"), HEAD).contains("as the name of a field"), "{name}");
        }
        for value in [&b"a\r\nb: c"[..], b"\0", b"a\n"] {
            assert!(refused(set("x-a", value), HEAD).contains("bytes that HTTP does not allow"));
        }
        let second = guest::Edits { fields: vec![guest::FieldEdit::Append(field("host", b"x"))], ..empty() };
        assert!(refused(second, HEAD).contains("second `host`"));
        for target in ["", "x", "http://other/", "/a#b", "/a b", "*"] {
            let wanted = guest::Edits { target: Some(target.into()), ..empty() };
            assert!(refused(wanted, HEAD).contains("which is no path"), "{target}");
        }
        let many = guest::Edits { fields: vec![guest::FieldEdit::Remove("x".into()); EDITS_MAX + 1], ..empty() };
        assert!(refused(many, HEAD).contains("at most"));
        assert!(refused(set("x", &vec![b'x'; EDIT_BYTES_MAX]), HEAD).contains("more than"));
    }

    #[test]
    fn each_phase_has_its_own_edits() {
        let gone = Place { phase: Phase::ResponseBody, head_is_held: false, is_complete: false };
        let held = Place { phase: Phase::ResponseBody, head_is_held: true, is_complete: true };
        let status = || guest::Edits { status: Some(404), ..empty() };
        assert!(refused(status(), HEAD).contains("the status in request_head"));
        assert!(refused(status(), gone).contains("after the head had gone"));
        assert!(translate(guest::Verdict::Edit(status()), held).is_ok());
        assert!(refused(guest::Edits { status: Some(101), ..empty() }, held).contains("200 to 599"));
        assert!(refused(guest::Edits { data: Some(vec![]), ..empty() }, HEAD).contains("body bytes"));
        assert!(refused(guest::Edits { target: Some("/".into()), ..empty() }, held).contains("the target"));
        assert!(refused(guest::Edits { trailers: Some(vec![]), ..empty() }, gone).contains("before the end"));
        let trailers = guest::Edits { trailers: Some(vec![field("x-sum", b"1")]), ..empty() };
        assert!(translate(guest::Verdict::Edit(trailers), held).is_ok());
    }

    #[test]
    fn responses_are_bounded() {
        let respond = |status, body: usize| {
            translate(guest::Verdict::Respond(guest::Response { status, fields: vec![], body: vec![0; body] }), HEAD)
        };
        assert!(matches!(respond(403, BODY_MAX), Ok(Verdict::Respond(_))));
        for (status, body) in [(0, 0), (42, 0), (101, 0), (600, 0), (200, BODY_MAX + 1)] {
            assert_eq!(respond(status, body).expect_err("refused").kind, FailureKind::Invalid);
        }
    }
}
