//! From the tree to the program.

use super::{
    super::syntax::{Node, Repetition},
    Label, MAX_PROGRAM, Step,
};
use crate::bytes::ByteSet;

#[derive(Debug)]
pub(super) struct Compiler {
    pub(super) steps: Vec<Step>,
    pub(super) sets: Vec<ByteSet>,
    /// Used so far.
    pub(super) slots: u32,
}

impl Compiler {
    pub(super) fn new(groups: u32) -> Self {
        Self { steps: Vec::new(), sets: Vec::new(), slots: (groups + 1) * 2 }
    }

    pub(super) fn push(&mut self, step: Step) -> Result<usize, String> {
        if self.steps.len() >= MAX_PROGRAM {
            return Err("the pattern is too large for backtracking: make its repetitions smaller".into());
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn here(&self) -> Label {
        self.steps.len() as Label
    }

    fn slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }

    fn set(&mut self, set: &ByteSet) -> u32 {
        // Few differ, and patterns that come here are few.
        let known = self.sets.iter().rposition(|other| other == set);
        let index = known.unwrap_or_else(|| {
            self.sets.push(*set);
            self.sets.len() - 1
        });
        index as u32
    }

    pub(super) fn node(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::Empty => {}
            Node::Class(set) => {
                let set = self.set(set);
                self.push(Step::Class(set))?;
            }
            Node::Concat(parts) => {
                for part in parts {
                    self.node(part)?;
                }
            }
            Node::Alternate(branches) => self.alternate(branches)?,
            Node::Repeat { min, max, kind, body } => self.repeat(*min, *max, *kind, body)?,
            Node::Capture(group, body) => {
                let kept = self.slot();
                self.push(Step::Save(kept))?;
                self.node(body)?;
                self.push(Step::Close { kept, group: *group })?;
            }
            Node::Assert(place) => {
                self.push(Step::Assert(*place))?;
            }
            Node::Newline => {
                self.push(Step::Newline)?;
            }
            Node::Around { behind, negated: false, body } => {
                self.push(Step::Atomic)?;
                if *behind {
                    self.behind(body)?
                } else {
                    self.node(body)?
                }
                self.push(Step::AheadEnd)?;
            }
            Node::Around { behind, negated: true, body } => {
                let begin = self.push(Step::Not(0))?;
                if *behind {
                    self.behind(body)?
                } else {
                    self.node(body)?
                }
                self.push(Step::NotEnd)?;
                self.steps[begin] = Step::Not(self.here());
            }
            Node::Atomic(body) => {
                self.push(Step::Atomic)?;
                self.node(body)?;
                self.push(Step::AtomicEnd)?;
            }
            Node::BackReference { group, ignore_case } => {
                self.push(Step::BackReference { group: *group, ignore_case: *ignore_case })?;
            }
            Node::Conditional { group, yes, no } => {
                let condition = self.push(Step::Unless(*group, 0))?;
                self.node(yes)?;
                let jump = self.push(Step::Jump(0))?;
                self.steps[condition] = Step::Unless(*group, self.here());
                self.node(no)?;
                self.steps[jump] = Step::Jump(self.here());
            }
            Node::KeepOut => {
                self.push(Step::KeepOut)?;
            }
        }
        Ok(())
    }

    fn alternate(&mut self, branches: &[Node]) -> Result<(), String> {
        let mut jumps = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            if index + 1 == branches.len() {
                self.node(branch)?;
            } else {
                let split = self.push(Step::Split(0, 0))?;
                let first = self.here();
                self.node(branch)?;
                jumps.push(self.push(Step::Jump(0))?);
                self.steps[split] = Step::Split(first, self.here());
            }
        }
        for jump in jumps {
            self.steps[jump] = Step::Jump(self.here());
        }
        Ok(())
    }

    fn repeat(&mut self, min: u32, max: Option<u32>, kind: Repetition, body: &Node) -> Result<(), String> {
        if kind == Repetition::Possessive {
            self.push(Step::Atomic)?;
            self.repeat(min, max, Repetition::Greedy, body)?;
            self.push(Step::AtomicEnd)?;
            return Ok(());
        }
        let greedy = kind == Repetition::Greedy;
        if let Node::Class(set) = body {
            let set = self.set(set);
            self.push(Step::Run { set, min, max: max.unwrap_or(u32::MAX), greedy })?;
            return Ok(());
        }
        for _ in 0..min {
            let before = self.steps.len();
            self.node(body)?;
            // A body without steps may be there any number of times.
            if self.steps.len() == before {
                return Ok(());
            }
        }
        let order = |first, second| if greedy { Step::Split(first, second) } else { Step::Split(second, first) };
        let Some(max) = max else {
            let slot = self.slot();
            let split = self.push(Step::Split(0, 0))?;
            let inside = self.here();
            self.push(Step::Save(slot))?;
            self.node(body)?;
            // A round that took nothing is the last.
            let unmoved = self.push(Step::Unmoved(slot, 0))?;
            self.push(Step::Jump(split as Label))?;
            self.steps[unmoved] = Step::Unmoved(slot, self.here());
            self.steps[split] = order(inside, self.here());
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.push(Step::Split(0, 0))?);
            self.node(body)?;
        }
        for split in splits {
            self.steps[split] = order(split as Label + 1, self.here());
        }
        Ok(())
    }

    /// What went before: each branch goes back as far as it is long.
    fn behind(&mut self, body: &Node) -> Result<(), String> {
        let branches = match body {
            Node::Alternate(branches) => branches.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut steps = Vec::with_capacity(branches.len());
        for branch in branches {
            let Some(length) = length(branch) else {
                return Err("a branch of a look-behind has no fixed length: write a branch for each length".into());
            };
            steps.push(length);
        }
        let mut jumps = Vec::new();
        for (index, (branch, length)) in branches.iter().zip(steps).enumerate() {
            let last = index + 1 == branches.len();
            let split = if last { None } else { Some(self.push(Step::Split(0, 0))?) };
            let first = self.here();
            self.push(Step::Back(length))?;
            self.node(branch)?;
            if let Some(split) = split {
                jumps.push(self.push(Step::Jump(0))?);
                self.steps[split] = Step::Split(first, self.here());
            }
        }
        for jump in jumps {
            self.steps[jump] = Step::Jump(self.here());
        }
        Ok(())
    }
}

/// How many bytes every match has, if all have as many.
fn length(node: &Node) -> Option<u32> {
    match node {
        Node::Empty | Node::Assert(_) | Node::Around { .. } | Node::KeepOut => Some(0),
        Node::Class(_) => Some(1),
        Node::Concat(parts) => parts.iter().try_fold(0_u32, |sum, part| sum.checked_add(length(part)?)),
        Node::Alternate(branches) => {
            let mut lengths = branches.iter().map(length);
            let first = lengths.next()??;
            lengths.all(|length| length == Some(first)).then_some(first)
        }
        Node::Repeat { min, max, body, .. } => match length(body)? {
            0 => Some(0),
            length => length.checked_mul(*min).filter(|_| *max == Some(*min)),
        },
        Node::Capture(_, body) | Node::Atomic(body) => length(body),
        Node::Conditional { yes, no, .. } => length(yes).filter(|yes| length(no) == Some(*yes)),
        Node::Newline | Node::BackReference { .. } => None,
    }
}
