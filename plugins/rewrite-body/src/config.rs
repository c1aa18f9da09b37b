//! The plugin's table.

use serde::Deserialize;

use crate::rules::{Rule, Rules};

/// The keys of `[plugin.NAME.config]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Bodies of which types: `text/html`, `text/*`, `*/*`.
    #[serde(default = "html")]
    pub(crate) content_types: Vec<String>,
    /// Whether clients may ask for parts.
    #[serde(default)]
    pub(crate) ranges: bool,
    /// What is replaced, the more important first.
    replace: Vec<Replace>,
}

fn html() -> Vec<String> {
    vec!["text/html".to_owned()]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replace {
    literal: Option<String>,
    regex: Option<String>,
    with: String,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default, rename = "in")]
    side: Side,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    #[default]
    Response,
    Request,
    Both,
}

impl Config {
    /// The rules of requests and of responses.
    pub(crate) fn rules(&self) -> Result<(Rules, Rules), String> {
        if self.replace.is_empty() {
            return Err("replace: there is nothing to replace. Write [[plugin.NAME.config.replace]] with `literal` or `regex`, and `with`".to_owned());
        }
        let (mut request, mut response) = (Vec::new(), Vec::new());
        for (index, replace) in self.replace.iter().enumerate() {
            let rule = replace.rule().map_err(|why| format!("replace[{index}]{why}"))?;
            if replace.side != Side::Response {
                request.push(rule.clone());
            }
            if replace.side != Side::Request {
                response.push(rule);
            }
        }
        Ok((Rules::new(request), Rules::new(response)))
    }
}

impl Replace {
    fn rule(&self) -> Result<Rule, String> {
        match (&self.literal, &self.regex) {
            (Some(literal), None) => {
                Rule::literal(literal, self.ignore_case, &self.with).map_err(|why| format!(".literal: {why}"))
            }
            (None, Some(regex)) => Rule::regex(regex, self.ignore_case, &self.with).map_err(|why| format!(".{why}")),
            _ => Err(": write either `literal` or `regex`".to_owned()),
        }
    }
}
