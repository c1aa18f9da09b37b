//! Operators that search for a regular expression.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use super::Found;
use crate::{
    model::Template,
    needs::Needs,
    pattern::{Groups, LimitExceeded, Options, Pattern},
};

/// A regular expression, in which there may be macros.
#[derive(Debug)]
pub struct Regex {
    source: Source,
    /// `@rxGlobal`: all matches are found, and the groups of the last are kept.
    global: bool,
}

#[derive(Debug)]
enum Source {
    Fixed(Pattern),
    Made { template: Template, options: Options, last: Mutex<Option<Compiled>> },
}

/// The pattern that was made last: as long as the macros mean the same, it is not made again.
#[derive(Debug)]
struct Compiled {
    text: Vec<u8>,
    /// `None` where the text is no pattern: nothing matches.
    pattern: Option<Arc<Pattern>>,
}

impl Regex {
    /// # Errors
    /// When it is not a pattern, or a macro names a variable that does not exist.
    pub(super) fn new(argument: &str, global: bool, backtrack_limit: u64) -> Result<Self, String> {
        let options = Options { ignore_case: false, backtrack_limit };
        let template = Template::parse(argument)?;
        let source = if template.as_literal().is_some() {
            Source::Fixed(Pattern::new(argument.as_bytes(), options)?)
        } else {
            Source::Made { template, options, last: Mutex::new(None) }
        };
        Ok(Self { source, global })
    }

    /// The pattern, where it does not depend on macros.
    pub fn pattern(&self) -> Option<&Pattern> {
        match &self.source {
            Source::Fixed(pattern) => Some(pattern),
            Source::Made { .. } => None,
        }
    }

    pub(super) fn judge<'a>(
        &self,
        value: &[u8],
        expand: &mut dyn FnMut(&Template) -> Cow<'a, [u8]>,
        found: &mut Found,
    ) -> Result<bool, LimitExceeded> {
        match &self.source {
            Source::Fixed(pattern) => self.search(pattern, value, &mut found.groups),
            Source::Made { template, options, last } => {
                let text = expand(template);
                let pattern = {
                    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                    match &*last {
                        Some(compiled) if compiled.text == *text => compiled.pattern.clone(),
                        _ => {
                            let pattern = Pattern::new(&text, *options).ok().map(Arc::new);
                            *last = Some(Compiled { text: text.into_owned(), pattern: pattern.clone() });
                            pattern
                        }
                    }
                };
                pattern.map_or(Ok(false), |pattern| self.search(&pattern, value, &mut found.groups))
            }
        }
    }

    fn search(&self, pattern: &Pattern, value: &[u8], groups: &mut Groups) -> Result<bool, LimitExceeded> {
        let mut any = pattern.groups(value, groups)?;
        if !self.global || !any {
            return Ok(any);
        }
        // As in libmodsecurity, each match puts its groups in the place of those of the match before.
        let mut next = Groups::default();
        let mut from = after(groups);
        while any && from <= value.len() {
            any = pattern.groups_from(value, from, &mut next)?;
            if any {
                from = after(&next).max(from + 1);
                for (at, group) in next.0.iter().enumerate().filter(|(_, group)| group.is_some()) {
                    if at < groups.0.len() {
                        groups.0[at].clone_from(group);
                    }
                }
            }
        }
        Ok(true)
    }

    pub(super) fn needs(&self) -> Needs {
        self.pattern().map(Pattern::needs).unwrap_or_default()
    }
}

/// Where to search on after a match: behind it, or one further where it is empty.
fn after(groups: &Groups) -> usize {
    match groups.0.first() {
        Some(Some(whole)) => whole.end.max(whole.start + 1),
        _ => usize::MAX,
    }
}
