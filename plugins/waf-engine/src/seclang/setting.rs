//! Directives that set something for all rules.

use std::sync::Arc;

use crate::{
    model::{LimitAction, Settings},
    pattern::{Options, Pattern},
    seclang::{
        ctl::{audit_engine, bytes, mode, parts, switch},
        line::Span,
        report::{Mistake, clip},
        word::Word,
        written::number,
    },
};

/// What several directives say together.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// The file of the Unicode map, as written. It is read when all directives are known.
    pub unicode_file: Option<String>,
    /// The code page, of either directive.
    pub unicode_page: Option<u32>,
    /// Whether MIME types were named: the first directive takes the place of the default, further ones add to it.
    mime_types: bool,
}

/// So many MIME types are enough for everybody.
const MOST_MIME_TYPES: usize = 1000;

/// Applies one. `name` is the canonical one. A later directive takes the place of an earlier one, save where the manual says that
/// they add up.
pub(super) fn apply(
    name: &str,
    words: &[Word<'_>],
    settings: &mut Settings,
    choices: &mut Choices,
) -> Result<(), Mistake> {
    if name == "SecResponseBodyMimeTypesClear" {
        settings.response_body_mime_types.clear();
        choices.mime_types = true;
        return expect(words, 0, name);
    }
    let Some(first) = words.first() else {
        return Err(Mistake::whole(format!("{name} needs a value")));
    };
    let value = Span { text: first.span.text, at: first.span.at }.trim();
    match name {
        "SecResponseBodyMimeType" => {
            if !std::mem::replace(&mut choices.mime_types, true) {
                settings.response_body_mime_types.clear();
            }
            return words.iter().try_for_each(|word| mime_type(word, settings));
        }
        "SecUnicodeMapFile" | "SecUnicodeMap" => return unicode_map(words, choices),
        _ => expect(words, 1, name)?,
    }
    match name {
        "SecRuleEngine" => settings.mode = mode(value)?,
        "SecRequestBodyAccess" => settings.request_body_access = switch(value)?,
        "SecRequestBodyLimit" => settings.request_body_limit = bytes(value)?,
        "SecRequestBodyNoFilesLimit" => settings.request_body_no_files_limit = bytes(value)?,
        "SecRequestBodyLimitAction" => settings.request_body_limit_action = Some(limit_action(value)?),
        "SecRequestBodyJsonDepthLimit" => settings.request_body_json_depth_limit = count(value)?,
        "SecArgumentsLimit" => settings.arguments_limit = count(value)?,
        "SecArgumentSeparator" => settings.argument_separator = character(value)?,
        "SecCookieV0Separator" => settings.cookie_separator = character(value)?,
        "SecCookieFormat" => cookie_format(value)?,
        // Nothing is kept; but files count only where they would be.
        "SecUploadKeepFiles" => {
            settings.upload_keep_files = value.text.eq_ignore_ascii_case("relevantonly") || switch(value)?;
        }
        "SecUploadFileLimit" => settings.upload_file_limit = count(value)?,
        "SecResponseBodyAccess" => settings.response_body_access = switch(value)?,
        "SecResponseBodyLimit" => settings.response_body_limit = bytes(value)?,
        "SecResponseBodyLimitAction" => settings.response_body_limit_action = Some(limit_action(value)?),
        "SecAuditEngine" => settings.audit_engine = audit_engine(value)?,
        "SecAuditLog" => settings.audit_log = Some(first.text().as_ref().into()),
        "SecAuditLogParts" => settings.audit_parts = parts(value)?,
        "SecAuditLogRelevantStatus" => {
            let options = Options { ignore_case: false, backtrack_limit: settings.backtrack_limit };
            let pattern = Pattern::new(first.text().as_bytes(), options)
                .map_err(|why| value.mistake(format!("the pattern {} cannot be used: {why}", clip(value.text))))?;
            settings.audit_relevant_status = Some(Arc::new(pattern));
        }
        "SecPcreMatchLimit" => settings.backtrack_limit = whole(value, u64::MAX)?,
        "SecCollectionTimeout" => settings.collection_timeout = whole(value, u64::MAX)?,
        "SecComponentSignature" => settings.component_signatures.push(first.text().as_ref().into()),
        "SecWebAppId" => settings.web_app_id = first.text().as_ref().into(),
        "SecUnicodeCodePage" => choices.unicode_page = Some(count(value)?),
        _ => return Err(Mistake::whole(format!("{name} is not read by this version"))),
    }
    Ok(())
}

/// Refuses words that are too many.
pub(super) fn expect(words: &[Word<'_>], most: usize, name: &str) -> Result<(), Mistake> {
    match words.get(most) {
        None => Ok(()),
        Some(word) => {
            Err(word.mistake(format!("{name} takes no further word than {most}: {} is too much", clip(word.span.text))))
        }
    }
}

/// `Off`, or 0 where it is a number.
pub(super) fn is_off(words: &[Word<'_>]) -> bool {
    words.first().is_some_and(|word| {
        let text = word.span.text.trim();
        text.eq_ignore_ascii_case("off") || text == "0" || text == "-1"
    })
}

fn whole(value: Span<'_>, most: u64) -> Result<u64, Mistake> {
    number(value.text)
        .filter(|number| *number <= most)
        .ok_or_else(|| value.mistake(format!("{} is not a whole number from 0 to {most}", clip(value.text))))
}

fn count(value: Span<'_>) -> Result<u32, Mistake> {
    whole(value, u64::from(u32::MAX)).map(|number| number as u32)
}

fn limit_action(value: Span<'_>) -> Result<LimitAction, Mistake> {
    match value.text.to_ascii_lowercase().as_str() {
        "reject" => Ok(LimitAction::Reject),
        "processpartial" => Ok(LimitAction::ProcessPartial),
        _ => Err(value
            .mistake(format!("{} is neither Reject nor ProcessPartial", clip(value.text)))
            .near(["Reject", "ProcessPartial"])),
    }
}

fn character(value: Span<'_>) -> Result<u8, Mistake> {
    match value.text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(value.mistake(format!("{} is not one character of ASCII", clip(value.text)))),
    }
}

/// Version 1 cookies (RFC 2965) are not sent by anyone any more.
fn cookie_format(value: Span<'_>) -> Result<(), Mistake> {
    match value.text {
        "0" => Ok(()),
        _ => Err(value.mistake(format!("{} is not supported: only SecCookieFormat 0 is", clip(value.text)))),
    }
}

fn mime_type(word: &Word<'_>, settings: &mut Settings) -> Result<(), Mistake> {
    // One word in quotes may hold several, and parameters, which make no difference.
    let mut parameter = false;
    for part in word.span.text.split_ascii_whitespace() {
        if std::mem::replace(&mut parameter, part.ends_with(';')) {
            continue;
        }
        let essence = part.split(';').next().unwrap_or(part).trim().to_ascii_lowercase();
        if !essence.contains('/') && essence != "(null)" {
            return Err(word.mistake(format!("{} is not a MIME type: write for example text/html", clip(part))));
        }
        if settings.response_body_mime_types.len() >= MOST_MIME_TYPES {
            return Err(word.mistake(format!("there are more than {MOST_MIME_TYPES} MIME types")));
        }
        if !settings.response_body_mime_types.iter().any(|known| **known == *essence) {
            settings.response_body_mime_types.push(essence.into());
        }
    }
    Ok(())
}

/// `unicode.mapping 20127`, as two words or as one in quotes; the page may be missing or come by itself.
fn unicode_map(words: &[Word<'_>], choices: &mut Choices) -> Result<(), Mistake> {
    let mut parts = words.iter().flat_map(|word| word.span.text.split_ascii_whitespace());
    let Some(file) = parts.next() else {
        return Err(Mistake::whole("SecUnicodeMapFile needs the name of a file and the number of a code page"));
    };
    choices.unicode_file = Some(file.to_owned());
    if let Some(page) = parts.next() {
        match number(page).and_then(|page| u32::try_from(page).ok()) {
            Some(page) => choices.unicode_page = Some(page),
            None => {
                let word = words.last().copied().unwrap_or(words[0]);
                return Err(word.mistake(format!("{} is not the number of a code page", clip(page))));
            }
        }
    }
    match parts.next() {
        Some(more) => {
            Err(words[words.len() - 1].mistake(format!("{} is too much: write a file and a number", clip(more))))
        }
        None => Ok(()),
    }
}
