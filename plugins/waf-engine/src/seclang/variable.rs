//! Actions that change variables: `setvar`, `expirevar`, `deprecatevar`, `initcol`, `setsid`, `setuid`, `setrsc`, `setenv`.

use crate::{
    model::{Action, Change, Template, Variable},
    seclang::{
        action::Item,
        line::Span,
        report::{Mistake, clip},
        written::Written,
    },
};

/// `tx.a=1`, `tx.a=+%{tx.b}`, `tx.a=-1`, `tx.a`, `!tx.a`.
pub(super) fn set(written: &Written<'_>) -> Result<Action, Mistake> {
    let value = written.value()?;
    if value.text.starts_with('!') {
        let (collection, name) = entry(written, value.from(1).trim())?;
        return Ok(Action::SetVar { collection, name, change: Change::Unset });
    }
    let (target, amount) = assignment(value);
    let (collection, name) = entry(written, target)?;
    let Some(amount) = amount else {
        return Ok(Action::SetVar { collection, name, change: Change::Assign(Template::literal("1")) });
    };
    let change = match amount.text.as_bytes().first() {
        Some(b'+') => Change::Add(template(written, amount.from(1))?),
        Some(b'-') => Change::Subtract(template(written, amount.from(1))?),
        _ => Change::Assign(template(written, amount)?),
    };
    Ok(Action::SetVar { collection, name, change })
}

/// `ip.x=60`.
pub(super) fn expire(written: &Written<'_>) -> Result<Item, Mistake> {
    let value = written.value()?;
    let (target, seconds) = assignment(value);
    let (collection, name) = entry(written, target)?;
    let Some(seconds) = seconds else {
        return Err(
            value.mistake(format!("expirevar:{0} does not say when: write expirevar:{0}=SECONDS", clip(value.text)))
        );
    };
    let seconds = template(written, seconds)?;
    if collection == Variable::Tx {
        return Ok(Item::Inert(Some("expirevar of a TX variable has no effect: TX ends with the transaction")));
    }
    Ok(Item::Do(Action::ExpireVar { collection, name, seconds }))
}

/// `ip.x=60/300`.
pub(super) fn deprecate(written: &Written<'_>) -> Result<Action, Mistake> {
    let value = written.value()?;
    let (target, amount) = assignment(value);
    let (collection, name) = entry(written, target)?;
    match amount.and_then(|amount| amount.split_once('/')) {
        Some((by, seconds)) => Ok(Action::DeprecateVar {
            collection,
            name,
            by: template(written, by)?,
            seconds: template(written, seconds)?,
        }),
        None => Err(value.mistake(format!(
            "deprecatevar:{} does not say how much: write for example deprecatevar:session.score=60/300, 60 less every 300 seconds",
            clip(value.text)
        ))),
    }
}

/// `ip=%{REMOTE_ADDR}`.
pub(super) fn init(written: &Written<'_>) -> Result<Action, Mistake> {
    let value = written.value()?;
    let (name, Some(key)) = assignment(value) else {
        return Err(value.mistake(format!("initcol:{0} has no key: write initcol:{0}=KEY", clip(value.text))));
    };
    match collection(name)? {
        Variable::Tx => Err(name.mistake("TX needs no initcol: it is there in each transaction")),
        collection => Ok(Action::InitCol { collection, key: template(written, key)? }),
    }
}

/// `setsid`, `setuid`, `setrsc`.
pub(super) fn key(written: &Written<'_>, action: &str) -> Result<Action, Mistake> {
    let collection = match action {
        "setsid" => Variable::Session,
        "setuid" => Variable::User,
        _ => Variable::Resource,
    };
    Ok(Action::SetKey { collection, key: written.template()? })
}

/// `NAME=value`; without a value: 1, as in ModSecurity 2.
pub(super) fn env(written: &Written<'_>) -> Result<Action, Mistake> {
    let value = written.value()?;
    if value.text.starts_with('!') {
        return Err(value.mistake("setenv cannot take a variable away: set it to another value"));
    }
    let (name, text) = assignment(value);
    if name.text.is_empty() {
        return Err(value.mistake("setenv has no name: write setenv:NAME=VALUE"));
    }
    let value = match text {
        Some(text) => template(written, text)?,
        None => Template::literal("1"),
    };
    Ok(Action::SetEnv { name: written.text(name).as_ref().into(), value })
}

/// Both sides of the first `=` that is not part of a macro. Quotes around the right one are taken off.
fn assignment(span: Span<'_>) -> (Span<'_>, Option<Span<'_>>) {
    let mut inside = false;
    let at = span.text.char_indices().find(|&(at, next)| {
        match next {
            '{' if span.text[..at].ends_with('%') => inside = true,
            '}' => inside = false,
            _ => {}
        }
        next == '=' && !inside
    });
    let Some((at, _)) = at else { return (span.trim(), None) };
    let right = span.from(at + 1);
    let right = match right.text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Some(inner) => right.from(1).to(inner.len()),
        None => right,
    };
    (span.to(at).trim(), Some(right))
}

/// `tx.name` or `tx:name`, the name with macros.
fn entry(written: &Written<'_>, span: Span<'_>) -> Result<(Variable, Template), Mistake> {
    let Some(at) = span.text.find(['.', ':']) else {
        return Err(span.mistake(format!(
            "{} names no entry of a collection: write for example {}:tx.name=1",
            clip(span.text),
            written.name.text
        )));
    };
    let collection = collection(span.to(at).trim())?;
    let name = span.from(at + 1).trim();
    if name.text.is_empty() {
        return Err(span.mistake(format!("{} names no entry of the collection", clip(span.text))));
    }
    Ok((collection, template(written, name)?))
}

/// A collection that rules may write to.
fn collection(name: Span<'_>) -> Result<Variable, Mistake> {
    const NAMES: [&str; 6] = ["TX", "IP", "GLOBAL", "RESOURCE", "SESSION", "USER"];
    if NAMES.iter().any(|known| known.eq_ignore_ascii_case(name.text))
        && let Some(variable) = Variable::from_name(name.text)
    {
        return Ok(variable);
    }
    let more = if name.text.eq_ignore_ascii_case("env") {
        "; environment variables are set with setenv:NAME=VALUE"
    } else {
        ""
    };
    Err(name.mistake(format!(
        "{} is no collection that rules can write to: these are TX, IP, GLOBAL, RESOURCE, SESSION and USER{more}",
        clip(name.text)
    )))
}

fn template(written: &Written<'_>, span: Span<'_>) -> Result<Template, Mistake> {
    Template::parse(&written.text(span)).map_err(|why| span.mistake(why))
}
