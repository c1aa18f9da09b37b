//! Rules as evaluation wants them: names turned into numbers, jumps and removals resolved, once, when rules are loaded.

use std::sync::Arc;

use crate::{
    model::{self, Action, Change, Selector, Template, Variable, XPath},
    pattern::Pattern,
};

pub(crate) mod bits;
pub(crate) mod candidates;
mod compile;
pub(crate) mod names;
mod prefilter;

use bits::Bits;
use candidates::Candidates;
use names::Names;

/// The plan of a rule set. Indexes into it stay valid for as long as it lives.
#[derive(Debug)]
pub(crate) struct Plan {
    /// All rules in the order of the files.
    pub rules: Vec<Rule>,
    /// Which of them run in each phase.
    pub phases: [Bits; 5],
    /// Which of them to visit.
    pub candidates: Candidates,
    /// The names of `TX` that rules know.
    pub names: Names,
    /// What the `ruleRemoveBy...` of the rules remove: rules.
    pub removals: Vec<Bits>,
    /// What the `ruleRemoveTargetBy...` of the rules exclude.
    pub exclusions: Vec<Exclusion>,
    /// For each persistent collection, the names that rules give to its variables.
    pub persistent: Vec<(Variable, Vec<Box<str>>)>,
}

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Where it is among the rule set's entries.
    pub entry: usize,
    /// As many as the model's.
    pub links: Box<[Link]>,
    /// At which rule to go on in the phase after a match of all links.
    pub jump: Option<u32>,
}

/// A link of a chain.
#[derive(Debug)]
pub(crate) struct Link {
    /// Without the excluded ones.
    pub targets: Box<[Target]>,
    /// Done for each value that matches.
    pub each: Box<[Step]>,
    /// Done once when the whole chain has matched.
    pub after: Box<[Step]>,
    /// The operator says which groups there are: those of an earlier match go.
    pub clears_captures: bool,
}

/// What a link looks at.
#[derive(Debug)]
pub(crate) struct Target {
    pub variable: Variable,
    pub select: Select,
    pub count: bool,
    /// Entries that other targets of the rule exclude.
    pub except: Box<[Select]>,
}

/// Which entries of a collection.
#[derive(Debug, Clone)]
pub(crate) enum Select {
    All,
    /// Lower case.
    Name(Arc<str>),
    /// A name of `TX`.
    Slot(u32),
    Regex(Arc<Pattern>),
    Template(Template),
    XPath(XPath),
}

/// `ctl:ruleRemoveTargetBy...`.
#[derive(Debug)]
pub(crate) struct Exclusion {
    pub rules: Bits,
    pub variable: Variable,
    pub select: Select,
}

/// An action.
#[derive(Debug)]
pub(crate) enum Step {
    /// `setvar:tx.name=...`, the name being known.
    SetSlot { slot: u32, change: Change },
    /// An index of [`Plan::removals`].
    Remove(usize),
    /// An index of [`Plan::exclusions`].
    Exclude(usize),
    /// Everything else.
    Action(Action),
}

impl Plan {
    /// Compiles rules.
    pub fn new(rules: &model::RuleSet) -> Self {
        compile::compile(rules)
    }
}

impl Select {
    fn of(variable: Variable, selector: &Selector, names: &mut Names) -> Self {
        match selector {
            Selector::All => Self::All,
            Selector::Name(name) if variable == Variable::Tx => Self::Slot(names.slot(name)),
            Selector::Name(name) => Self::Name(name.clone()),
            Selector::Regex { pattern, .. } => Self::Regex(pattern.clone()),
            Selector::XPath(path) => Self::XPath(path.clone()),
            Selector::Template(template) => Self::Template(template.clone()),
        }
    }
}
