//! The actions of a rule: what each one means.

use crate::{
    model::{Action, AllowScope, Disruptive, IdRange, Phase, Sanitise, Skip, Template},
    seclang::{
        ctl,
        line::Span,
        patterns::Patterns,
        report::{Mistake, clip},
        variable,
        word::Word,
        written::{Written, number, split},
    },
    transform::Transformation,
};

/// An action, understood.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Id(u64),
    Phase(Phase),
    Disruptive(Disruptive),
    /// `block`: what the default of the phase is.
    Block,
    Status(u16),
    Log(bool),
    AuditLog(bool),
    Transformation(Transformation),
    /// `t:none`.
    NoTransformations,
    Chain,
    Capture,
    MultiMatch,
    /// With the text as written: removals compare it.
    Message(Template, Box<str>),
    LogData(Template),
    Severity(u8),
    /// With the text as written.
    Tag(Template, Box<str>),
    Version(Box<str>),
    Revision(Box<str>),
    Maturity(u8),
    Accuracy(u8),
    Skip(Skip),
    Do(Action),
    /// Right, but without an effect here. Worth a remark where there is a reason.
    Inert(Option<&'static str>),
}

/// The names that there are, for the nearest one.
const NAMES: &[&str] = &[
    "accuracy",
    "allow",
    "auditlog",
    "block",
    "capture",
    "chain",
    "ctl",
    "deny",
    "deprecatevar",
    "drop",
    "expirevar",
    "id",
    "initcol",
    "log",
    "logdata",
    "maturity",
    "msg",
    "multiMatch",
    "noauditlog",
    "nolog",
    "pass",
    "phase",
    "redirect",
    "rev",
    "sanitiseArg",
    "sanitiseMatched",
    "sanitiseMatchedBytes",
    "sanitiseRequestHeader",
    "sanitiseResponseHeader",
    "setenv",
    "setrsc",
    "setsid",
    "setuid",
    "setvar",
    "severity",
    "skip",
    "skipAfter",
    "status",
    "t",
    "tag",
    "ver",
    "xmlns",
];

/// Reads a list. Mistakes are collected; what is right is returned.
pub(super) fn list(word: Word<'_>, patterns: &Patterns, mistakes: &mut Vec<Mistake>) -> Vec<Item> {
    let mut items = Vec::new();
    for written in split(word, mistakes) {
        if let Err(mistake) = parse(&written, patterns, &mut items) {
            mistakes.push(mistake);
        }
    }
    items
}

fn parse(written: &Written<'_>, patterns: &Patterns, items: &mut Vec<Item>) -> Result<(), Mistake> {
    let name = written.name.text.to_ascii_lowercase();
    let own = |span: Span<'_>| -> Box<str> { written.text(span).into() };
    items.push(match name.as_str() {
        "id" => Item::Id(id(written)?),
        "phase" => Item::Phase(phase(written)?),
        "deny" => bare(written, Item::Disruptive(Disruptive::Deny))?,
        "drop" => bare(written, Item::Disruptive(Disruptive::Drop))?,
        "pass" => bare(written, Item::Disruptive(Disruptive::Pass))?,
        "block" => bare(written, Item::Block)?,
        "allow" => Item::Disruptive(Disruptive::Allow(allow(written)?)),
        "redirect" => Item::Disruptive(Disruptive::Redirect(written.template()?)),
        "status" => Item::Status(status(written)?),
        "log" => bare(written, Item::Log(true))?,
        "nolog" => bare(written, Item::Log(false))?,
        "auditlog" => bare(written, Item::AuditLog(true))?,
        "noauditlog" => bare(written, Item::AuditLog(false))?,
        "t" => transformation(written)?,
        "chain" => bare(written, Item::Chain)?,
        "capture" => bare(written, Item::Capture)?,
        "multimatch" => bare(written, Item::MultiMatch)?,
        "msg" => Item::Message(written.template()?, own(written.value()?)),
        "logdata" => Item::LogData(written.template()?),
        "tag" => Item::Tag(written.template()?, own(written.value()?)),
        "severity" => Item::Severity(severity(written)?),
        "ver" => Item::Version(own(written.value()?)),
        "rev" => Item::Revision(own(written.value()?)),
        "maturity" => Item::Maturity(written.number(u64::from(u8::MAX))? as u8),
        "accuracy" => Item::Accuracy(written.number(u64::from(u8::MAX))? as u8),
        "skip" => Item::Skip(Skip::Rules(written.number(u64::from(u32::MAX))? as u32)),
        "skipafter" => Item::Skip(Skip::After(own(written.value()?).into())),
        "setvar" => Item::Do(variable::set(written)?),
        "expirevar" => variable::expire(written)?,
        "deprecatevar" => Item::Do(variable::deprecate(written)?),
        "initcol" => Item::Do(variable::init(written)?),
        "setsid" | "setuid" | "setrsc" => Item::Do(variable::key(written, &name)?),
        "setenv" => Item::Do(variable::env(written)?),
        "ctl" => return ctl::parse(written, patterns, items),
        "sanitisearg" | "sanitizearg" => sanitise(Sanitise::Argument(own(written.value()?).into())),
        "sanitiserequestheader" | "sanitizerequestheader" => {
            sanitise(Sanitise::RequestHeader(own(written.value()?).into()))
        }
        "sanitiseresponseheader" | "sanitizeresponseheader" => {
            sanitise(Sanitise::ResponseHeader(own(written.value()?).into()))
        }
        "sanitisematched" | "sanitizematched" => bare(written, sanitise(Sanitise::Matched))?,
        "sanitisematchedbytes" | "sanitizematchedbytes" => sanitise(matched_bytes(written)?),
        "xmlns" => namespace(written)?,
        _ => return Err(unknown(written)),
    });
    Ok(())
}

fn sanitise(what: Sanitise) -> Item {
    Item::Do(Action::Sanitise(what))
}

/// An action that takes no value.
fn bare(written: &Written<'_>, item: Item) -> Result<Item, Mistake> {
    match written.value {
        None => Ok(item),
        Some(value) => Err(value.mistake(format!(
            "{0} takes no value: write {0} without :{1}",
            written.name.text,
            clip(value.text)
        ))),
    }
}

fn unknown(written: &Written<'_>) -> Mistake {
    let name = written.name.text;
    let why = match name.to_ascii_lowercase().as_str() {
        "exec" => "rules do not start programs here: use a plugin",
        "proxy" => "rules do not choose where requests go: use a route with a backend",
        "pause" => "a request that waits costs the proxy more than the attacker: use deny, or the rate-limit plugin",
        "append" | "prepend" => "rules do not change bodies: use the rewrite-body plugin",
        "" => {
            return written.name.mistake("an action has no name: write NAME or NAME:VALUE, separated by commas");
        }
        _ => {
            let mistake = written.name.mistake(format!(
                "there is no action {}{}",
                clip(name),
                if name.contains(char::is_whitespace) {
                    " (are a comma or quotes around a value missing?)"
                } else {
                    ""
                }
            ));
            return mistake.near(NAMES.iter().copied());
        }
    };
    written.name.mistake(format!("the action {name} is not supported: {why}"))
}

fn id(written: &Written<'_>) -> Result<u64, Mistake> {
    let value = written.value()?;
    match number(value.text) {
        Some(id) if id > 0 => Ok(id),
        _ => Err(value.mistake(format!("{} is not the id of a rule: write a whole number above 0", clip(value.text)))),
    }
}

/// By number, or by the names that the manual has for 2, 4 and 5.
fn phase(written: &Written<'_>) -> Result<Phase, Mistake> {
    let value = written.value()?;
    Ok(match value.text.to_ascii_lowercase().as_str() {
        "1" => Phase::RequestHead,
        "2" | "request" => Phase::RequestBody,
        "3" => Phase::ResponseHead,
        "4" | "response" => Phase::ResponseBody,
        "5" | "logging" => Phase::Logging,
        _ => {
            return Err(value.mistake(format!(
                "there is no phase {}: write 1 to 5, request (2), response (4) or logging (5)",
                clip(value.text)
            )));
        }
    })
}

fn allow(written: &Written<'_>) -> Result<AllowScope, Mistake> {
    let Some(value) = written.value else { return Ok(AllowScope::Transaction) };
    match value.text.to_ascii_lowercase().as_str() {
        "phase" => Ok(AllowScope::Phase),
        "request" => Ok(AllowScope::Request),
        _ => Err(value
            .mistake(format!("{} is no scope of allow: write allow, allow:phase or allow:request", clip(value.text)))),
    }
}

/// A status that a proxy can answer with (RFC 9110, section 15; 1xx are no final answers).
fn status(written: &Written<'_>) -> Result<u16, Mistake> {
    let value = written.value()?;
    match number(value.text) {
        Some(status @ 200..=599) => Ok(status as u16),
        _ => Err(value.mistake(format!("{} is no status to answer with: write 200 to 599", clip(value.text)))),
    }
}

fn transformation(written: &Written<'_>) -> Result<Item, Mistake> {
    let value = written.value()?;
    if value.text.eq_ignore_ascii_case("none") {
        return Ok(Item::NoTransformations);
    }
    match Transformation::from_name(value.text) {
        Some(transformation) => Ok(Item::Transformation(transformation)),
        None => Err(value
            .mistake(format!("there is no transformation {}", clip(value.text)))
            .near(Transformation::ALL.iter().map(|known| known.name()).chain(["none"]))),
    }
}

fn severity(written: &Written<'_>) -> Result<u8, Mistake> {
    const NAMES: [&str; 8] = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
    let value = written.value()?;
    if let Some(severity) = NAMES.iter().position(|name| name.eq_ignore_ascii_case(value.text)) {
        return Ok(severity as u8);
    }
    match number(value.text) {
        Some(severity @ 0..=7) => Ok(severity as u8),
        _ => Err(value
            .mistake(format!("{} is no severity: write 0 to 7, or EMERGENCY to DEBUG", clip(value.text)))
            .near(NAMES)),
    }
}

/// `sanitiseMatchedBytes:1/4`: how many bytes stay readable at the beginning and at the end.
fn matched_bytes(written: &Written<'_>) -> Result<Sanitise, Mistake> {
    let Some(value) = written.value else { return Ok(Sanitise::MatchedBytes { first: 0, last: 0 }) };
    let part = |text: &str| number(text).and_then(|number| u32::try_from(number).ok());
    value
        .text
        .split_once('/')
        .and_then(|(first, last)| Some(Sanitise::MatchedBytes { first: part(first)?, last: part(last)? }))
        .ok_or_else(|| {
            value.mistake(format!(
                "{} does not say how many bytes stay readable: write for example sanitiseMatchedBytes:1/4",
                clip(value.text)
            ))
        })
}

/// `xmlns:soap='http://...'`: checked, and then of no use, because paths are compared by local names.
fn namespace(written: &Written<'_>) -> Result<Item, Mistake> {
    let value = written.value()?;
    let Some((prefix, href)) = value.split_once('=') else {
        return Err(value.mistake(format!("xmlns:{} has no =: write xmlns:PREFIX=URI", clip(value.text))));
    };
    let href = href.text.trim_matches('\'');
    if prefix.text.is_empty()
        || !(href.starts_with("http://") || href.starts_with("https://") || href.starts_with("urn:"))
    {
        return Err(value.mistake(format!("{} names no namespace: write xmlns:PREFIX=http://...", clip(value.text))));
    }
    Ok(Item::Inert(None))
}

/// `1`, `1-5`, and several of them, separated by blanks or commas.
pub(super) fn ranges(value: Span<'_>) -> Result<Vec<IdRange>, Mistake> {
    let mut ranges = Vec::new();
    let separators = [' ', '\t', ','];
    let mut rest = value;
    while !rest.text.is_empty() {
        let word = rest.to(rest.text.find(separators).unwrap_or(rest.text.len()));
        rest = rest.from(word.text.len());
        rest = rest.from(rest.text.len() - rest.text.trim_start_matches(separators).len());
        if word.text.is_empty() {
            continue;
        }
        let range = match word.text.split_once('-') {
            None => number(word.text).map(|id| IdRange { first: id, last: id }),
            Some((first, last)) => number(first).zip(number(last)).map(|(first, last)| IdRange { first, last }),
        };
        match range {
            Some(range) if range.first <= range.last => ranges.push(range),
            _ => {
                return Err(word.mistake(format!(
                    "{} is neither the id of a rule nor a range of ids: write for example 942100 or 942100-942199",
                    clip(word.text)
                )));
            }
        }
    }
    if ranges.is_empty() {
        return Err(value.mistake("there is no id of a rule: write for example 942100 or 942100-942199"));
    }
    Ok(ranges)
}
