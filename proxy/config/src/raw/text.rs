//! Values that are written as strings: a grammar each, one reader for all; and plain booleans.

use std::path::PathBuf;

use regex::{Regex, RegexBuilder};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Read, table::clip};
use crate::{
    diagnostic::Sink,
    names::{BackendName, CertificateName, ListenerName, RouteName},
    source::Span,
    tree::{Kind, Node},
};

/// What is wrong with a written value.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) expected: Option<String>,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), expected: None, help: None }
    }

    pub(crate) fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// Reads a value that stands by itself, on a command line.
///
/// # Errors
/// When it is none, on one line.
pub(crate) fn written<T: Written>(text: &str) -> Result<T, String> {
    T::parse(text).map_err(|Problem { message, expected, help }| {
        let expected = expected.map(|expected| format!("expected {expected}"));
        [Some(message), expected, help].into_iter().flatten().collect::<Vec<_>>().join("; ")
    })
}

/// A value that is written as a string.
pub(crate) trait Written: Sized {
    /// With its article, for "expected ..., found an integer".
    const KIND: &'static str;
    /// Some that are right.
    const EXAMPLES: &'static [&'static str];

    fn parse(text: &str) -> Result<Self, Problem>;

    /// What to write in place of a bare number.
    fn for_number(_number: i64) -> Option<String> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": Self::EXAMPLES })
    }
}

impl<T: Written> Read for T {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::String(text) => parse_at(node.span, text, out),
            kind => {
                let help = match kind {
                    Kind::Integer(number) => T::for_number(*number),
                    _ => None,
                };
                out.error(node.span, format!("expected {}, found {}", T::KIND, node.describe())).maybe_help(help);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        <T as Written>::schema()
    }
}

/// Parses text from the file, and reports what is wrong with it.
pub(super) fn parse_at<T: Written>(span: Span, text: &str, out: &mut Sink<'_>) -> Option<T> {
    match T::parse(text) {
        Ok(value) => Some(value),
        Err(problem) => {
            let draft = out.error(span, problem.message);
            if let Some(expected) = problem.expected {
                draft.expected(expected);
            }
            draft.maybe_help(problem.help);
            None
        }
    }
}

/// Joins examples for a message: `"5s"` or `"1m30s"`.
pub(super) fn examples<T: Written>() -> String {
    let quoted: Vec<_> = T::EXAMPLES.iter().map(|example| format!("\"{example}\"")).collect();
    format!("{} such as {}", T::KIND, quoted.join(" or "))
}

impl Read for bool {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Boolean(value) => Some(*value),
            _ => {
                let draft = out.error(node.span, format!("expected `true` or `false`, found {}", node.describe()));
                if let Kind::String(text) = &node.kind
                    && matches!(&**text, "true" | "false")
                {
                    draft.help("leave out the quotes");
                }
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

impl Written for String {
    const KIND: &'static str = "a string";
    const EXAMPLES: &'static [&'static str] = &[];

    fn parse(text: &str) -> Result<Self, Problem> {
        Ok(text.to_owned())
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl Written for PathBuf {
    const KIND: &'static str = "a path";
    const EXAMPLES: &'static [&'static str] = &["/etc/portcullis/shop.pem", "shop.pem"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::new("an empty path"));
        }
        if text.contains('\0') {
            return Err(Problem::new("a path cannot hold a zero byte"));
        }
        Ok(Self::from(text))
    }
}

/// Names that operators give to things go into logs and command lines.
fn name(text: &str) -> Result<&str, Problem> {
    const LONGEST: usize = 255;
    if text.is_empty() {
        return Err(Problem::new("an empty name"));
    }
    if text.len() > LONGEST {
        return Err(
            Problem::new(format!("a name of {} bytes", text.len())).expected(format!("at most {LONGEST} bytes"))
        );
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(Problem::new("a name with white space around it or control characters in it"));
    }
    Ok(text)
}

macro_rules! written_name {
    ($type:ident, $kind:literal, $example:literal) => {
        impl Written for $type {
            const KIND: &'static str = $kind;
            const EXAMPLES: &'static [&'static str] = &[$example];

            fn parse(text: &str) -> Result<Self, Problem> {
                name(text).map(Self::new)
            }
        }
    };
}

written_name!(BackendName, "the name of a backend", "api");
written_name!(ListenerName, "the name of a listener", "https");
written_name!(RouteName, "the name of a route", "shop-api");
written_name!(CertificateName, "the name of a certificate", "shop");

impl Written for Regex {
    const KIND: &'static str = "a regex";
    const EXAMPLES: &'static [&'static str] = &["^/u/\\d+$"];

    fn parse(text: &str) -> Result<Self, Problem> {
        /// Bytes of one compiled regex: far more than any that a person writes, far less than a mistake like `(\w{1000}){1000}`.
        const COMPILED: usize = 1 << 20;
        RegexBuilder::new(text).size_limit(COMPILED).build().map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => Problem::new("this regex is too large once compiled")
                .help("counted repetitions such as `{1000}` make them so"),
            error => Problem::new(format!("this regex does not compile: {}", last_line(&error.to_string())))
                .maybe_look_around(text),
        })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "regex", "examples": Self::EXAMPLES })
    }
}

impl Problem {
    fn maybe_look_around(self, text: &str) -> Self {
        if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|group| text.contains(group)) {
            return self
                .help("matching takes linear time, so there is no look-around and there are no back-references");
        }
        self
    }
}

/// The regex crate draws its own excerpt; its last line is the reason.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or(text).trim();
    clip(line.strip_prefix("error: ").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_says_why_it_does_not_compile() {
        let problem = Regex::parse("^(a").unwrap_err();
        assert_eq!(problem.message, "this regex does not compile: unclosed group");
        assert!(Regex::parse("(?=a)b").unwrap_err().help.is_some());
        assert!(Regex::parse(r"(\w{1000}){1000}").unwrap_err().message.contains("too large"));
    }

    #[test]
    fn names_are_short_and_printable() {
        assert!(name("shop-api").is_ok());
        assert!(name("").is_err());
        assert!(name(" a").is_err());
        assert!(name("a\nb").is_err());
        assert!(name(&"a".repeat(300)).is_err());
    }
}
