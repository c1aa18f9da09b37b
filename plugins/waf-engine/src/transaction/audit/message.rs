//! What the audit log says of a rule that matched.

use std::{borrow::Cow, fmt::Write as _};

use serde::Serialize;

use super::{
    mask::Masks,
    text::{push_limited, text},
};
use crate::{
    model::{Entry, Rule},
    transaction::{Engine, Match},
};

/// Of an operator's argument, at most so many bytes are logged; as in libmodsecurity.
const MOST_ARGUMENT: usize = 200;
/// Of a value that matched; as in libmodsecurity.
pub(super) const MOST_VALUE: usize = 100;

#[derive(Serialize)]
pub(super) struct Message<'a> {
    message: Cow<'a, str>,
    details: Details<'a>,
}

/// Numbers are strings here: so it is in libmodsecurity.
#[derive(Serialize)]
struct Details<'a> {
    r#match: Cow<'a, str>,
    /// Where the match was, which nobody here keeps.
    reference: &'static str,
    #[serde(rename = "ruleId")]
    rule_id: String,
    file: &'a str,
    #[serde(rename = "lineNumber")]
    line_number: String,
    data: Cow<'a, str>,
    severity: String,
    ver: &'a str,
    rev: &'a str,
    tags: Vec<Cow<'a, str>>,
    maturity: String,
    accuracy: String,
}

impl<'a> Message<'a> {
    pub fn of(matched: &'a Match, engine: &'a Engine, masks: &Masks<'_>) -> Self {
        let rule = rule_of(engine, matched.rule);
        let secret = masks.of_match(matched);
        let hide = |bytes: &'a [u8]| masks.hide(bytes, secret);
        Self {
            message: hide(&matched.message),
            details: Details {
                r#match: rule.map_or_else(Default::default, |rule| masks.hide_text(describe(matched, rule), secret)),
                reference: "",
                rule_id: matched.rule.to_string(),
                file: &matched.file,
                line_number: matched.line.to_string(),
                data: hide(&matched.data),
                severity: matched.severity.unwrap_or(0).to_string(),
                ver: rule.and_then(|rule| rule.version.as_deref()).unwrap_or_default(),
                rev: rule.and_then(|rule| rule.revision.as_deref()).unwrap_or_default(),
                tags: matched.tags.iter().map(|tag| text(tag)).collect(),
                maturity: rule.and_then(|rule| rule.maturity).unwrap_or(0).to_string(),
                accuracy: rule.and_then(|rule| rule.accuracy).unwrap_or(0).to_string(),
            },
        }
    }
}

fn rule_of(engine: &Engine, id: u64) -> Option<&Rule> {
    engine.rules.entries.iter().find_map(|entry| match entry {
        Entry::Rule(rule) if rule.id == id => Some(rule),
        _ => None,
    })
}

/// Which operator matched what, in the words that readers of the log look for.
fn describe(matched: &Match, rule: &Rule) -> String {
    let Some(condition) = rule.links.iter().rev().find_map(|link| link.condition.as_ref()) else {
        return "Unconditional match in SecAction.".to_owned();
    };
    let mut description = "Matched \"Operator `".to_owned();
    description.push_str(&shown_name(&condition.name));
    description.push_str("' with parameter `");
    push_limited(&mut description, condition.argument.as_bytes(), MOST_ARGUMENT);
    // Writing to a string does not fail.
    let _ = write!(description, "' against variable `{}' (Value: `", text(&matched.variable));
    push_limited(&mut description, &matched.value, MOST_VALUE);
    description.push_str("' )");
    description
}

/// An operator's name as libmodsecurity writes it, however the rule does.
fn shown_name(name: &str) -> Cow<'_, str> {
    const INNER_CAPITALS: &[&str] = &[
        "BeginsWith",
        "ContainsWord",
        "DetectSQLi",
        "DetectXSS",
        "EndsWith",
        "IpMatch",
        "IpMatchFromFile",
        "NoMatch",
        "PmFromFile",
        "RxGlobal",
        "StrEq",
        "StrMatch",
        "UnconditionalMatch",
        "ValidateByteRange",
        "ValidateUrlEncoding",
        "ValidateUtf8Encoding",
        "VerifyCC",
        "VerifyCPF",
        "VerifySSN",
        "VerifySVNR",
    ];
    if let Some(known) = INNER_CAPITALS.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        return Cow::Borrowed(known);
    }
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::shown_name;

    #[test]
    fn operators_are_named_as_libmodsecurity_does() {
        for (name, shown) in
            [("rx", "Rx"), ("streq", "StrEq"), ("detectSQLi", "DetectSQLi"), ("within", "Within"), ("", "")]
        {
            assert_eq!(shown_name(name), shown);
        }
    }
}
