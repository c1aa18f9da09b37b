//! The XPath expressions of `XML:` selectors: paths of steps, nothing else.

use crate::model::{XPath, XStep};

/// So many steps a path may have; more are no path that somebody wrote.
const MOST_STEPS: usize = 64;

/// Reads a path.
pub(super) fn parse(text: &str) -> Result<XPath, String> {
    match text {
        "/*" => return Ok(XPath::Elements),
        "//@*" => return Ok(XPath::Attributes),
        _ => {}
    }
    let wrong = |what: &str| {
        format!(
            "the XPath expression {} is not supported ({what}): write steps by name as in /*, //@*, /order/item, //item/@id",
            super::report::clip(text)
        )
    };
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let anywhere = rest.starts_with("//");
        rest =
            rest.strip_prefix("//").or_else(|| rest.strip_prefix('/')).ok_or_else(|| wrong("it begins with no /"))?;
        let (step, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        rest = after;
        // The value of an element is its text anyway.
        if step == "text()" && rest.is_empty() && !steps.is_empty() {
            break;
        }
        // Elements without a text have an empty value: that they are there or not there makes little difference to a rule.
        let step = step.strip_suffix("[text()]").unwrap_or(step);
        let attribute = step.starts_with('@');
        let name = step.strip_prefix('@').unwrap_or(step);
        // Prefixes are the document's own choice: local names are compared.
        let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
        if name != "*"
            && (name.is_empty() || name.contains(|next: char| !next.is_alphanumeric() && !"_-.".contains(next)))
        {
            return Err(wrong(if step.is_empty() { "a step has no name" } else { step }));
        }
        if attribute && !rest.is_empty() {
            return Err(wrong("an attribute has nothing below it"));
        }
        steps.push(XStep { anywhere, attribute, name: (name != "*").then(|| name.into()) });
        if steps.len() > MOST_STEPS {
            return Err(wrong("it has too many steps"));
        }
    }
    if steps.is_empty() { Err(wrong("it has no step")) } else { Ok(XPath::Path(steps.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(anywhere: bool, attribute: bool, name: Option<&str>) -> XStep {
        XStep { anywhere, attribute, name: name.map(Into::into) }
    }

    fn path(text: &str) -> Vec<XStep> {
        match parse(text) {
            Ok(XPath::Path(steps)) => steps.to_vec(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn paths_of_steps() {
        assert_eq!(parse("/*"), Ok(XPath::Elements));
        assert_eq!(parse("//@*"), Ok(XPath::Attributes));
        assert_eq!(path("//*"), [step(true, false, None)]);
        assert_eq!(
            path("/a/s:b//@c"),
            [step(false, false, Some("a")), step(false, false, Some("b")), step(true, true, Some("c"))]
        );
        assert_eq!(path("//b/text()"), [step(true, false, Some("b"))]);
        assert_eq!(path("/bookstore/book/price[text()]").len(), 3);
    }

    #[test]
    fn other_expressions_are_refused() {
        for text in ["", "a", "/", "/a[1]", "/a/", "count(//a)", "/a/@b/c", "/a/id()", "///a"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"/a".repeat(1000)).is_err());
    }
}
