//! The grammar of HTTP's own words: methods, field names and values, paths.

use super::{
    table::clip,
    text::{Problem, Written},
};

/// A method, as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Method(pub(crate) String);

impl Written for Method {
    const KIND: &'static str = "a method";
    const EXAMPLES: &'static [&'static str] = &["GET", "POST"];

    fn parse(text: &str) -> Result<Self, Problem> {
        const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
        if text.is_empty() || !text.bytes().all(is_token) {
            return Err(
                Problem::new(format!("`{}` is not a method", clip(text))).expected(super::text::examples::<Self>())
            );
        }
        match KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(text) && *known != text) {
            Some(known) => Err(Problem::new(format!("`{text}` is not what clients send: methods are case-sensitive"))
                .help(format!("write \"{known}\""))),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// The name of a header field, in lower case.
#[derive(Clone, Debug)]
struct FieldName(String);

impl Written for FieldName {
    const KIND: &'static str = "the name of a header field";
    const EXAMPLES: &'static [&'static str] = &["x-env"];

    fn parse(text: &str) -> Result<Self, Problem> {
        const LONGEST: usize = 256;
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(is_token) {
            let problem = Problem::new(format!("`{}` is not the name of a header field", clip(text)))
                .expected("letters, digits and hyphens");
            return Err(match text.strip_suffix(':') {
                Some(name) => problem.help(format!("leave out the colon: \"{}\"", clip(name))),
                None => problem,
            });
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// The name of a header field that a route can match.
#[derive(Clone, Debug)]
pub(crate) struct MatchableName(pub(crate) String);

impl Written for MatchableName {
    const KIND: &'static str = FieldName::KIND;
    const EXAMPLES: &'static [&'static str] = FieldName::EXAMPLES;

    fn parse(text: &str) -> Result<Self, Problem> {
        match FieldName::parse(text)?.0 {
            name if name == "host" => {
                Err(Problem::new("the host is matched by a key of its own").help("write `host = \"...\"` in the route"))
            }
            name => Ok(Self(name)),
        }
    }
}

/// The name of a header field that may be edited: not one that frames the message or belongs to one hop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EditableName(pub(crate) String);

impl Written for EditableName {
    const KIND: &'static str = FieldName::KIND;
    const EXAMPLES: &'static [&'static str] = FieldName::EXAMPLES;

    fn parse(text: &str) -> Result<Self, Problem> {
        let FieldName(name) = FieldName::parse(text)?;
        match &*name {
            "connection" | "content-length" | "transfer-encoding" | "upgrade" | "te" | "trailer" | "keep-alive"
            | "proxy-connection" => Err(Problem::new(format!("`{name}` cannot be edited"))
                .help("it frames the message or belongs to one connection; portcullis sets it itself")),
            "host" => Err(Problem::new("`host` cannot be edited").help("`host_header` sets it")),
            _ => Ok(Self(name)),
        }
    }
}

/// The value of a header field.
#[derive(Clone, Debug)]
pub(crate) struct FieldValue(pub(crate) String);

impl Written for FieldValue {
    const KIND: &'static str = "the value of a header field";
    const EXAMPLES: &'static [&'static str] = &["no-store"];

    fn parse(text: &str) -> Result<Self, Problem> {
        const LONGEST: usize = 8192;
        if text.len() > LONGEST {
            return Err(Problem::new(format!("a header value of {} bytes", text.len())).expected("at most 8192 bytes"));
        }
        if text.trim() != text {
            return Err(Problem::new("a header value with white space around it").help("it would be lost on the way"));
        }
        match text.chars().find(|c| !matches!(c, ' '..='~' | '\t')) {
            Some(odd) => Err(Problem::new(format!("`{}` is not allowed in a header value", odd.escape_default()))
                .expected("visible ASCII characters, spaces and tabs")),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// A path to compare with normalised ones.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// In normal form.
    pub(crate) normal: String,
    /// As written.
    pub(crate) written: String,
}

impl Written for Path {
    const KIND: &'static str = "a path";
    const EXAMPLES: &'static [&'static str] = &["/api/", "/healthz"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if !text.starts_with('/') {
            let problem = Problem::new(format!("the path `{}` does not begin with a slash", clip(text)));
            return Err(match text.starts_with(['^', '*', '~']) {
                true => problem.help("`path_regex` takes a regex; `path` holds everything below it without a `*`"),
                false => problem.help(format!("write \"/{}\"", clip(text))),
            });
        }
        if let Some(at) = text.find(['?', '#']) {
            let problem = Problem::new(format!("a path has no `{}`", &text[at..=at]));
            return Err(match text.as_bytes()[at] {
                b'?' => problem.help("`query` matches parameters: `query = { page = \"2\" }`"),
                _ => problem,
            });
        }
        if text.contains('*') {
            return Err(Problem::new("a path has no wildcards")
                .help("`path` holds everything below it; `path_regex` takes a regex"));
        }
        let normal = normal(text)?;
        if normal.contains("//") || normal.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(Problem::new(format!("no request has the path `{}`", clip(text)))
                .help("double slashes, `.` and `..` are resolved before a path is compared: write it resolved"));
        }
        Ok(Self { normal, written: text.to_owned() })
    }
}

impl Path {
    /// Without its trailing slash; the root is empty.
    pub(crate) fn as_prefix(&self) -> &str {
        self.normal.strip_suffix('/').unwrap_or(&self.normal)
    }
}

/// Unreserved characters decoded, everything else that a target cannot hold encoded (RFC 3986 section 6.2.2), as
/// requests are before they are compared.
fn normal(text: &str) -> Result<String, Problem> {
    let bytes = text.as_bytes();
    let mut normal = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'%' {
            let hex = bytes.get(at + 1..at + 3).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
            let value =
                hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            let Some(value) = value else {
                return Err(Problem::new("`%` begins a percent-encoding")
                    .expected("two hexadecimal digits behind it")
                    .help("a percent sign itself is written `%25`"));
            };
            match value {
                0 => return Err(Problem::new("no request that is served has `%00` in its path")),
                value if is_unreserved(value) => normal.push(char::from(value)),
                value => normal.push_str(&format!("%{value:02X}")),
            }
            at += 3;
            continue;
        }
        match byte {
            byte if byte.is_ascii_control() => {
                return Err(Problem::new("a path with control characters in it"));
            }
            byte if is_path(byte) => normal.push(char::from(byte)),
            byte => normal.push_str(&format!("%{byte:02X}")),
        }
        at += 1;
    }
    Ok(normal)
}

/// `unreserved` of RFC 3986.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What RFC 3986 has in a path, and what clients send there unencoded: such bytes of a request stay as they are.
fn is_path(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@/\"[]^`{|}".contains(&byte)
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive() {
        assert_eq!(Method::parse("PURGE").unwrap().0, "PURGE");
        assert!(Method::parse("get").unwrap_err().help.unwrap().contains("GET"));
        assert!(Method::parse("G T").is_err());
    }

    #[test]
    fn framing_fields_are_not_edited() {
        assert_eq!(EditableName::parse("X-Env").unwrap().0, "x-env");
        for name in ["Content-Length", "transfer-encoding", "Host", "x env", "x:", ""] {
            assert!(EditableName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn values_cannot_split_a_message() {
        assert!(FieldValue::parse("a\r\nset-cookie: x").is_err());
        assert!(FieldValue::parse(" a").is_err());
        assert!(FieldValue::parse("é").is_err());
        assert!(FieldValue::parse("max-age=1, x").is_ok());
    }

    #[test]
    fn paths_are_compared_in_normal_form() {
        assert_eq!(Path::parse("/%7Euser/%c3%a9/é b[1]%2f").unwrap().normal, "/~user/%C3%A9/%C3%A9%20b[1]%2F");
        for text in ["api", "", "/a?b", "/a#b", "/a//b", "/a/../b", "/a/.", "/%2e%2E/a", "/a%00", "/%zz", "/a*", "/\n"]
        {
            assert!(Path::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Path::parse("/").unwrap().as_prefix(), "");
    }
}
