//! What a rule looks at: `ARGS|!ARGS:/^x/|&REQUEST_HEADERS:Host`.

use std::borrow::Cow;

use crate::{
    model::{Selector, Target, Template, Variable},
    seclang::{
        line::Span,
        patterns::Patterns,
        report::{Mistake, clip},
        word::{closing, unescape},
        xpath,
    },
};

/// Reads a list of targets, separated by `|` or `,`. Mistakes are collected; what is right is returned.
pub(super) fn list(span: Span<'_>, patterns: &Patterns, mistakes: &mut Vec<Mistake>) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut rest = span.trim();
    if rest.text.is_empty() {
        mistakes.push(span.mistake("there is no variable: write for example ARGS|REQUEST_HEADERS:User-Agent"));
        return targets;
    }
    let last = last_slash(span);
    loop {
        match one(rest, last, patterns) {
            Ok((target, after)) => {
                targets.push(target);
                rest = after.trim();
            }
            Err(mistake) => {
                mistakes.push(mistake);
                // Where this one ends is not certain: what follows would only be misunderstood.
                return targets;
            }
        }
        if rest.text.is_empty() {
            return targets;
        }
        let Some(after) = rest.text.strip_prefix(['|', ',']) else {
            let word = rest.to(rest.text.find(['|', ' ', '\t']).unwrap_or(rest.text.len()).max(1).min(rest.text.len()));
            mistakes.push(word.mistake(format!("expected | between variables, found {}", clip(rest.text))));
            return targets;
        };
        rest = rest.from(rest.text.len() - after.len()).trim();
    }
}

/// Reads the target at the beginning, and gives what follows it.
fn one<'a>(span: Span<'a>, last_slash: Option<usize>, patterns: &Patterns) -> Result<(Target, Span<'a>), Mistake> {
    let (mut excluded, mut count) = (false, false);
    let mut rest = span;
    match rest.text.as_bytes().first() {
        Some(b'!') => excluded = true,
        Some(b'&') => count = true,
        _ => {}
    }
    if excluded || count {
        rest = rest.from(1).trim();
    }
    let length = rest.text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let name = rest.to(length);
    if length == 0 {
        let found = rest.to(rest.text.chars().next().map_or(0, char::len_utf8));
        return Err(found.mistake(format!("expected the name of a variable, found {}", clip(rest.text))));
    }
    let Some(variable) = Variable::from_name(name.text) else { return Err(unknown(name)) };
    rest = rest.from(length);
    if !rest.text.starts_with([':', '.']) {
        return Ok((Target { variable, selector: Selector::All, count, excluded }, rest));
    }
    if !is_collection(variable) {
        return Err(rest.mistake(format!(
            "{} is a single value, no collection: write it without the selector {}",
            variable.name(),
            clip(rest.text)
        )));
    }
    let (raw, quoted, after) = extent(rest.from(1), variable, last_slash)?;
    let text = if quoted { unescape(raw.text, '\'') } else { Cow::Borrowed(raw.text) };
    let selector = selector(variable, &text, patterns).map_err(|why| raw.mistake(why))?;
    Ok((Target { variable, selector, count, excluded }, after))
}

/// The selector at the beginning, whether it stood in quotes, and what follows it.
fn extent(
    rest: Span<'_>,
    variable: Variable,
    last_slash: Option<usize>,
) -> Result<(Span<'_>, bool, Span<'_>), Mistake> {
    if rest.text.starts_with('\'') {
        let inside = rest.from(1);
        let end = closing(inside.text, '\'')
            .ok_or_else(|| rest.mistake(format!("the selector {} has no closing '", clip(rest.text))))?;
        return Ok((inside.to(end), true, inside.from(end + 1)));
    }
    let end_of_name = || rest.text.find(|next: char| matches!(next, '|' | ',') || next.is_whitespace());
    let end = match rest.text.strip_prefix('/') {
        Some(pattern) if variable != Variable::Xml && last_slash.is_some_and(|last| last > rest.at) => {
            end_of_pattern(pattern).map(|end| end + 2).or_else(end_of_name)
        }
        _ => end_of_name(),
    };
    let end = end.unwrap_or(rest.text.len());
    Ok((rest.to(end), false, rest.from(end)))
}

/// Where the slash is that ends a pattern: not escaped, and at the end of the target. The pattern itself may contain `|`.
fn end_of_pattern(text: &str) -> Option<usize> {
    ends_of_patterns(text).next()
}

/// The last slash that may end a pattern. Behind it nobody looks for one: a long list would be read again for each of its targets.
fn last_slash(list: Span<'_>) -> Option<usize> {
    ends_of_patterns(list.text).last().map(|at| list.at + at)
}

fn ends_of_patterns(text: &str) -> impl Iterator<Item = usize> {
    let mut escaped = false;
    text.char_indices().filter_map(move |(at, next)| {
        let slash = next == '/' && !escaped;
        escaped = next == '\\' && !escaped;
        let ends = text[at + next.len_utf8()..].chars().next();
        (slash && ends.is_none_or(|next| matches!(next, '|' | ',') || next.is_whitespace())).then_some(at)
    })
}

/// What stands behind the colon.
fn selector(variable: Variable, text: &str, patterns: &Patterns) -> Result<Selector, String> {
    if text.is_empty() {
        return Err(
            "after the colon comes the name of an entry: write it, or leave the colon away for all entries".into()
        );
    }
    if variable == Variable::Xml {
        return xpath::parse(text).map(Selector::XPath);
    }
    if let Some(source) = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        let pattern = patterns
            .get(source)
            .map_err(|why| format!("the pattern {} of the selector cannot be used: {why}", clip(text)))?;
        return Ok(Selector::Regex { source: source.into(), pattern });
    }
    let template = Template::parse(text)?;
    if template.as_literal().is_none() {
        return Ok(Selector::Template(template));
    }
    Ok(Selector::Name(text.to_ascii_lowercase().into()))
}

/// A variable that is not there: why, where it is one of the manual's or of Coraza's.
fn unknown(name: Span<'_>) -> Mistake {
    let upper = name.text.to_ascii_uppercase();
    let why = match upper.as_str() {
        "STREAM_INPUT_BODY" | "STREAM_OUTPUT_BODY" => {
            "bodies are not rewritten as streams: look at REQUEST_BODY or RESPONSE_BODY instead"
        }
        "WEBSERVER_ERROR_LOG" => "there is no web server with an error log here: leave it away",
        "USERAGENT_IP" => "the client's address is REMOTE_ADDR, whatever stands in front of the proxy",
        "RESPONSE_ARGS" | "ARGS_PATH" => "nothing fills it in a proxy: leave it away",
        "RESPONSE_XML" | "RESPONSE_JSON" => "bodies of responses are not parsed: look at RESPONSE_BODY instead",
        "REQUEST_XML" => "look at XML instead",
        "JSON" => "the members of a JSON body are in ARGS, as json.name",
        "REQUEST_BODY_ERROR" => "look at REQBODY_ERROR instead",
        _ if upper.starts_with("PERF_") => "times of the engine's own phases are not shown to rules",
        _ if upper.starts_with("SCRIPT_") => "a proxy runs no scripts: look at REQUEST_FILENAME instead",
        _ if upper.starts_with("SDBM_") => "collections are not kept in an SDBM file",
        _ => {
            return name
                .mistake(format!("there is no variable {}", clip(name.text)))
                .near(Variable::ALL.iter().map(|variable| variable.name()));
        }
    };
    name.mistake(format!("the variable {} is not supported: {why}", clip(name.text)))
}

/// Whether a variable has entries with names.
pub(super) fn is_collection(variable: Variable) -> bool {
    use Variable::{
        Args, ArgsGet, ArgsGetNames, ArgsNames, ArgsPost, ArgsPostNames, Env, Files, FilesNames, FilesSizes,
        FilesTmpContent, FilesTmpnames, Geo, Global, Ip, MatchedVars, MatchedVarsNames, MultipartFilename,
        MultipartName, MultipartPartHeaders, RequestCookies, RequestCookiesNames, RequestHeaders, RequestHeadersNames,
        Resource, ResponseHeaders, ResponseHeadersNames, Rule, Session, Tx, User, Xml,
    };
    matches!(
        variable,
        Args | ArgsGet
            | ArgsGetNames
            | ArgsNames
            | ArgsPost
            | ArgsPostNames
            | Env
            | Files
            | FilesNames
            | FilesSizes
            | FilesTmpContent
            | FilesTmpnames
            | Geo
            | Global
            | Ip
            | MatchedVars
            | MatchedVarsNames
            | MultipartFilename
            | MultipartName
            | MultipartPartHeaders
            | RequestCookies
            | RequestCookiesNames
            | RequestHeaders
            | RequestHeadersNames
            | Resource
            | ResponseHeaders
            | ResponseHeadersNames
            | Rule
            | Session
            | Tx
            | User
            | Xml
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::{
        model::XPath,
        pattern::{Options, Pattern},
    };

    fn targets(text: &str) -> Vec<Target> {
        let mut mistakes = Vec::new();
        let targets = list(Span { text, at: 0 }, &Patterns::default(), &mut mistakes);
        assert!(mistakes.is_empty(), "{text}: {mistakes:?}");
        targets
    }

    fn refused(text: &str) -> Mistake {
        let mut mistakes = Vec::new();
        list(Span { text, at: 0 }, &Patterns::default(), &mut mistakes);
        assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
        mistakes.remove(0)
    }

    fn name(text: &str) -> Selector {
        Selector::Name(text.into())
    }

    fn regex(text: &str) -> Selector {
        let options = Options { ignore_case: true, backtrack_limit: 1 };
        Selector::Regex { source: text.into(), pattern: Arc::new(Pattern::new(text.as_bytes(), options).unwrap()) }
    }

    fn plain(variable: Variable, selector: Selector) -> Target {
        Target { variable, selector, count: false, excluded: false }
    }

    #[test]
    fn lists_selectors_counts_and_exclusions() {
        assert_eq!(
            targets("ARGS|!ARGS:Id|&request_headers:Host,XML:/*|TX.Score"),
            [
                plain(Variable::Args, Selector::All),
                Target { excluded: true, ..plain(Variable::Args, name("id")) },
                Target { count: true, ..plain(Variable::RequestHeaders, name("host")) },
                plain(Variable::Xml, Selector::XPath(XPath::Elements)),
                plain(Variable::Tx, name("score")),
            ]
        );
        assert_eq!(
            targets("ARGS:menu-item[-1][url]|FILES"),
            [plain(Variable::Args, name("menu-item[-1][url]")), plain(Variable::Files, Selector::All)]
        );
    }

    #[test]
    fn patterns_end_with_their_slash() {
        let both = |source| vec![plain(Variable::Args, regex(source)), plain(Variable::Files, Selector::All)];
        assert_eq!(targets("ARGS:/x|y/|FILES"), both("x|y"));
        assert_eq!(targets("ARGS:'/x|y z/'|FILES"), both("x|y z"));
        assert_eq!(targets(r"ARGS:/a\/b/|FILES"), both(r"a\/b"));
        assert_eq!(targets("ARGS:'it\\'s'"), [plain(Variable::Args, name("it's"))]);
        // As in libmodsecurity: what does not end in a slash is a name.
        assert_eq!(targets("ARGS:/x|FILES:y"), [plain(Variable::Args, name("/x")), plain(Variable::Files, name("y"))]);
    }

    #[test]
    fn names_with_macros_are_made_up_later() {
        assert!(matches!(
            &targets("TX:%{MATCHED_VAR_NAME}")[..],
            [Target { selector: Selector::Template(template), .. }] if template.as_literal().is_none()
        ));
    }

    #[test]
    fn mistakes_name_the_word() {
        let unknown = refused("ARGS|ARG_NAMES");
        assert_eq!((unknown.word.as_str(), unknown.nearest, unknown.at), ("ARG_NAMES", Some("ARGS_NAMES"), Some(5)));
        for (text, says) in [
            ("ARGS:", "after the colon"),
            ("REQUEST_URI:x", "single value"),
            ("", "no variable"),
            ("|ARGS", "expected the name"),
            ("ARGS FILES", "expected |"),
            ("WEBSERVER_ERROR_LOG", "no web server"),
            ("ARGS:'x", "closing '"),
            ("XML:/a[3]", "XPath"),
        ] {
            assert!(refused(text).text.contains(says), "{text}: {}", refused(text).text);
        }
    }
}
