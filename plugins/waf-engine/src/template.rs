//! Text with macros: how `%{...}` is read.

use std::sync::Arc;

use crate::{
    model::{Piece, Selector, Template, Variable},
    pattern::{Options, Pattern},
};

/// Steps for a pattern inside a macro, `%{ARGS:/^x/}`. `SecPcreMatchLimit` may come later in the files than the macro.
const BACKTRACK_LIMIT: u64 = 100_000;

impl Template {
    /// Reads text with macros: `%{VARIABLE}`, `%{COLLECTION.name}`, `%{COLLECTION:name}` or `%{COLLECTION:/regex/}`.
    ///
    /// What does not look like a macro (`100%`, `%{`, `%{2}`) is text: patterns and phrases of attacks contain such things.
    ///
    /// # Errors
    /// When it looks like a macro, and there is no variable of that name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        // No macro reaches into the part after the last brace: looking for its end there, once for each `%{`, could take long.
        let (mut rest, mut tail) = text.split_at(text.rfind('}').map_or(0, |at| at + 1));
        while let Some(at) = rest.find("%{") {
            let Some((word, after)) = macro_at(&rest[at..]) else {
                plain.push_str(&rest[..at + 2]);
                rest = &rest[at + 2..];
                continue;
            };
            plain.push_str(&rest[..at]);
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(value(word)?);
            rest = if after.is_empty() { after } else { without_sign(after) };
            if rest.is_empty() {
                tail = without_sign(tail);
            }
        }
        plain.push_str(rest);
        plain.push_str(tail);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        Ok(Self(pieces.into()))
    }

    /// Text without macros, whatever it contains.
    pub fn literal(text: &str) -> Self {
        if text.is_empty() { Self(Arc::new([])) } else { Self(Arc::new([Piece::Text(text.into())])) }
    }

    /// The text, where there is no macro in it.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// What follows a macro, without a per cent sign at its beginning: as in libmodsecurity, that belongs to the macro (`%{tx.a}%`), unless
/// it begins another one or an escape.
fn without_sign(text: &str) -> &str {
    match text.strip_prefix('%') {
        Some(rest) if !rest.starts_with('{') && !rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()) => rest,
        Some("") => "",
        _ => text,
    }
}

/// The inside of the macro with which `text` begins, and what comes after it.
fn macro_at(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix("%{")?;
    // A name is checked first: text with many `%{` and no end is still read in linear time.
    let name = inside.bytes().take_while(|byte| byte.is_ascii_alphabetic() || *byte == b'_').count();
    match inside.as_bytes().get(name) {
        _ if name == 0 => None,
        Some(b'}') => Some((&inside[..name], &inside[name + 1..])),
        Some(b'.' | b':') => {
            let selector = &inside[name + 1..];
            // A regular expression may contain braces: it ends with its slash.
            let end = match selector.strip_prefix('/').and_then(|pattern| pattern.find("/}")) {
                Some(at) => at + 2,
                None => selector.find('}')?,
            };
            Some((&inside[..name + 1 + end], &inside[name + 1 + end + 1..]))
        }
        _ => None,
    }
}

/// The piece for the inside of a macro.
fn value(word: &str) -> Result<Piece, String> {
    let (variable, name) = match word.split_once(['.', ':']) {
        Some((variable, name)) => (variable, Some(name)),
        None => (word, None),
    };
    let Some(variable) = Variable::from_name(variable) else {
        return Err(format!("there is no variable {variable}, as in the macro %{{{word}}}"));
    };
    let Some(name) = name else { return Ok(Piece::Value { variable, name: None }) };
    if let Some(source) = name.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        let options = Options { ignore_case: true, backtrack_limit: BACKTRACK_LIMIT };
        let pattern =
            Pattern::new(source.as_bytes(), options).map_err(|why| format!("in the macro %{{{word}}}: {why}"))?;
        let selector = Selector::Regex { source: source.into(), pattern: Arc::new(pattern) };
        return Ok(Piece::Search { variable, selector });
    }
    Ok(Piece::Value { variable, name: Some(name.to_ascii_lowercase().into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Piece> {
        Template::parse(text).unwrap().0.to_vec()
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    fn value(variable: Variable, name: Option<&str>) -> Piece {
        Piece::Value { variable, name: name.map(Into::into) }
    }

    #[test]
    fn macros_and_text_alternate() {
        assert_eq!(
            pieces("a %{TX.Score}b%{MATCHED_VAR}"),
            [text("a "), value(Variable::Tx, Some("score")), text("b"), value(Variable::MatchedVar, None)]
        );
        assert_eq!(pieces("%{request_headers:Host}"), [value(Variable::RequestHeaders, Some("host"))]);
        assert_eq!(pieces("%{tx.a.b}"), [value(Variable::Tx, Some("a.b"))]);
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn what_is_no_macro_is_text() {
        for plain in ["100%", "%{", "a{%{2,3}", "%{}", "%{tx.x", "%{tx x}", "%%{", "x%{tx"] {
            assert_eq!(pieces(plain), [text(plain)], "{plain}");
        }
        assert_eq!(pieces("%{%{tx.a}"), [text("%{"), value(Variable::Tx, Some("a"))]);
    }

    #[test]
    fn a_sign_behind_a_macro_belongs_to_it() {
        let a = || value(Variable::Tx, Some("a"));
        assert_eq!(pieces("%{tx.a}%"), [a()]);
        assert_eq!(pieces("x%{tx.a}% y"), [text("x"), a(), text(" y")]);
        assert_eq!(pieces("%{tx.a}%{tx.a}%"), [a(), a()]);
        assert_eq!(pieces("%{tx.a}%20%{tx.a}%%"), [a(), text("%20"), a(), text("%")]);
    }

    #[test]
    fn a_regular_expression_selects() {
        let found = pieces("%{ARGS:/^Th{2}$/}!");
        assert!(matches!(
            &found[0],
            Piece::Search { variable: Variable::Args, selector: Selector::Regex { source, .. } } if &**source == "^Th{2}$"
        ));
        assert_eq!(found[1], text("!"));
        assert_eq!(pieces("%{XML:/*}"), [value(Variable::Xml, Some("/*"))]);
        assert!(matches!(
            &pieces("%{ARGS:/}/}")[..],
            [Piece::Search { selector: Selector::Regex { source, .. }, .. }] if &**source == "}"
        ));
    }

    #[test]
    fn an_unknown_variable_is_named() {
        assert_eq!(
            Template::parse("%{nothing.x}").unwrap_err(),
            "there is no variable nothing, as in the macro %{nothing.x}"
        );
    }
}
