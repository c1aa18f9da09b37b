//! `[route.waf]`.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{
    Filled, Read, Tables,
    choice::choice,
    table::{clip, table},
    text::{Problem, Written},
};
use crate::{
    diagnostic::Sink,
    nearest::did_you_mean,
    tree::{Kind, Node},
    waf::Mode,
};

table! {
    /// What the WAF does on this route that differs from its own table. Needs a plugin with `module = "builtin:waf"` in `plugins`.
    Waf {
        /// `block`, `detect` (write down what would be refused), or `off`. Default: what the plugin's table says.
        mode: Mode,
        /// The share of requests that are looked at, such as `"10%"`. Default: what the plugin's table says.
        sample: Share,
        /// What is let through.
        except: Tables<Except>,
    }
}

table! {
    /// Rules that do not apply on this route, or not to one target. Needs `rules` or `tags`.
    Except {
        /// Rules by their ids, and ranges of them such as `"941100-941999"`.
        rules: Filled<Ids>,
        /// Rules by their tags, such as `"attack-sqli"`.
        tags: Filled<Tag>,
        /// Only for this variable of the rules, such as `"ARGS:q"`. Default: the rules do not apply at all.
        target: Target,
        /// Only for requests of this path, or with `/*` at the end of everything below it. Default: all.
        path: ExceptPath,
    }
}

choice!(Mode, "a mode of the WAF", {
    "block" => Mode::Block,
    "detect" => Mode::Detect,
    "off" => Mode::Off,
});

/// A share of all requests, in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share(pub(crate) f64);

impl Written for Share {
    const KIND: &'static str = "a share";
    const EXAMPLES: &'static [&'static str] = &["10%", "0.5%"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let problem =
            || Problem::new(format!("`{}` is not a share", clip(text))).expected(super::text::examples::<Self>());
        let number = text.strip_suffix('%').ok_or_else(problem)?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(problem());
        }
        match number.parse::<f64>().map_err(|_| problem())? {
            share if share > 100.0 => Err(Problem::new("more than all requests").expected("at most \"100%\"")),
            share if share > 0.0 => Ok(Self(share)),
            _ => Err(Problem::new("a share of nothing").help("to look at no request write `mode = \"off\"`")),
        }
    }

    fn for_number(number: i64) -> Option<String> {
        Some(format!("a share carries its unit: \"{number}%\""))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9.]+%$", "examples": Self::EXAMPLES })
    }
}

/// The id of a rule, or a range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ids(pub(crate) u64, pub(crate) u64);

impl Ids {
    const EXPECTED: &'static str = "the id of a rule such as 942100, or a range such as \"941100-941999\"";

    fn parse(text: &str) -> Result<Self, Problem> {
        let id = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // ModSecurity keeps an id as a signed number of 64 bits.
            text.parse::<u64>().ok().filter(|&id| digits && id > 0 && id <= i64::MAX as u64)
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (id(first.trim()), id(last.trim())) {
            (Some(first), Some(last)) if first > last => {
                Err(Problem::new("a range that ends before it begins").help(format!("write \"{last}-{first}\"")))
            }
            (Some(first), Some(last)) => Ok(Self(first, last)),
            _ => Err(Problem::new(format!("`{}` is no id of a rule", clip(text))).expected(Self::EXPECTED)),
        }
    }
}

/// Ids stand without quotes in rules, and people write them so here too.
impl Read for Ids {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        let text = match &node.kind {
            Kind::String(text) => text.clone(),
            Kind::Integer(id) => id.to_string(),
            _ => {
                out.error(node.span, format!("expected the id of a rule, found {}", node.describe()))
                    .expected(Self::EXPECTED);
                return None;
            }
        };
        match Self::parse(&text) {
            Ok(ids) => Some(ids),
            Err(problem) => {
                let draft = out.error(node.span, problem.message);
                if let Some(expected) = problem.expected {
                    draft.expected(expected);
                }
                draft.maybe_help(problem.help);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": "^[0-9]+( *- *[0-9]+)?$" },
        ] })
    }
}

/// A tag of rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tag(pub(crate) String);

impl Written for Tag {
    const KIND: &'static str = "a tag of rules";
    const EXAMPLES: &'static [&'static str] = &["attack-sqli", "OWASP_CRS"];

    fn parse(text: &str) -> Result<Self, Problem> {
        match text.is_empty() || text.chars().any(char::is_control) {
            true => Err(Problem::new("an empty tag, or one with control characters")),
            false => Ok(Self(text.to_owned())),
        }
    }
}

/// A variable of rules, with or without a member of its collection.
#[derive(Clone, Debug)]
pub(crate) struct Target(pub(crate) String);

/// Variables that hold what clients and backends send (ModSecurity v3 reference manual, "Variables").
const VARIABLES: &[&str] = &[
    "ARGS",
    "ARGS_COMBINED_SIZE",
    "ARGS_GET",
    "ARGS_GET_NAMES",
    "ARGS_NAMES",
    "ARGS_POST",
    "ARGS_POST_NAMES",
    "FILES",
    "FILES_COMBINED_SIZE",
    "FILES_NAMES",
    "FILES_SIZES",
    "FILES_TMP_CONTENT",
    "FILES_TMPNAMES",
    "FULL_REQUEST",
    "FULL_REQUEST_LENGTH",
    "MULTIPART_FILENAME",
    "MULTIPART_NAME",
    "MULTIPART_PART_HEADERS",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_PORT",
    "REMOTE_USER",
    "REQBODY_ERROR",
    "REQBODY_ERROR_MSG",
    "REQBODY_PROCESSOR",
    "REQUEST_BASENAME",
    "REQUEST_BODY",
    "REQUEST_BODY_LENGTH",
    "REQUEST_COOKIES",
    "REQUEST_COOKIES_NAMES",
    "REQUEST_FILENAME",
    "REQUEST_HEADERS",
    "REQUEST_HEADERS_NAMES",
    "REQUEST_LINE",
    "REQUEST_METHOD",
    "REQUEST_PROTOCOL",
    "REQUEST_URI",
    "REQUEST_URI_RAW",
    "RESPONSE_BODY",
    "RESPONSE_CONTENT_LENGTH",
    "RESPONSE_CONTENT_TYPE",
    "RESPONSE_HEADERS",
    "RESPONSE_HEADERS_NAMES",
    "RESPONSE_PROTOCOL",
    "RESPONSE_STATUS",
    "STATUS_LINE",
    "TX",
    "XML",
];

impl Written for Target {
    const KIND: &'static str = "a target of rules";
    const EXAMPLES: &'static [&'static str] = &["ARGS:q", "REQUEST_COOKIES:session", "ARGS_NAMES"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let (variable, member) =
            text.split_once(':').map_or((text, None), |(variable, member)| (variable, Some(member)));
        if text.contains('|') {
            return Err(Problem::new("several targets").help("write one `[[route.waf.except]]` for each"));
        }
        if variable.starts_with(['!', '&']) {
            return Err(Problem::new(format!("`{}` begins a target of a rule, not of an exception", &variable[..1]))
                .help(format!("write \"{}\"", clip(&text[1..]))));
        }
        let upper = variable.to_ascii_uppercase();
        if !VARIABLES.contains(&&*upper) {
            let problem = Problem::new(format!("there is no target `{}`", clip(variable)));
            return Err(match did_you_mean(&upper, VARIABLES.iter().copied()) {
                Some(help) => problem.help(help),
                None => problem.expected(super::text::examples::<Self>()),
            });
        }
        match member {
            Some(member) if member.is_empty() || member.chars().any(char::is_control) => {
                Err(Problem::new("nothing, or a control character, after the colon")
                    .expected(super::text::examples::<Self>()))
            }
            Some(member) => Ok(Self(format!("{upper}:{member}"))),
            None => Ok(Self(upper)),
        }
    }
}

/// A path of requests, or a beginning of paths.
#[derive(Clone, Debug)]
pub(crate) struct ExceptPath(pub(crate) String);

impl Written for ExceptPath {
    const KIND: &'static str = "a path";
    const EXAMPLES: &'static [&'static str] = &["/search", "/api/*"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let expected = super::text::examples::<Self>();
        if !text.starts_with('/') {
            return Err(Problem::new("a path begins with a slash").expected(expected));
        }
        if text.contains(['?', '#']) || text.chars().any(char::is_control) {
            return Err(Problem::new("a path without its query, and without control characters").expected(expected));
        }
        if text.strip_suffix("/*").unwrap_or(text).contains('*') {
            return Err(Problem::new("`*` stands at the end only, after a slash").expected(expected));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_ranges() {
        assert_eq!(Ids::parse("942100").ok(), Some(Ids(942_100, 942_100)));
        assert_eq!(Ids::parse("941100 - 941999").ok(), Some(Ids(941_100, 941_999)));
        for bad in ["", "0", "-1", "+1", "1-", "9-1", "1-2-3", "x", "9223372036854775808"] {
            assert!(Ids::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares() {
        assert_eq!(Share::parse("12.5%").ok().map(|share| share.0), Some(12.5));
        for bad in ["", "%", "10", "0%", "101%", "-1%", "1e1%", "inf%", "1.2.3%", " 1%"] {
            assert!(Share::parse(bad).is_err(), "{bad}");
        }
    }
}
