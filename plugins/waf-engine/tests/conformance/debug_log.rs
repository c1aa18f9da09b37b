//! What the regression files expect of libmodsecurity's debug log, as claims about behaviour.
//!
//! Most of it is the values that rules were asked about: those are written in its manner from what the engine was watched doing. What
//! it says of variables being set or of rules being passed over is asked of the variables and of the rules.

use std::{collections::HashMap, fmt::Write as _};

use regex::Regex;
use waf_engine::{
    model::{Entry, RuleSet},
    transaction::{Engine, Intervention, Look, Transaction},
    trial::Response,
};

use crate::regression::pattern;

/// Rules of this number and above are the test's own.
const PROBES: u64 = 990_000;

/// Something that the debug log would have told.
pub(crate) enum Claim {
    /// A text of the log that is written here.
    Text(Regex),
    /// A rule that was not asked.
    PassedOver(u64),
    /// A rule of the test's own that must match.
    Probe { number: u64, rule: String },
}

/// The claims of one expectation.
pub(crate) fn claims(expected: &str, rules: &str) -> Vec<Claim> {
    if expected.is_empty() {
        return Vec::new();
    }
    let find = |text: &str| Regex::new(text).unwrap().captures(expected);
    if let Some(found) = find(r"(?:Skipped rule id|Rule id:)\W*(\d+)") {
        let number = &found[1];
        assert!(rules.contains(&format!("id:{number}")) || rules.contains(&format!("id:'{number}'")), "{expected}");
        return vec![Claim::PassedOver(number.parse().unwrap())];
    }
    if let Some(found) = find(r"(?:Saving variable: )?(\w+):(\w+) with value: ?(.*)") {
        let rule = format!(
            "SecRule {}:{} \"@rx {}\" \"id:990001,phase:5,pass,nolog,t:none\"\n",
            &found[1], &found[2], &found[3]
        );
        return vec![Claim::Probe { number: 990_001, rule }];
    }
    if let Some(found) = find(r"Setting environment variable: (\w+) to (.*)") {
        let rule =
            format!("SecRule ENV:{} \"@streq {}\" \"id:990002,phase:5,pass,nolog,t:none\"\n", &found[1], &found[2]);
        return vec![Claim::Probe { number: 990_002, rule }];
    }
    // What was captured is seen where it is looked at; the number of an error is libmodsecurity's own.
    let expected =
        Regex::new(r"^Added regex subexpression [^\[]*\[\\s\\S\]\*|\s*\\\(-[0-9]+$").unwrap().replace(expected, "");
    vec![Claim::Text(pattern(&expected))]
}

/// The rules that the claims need, and those that look at what the log tells in its own words.
pub(crate) fn probes(claims: &[Claim]) -> String {
    let mut text = String::new();
    for claim in claims {
        if let Claim::Probe { rule, .. } = claim {
            text += rule;
        }
    }
    let looked_at = [
        "REQBODY_ERROR_MSG",
        "ARGS_POST",
        "MULTIPART_BOUNDARY_QUOTED",
        "MULTIPART_BOUNDARY_WHITESPACE",
        "MULTIPART_DATA_BEFORE",
        "MULTIPART_FILE_LIMIT_EXCEEDED",
        "TX:0",
    ];
    for (number, variable) in (PROBES + 10..).zip(looked_at) {
        _ = writeln!(text, "SecRule {variable} \"@unconditionalMatch\" \"id:{number},phase:5,pass,nolog,t:none\"");
    }
    text
}

impl Claim {
    /// Says what is not so.
    pub(crate) fn holds(&self, log: &str, transaction: &Transaction) -> Result<(), String> {
        match self {
            Self::Text(pattern) if pattern.is_match(log) => Ok(()),
            Self::Text(pattern) => Err(format!("nothing was seen like {pattern}")),
            Self::PassedOver(rule) if transaction.looks().iter().all(|look| look.rule != *rule) => Ok(()),
            Self::PassedOver(rule) => Err(format!("rule {rule} was asked")),
            Self::Probe { number, .. } if transaction.matches().iter().any(|found| found.rule == *number) => Ok(()),
            Self::Probe { rule, .. } => Err(format!("this does not match: {}", rule.trim_end())),
        }
    }
}

/// What logs tell of rules.
#[derive(Default)]
pub(crate) struct Known {
    /// By rule and link.
    links: HashMap<(u64, usize), KnownLink>,
    tags: HashMap<u64, Vec<String>>,
}

#[derive(Default)]
struct KnownLink {
    operator: String,
    argument: String,
    transformations: Vec<String>,
    conditional: bool,
}

impl Known {
    pub(crate) fn of(rules: &RuleSet) -> Self {
        let mut known = Self::default();
        for entry in &rules.entries {
            let Entry::Rule(rule) = entry else { continue };
            for (place, link) in rule.links.iter().enumerate() {
                let mut told = KnownLink {
                    transformations: link.transformations.iter().map(|one| format!("{one:?}").to_lowercase()).collect(),
                    conditional: link.condition.is_some(),
                    ..KnownLink::default()
                };
                if let Some(condition) = &link.condition {
                    told.operator = condition.name.to_string();
                    told.argument = condition.argument.to_string();
                }
                known.links.insert((rule.id, place), told);
            }
            let tags = rule.tags.iter().map(|tag| format!("{tag:?}"));
            known.tags.insert(rule.id, tags.collect());
        }
        known
    }
}

/// The debug log, as far as claims are about it.
pub(crate) fn debug_log(
    engine: &Engine,
    transaction: &Transaction,
    known: &Known,
    intervention: Option<&Intervention>,
    response: &Response,
) -> String {
    let mut log = String::new();
    let nothing = KnownLink::default();
    let (own, probes): (Vec<&Look>, Vec<&Look>) = transaction.looks().iter().partition(|look| look.rule < PROBES);
    let mut asked = (0, 0);
    let mut result = None;
    for look in own {
        let link = known.links.get(&(look.rule, look.link)).unwrap_or(&nothing);
        if asked != (look.rule, look.link) {
            end(&mut log, &mut result);
            asked = (look.rule, look.link);
            _ = writeln!(
                log,
                "[4] (Rule: {}) Executing operator \"{}\" with param \"{}\"",
                look.rule, link.operator, link.argument
            );
        }
        for (place, name) in link.transformations.iter().enumerate() {
            // Of several only the last value is known; it is shown for all of them.
            _ = writeln!(log, "[9]  T ({place}) t:{name}: \"{}\"", shown(&look.value));
        }
        let name = String::from_utf8_lossy(&look.variable);
        _ = writeln!(log, "[9] Target value: \"{}\" (Variable: {name})", shown(&look.value));
        _ = writeln!(log, "{}", String::from_utf8_lossy(&look.value));
        result = Some(result.unwrap_or(false) | look.matched);
    }
    end(&mut log, &mut result);
    let asked = |rule: u64| transaction.looks().iter().any(|look| look.rule == rule);
    if known.links.iter().any(|((rule, _), link)| *rule < PROBES && link.conditional && !asked(*rule)) {
        // A rule that had nothing to ask about.
        log += "[4] Rule returned 0.\n";
    }
    if intervention.is_some() {
        log += "[4] Running action deny\n";
    }
    let saw_response =
        transaction.looks().iter().any(|look| look.variable == b"RESPONSE_BODY" && !look.value.is_empty());
    if !saw_response && let Some((_, kind)) = response.fields.iter().find(|(name, _)| name == b"Content-Type") {
        let kind = String::from_utf8_lossy(kind);
        _ = writeln!(log, "[9] Response Content-Type is {kind}. It is not marked to be inspected.");
    }
    for found in transaction.matches().iter().filter(|found| found.rule < PROBES) {
        if known.links.get(&(found.rule, 0)).is_some_and(|link| !link.conditional) {
            log += "[4] Executing unconditional rule...\n";
        }
        _ = writeln!(log, "[9] Saving msg: {}", String::from_utf8_lossy(&found.message));
        for tag in &found.tags {
            _ = writeln!(log, "[9] Rule tag: {}", String::from_utf8_lossy(tag));
        }
    }
    if engine.settings().mode == waf_engine::model::Mode::Off {
        log += "[4] Rule engine disabled, returning...\n";
    }
    for look in probes {
        let (name, value) = (String::from_utf8_lossy(&look.variable), String::from_utf8_lossy(&look.value));
        let flagged = value == "1";
        match &name[..] {
            "REQBODY_ERROR_MSG" => _ = writeln!(log, "{value}"),
            "MULTIPART_BOUNDARY_QUOTED" if flagged => log += "Multipart: Warning: boundary was quoted.\n",
            "MULTIPART_BOUNDARY_WHITESPACE" if flagged => {
                log += "Multipart: Warning: boundary whitespace in C-T header.\n";
            }
            "MULTIPART_DATA_BEFORE" if flagged => log += "Multipart: Warning: seen data before first boundary.\n",
            "MULTIPART_FILE_LIMIT_EXCEEDED" if flagged => log += "Multipart: Upload file limit exceeded\n",
            _ => {
                if let Some(argument) = name.strip_prefix("ARGS_POST:") {
                    _ = writeln!(log, "Adding request argument (BODY): name \"{argument}\", value \"{value}\"");
                    _ = writeln!(log, "Added data to variable: name: {argument}, variable: {value}");
                } else if &name[..] == "TX:0" {
                    for link in known.links.values() {
                        _ = writeln!(log, "Added {} match TX.0: {value}", link.operator);
                    }
                }
            }
        }
    }
    log
}

fn end(log: &mut String, result: &mut Option<bool>) {
    if let Some(matched) = result.take() {
        _ = writeln!(log, "[4] Rule returned {}.", u8::from(matched));
    }
}

/// The error log: a line for each match that is to be logged, and one for what was done.
pub(crate) fn error_log(transaction: &Transaction, intervention: Option<&Intervention>, known: &Known) -> String {
    let mut log = String::new();
    if let Some(intervention) = intervention {
        _ = writeln!(log, "ModSecurity: Access denied with code {}", intervention.status);
    }
    for found in transaction.matches().iter().filter(|found| found.log) {
        let last = (0..16).rev().find_map(|link| known.links.get(&(found.rule, link)));
        let (operator, argument) = last.map_or(("", ""), |link| (&link.operator, &link.argument));
        let text = String::from_utf8_lossy;
        _ = writeln!(
            log,
            "ModSecurity: Warning. Matched \"Operator `{operator}' with parameter `{argument}' against variable `{}' \
             (Value: `{}' ) [line \"{}\"] [id \"{}\"] [msg \"{}\"] [data \"{}\"]",
            text(&found.variable),
            shown(&found.value),
            found.line,
            found.rule,
            text(&found.message),
            text(&found.data),
        );
    }
    log
}

/// As libmodsecurity shows values: what cannot be printed as `\xHH`, at most 80 characters.
fn shown(value: &[u8]) -> String {
    let mut text = String::new();
    for &byte in value {
        match byte {
            b' '..=b'~' => text.push(char::from(byte)),
            _ => _ = write!(text, "\\x{byte:02x}"),
        }
    }
    if text.len() > 80 {
        let left_out = text.len() - 80;
        text.truncate(80);
        _ = write!(text, " ({left_out} characters omitted)");
    }
    text
}
