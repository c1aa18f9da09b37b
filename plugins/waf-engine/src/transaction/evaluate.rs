//! Rules, one after the other.

use std::borrow::Cow;

use crate::{
    model::{self, AllowScope, Disruptive, Mode, Phase, Template},
    plan::{self, Gate},
    transaction::{
        Cost, Cx, Decision, Intervention, Look, Match, Transaction,
        arena::{Mark, NodeId},
        variables::{Item, Name},
    },
};

/// Of a value in a [`Match`] or a [`Look`], at most so much is told.
const MOST_VALUE: usize = 4096;

/// At most so many questions are remembered for [`Transaction::looks`].
const MOST_LOOKS: usize = 200_000;

impl Transaction {
    /// All rules of a phase.
    pub(super) fn run(&mut self, cx: &Cx<'_>, phase: Phase) -> Decision {
        self.phase = phase;
        if self.mode == Mode::Off || (self.intervention.is_some() && phase != Phase::Logging) {
            return Decision::Pass;
        }
        match self.allowed {
            Some(AllowScope::Transaction) if phase != Phase::Logging => return Decision::Pass,
            Some(AllowScope::Request) if phase <= Phase::RequestBody => return Decision::Pass,
            _ => self.allowed = None,
        }
        let began = self.clock(cx);
        // Who watches wants to see every question, also those whose answer is known beforehand.
        let quick = !cx.engine.plain && self.looks.is_none();
        if quick {
            self.find_candidates(cx, phase);
        } else {
            self.visit.copy(&cx.engine.plan.phases[phase as usize - 1]);
        }
        self.charge(cx, None, began, false);
        let mut next = 0;
        while let Some(index) = self.visit.next(next) {
            next = index + 1;
            if self.removed.contains(index) {
                continue;
            }
            let began = self.clock(cx);
            let held = if quick { self.run_quick(cx, index) } else { self.run_rule(cx, index) };
            self.charge(cx, Some(index), began, held);
            if !held {
                continue;
            }
            if let Some(jump) = cx.engine.plan.rules[index].jump {
                next = jump as usize;
            }
            if self.mode == Mode::Off || self.allowed.is_some() {
                break;
            }
            if let Some(intervention) = &self.intervention
                && phase != Phase::Logging
            {
                return Decision::Intervene(intervention.clone());
            }
        }
        Decision::Pass
    }

    fn clock(&self, cx: &Cx<'_>) -> Option<u64> {
        self.costs.is_some().then(|| cx.world.now())
    }

    /// Adds the time since `began` to what a rule has cost, or the choice of rules.
    fn charge(&mut self, cx: &Cx<'_>, index: Option<usize>, began: Option<u64>, held: bool) {
        let (Some(costs), Some(began)) = (&mut self.costs, began) else { return };
        let count = cx.engine.plan.rules.len();
        if costs.len() != count + 1 {
            let ids = (0..count).map(|index| cx.engine.rule(index).id).chain([0]);
            *costs = ids.map(|rule| Cost { rule, visits: 0, matches: 0, nanoseconds: 0 }).collect();
        }
        let cost = &mut costs[index.unwrap_or(count)];
        cost.visits += 1;
        cost.matches += u64::from(held);
        cost.nanoseconds += cx.world.now().saturating_sub(began);
    }

    /// As [`run_rule`](Self::run_rule), without what a gate makes needless.
    fn run_quick(&mut self, cx: &Cx<'_>, index: usize) -> bool {
        let planned = &cx.engine.plan.rules[index];
        if planned.gates.is_empty() {
            return self.run_rule(cx, index);
        }
        if !planned.gates.iter().any(|gate| self.is_open(gate)) {
            return false;
        }
        if !planned.simple || self.excluding.contains(index) {
            return self.run_rule(cx, index);
        }
        self.begin_rule(index);
        for gate in &planned.gates {
            if self.is_open(gate) {
                self.matched_last = None;
                self.matched_kept.clear();
                self.matched_kept_slot = Some(gate.slot);
                match (gate.count, self.tx.slot(gate.slot)) {
                    (true, value) => self.matched_kept.push(if value.is_some() { b'1' } else { b'0' }),
                    (false, value) => self.matched_kept.extend_from_slice(value.unwrap_or_default()),
                }
                self.steps(cx, &planned.links[0].each);
            }
        }
        self.complete(cx, cx.engine.rule(index), planned);
        true
    }

    /// Whether the first link matches, by a look at `TX` alone.
    fn is_open(&self, gate: &Gate) -> bool {
        let value = match (gate.count, self.tx.number(gate.slot)) {
            (true, there) => i64::from(there.is_some()),
            (false, Some(number)) => number,
            (false, None) => return false,
        };
        let argument = gate.argument.unwrap_or_else(|slot| self.tx.number(slot).unwrap_or(0));
        gate.comparison.holds(value, argument) != gate.negated
    }

    fn begin_rule(&mut self, index: usize) {
        self.rule = Some(index);
        self.matched.clear();
        self.score = 0;
        self.anomaly_score = 0;
    }

    /// One rule with all its links. Whether all matched.
    fn run_rule(&mut self, cx: &Cx<'_>, index: usize) -> bool {
        let mark = self.arena.mark();
        self.has_transient = false;
        self.has_pinned = false;
        self.begin_rule(index);
        let rule = cx.engine.rule(index);
        let planned = &cx.engine.plan.rules[index];
        let held = (0..rule.links.len()).all(|at| self.run_link(cx, index, at, &rule.links[at], &planned.links[at]));
        if held {
            self.complete(cx, rule, planned);
        }
        self.forget(cx, mark);
        held
    }

    /// Lets go of what only the last rule needed.
    fn forget(&mut self, cx: &Cx<'_>, mark: Mark) {
        if self.has_pinned || !(self.has_transient || self.arena.over_budget()) {
            return;
        }
        if let Some((item, span)) = self.matched_last {
            let named_after = matches!(item.name, Name::Text(name) if self.arena.is_after(name, mark));
            if named_after || self.arena.is_after(span, mark) {
                self.matched_kept.clear();
                self.matched_kept.extend_from_slice(self.arena.bytes(span));
                self.matched_kept_name = self.shown_name(cx, &item);
                self.matched_kept_slot = None;
                self.matched_last = None;
            }
        }
        self.matched.clear();
        self.arena.truncate(mark);
    }

    fn run_link(&mut self, cx: &Cx<'_>, index: usize, at: usize, link: &model::Link, planned: &plan::Link) -> bool {
        let Some(condition) = &link.condition else {
            self.steps(cx, &planned.each);
            return true;
        };
        let excluding = self.excluding.contains(index);
        let filtered =
            at == 0 && !cx.engine.plain && self.looks.is_none() && cx.engine.plan.candidates.filtered.contains(index);
        let mut items = std::mem::take(&mut self.items);
        let mut held = false;
        for target in &planned.targets {
            items.clear();
            self.collect(cx, target, &mut items);
            for item in &items {
                if target.except.iter().any(|select| self.selects(cx, select, item))
                    || (excluding && !target.count && self.excluded(cx, index, target, item))
                {
                    continue;
                }
                held |= self.judge_item(cx, Place { at, link, condition, planned, filtered }, item);
            }
        }
        self.items = items;
        held
    }

    /// Whether a `ctl` has taken this value from the rule.
    fn excluded(&self, cx: &Cx<'_>, index: usize, target: &plan::Target, item: &Item) -> bool {
        self.exclusions.iter().map(|at| &cx.engine.plan.exclusions[*at]).any(|exclusion| {
            exclusion.variable == item.variable
                && exclusion.rules.contains(index)
                && match (&exclusion.select, &target.select) {
                    (plan::Select::XPath(excluded), plan::Select::XPath(path)) => excluded == path,
                    (select, _) => self.selects(cx, select, item),
                }
        })
    }

    /// Asks the operator, of a value after its transformations; with `multiMatch` also before and between them.
    fn judge_item(&mut self, cx: &Cx<'_>, place: Place<'_>, item: &Item) -> bool {
        let map = cx.engine.settings().unicode_map.as_deref();
        let mut node = item.node;
        let mut held = false;
        if place.link.multi_match {
            held |= self.judge(cx, place, item, node);
        }
        for transformation in &place.link.transformations {
            let next = if cx.engine.plain {
                self.has_transient = true;
                self.arena.transform_anew(node, *transformation, map)
            } else {
                self.arena.transform(node, *transformation, map)
            };
            if place.link.multi_match && next != node {
                held |= self.judge(cx, place, item, next);
            }
            node = next;
        }
        if !place.link.multi_match {
            held |= self.judge(cx, place, item, node);
        }
        held
    }

    fn judge(&mut self, cx: &Cx<'_>, place: Place<'_>, item: &Item, node: NodeId) -> bool {
        let condition = place.condition;
        if place.filtered && self.rule.is_some_and(|rule| self.arena.is_ruled_out(node, rule)) {
            return false;
        }
        let mut found = std::mem::take(&mut self.found);
        found.text = None;
        found.groups.0.clear();
        let outcome = {
            let mut expand = |template: &Template| Cow::Owned(self.expand(cx, template).into_owned());
            condition.operator.judge(self.arena.get(node), &mut expand, &mut found)
        };
        let found_it = match outcome {
            Ok(found_it) => found_it,
            Err(_) => {
                // It is not known. As in the reference: no match, and a variable that says so.
                self.limits_exceeded = true;
                self.tx.set(Some(&cx.engine.plan.names), b"MSC_PCRE_LIMITS_EXCEEDED", b"1");
                false
            }
        };
        let held = found_it != condition.negated;
        if let Some(looks) = &mut self.looks
            && looks.len() < MOST_LOOKS
        {
            let value = self.arena.get(node);
            let look = Look {
                rule: cx.engine.rule(self.rule.unwrap_or(0)).id,
                link: place.at,
                variable: Vec::new(),
                value: value[..value.len().min(MOST_VALUE)].to_vec(),
                matched: held,
            };
            looks.push(look);
            let shown = self.shown_name(cx, item);
            if let Some(look) = self.looks.as_mut().and_then(|looks| looks.last_mut()) {
                look.variable = shown;
            }
        }
        if held {
            if place.link.capture && found_it {
                self.capture(node, &found, place.planned.clears_captures);
            }
            let span = self.arena.span(node);
            self.matched.push((*item, span));
            self.matched_last = Some((*item, span));
            self.steps(cx, &place.planned.each);
        }
        self.found = found;
        held
    }

    /// The groups of a match become `TX:0` to `TX:9`.
    fn capture(&mut self, node: NodeId, found: &crate::operator::Found, all: bool) {
        let value = self.arena.get(node);
        for slot in 0..10u32 {
            let group = match (&found.text, slot) {
                (Some(text), 0) => Some(text.as_slice()),
                _ => found.groups.0.get(slot as usize).cloned().flatten().and_then(|range| value.get(range)),
            };
            match group {
                Some(group) => self.tx.set_slot(slot, group),
                None if all => self.tx.unset_slot(slot),
                None => {}
            }
        }
    }

    /// What is done when all links have matched.
    fn complete(&mut self, cx: &Cx<'_>, rule: &model::Rule, planned: &plan::Rule) {
        for link in &planned.links {
            self.steps(cx, &link.after);
        }
        if let Some(severity) = rule.severity {
            self.highest_severity = Some(self.highest_severity.map_or(severity, |highest| highest.min(severity)));
        }
        let acting = self.mode == Mode::On;
        self.matches.push(self.told(cx, rule));
        if !acting {
            return;
        }
        let mut intervention = Intervention {
            rule: rule.id,
            status: rule.status.unwrap_or(403),
            redirect: None,
            drop: false,
            message: String::new(),
        };
        match &rule.disruptive {
            Disruptive::Pass => return,
            Disruptive::Allow(scope) => {
                self.allowed = Some(*scope);
                return;
            }
            Disruptive::Deny => {}
            Disruptive::Drop => intervention.drop = true,
            Disruptive::Redirect(to) => {
                intervention.redirect = Some(self.expand(cx, to).into_owned());
                intervention.status =
                    rule.status.filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308)).unwrap_or(302);
            }
        }
        if self.intervention.is_none() {
            if let Some(message) = &rule.message {
                intervention.message = String::from_utf8_lossy(&self.expand(cx, message)).into_owned();
            }
            self.intervention = Some(intervention);
        }
    }

    fn told(&self, cx: &Cx<'_>, rule: &model::Rule) -> Match {
        let location = &rule.links[0].location;
        let mut told = Match {
            rule: rule.id,
            phase: rule.phase,
            file: location.file.clone(),
            line: location.line,
            message: Vec::new(),
            data: Vec::new(),
            severity: rule.severity,
            tags: Vec::new(),
            variable: Vec::new(),
            value: Vec::new(),
            log: rule.log,
            audit_log: rule.audit_log,
            disruptive: !matches!(rule.disruptive, Disruptive::Pass | Disruptive::Allow(_)),
            score: if self.anomaly_score != 0 { self.anomaly_score } else { self.score },
        };
        if rule.log || rule.audit_log || self.looks.is_some() {
            let text = |template: Option<&Template>| {
                template.map_or_else(Vec::new, |template| self.expand(cx, template).into_owned())
            };
            told.message = text(rule.message.as_ref());
            told.data = text(rule.links.iter().find_map(|link| link.log_data.as_ref()));
            told.tags = rule.tags.iter().map(|tag| text(Some(tag))).collect();
            if let Some((item, _)) = self.matched.last() {
                told.variable = self.shown_name(cx, item);
                let value = self.matched_var();
                told.value = value[..value.len().min(MOST_VALUE)].to_vec();
            }
        }
        told
    }
}

/// What is being asked.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Which link of the chain.
    at: usize,
    link: &'a model::Link,
    condition: &'a model::Condition,
    planned: &'a plan::Link,
    /// The prefilter may know that the operator cannot match.
    filtered: bool,
}
