//! Rules as evaluation wants them: names turned into numbers, jumps and removals resolved, once, when rules are loaded.

use std::sync::Arc;

use crate::{
    model::{self, Action, Template, Variable, XPath},
    operator::Comparison,
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
    /// The names of entries that rules ask for, of headers, arguments and the like.
    pub entries: Names,
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
    /// Of which one must hold for the first link to match, where it can be told without looking at values: one for each target.
    pub gates: Box<[Gate]>,
    /// The gates are all there is to know, and a match is neither logged nor asks for values: no need to look at any.
    pub simple: bool,
    /// At which rule to go on in the phase after a match of all links.
    pub jump: Option<u32>,
}

/// A comparison of a variable of `TX`, or of its count, with a number: what rule sets ask before everything else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    pub slot: u32,
    pub count: bool,
    pub comparison: Comparison,
    pub negated: bool,
    /// A number, or a variable of `TX` that holds one.
    pub argument: Result<i64, u32>,
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
    /// Lower case, and its number among [`Plan::entries`].
    Name(Arc<str>, u32),
    /// A name of `TX`.
    Slot(u32),
    Regex(Arc<Pattern>),
    /// Of `TX`: also the known names that it finds, which are looked up when all rules have been read.
    SlotRegex(Arc<Pattern>, Box<[u32]>),
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
    SetSlot { slot: u32, change: SlotChange, weight: Weight },
    /// An index of [`Plan::removals`].
    Remove(usize),
    /// An index of [`Plan::exclusions`].
    Exclude(usize),
    /// Everything else.
    Action(Action),
}

/// What becomes of a variable.
#[derive(Debug)]
pub(crate) enum SlotChange {
    Assign(Text),
    Unset,
    AddFixed(i64),
    Add(Text),
    Subtract(Text),
}

/// What a text is made of.
#[derive(Debug)]
pub(crate) enum Text {
    Fixed(Box<[u8]>),
    /// A variable of `TX`.
    Slot(u32),
    Template(Template),
}

/// What a variable counts for in a match's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Nothing,
    /// `anomaly_score` is part of the name.
    Anomaly,
    /// `_score` is the name's end.
    Score,
}

impl Weight {
    pub fn of(name: &[u8]) -> Self {
        const ANOMALY: &[u8] = b"anomaly_score";
        let name = name.to_ascii_lowercase();
        if name.windows(ANOMALY.len()).any(|window| window == ANOMALY) {
            Self::Anomaly
        } else if name.ends_with(b"_score") {
            Self::Score
        } else {
            Self::Nothing
        }
    }
}

impl Plan {
    /// Compiles rules.
    pub fn new(rules: &model::RuleSet) -> Self {
        compile::compile(rules)
    }
}
