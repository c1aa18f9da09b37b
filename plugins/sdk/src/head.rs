//! Reading heads.
//!
//! Names are compared without regard to case, although they arrive in lower case: a look-up for `Host` that never finds anything
//! is a hole in a filter.

use crate::{Field, HttpVersion, RequestHead, ResponseHead};

impl Field {
    /// A field. Names are lower case in heads; those given to the proxy may be in any.
    pub fn new(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// The value, when it is UTF-8. Mostly it is ASCII, but nothing forces a client.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }
}

fn first<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
}

fn all<'a>(fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a Field> {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name))
}

macro_rules! lookups {
    ($head:ty) => {
        impl $head {
            /// The first field of that name, as bytes.
            pub fn get(&self, name: &str) -> Option<&[u8]> {
                first(&self.fields, name).map(|field| &*field.value)
            }

            /// The first field of that name as text. None as well when it is not UTF-8: where absence means "let pass", ask
            /// [`get`](Self::get) instead.
            pub fn text(&self, name: &str) -> Option<&str> {
                first(&self.fields, name).and_then(Field::text)
            }

            /// All fields of that name, as bytes, in the order of arrival.
            pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
                all(&self.fields, name).map(|field| &*field.value)
            }

            /// Whether there is a field of that name.
            pub fn has(&self, name: &str) -> bool {
                self.get(name).is_some()
            }

            /// Adds a field: heads in tests are made so.
            #[must_use]
            pub fn field(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
                self.fields.push(Field::new(name.into().to_ascii_lowercase(), value));
                self
            }
        }
    };
}

lookups!(RequestHead);
lookups!(ResponseHead);

impl RequestHead {
    /// A request to begin with in tests: of `example.com`, over TLS, HTTP/1.1, with its `host` field.
    pub fn new(method: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            https: true,
            authority: "example.com".to_owned(),
            target: target.into(),
            version: HttpVersion::Http11,
            fields: vec![Field::new("host", "example.com")],
        }
    }

    /// [`RequestHead::new`] with GET.
    pub fn get_request(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// The target without its query, not decoded: `/a%20b`.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// What follows the first `?` of the target, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The authority without its port: `example.com`, `[2001:db8::1]`.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    /// The first cookie of that name (RFC 6265; names are case-sensitive), in any of the `cookie` fields. Fields that are not UTF-8
    /// are passed over; a value in quotes is given without them.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        all(&self.fields, "cookie")
            .filter_map(Field::text)
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.split_once('='))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| {
                let value = value.trim();
                value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
            })
    }
}

impl ResponseHead {
    /// A response without fields, as tests begin with.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_any_case_and_in_order() {
        let head = RequestHead::get_request("/").field("X-A", "1").field("x-a", "2").field("x-b", vec![0xff]);
        assert_eq!(head.get("X-a"), Some(&b"1"[..]));
        assert_eq!(head.all("x-A").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((head.text("x-b"), head.has("x-b"), head.has("x-c")), (None, true, false));
    }

    #[test]
    fn target_splits_at_the_first_question_mark() {
        let head = RequestHead::get_request("/a?b?c");
        assert_eq!((head.path(), head.query()), ("/a", Some("b?c")));
        assert_eq!(RequestHead::get_request("/a").query(), None);
    }

    #[test]
    fn host_has_no_port() {
        for (authority, host) in [
            ("example.com", "example.com"),
            ("example.com:8443", "example.com"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
        ] {
            let head = RequestHead { authority: authority.to_owned(), ..RequestHead::get_request("/") };
            assert_eq!(head.host(), host);
        }
    }

    #[test]
    fn cookies_of_all_fields_are_searched() {
        let head = RequestHead::get_request("/").field("cookie", "a=1; b=\"2\"").field("cookie", "c = 3=4 ;a=5");
        assert_eq!(["a", "b", "c", "A"].map(|name| head.cookie(name)), [Some("1"), Some("2"), Some("3=4"), None]);
    }
}
