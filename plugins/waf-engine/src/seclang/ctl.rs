//! `ctl:`: what a match changes for the rest of the transaction.

use crate::{
    model::{Action, AuditEngine, AuditParts, BodyProcessor, Ctl, Mode, Target, Template},
    seclang::{
        action::{Item, ranges},
        line::Span,
        patterns::Patterns,
        report::{Mistake, clip},
        target,
        written::{Written, number},
    },
};

const NAMES: &[&str] = &[
    "auditEngine",
    "auditLogParts",
    "debugLogLevel",
    "forceRequestBodyVariable",
    "hashEngine",
    "hashEnforcement",
    "requestBodyAccess",
    "requestBodyLimit",
    "requestBodyProcessor",
    "responseBodyAccess",
    "responseBodyLimit",
    "responseBodyProcessor",
    "ruleEngine",
    "ruleRemoveById",
    "ruleRemoveByMsg",
    "ruleRemoveByTag",
    "ruleRemoveTargetById",
    "ruleRemoveTargetByMsg",
    "ruleRemoveTargetByTag",
];

/// Reads `ctl:NAME=VALUE`. A list of targets becomes one item for each.
pub(super) fn parse(written: &Written<'_>, patterns: &Patterns, items: &mut Vec<Item>) -> Result<(), Mistake> {
    let whole = written.value()?;
    let Some((name, value)) = whole.split_once('=') else {
        return Err(whole.mistake(format!("ctl:{0} has no value: write ctl:{0}=VALUE", clip(whole.text))));
    };
    let (name, value) = (name.trim(), unquoted(value.trim()));
    if value.text.is_empty() {
        return Err(name.mistake(format!("ctl:{0} has no value: write ctl:{0}=VALUE", clip(name.text))));
    }
    let ctl = match name.text.to_ascii_lowercase().as_str() {
        "auditengine" => Ctl::AuditEngine(audit_engine(value)?),
        "auditlogparts" => audit_parts(value)?,
        "forcerequestbodyvariable" => Ctl::ForceRequestBodyVariable(switch(value)?),
        "requestbodyaccess" => Ctl::RequestBodyAccess(switch(value)?),
        "requestbodylimit" => Ctl::RequestBodyLimit(bytes(value)?),
        "requestbodyprocessor" => Ctl::RequestBodyProcessor(processor(value)?),
        "responsebodyaccess" => Ctl::ResponseBodyAccess(switch(value)?),
        "responsebodylimit" => Ctl::ResponseBodyLimit(bytes(value)?),
        "responsebodyprocessor" => Ctl::ResponseBodyProcessor(processor(value)?),
        "ruleengine" => Ctl::RuleEngine(mode(value)?),
        "ruleremovebyid" => Ctl::RuleRemoveById(ranges(value)?),
        "ruleremovebytag" => Ctl::RuleRemoveByTag(template(written, value)?),
        "ruleremovebymsg" => Ctl::RuleRemoveByMsg(template(written, value)?),
        "ruleremovetargetbyid" => {
            let (rules, targets) = selected(value, "942100;ARGS:q", patterns)?;
            let rules = ranges(rules)?;
            let ctl = |target| Ctl::RuleRemoveTargetById { rules: rules.clone(), target };
            items.extend(targets.into_iter().map(|target| Item::Do(Action::Ctl(ctl(target)))));
            return Ok(());
        }
        "ruleremovetargetbytag" => {
            let (tag, targets) = selected(value, "attack-sqli;ARGS:q", patterns)?;
            let tag: std::sync::Arc<str> = written.text(tag).as_ref().into();
            let ctl = |target| Ctl::RuleRemoveTargetByTag { tag: tag.clone(), target };
            items.extend(targets.into_iter().map(|target| Item::Do(Action::Ctl(ctl(target)))));
            return Ok(());
        }
        "ruleremovetargetbymsg" => {
            let (message, targets) = selected(value, "SQL Injection;ARGS:q", patterns)?;
            let message: std::sync::Arc<str> = written.text(message).as_ref().into();
            let ctl = |target| Ctl::RuleRemoveTargetByMsg { message: message.clone(), target };
            items.extend(targets.into_iter().map(|target| Item::Do(Action::Ctl(ctl(target)))));
            return Ok(());
        }
        "hashengine" | "hashenforcement" => {
            off(name, value, "links in pages are not signed")?;
            Ctl::HashEngine(false)
        }
        "parsexmlintoargs" => {
            off(name, value, "XML is not made into arguments: look at XML:/* and XML://@*")?;
            items.push(Item::Inert(None));
            return Ok(());
        }
        "forceresponsebodyvariable" => {
            off(name, value, "whether bodies of responses are read is said by responseBodyAccess and their MIME type")?;
            items.push(Item::Inert(None));
            return Ok(());
        }
        "debugloglevel" => {
            items.push(Item::Inert(Some("ctl:debugLogLevel has no effect: there is no debug log")));
            return Ok(());
        }
        _ => {
            return Err(name.mistake(format!("there is no ctl:{}", clip(name.text))).near(NAMES.iter().copied()));
        }
    };
    items.push(Item::Do(Action::Ctl(ctl)));
    Ok(())
}

/// Without single quotes around all of it.
fn unquoted(span: Span<'_>) -> Span<'_> {
    match span.text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Some(inner) => span.from(1).to(inner.len()),
        None => span,
    }
}

/// Both sides of `WHICH;TARGET`.
fn selected<'a>(value: Span<'a>, example: &str, patterns: &Patterns) -> Result<(Span<'a>, Vec<Target>), Mistake> {
    let Some((which, what)) = value.split_once(';') else {
        return Err(value
            .mistake(format!("{} names no variable: write it behind a semicolon, as in {example}", clip(value.text))));
    };
    let which = which.trim();
    if which.text.is_empty() {
        return Err(value
            .mistake(format!("{} names no rule: write it before the semicolon, as in {example}", clip(value.text))));
    }
    let mut mistakes = Vec::new();
    let targets = target::list(what, patterns, &mut mistakes);
    if let Some(mistake) = mistakes.into_iter().next() {
        return Err(mistake);
    }
    if targets.iter().any(|target| target.excluded || target.count) {
        return Err(
            what.mistake(format!("write the variable without ! and &: {} is taken away anyway", clip(what.text)))
        );
    }
    Ok((which, targets))
}

fn template(written: &Written<'_>, value: Span<'_>) -> Result<Template, Mistake> {
    Template::parse(&written.text(value)).map_err(|why| value.mistake(why))
}

fn off(name: Span<'_>, value: Span<'_>, why: &str) -> Result<(), Mistake> {
    if value.text.eq_ignore_ascii_case("off") {
        return Ok(());
    }
    Err(name.mistake(format!("ctl:{} is not supported: {why}", clip(name.text))))
}

/// `On` or `Off`.
pub(super) fn switch(value: Span<'_>) -> Result<bool, Mistake> {
    match value.text.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(value.mistake(format!("{} is neither On nor Off", clip(value.text))).near(["On", "Off"])),
    }
}

/// A number of bytes.
pub(super) fn bytes(value: Span<'_>) -> Result<u64, Mistake> {
    number(value.text).ok_or_else(|| {
        value.mistake(format!("{} is not a number of bytes: write digits only, without a unit", clip(value.text)))
    })
}

/// `SecRuleEngine` and `ctl:ruleEngine`.
pub(super) fn mode(value: Span<'_>) -> Result<Mode, Mistake> {
    match value.text.to_ascii_lowercase().as_str() {
        "on" => Ok(Mode::On),
        "off" => Ok(Mode::Off),
        "detectiononly" => Ok(Mode::DetectionOnly),
        _ => Err(value.mistake(format!("{} is neither On, Off nor DetectionOnly", clip(value.text))).near([
            "On",
            "Off",
            "DetectionOnly",
        ])),
    }
}

/// `SecAuditEngine` and `ctl:auditEngine`.
pub(super) fn audit_engine(value: Span<'_>) -> Result<AuditEngine, Mistake> {
    match value.text.to_ascii_lowercase().as_str() {
        "on" => Ok(AuditEngine::On),
        "off" => Ok(AuditEngine::Off),
        "relevantonly" => Ok(AuditEngine::RelevantOnly),
        _ => Err(value.mistake(format!("{} is neither On, Off nor RelevantOnly", clip(value.text))).near([
            "On",
            "Off",
            "RelevantOnly",
        ])),
    }
}

/// Letters, the first and the last of which are always there, as the manual has it for A and Z.
pub(super) fn parts(value: Span<'_>) -> Result<AuditParts, Mistake> {
    letters(value).map(|AuditParts(set)| AuditParts(set | 1 | 1 << 25))
}

fn letters(value: Span<'_>) -> Result<AuditParts, Mistake> {
    let mut set = 0u32;
    for (at, letter) in value.text.char_indices() {
        match letter.to_ascii_uppercase() {
            part @ ('A'..='K' | 'Z') => set |= 1 << (part as u32 - 'A' as u32),
            _ => {
                let word = value.from(at).to(letter.len_utf8());
                return Err(
                    word.mistake(format!("there is no part {letter} of the audit log: the letters are A to K and Z"))
                );
            }
        }
    }
    Ok(AuditParts(set))
}

/// `+E`, `-E`, or all of them anew.
fn audit_parts(value: Span<'_>) -> Result<Ctl, Mistake> {
    let (add, which) = match value.text.as_bytes().first() {
        Some(b'+') => (Some(true), value.from(1)),
        Some(b'-') => (Some(false), value.from(1)),
        _ => (None, value),
    };
    if which.text.is_empty() {
        return Err(value.mistake("no letter of a part of the audit log follows"));
    }
    let parts = if add.is_none() { parts(which)? } else { letters(which)? };
    Ok(Ctl::AuditLogParts { add, parts })
}

fn processor(value: Span<'_>) -> Result<BodyProcessor, Mistake> {
    const NAMES: [(&str, BodyProcessor); 4] = [
        ("URLENCODED", BodyProcessor::UrlEncoded),
        ("MULTIPART", BodyProcessor::Multipart),
        ("JSON", BodyProcessor::Json),
        ("XML", BodyProcessor::Xml),
    ];
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(value.text)).map(|(_, processor)| *processor).ok_or_else(
        || {
            value
                .mistake(format!(
                    "there is no body processor {}: these are URLENCODED, MULTIPART, JSON and XML",
                    clip(value.text)
                ))
                .near(NAMES.map(|(name, _)| name))
        },
    )
}
