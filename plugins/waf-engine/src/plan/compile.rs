//! From the model to the plan.

use super::{
    Exclusion, Gate, Link, Plan, Rule, Select, SlotChange, Step, Target, Text, Weight, bits::Bits,
    candidates::Candidates, names::Names,
};
use crate::{
    model::{
        self, Action, Change, Ctl, Disruptive, Entry, IdRange, Piece, RuleSet, Selector, Skip, Template, Variable,
    },
    operator::{Operator, leading_number},
};

pub(super) fn compile(rules: &RuleSet) -> Plan {
    let mut compiler = Compiler {
        rules: rules
            .entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Rule(rule) => Some(rule),
                Entry::Marker(_) => None,
            })
            .collect(),
        names: Names::with_captures(),
        entries: Names::default(),
        removals: Vec::new(),
        exclusions: Vec::new(),
        persistent: Vec::new(),
    };
    let mut orders: [Vec<u32>; 5] = Default::default();
    let mut planned = Vec::with_capacity(compiler.rules.len());
    for (entry, known) in rules.entries.iter().enumerate() {
        if let Entry::Rule(rule) = known {
            orders[rule.phase as usize - 1].push(planned.len() as u32);
            let links: Box<[Link]> = rule.links.iter().map(|link| compiler.link(link)).collect();
            let gates = compiler.gates(&rule.links[0]).unwrap_or_default();
            let simple = !gates.is_empty() && is_simple(rule, &links);
            planned.push(Rule { entry, links, gates, simple, jump: None });
        }
    }
    for (phase, order) in orders.iter().enumerate() {
        jumps(rules, phase, order, &mut planned);
    }
    let mut phases: [Bits; 5] = std::array::from_fn(|_| Bits::none(planned.len()));
    for (phase, order) in phases.iter_mut().zip(&orders) {
        order.iter().for_each(|index| phase.insert(*index as usize));
    }
    let candidates = Candidates::new(&compiler.rules, &mut compiler.entries);
    let Compiler { names, entries, removals, mut exclusions, persistent, .. } = compiler;
    for link in planned.iter_mut().flat_map(|rule| &mut rule.links) {
        for target in &mut link.targets {
            resolve(&mut target.select, &names);
        }
    }
    exclusions.iter_mut().for_each(|exclusion| resolve(&mut exclusion.select, &names));
    Plan { rules: planned, phases, candidates, names, entries, removals, exclusions, persistent }
}

/// Finds the names that a regular expression over `TX` picks, now that all are known.
fn resolve(select: &mut Select, names: &Names) {
    if let Select::SlotRegex(pattern, slots) = select {
        let all = 0..names.len() as u32;
        *slots = all.filter(|slot| pattern.is_match(names.shown(*slot).as_bytes()).unwrap_or(false)).collect();
    }
}

/// Whether a rule with a gate does nothing that needs to know what matched.
fn is_simple(rule: &model::Rule, links: &[Link]) -> bool {
    let plain = |step: &Step| match step {
        Step::SetSlot { change, .. } => !matches!(
            change,
            SlotChange::Assign(Text::Template(_))
                | SlotChange::Add(Text::Template(_))
                | SlotChange::Subtract(Text::Template(_))
        ),
        Step::Remove(_) | Step::Exclude(_) => true,
        Step::Action(_) => false,
    };
    rule.disruptive == Disruptive::Pass
        && !rule.log
        && !rule.audit_log
        && links.len() == 1
        && links[0].each.iter().chain(&links[0].after).all(plain)
}

/// Resolves `skip` and `skipAfter` of one phase, whose rules are `order`. A place that is not found is the phase's end.
fn jumps(rules: &RuleSet, phase: usize, order: &[u32], planned: &mut [Rule]) {
    // The last marker of each name behind the rule at hand, and rules by id: filled from the end.
    let mut places = std::collections::HashMap::<String, u32>::new();
    let mut at = order.len();
    for (index, entry) in rules.entries.iter().enumerate().rev() {
        match entry {
            Entry::Marker(name) => {
                places.insert(name.to_string(), at as u32);
            }
            Entry::Rule(rule) if rule.phase as usize - 1 == phase => {
                let after = at as u32;
                at -= 1;
                let own = &mut planned[order[at] as usize];
                debug_assert_eq!(own.entry, index);
                own.jump = rule.skip.as_ref().map(|skip| {
                    let place = match skip {
                        Skip::After(name) => places.get(&**name).copied(),
                        Skip::Rules(count) => Some(after.saturating_add(*count)),
                    };
                    place.and_then(|place| order.get(place as usize).copied()).unwrap_or(u32::MAX)
                });
                places.insert(rule.id.to_string(), after);
            }
            Entry::Rule(_) => {}
        }
    }
}

struct Compiler<'a> {
    rules: Vec<&'a model::Rule>,
    names: Names,
    entries: Names,
    removals: Vec<Bits>,
    exclusions: Vec<Exclusion>,
    persistent: Vec<(Variable, Vec<Box<str>>)>,
}

impl Compiler<'_> {
    fn link(&mut self, link: &model::Link) -> Link {
        let mut targets = Vec::new();
        for target in link.targets.iter().filter(|target| !target.excluded) {
            let mut except = Vec::new();
            for other in link.targets.iter().filter(|other| other.excluded && other.variable == target.variable) {
                except.push(self.select(other.variable, &other.selector));
            }
            if target.count {
                except.clear();
            } else if except.iter().any(|select| match (select, &target.selector) {
                (Select::All, _) => true,
                (Select::XPath(excluded), Selector::XPath(path)) => excluded == path,
                _ => false,
            }) {
                continue;
            }
            targets.push(Target {
                variable: target.variable,
                select: self.select(target.variable, &target.selector),
                count: target.count,
                except: except.into(),
            });
        }
        let mut each = Vec::new();
        let mut after = Vec::new();
        for action in &link.actions {
            let step = self.step(action);
            match action {
                Action::SetVar { .. } | Action::Sanitise(_) => each.push(step),
                _ => after.push(step),
            }
        }
        Link {
            targets: targets.into(),
            each: each.into(),
            after: after.into(),
            clears_captures: link.condition.as_ref().is_some_and(|condition| condition.name.eq_ignore_ascii_case("rx")),
        }
    }

    fn select(&mut self, variable: Variable, selector: &Selector) -> Select {
        match selector {
            Selector::All => Select::All,
            Selector::Name(name) if variable == Variable::Tx => Select::Slot(self.names.slot(name)),
            Selector::Name(name) => Select::Name(name.clone(), self.entries.slot(name)),
            Selector::Regex { pattern, .. } if variable == Variable::Tx => {
                Select::SlotRegex(pattern.clone(), Box::default())
            }
            Selector::Regex { pattern, .. } => Select::Regex(pattern.clone()),
            Selector::XPath(path) => Select::XPath(path.clone()),
            Selector::Template(template) => Select::Template(template.clone()),
        }
    }

    fn gates(&mut self, link: &model::Link) -> Option<Box<[Gate]>> {
        let condition = link.condition.as_ref()?;
        let Operator::Number(number) = &condition.operator else { return None };
        if !link.transformations.is_empty() {
            return None;
        }
        let argument = match number.argument() {
            Ok(number) => Ok(number),
            Err(template) => Err(self.slot_of(template)?),
        };
        let gate = |target: &model::Target| match &target.selector {
            Selector::Name(name) if target.variable == Variable::Tx && !target.excluded => Some(Gate {
                slot: self.names.slot(name),
                count: target.count,
                comparison: number.comparison(),
                negated: condition.negated,
                argument,
            }),
            _ => None,
        };
        link.targets.iter().map(gate).collect()
    }

    /// The variable of `TX` that a text is, if it is just that.
    fn slot_of(&mut self, template: &Template) -> Option<u32> {
        match &*template.0 {
            [Piece::Value { variable: Variable::Tx, name: Some(name) }] => Some(self.names.slot(name)),
            _ => None,
        }
    }

    fn text(&mut self, template: &Template) -> Text {
        match (template.as_literal(), self.slot_of(template)) {
            (Some(text), _) => Text::Fixed(text.as_bytes().into()),
            (None, Some(slot)) => Text::Slot(slot),
            (None, None) => Text::Template(template.clone()),
        }
    }

    fn slot_change(&mut self, change: &Change) -> SlotChange {
        let fixed = |template: &Template| template.as_literal().map(|text| leading_number(text.as_bytes()));
        match change {
            Change::Assign(value) => SlotChange::Assign(self.text(value)),
            Change::Unset => SlotChange::Unset,
            Change::Add(value) => match fixed(value) {
                Some(number) => SlotChange::AddFixed(number),
                None => SlotChange::Add(self.text(value)),
            },
            Change::Subtract(value) => match fixed(value) {
                Some(number) => SlotChange::AddFixed(number.saturating_neg()),
                None => SlotChange::Subtract(self.text(value)),
            },
        }
    }

    fn step(&mut self, action: &Action) -> Step {
        match action {
            Action::SetVar { collection, name, change } => match name.as_literal() {
                Some(name) if *collection == Variable::Tx => Step::SetSlot {
                    slot: self.names.assigned_slot(name),
                    change: self.slot_change(change),
                    weight: Weight::of(name.as_bytes()),
                },
                literal => {
                    if let Some(name) = literal {
                        self.persistent_name(*collection, name);
                    }
                    Step::Action(action.clone())
                }
            },
            Action::Ctl(ctl) => self.ctl(ctl).unwrap_or_else(|| Step::Action(action.clone())),
            _ => Step::Action(action.clone()),
        }
    }

    fn persistent_name(&mut self, collection: Variable, name: &str) {
        let at = self.persistent.iter().position(|(known, _)| *known == collection).unwrap_or_else(|| {
            self.persistent.push((collection, Vec::new()));
            self.persistent.len() - 1
        });
        let names = &mut self.persistent[at].1;
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.into());
        }
    }

    /// A `ctl` whose effect on the rules is known now.
    fn ctl(&mut self, ctl: &Ctl) -> Option<Step> {
        let step = match ctl {
            Ctl::RuleRemoveById(ids) => {
                let removed = self.by_id(ids);
                self.removal(removed)
            }
            Ctl::RuleRemoveByTag(tag) => {
                let tag = tag.as_literal()?;
                if self.rules.iter().any(|rule| rule.tags.iter().any(|tag| tag.as_literal().is_none())) {
                    return None;
                }
                let removed = self.by_tag(tag);
                self.removal(removed)
            }
            Ctl::RuleRemoveByMsg(message) => {
                let message = message.as_literal()?;
                if self.rules.iter().any(|rule| rule.message.as_ref().is_some_and(|text| text.as_literal().is_none())) {
                    return None;
                }
                let removed = self.by_message(message);
                self.removal(removed)
            }
            Ctl::RuleRemoveTargetById { rules, target } => {
                let rules = self.by_id(rules);
                self.exclusion(rules, target)
            }
            Ctl::RuleRemoveTargetByTag { tag, target } => {
                let rules = self.by_tag(tag);
                self.exclusion(rules, target)
            }
            Ctl::RuleRemoveTargetByMsg { message, target } => {
                let rules = self.by_message(message);
                self.exclusion(rules, target)
            }
            _ => return None,
        };
        Some(step)
    }

    fn removal(&mut self, rules: Bits) -> Step {
        let at = self.removals.iter().position(|known| *known == rules).unwrap_or_else(|| {
            self.removals.push(rules);
            self.removals.len() - 1
        });
        Step::Remove(at)
    }

    fn exclusion(&mut self, rules: Bits, target: &model::Target) -> Step {
        let select = self.select(target.variable, &target.selector);
        self.exclusions.push(Exclusion { rules, variable: target.variable, select });
        Step::Exclude(self.exclusions.len() - 1)
    }

    fn by_id(&self, ids: &[IdRange]) -> Bits {
        self.those(|rule| ids.iter().any(|range| (range.first..=range.last).contains(&rule.id)))
    }

    fn by_tag(&self, tag: &str) -> Bits {
        self.those(|rule| rule.tags.iter().any(|known| known.as_literal() == Some(tag)))
    }

    fn by_message(&self, message: &str) -> Bits {
        self.those(|rule| rule.message.as_ref().is_some_and(|known| known.as_literal() == Some(message)))
    }

    fn those(&self, is: impl Fn(&model::Rule) -> bool) -> Bits {
        let mut bits = Bits::none(self.rules.len());
        for (index, rule) in self.rules.iter().enumerate() {
            if is(rule) {
                bits.insert(index);
            }
        }
        bits
    }
}
