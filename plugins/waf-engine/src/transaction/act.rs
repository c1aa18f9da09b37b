//! What actions do.

use crate::{
    model::{Action, AuditParts, Change, Ctl, Sanitise, Template, Variable},
    operator::leading_number as number,
    plan::{Plan, SlotChange, Step, Text, Weight},
    transaction::{
        Cx, Mask, Transaction,
        fill::processor_name,
        persistent::{self, Opened},
        variables::Name,
    },
};

impl Transaction {
    pub(super) fn steps(&mut self, cx: &Cx<'_>, steps: &[Step]) {
        for step in steps {
            self.step(cx, step);
        }
    }

    fn step(&mut self, cx: &Cx<'_>, step: &Step) {
        match step {
            Step::SetSlot { slot, change, weight } => self.set_slot(cx, *slot, change, *weight),
            Step::Remove(at) => self.removed.add(&cx.engine.plan.removals[*at]),
            Step::Exclude(at) => {
                if !self.exclusions.contains(at) {
                    self.exclusions.push(*at);
                    self.excluding.add(&cx.engine.plan.exclusions[*at].rules);
                }
            }
            Step::Action(action) => self.act(cx, action),
        }
    }

    fn set_slot(&mut self, cx: &Cx<'_>, slot: u32, change: &SlotChange, weight: Weight) {
        let delta = match change {
            SlotChange::Assign(Text::Fixed(text)) => return self.tx.set_slot(slot, text),
            SlotChange::Assign(Text::Slot(other)) => return self.tx.copy_slot(slot, *other),
            SlotChange::Assign(Text::Template(template)) => {
                let mut text = std::mem::take(&mut self.text);
                text.clear();
                self.write(cx, template, &mut text);
                self.tx.set_slot(slot, &text);
                self.text = text;
                return;
            }
            SlotChange::Unset => return self.tx.unset_slot(slot),
            SlotChange::AddFixed(number) => *number,
            SlotChange::Add(text) => self.number_of(cx, text),
            SlotChange::Subtract(text) => self.number_of(cx, text).saturating_neg(),
        };
        let sum = self.tx.number(slot).unwrap_or(0).saturating_add(delta);
        self.tx.set_number(slot, sum);
        self.weigh(weight, delta);
    }

    fn number_of(&self, cx: &Cx<'_>, text: &Text) -> i64 {
        match text {
            Text::Fixed(text) => number(text),
            Text::Slot(slot) => self.tx.number(*slot).unwrap_or(0),
            Text::Template(template) => number(&self.expand(cx, template)),
        }
    }

    /// Adds to what the rule at hand weighs.
    fn weigh(&mut self, weight: Weight, delta: i64) {
        match weight {
            Weight::Anomaly => self.anomaly_score = self.anomaly_score.saturating_add(delta),
            Weight::Score => self.score = self.score.saturating_add(delta),
            Weight::Nothing => {}
        }
    }

    fn name(&self, cx: &Cx<'_>, template: &Template) -> Vec<u8> {
        self.expand(cx, template).into_owned()
    }

    fn act(&mut self, cx: &Cx<'_>, action: &Action) {
        match action {
            Action::SetVar { collection: Variable::Tx, name, change } => {
                let mut text = std::mem::take(&mut self.text);
                text.clear();
                self.write(cx, name, &mut text);
                self.set_named(cx, &text, change);
                self.text = text;
            }
            Action::SetVar { collection, name, change } => {
                let name = self.name(cx, name).to_ascii_lowercase();
                self.set_persistent(cx, *collection, &name, change);
            }
            Action::ExpireVar { collection, name, seconds } => {
                let name = self.name(cx, name).to_ascii_lowercase();
                let seconds = number(&self.expand(cx, seconds));
                if let Some(opened) = self.opened(*collection) {
                    opened.expire(cx.world, &name, seconds);
                } else if *collection == Variable::Tx && seconds <= 0 {
                    self.tx.unset(Some(&cx.engine.plan.names), &name);
                }
            }
            Action::DeprecateVar { collection, name, by, seconds } => {
                let name = self.name(cx, name).to_ascii_lowercase();
                let (by, seconds) = (number(&self.expand(cx, by)), number(&self.expand(cx, seconds)));
                if let Some(opened) = self.opened(*collection) {
                    opened.deprecate(cx.world, &name, by, seconds);
                }
            }
            Action::InitCol { collection, key } | Action::SetKey { collection, key } => {
                let key = self.name(cx, key);
                let settings = cx.engine.settings();
                let opened = Opened::new(*collection, &key, &settings.web_app_id, settings.collection_timeout);
                self.opened.retain(|known| known.collection != *collection);
                self.opened.push(opened);
            }
            Action::SetEnv { name, value } => {
                let value = self.expand(cx, value).into_owned();
                self.env.set(None, name.as_bytes(), &value);
            }
            Action::Ctl(ctl) => self.control(cx, ctl),
            Action::Sanitise(sanitise) => self.sanitise(cx, sanitise),
        }
    }

    fn set_named(&mut self, cx: &Cx<'_>, name: &[u8], change: &Change) {
        let names = Some(&cx.engine.plan.names);
        let delta = match change {
            Change::Assign(value) => {
                let mut text = std::mem::take(&mut self.value);
                text.clear();
                self.write(cx, value, &mut text);
                self.tx.set(names, name, &text);
                self.value = text;
                return;
            }
            Change::Unset => return self.tx.unset(names, name),
            Change::Add(value) => number(&self.expand(cx, value)),
            Change::Subtract(value) => number(&self.expand(cx, value)).saturating_neg(),
        };
        let sum = self.tx.get(names, &name.to_ascii_lowercase()).map_or(0, number).saturating_add(delta);
        self.tx.set(names, name, sum.to_string().as_bytes());
        self.weigh(Weight::of(name), delta);
    }

    fn set_persistent(&mut self, cx: &Cx<'_>, collection: Variable, name: &[u8], change: &Change) {
        // Without `initcol` there is nothing to write to.
        let Some(opened) = self.opened(collection) else { return };
        match change {
            Change::Assign(value) => opened.set(cx.world, name, &self.expand(cx, value)),
            Change::Unset => return opened.unset(cx.world, name),
            Change::Add(value) => opened.add(cx.world, name, number(&self.expand(cx, value))),
            Change::Subtract(value) => opened.add(cx.world, name, number(&self.expand(cx, value)).saturating_neg()),
        }
        opened.list(cx.world, name, persistent::known(&cx.engine.plan.persistent, collection));
    }

    fn control(&mut self, cx: &Cx<'_>, ctl: &Ctl) {
        match ctl {
            Ctl::AuditEngine(engine) => self.audit_engine = *engine,
            Ctl::AuditLogParts { add, parts } => {
                self.audit_parts = AuditParts(match add {
                    Some(true) => self.audit_parts.0 | parts.0,
                    Some(false) => self.audit_parts.0 & !parts.0,
                    None => parts.0,
                });
            }
            Ctl::ForceRequestBodyVariable(force) => self.force_request_body = *force,
            Ctl::RequestBodyAccess(access) => self.request_body_access = Some(*access),
            Ctl::RequestBodyLimit(limit) => self.request_body_limit = Some(*limit),
            Ctl::RequestBodyProcessor(processor) => {
                self.processor = Some(*processor);
                self.set_text(Variable::ReqbodyProcessor, processor_name(*processor).as_bytes());
                self.has_pinned = true;
            }
            Ctl::ResponseBodyAccess(access) => self.response_body_access = Some(*access),
            Ctl::ResponseBodyLimit(limit) => self.response_body_limit = Some(*limit),
            // Response bodies are not taken apart, and links are not signed.
            Ctl::ResponseBodyProcessor(_) | Ctl::HashEngine(_) => {}
            Ctl::RuleEngine(mode) => self.mode = *mode,
            Ctl::RuleRemoveByTag(tag) => {
                let tag = self.name(cx, tag);
                self.remove(cx, |transaction, rule| {
                    rule.tags.iter().any(|known| *transaction.expand(cx, known) == *tag)
                });
            }
            Ctl::RuleRemoveByMsg(message) => {
                let message = self.name(cx, message);
                self.remove(cx, |transaction, rule| {
                    rule.message.as_ref().is_some_and(|known| *transaction.expand(cx, known) == *message)
                });
            }
            // The plan has a step of its own for these.
            Ctl::RuleRemoveById(_)
            | Ctl::RuleRemoveTargetById { .. }
            | Ctl::RuleRemoveTargetByTag { .. }
            | Ctl::RuleRemoveTargetByMsg { .. } => {}
        }
    }

    /// Removes rules for the rest of the transaction, where only now it is known which.
    fn remove(&mut self, cx: &Cx<'_>, is: impl Fn(&Self, &crate::model::Rule) -> bool) {
        let plan: &Plan = &cx.engine.plan;
        for index in 0..plan.rules.len() {
            if is(self, cx.engine.rule(index)) {
                self.removed.insert(index);
            }
        }
    }

    fn sanitise(&mut self, cx: &Cx<'_>, sanitise: &Sanitise) {
        let mask = match sanitise {
            Sanitise::Argument(name) => Mask::Argument(name.as_bytes().to_vec()),
            Sanitise::RequestHeader(name) => Mask::RequestHeader(name.as_bytes().to_vec()),
            Sanitise::ResponseHeader(name) => Mask::ResponseHeader(name.as_bytes().to_vec()),
            Sanitise::Matched | Sanitise::MatchedBytes { .. } => {
                let Some((item, _)) = self.matched_last else { return };
                let name = (!matches!(item.name, Name::None)).then(|| self.name_of(cx, &item).to_vec());
                match (item.variable, name) {
                    (Variable::RequestBody | Variable::Xml, _) => Mask::Body,
                    (_, None) => return,
                    (Variable::RequestHeaders, Some(name)) => Mask::RequestHeader(name),
                    (Variable::ResponseHeaders, Some(name)) => Mask::ResponseHeader(name),
                    (Variable::RequestCookies, _) => Mask::RequestHeader(b"cookie".to_vec()),
                    (_, Some(name)) => Mask::Argument(name),
                }
            }
        };
        let keep = match sanitise {
            Sanitise::MatchedBytes { first, last } => (*first, *last),
            _ => (0, 0),
        };
        if !self.masks.iter().any(|(known, _)| *known == mask) && self.masks.len() < MOST_MASKS {
            self.masks.push((mask, keep));
        }
    }
}

/// At most so many things are masked in the audit log by themselves.
const MOST_MASKS: usize = 1000;
