//! Operators: what a rule asks of a value.

use std::borrow::Cow;

use crate::{
    model::Template,
    needs::Needs,
    pattern::{Groups, LimitExceeded},
    world::Files,
};

/// An operator with its argument, ready to be asked.
#[derive(Debug)]
pub enum Operator {
    /// `@unconditionalMatch`.
    UnconditionalMatch,
}

/// What [`Operator::new`] may use.
pub struct Making<'a> {
    /// For `@pmFromFile` and `@ipMatchFromFile`.
    pub files: &'a dyn Files,
    /// The folder of the rule file, with its `/`, empty for rules that stand in the configuration: relative names begin there.
    pub folder: &'a str,
    /// `SecPcreMatchLimit`.
    pub backtrack_limit: u64,
}

/// Groups and what was found, of the last question asked.
#[derive(Debug, Default)]
pub struct Found {
    /// Of `@rx`: for `capture`. Of `@pm` and `@within` and others: group 0 is what was found.
    pub groups: Groups,
    /// Where it is not part of the value (a fingerprint of `@detectSQLi`): takes the place of group 0.
    pub text: Option<Vec<u8>>,
}

impl Operator {
    /// `name` without `@` and `!`; `argument` as written, quotes and escapes of the rule taken off.
    ///
    /// # Errors
    /// One sentence that names the word in question, when there is no such operator or the argument is not one for it.
    pub fn new(name: &str, _argument: &str, _making: &Making<'_>) -> Result<Self, String> {
        Err(format!("there is no operator @{name}"))
    }

    /// Whether the value is what the operator looks for. `expand` gives the text of a template of the argument.
    ///
    /// # Errors
    /// When a pattern's step limit was reached.
    pub fn judge<'a>(
        &self,
        _value: &[u8],
        _expand: &mut dyn FnMut(&Template) -> Cow<'a, [u8]>,
        _found: &mut Found,
    ) -> Result<bool, LimitExceeded> {
        Ok(true)
    }

    /// What every value contains for which [`judge`](Self::judge) says yes.
    pub fn needs(&self) -> Needs {
        Needs::default()
    }
}
