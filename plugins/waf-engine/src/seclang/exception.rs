//! Exceptions of routes: few words in a configuration that become rules.

use std::fmt::Write as _;

use crate::{model::IdRange, transaction::ROUTE};

/// The first id of generated rules. Nobody gives out ids of this size: the ranges that are reserved for rule sets end below
/// 22,000,000, and ids below 100,000 are for local use (ModSecurity's manual, `id`).
pub const FIRST_ID: u64 = 4_290_000_000;

/// What is not to be looked at on a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exception {
    /// These rules.
    pub rules: Vec<IdRange>,
    /// And rules with one of these tags.
    pub tags: Vec<String>,
    /// Only this variable of theirs (`ARGS:q`); without one the rules do not run at all.
    pub target: Option<String>,
    /// Only here: a path, or the beginning of paths with a `*` behind it. Compared with the decoded path of the request, without its
    /// query.
    pub path: Option<String>,
}

/// The rules of a route, in SecLang, as [`Loader::exceptions`](super::Loader::exceptions) loads them. `first_id` is the id of the first.
///
/// # Errors
/// One sentence, for each exception that cannot be written as a rule, with its number from 0.
pub fn seclang(route: &str, exceptions: &[Exception], first_id: u64) -> Result<String, Vec<(usize, String)>> {
    let mut text = String::new();
    let mut wrong = Vec::new();
    for (at, (exception, id)) in exceptions.iter().zip(first_id..).enumerate() {
        match rule(route, exception, id) {
            Ok(rule) => text.push_str(&rule),
            Err(why) => wrong.push((at, why)),
        }
    }
    if wrong.is_empty() { Ok(text) } else { Err(wrong) }
}

/// One rule, or a chain where a path is asked for.
fn rule(route: &str, exception: &Exception, id: u64) -> Result<String, String> {
    let ctl = controls(exception)?;
    let head = format!("SecRule TX:{ROUTE} \"{}\" \\\n    \"id:{id},phase:1,pass,nolog,t:none", exact(route));
    let Some(path) = &exception.path else { return Ok(format!("{head},\\\n    {ctl}\"\n")) };
    if !path.starts_with('/') {
        return Err(format!("the path {path:?} does not begin with /"));
    }
    let Some(beginning) = path.strip_suffix('*') else {
        return Ok(format!(
            "{head},chain\"\n    SecRule REQUEST_FILENAME \"{}\" \\\n        \"t:none,{ctl}\"\n",
            exact(path)
        ));
    };
    if beginning.contains('*') {
        return Err(format!("the path {path:?} has a * in the middle: only one at the end is understood"));
    }
    // Both the path as it is and without its dots: /api/../admin is no path below /api/, whichever of the two the backend reads.
    let begins = begins_with(beginning);
    Ok(format!(
        "{head},chain\"\n    SecRule REQUEST_FILENAME \"{begins}\" \\\n        \"t:none,chain\"\n    \
         SecRule REQUEST_FILENAME \"{begins}\" \\\n        \"t:none,t:urlDecodeUni,t:normalizePath,{ctl}\"\n"
    ))
}

/// What is taken away.
fn controls(exception: &Exception) -> Result<String, String> {
    let mut out = String::new();
    let target = exception.target.as_deref().map(target).transpose()?;
    let mut add = |what: &str, which: &str| {
        if !out.is_empty() {
            out.push(',');
        }
        // Writing to a string cannot fail.
        let _ = match &target {
            None => write!(out, "ctl:ruleRemoveBy{what}={which}"),
            Some(target) => write!(out, "ctl:ruleRemoveTargetBy{what}={which};{target}"),
        };
    };
    for range in &exception.rules {
        if range.first == 0 || range.first > range.last {
            return Err(format!("{}-{} is no range of rule ids", range.first, range.last));
        }
        match range.first == range.last {
            true => add("Id", &range.first.to_string()),
            false => add("Id", &format!("{}-{}", range.first, range.last)),
        }
    }
    for tag in &exception.tags {
        if tag.is_empty() || tag.contains(['\'', '"', ',', ';', '%', '\\']) || tag.contains(char::is_control) {
            return Err(format!("{tag:?} is no tag of a rule: tags have none of ' \" , ; % \\ in them"));
        }
        add("Tag", tag);
    }
    if out.is_empty() {
        return Err("it names neither rules nor tags".into());
    }
    Ok(out)
}

/// A variable, its selector in quotes where it needs them.
fn target(target: &str) -> Result<String, String> {
    if target.contains(char::is_control) {
        return Err(format!("{target:?} is no variable of SecLang"));
    }
    let Some((variable, selector)) = target.split_once(':') else { return Ok(target.to_owned()) };
    if !selector.contains([',', '|', ' ', '\'', '"', '\\', ';']) || variable.eq_ignore_ascii_case("XML") {
        return Ok(target.to_owned());
    }
    let selector = selector.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(selector);
    if selector.contains(['\'', '"']) {
        return Err(format!(
            "the selector of {target} has a quote in it: write a pattern with \\x27 or \\x22 in its place"
        ));
    }
    Ok(format!("{variable}:'{selector}'"))
}

/// An operator that matches only this text.
fn exact(text: &str) -> String {
    if is_plain(text) { format!("@streq {text}") } else { format!("@rx ^{}$", escaped(text)) }
}

/// An operator that matches what begins with this text.
fn begins_with(text: &str) -> String {
    if is_plain(text) { format!("@beginsWith {text}") } else { format!("@rx ^{}", escaped(text)) }
}

/// Whether a text means itself in an operator's argument.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:*~@+=".contains(&byte))
}

/// As a pattern.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
        out
    })
}
