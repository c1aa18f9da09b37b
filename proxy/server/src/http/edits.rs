//! What a route changes on the way, with names, values and regexes compiled once.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, uri::PathAndQuery};
use portcullis_config::route;

/// A route's edits, ready to be applied.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    prefix: Option<route::PrefixEdit>,
    rewrite: Option<route::Rewrite>,
    /// The `Host` (or `:authority`) sent to the backend, in place of the client's.
    pub host: Option<HeaderValue>,
    /// Of the request.
    pub request_headers: HeaderEdits,
    /// Of the response.
    pub response_headers: HeaderEdits,
}

/// Something in a route's edits that cannot be sent. The configuration's own check finds what can be found before a
/// request is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadEdit(
    /// What, and where: one sentence, no trailing full stop.
    pub String,
);

impl Edits {
    /// Compiles a route's edits.
    ///
    /// # Errors
    /// When a name or a value of a field is not one.
    pub fn new(edits: &route::Edits) -> Result<Self, BadEdit> {
        Ok(Self {
            prefix: edits.prefix.clone(),
            rewrite: edits.rewrite.clone(),
            host: edits.host.as_deref().map(|host| parse_value("host", host)).transpose()?,
            request_headers: HeaderEdits::new(&edits.request_headers)?,
            response_headers: HeaderEdits::new(&edits.response_headers)?,
        })
    }

    /// The target for the backend, where the edits change it: `None` says to send it as it came. `path` is the
    /// [normalised](super::path::normalise) one, and edits work on that; `query` is as sent.
    ///
    /// # Errors
    /// When the rewrite leads to something that is no target, such as one with a space in it.
    pub fn target(&self, path: &str, query: Option<&str>) -> Result<Option<PathAndQuery>, BadEdit> {
        if self.prefix.is_none() && self.rewrite.is_none() {
            return Ok(None);
        }
        let mut edited = Cow::Borrowed(path);
        let mut changed = false;
        if let Some(edit) = &self.prefix
            && let Some(rest) = path.strip_prefix(edit.from.as_str())
            && (rest.is_empty() || rest.starts_with('/'))
        {
            changed = true;
            edited = match (edit.to.as_str(), rest) {
                ("", "") => "/".into(),
                ("", rest) => rest.into(),
                (to, rest) => [to, rest].concat().into(),
            };
        }
        if let Some(rewrite) = &self.rewrite
            && let Cow::Owned(rewritten) = rewrite.regex.replace(&edited, rewrite.to.as_str())
        {
            changed = true;
            edited = if rewritten.starts_with('/') { rewritten.into() } else { format!("/{rewritten}").into() };
        }
        if !changed {
            return Ok(None);
        }
        let mut target = edited.into_owned();
        if let Some(query) = query {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(query);
        }
        if target.contains('#') {
            return Err(BadEdit(format!("the rewritten target {target:?} holds a fragment")));
        }
        let bytes = Bytes::from(target);
        PathAndQuery::from_maybe_shared(bytes.clone()).map(Some).map_err(|error| {
            BadEdit(format!("the rewritten target {:?} is none: {error}", String::from_utf8_lossy(&bytes)))
        })
    }
}

/// Changes to a set of fields.
#[derive(Clone, Debug, Default)]
pub struct HeaderEdits {
    remove: Box<[HeaderName]>,
    set: Box<[(HeaderName, HeaderValue)]>,
    add: Box<[(HeaderName, HeaderValue)]>,
}

impl HeaderEdits {
    fn new(edits: &route::HeaderEdits) -> Result<Self, BadEdit> {
        let pairs = |pairs: &[(String, String)]| -> Result<Box<[_]>, BadEdit> {
            pairs.iter().map(|(name, value)| Ok((parse_name(name)?, parse_value(name, value)?))).collect()
        };
        Ok(Self {
            remove: edits.remove.iter().map(|name| parse_name(name)).collect::<Result<_, _>>()?,
            set: pairs(&edits.set)?,
            add: pairs(&edits.add)?,
        })
    }

    /// Removes, then sets, then adds.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

fn parse_name(name: &str) -> Result<HeaderName, BadEdit> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadEdit(format!("{name:?} is no name of a header field")))
}

fn parse_value(name: &str, value: &str) -> Result<HeaderValue, BadEdit> {
    HeaderValue::from_str(value).map_err(|_| BadEdit(format!("{value:?} is no value for the header field {name:?}")))
}

#[cfg(test)]
mod tests {
    use portcullis_config::route::{PrefixEdit, Rewrite};

    use super::*;

    fn edits(prefix: Option<(&str, &str)>, rewrite: Option<(&str, &str)>) -> Edits {
        Edits::new(&route::Edits {
            prefix: prefix.map(|(from, to)| PrefixEdit { from: from.into(), to: to.into() }),
            rewrite: rewrite.map(|(regex, to)| Rewrite { regex: regex::Regex::new(regex).unwrap(), to: to.into() }),
            ..route::Edits::default()
        })
        .unwrap()
    }

    fn target(edits: &Edits, path: &str, query: Option<&str>) -> Option<String> {
        edits.target(path, query).unwrap().map(|target| target.as_str().to_owned())
    }

    #[test]
    fn prefixes_go_by_whole_segments() {
        let strip = edits(Some(("/api", "")), None);
        assert_eq!(target(&strip, "/api", None).unwrap(), "/");
        assert_eq!(target(&strip, "/api/", Some("")).unwrap(), "/?");
        assert_eq!(target(&strip, "/api/x", Some("a=b")).unwrap(), "/x?a=b");
        assert_eq!(target(&strip, "/apis", None), None);
        assert_eq!(target(&strip, "*", None), None);
        let replace = edits(Some(("/api", "/v2")), None);
        assert_eq!(target(&replace, "/api/x", None).unwrap(), "/v2/x");
        assert_eq!(target(&replace, "/api", None).unwrap(), "/v2");
    }

    #[test]
    fn rewrites_fill_in_groups_and_keep_the_query() {
        let user = edits(None, Some(("^/u/(\\d+)$", "/user?id=$1")));
        assert_eq!(target(&user, "/u/7", Some("a=b")).unwrap(), "/user?id=7&a=b");
        assert_eq!(target(&user, "/u/7", None).unwrap(), "/user?id=7");
        assert_eq!(target(&user, "/u/x", Some("a=b")), None);
        let both = edits(Some(("/api", "")), Some(("^/v(?P<n>\\d)/", "/${n}/")));
        assert_eq!(target(&both, "/api/v1/x", None).unwrap(), "/1/x");
        assert_eq!(target(&both, "/api/x", None).unwrap(), "/x");
        assert_eq!(target(&edits(None, Some(("^/", ""))), "/x", None).unwrap(), "/x");
        assert!(edits(None, Some(("x", "a b"))).target("/x", None).is_err());
        assert!(edits(None, Some(("x", "a#b"))).target("/x", None).is_err());
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let edits = HeaderEdits::new(&route::HeaderEdits {
            remove: vec!["x-gone".into()],
            set: vec![("x-set".into(), "1".into())],
            add: vec![("x-set".into(), "2".into()), ("x-gone".into(), "back".into())],
        })
        .unwrap();
        let mut headers = HeaderMap::new();
        for name in ["x-gone", "x-set", "x-set", "x-stays"] {
            headers.append(name, HeaderValue::from_static("0"));
        }
        edits.apply(&mut headers);
        let values = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((values("x-gone"), values("x-set"), values("x-stays")), (vec!["back"], vec!["1", "2"], vec!["0"]));
        let bad = route::HeaderEdits { remove: vec!["a b".into()], ..route::HeaderEdits::default() };
        assert!(HeaderEdits::new(&bad).is_err());
    }
}
