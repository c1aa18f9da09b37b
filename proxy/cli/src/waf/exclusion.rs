//! The narrowest exclusion for a match: this rule, this variable, this path.

use std::fmt::Write as _;

use waf_engine::{
    model::IdRange,
    request::target,
    seclang::Exception,
    transaction::{Look, Match},
};

/// A free id for the rule that an exclusion is in SecLang; those below 100,000 are for local use.
const LOCAL_ID: u64 = 10_001;

/// What is not to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Exclusion {
    /// By these rules,
    pub(crate) rules: Vec<u64>,
    /// of this variable; without one the rules do not run,
    pub(crate) target: Option<String>,
    /// on this path.
    pub(crate) path: String,
}

impl Exclusion {
    /// Those that would have kept a rule from matching: one for each variable in which its first link found something. None for a rule
    /// that only adds up what others found.
    pub(crate) fn of(found: &Match, looks: &[Look], request_target: &[u8]) -> Vec<Self> {
        let path = path(request_target);
        let mut list: Vec<Self> = Vec::new();
        for look in looks.iter().filter(|look| look.rule == found.rule && look.link == 0 && look.matched) {
            let name = String::from_utf8_lossy(&look.variable);
            if is_bookkeeping(&name) {
                return Vec::new();
            }
            let exclusion = Self { rules: vec![found.rule], target: Some(name.into_owned()), path: path.clone() };
            if !list.contains(&exclusion) {
                list.push(exclusion);
            }
        }
        if list.is_empty() && !found.variable.is_empty() && !is_bookkeeping(&String::from_utf8_lossy(&found.variable)) {
            list.push(Self { rules: vec![found.rule], target: None, path });
        }
        list
    }

    /// For `[[route]]`.
    pub(crate) fn toml(&self) -> String {
        let mut text = String::from("[[route.waf.except]]\n");
        let string = |text: &str| toml::Value::from(text).to_string();
        let rules: Vec<_> = self.rules.iter().map(|rule| format!("\"{rule}\"")).collect();
        _ = writeln!(text, "rules = [{}]", rules.join(", "));
        if let Some(target) = &self.target {
            _ = writeln!(text, "target = {}", string(target));
        }
        _ = writeln!(text, "path = {}", string(&self.path));
        text
    }

    /// For a rule file; before the rule in question.
    pub(crate) fn seclang(&self) -> String {
        let one = |rule: &u64| match &self.target {
            Some(target) => format!("ctl:ruleRemoveTargetById={rule};{}", quoted(target)),
            None => format!("ctl:ruleRemoveById={rule}"),
        };
        let what: Vec<_> = self.rules.iter().map(one).collect();
        let path = self.path.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "\\%");
        format!(
            "SecRule REQUEST_FILENAME \"@streq {path}\" \\\n    \"id:{LOCAL_ID},phase:1,pass,nolog,t:none,\\\n    {}\"\n",
            what.join(",\\\n    ")
        )
    }

    /// For the engine.
    pub(crate) fn exception(&self) -> Exception {
        Exception {
            rules: self.rules.iter().map(|&rule| IdRange { first: rule, last: rule }).collect(),
            tags: Vec::new(),
            target: self.target.clone(),
            path: Some(self.path.clone()),
        }
    }
}

/// One exclusion for each place, with all rules that match there, in the order in which the places come.
pub(crate) fn together<'a>(all: impl Iterator<Item = &'a Exclusion>) -> Vec<Exclusion> {
    let mut list: Vec<Exclusion> = Vec::new();
    for one in all {
        match list.iter_mut().find(|known| (&known.target, &known.path) == (&one.target, &one.path)) {
            None => list.push(one.clone()),
            Some(known) => {
                known.rules.extend(&one.rules);
                known.rules.sort_unstable();
                known.rules.dedup();
            }
        }
    }
    list
}

/// Whether a variable is the rules' own, and nothing that a client sends.
fn is_bookkeeping(name: &str) -> bool {
    let collection = name.split(':').next().unwrap_or_default();
    ["TX", "IP", "GLOBAL", "SESSION", "USER", "RESOURCE", "RULE", "UNIQUE_ID"].contains(&collection)
}

/// A name with characters that end an action's value stands in quotes.
fn quoted(target: &str) -> String {
    match target.split_once(':') {
        Some((collection, name)) if name.contains([',', '|', ' ', ';']) => format!("{collection}:'{name}'"),
        _ => target.to_owned(),
    }
}

/// As `REQUEST_FILENAME` has it.
pub(crate) fn path(request_target: &[u8]) -> String {
    let mut made = Vec::new();
    let read = target::read(request_target, &mut made);
    String::from_utf8_lossy(read.filename.of(request_target, &made)).into_owned()
}

/// Bytes of a stranger: nothing that a terminal would obey, and not too many of them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    for (number, c) in text.chars().enumerate() {
        if number == MOST {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclusion_is_written_in_both_languages() {
        let exclusion = Exclusion { rules: vec![942_100], target: Some("ARGS:q".into()), path: path(b"/a%20b?q=1#x") };
        assert_eq!(
            exclusion.toml(),
            "[[route.waf.except]]\nrules = [\"942100\"]\ntarget = \"ARGS:q\"\npath = \"/a b\"\n"
        );
        assert_eq!(
            exclusion.seclang(),
            "SecRule REQUEST_FILENAME \"@streq /a b\" \\\n    \
             \"id:10001,phase:1,pass,nolog,t:none,\\\n    ctl:ruleRemoveTargetById=942100;ARGS:q\"\n"
        );
    }

    #[test]
    fn names_with_separators_are_quoted() {
        let exclusion = Exclusion { rules: vec![1], target: Some("ARGS:a b".into()), path: "/".into() };
        assert!(exclusion.seclang().contains(";ARGS:'a b'\""), "{}", exclusion.seclang());
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown(b"a\x1b[2J\n\xc3\xa9"), "a\\u{1b}[2J\\n\u{e9}");
        assert_eq!(shown(&[b'a'; 500]).chars().count(), 201);
    }
}
