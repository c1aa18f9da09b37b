//! From what was read to rules as they are judged: defaults resolved, operators made.

use std::sync::Arc;

use crate::{
    model::{self, Action, Disruptive, Link, Location, Rule},
    operator::{Making, Operator},
    pattern::Pattern,
    seclang::{
        action::Item,
        patterns::Patterns,
        report::{NoteKind, Problem, Report, clip, nearest},
        rule::{self, Chain, Condition, Draft, Entry},
    },
    world::Files,
};

/// The answer where a rule denies and says no status (the manual's default).
const DEFAULT_STATUS: u16 = 403;

/// The manual's operators, for the nearest one.
const OPERATORS: &[&str] = &[
    "beginsWith",
    "contains",
    "containsWord",
    "detectSQLi",
    "detectXSS",
    "endsWith",
    "eq",
    "ge",
    "geoLookup",
    "gt",
    "ipMatch",
    "ipMatchF",
    "ipMatchFromFile",
    "le",
    "lt",
    "noMatch",
    "pm",
    "pmf",
    "pmFromFile",
    "rbl",
    "rx",
    "rxGlobal",
    "streq",
    "strmatch",
    "unconditionalMatch",
    "validateByteRange",
    "validateUrlEncoding",
    "validateUtf8Encoding",
    "verifyCC",
    "verifyCPF",
    "verifySSN",
    "verifySVNR",
    "within",
];

/// Makes entries of all that is left.
pub(super) fn entries(draft: Draft, sources: &Sources<'_>, report: &mut Report) -> Vec<model::Entry> {
    let Draft { entries, defaults, .. } = draft;
    let mut out = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry {
            Entry::Gone => {}
            Entry::Marker(name) => out.push(model::Entry::Marker(name)),
            Entry::Chain(chain) => {
                let default = defaults.get(&chain.phase);
                let maker = Maker { sources, id: chain.id };
                out.extend(maker.rule(chain, default, report).map(model::Entry::Rule));
            }
        }
    }
    out
}

/// What operators are made of.
pub(super) struct Sources<'a> {
    pub files: &'a dyn Files,
    pub backtrack_limit: u64,
    pub patterns: &'a Patterns,
}

struct Maker<'a> {
    sources: &'a Sources<'a>,
    id: u64,
}

/// What the items of a link say together.
#[derive(Default)]
struct Sum {
    transformations: Vec<crate::transform::Transformation>,
    actions: Vec<Action>,
    multi_match: bool,
    capture: bool,
    log_data: Option<model::Template>,
}

impl Maker<'_> {
    fn rule(&self, chain: Chain, default: Option<&rule::Default>, report: &mut Report) -> Option<Rule> {
        let mut rule = Rule {
            id: chain.id,
            phase: chain.phase,
            links: Vec::with_capacity(chain.links.len()),
            disruptive: Disruptive::Pass,
            status: None,
            log: true,
            audit_log: true,
            skip: None,
            message: None,
            severity: None,
            tags: Vec::new(),
            version: None,
            revision: None,
            maturity: None,
            accuracy: None,
        };
        let inherited = default.map_or(&[][..], |default| &default.items);
        for item in inherited {
            metadata(&mut rule, item);
        }
        // As libmodsecurity does it when a chain has matched: what the first rule of a chain says stands above what the others say.
        for link in chain.links.iter().rev() {
            for item in &link.items {
                metadata(&mut rule, item);
            }
        }
        rule.disruptive = disruptive(&chain, default);
        for tags in std::iter::once(inherited).chain(chain.links.iter().map(|link| &link.items[..])) {
            rule.tags.extend(tags.iter().filter_map(|item| match item {
                Item::Tag(template, _) => Some(template.clone()),
                _ => None,
            }));
        }
        if rule.status.is_none() && matches!(rule.disruptive, Disruptive::Deny | Disruptive::Drop) {
            rule.status = Some(DEFAULT_STATUS);
        }
        let last = chain.links.len() - 1;
        let mut complete = true;
        for (at, link) in chain.links.into_iter().enumerate() {
            let mut sum = Sum::default();
            for item in inherited {
                // An action that every rule has by default is done when the whole chain has matched.
                if at == last || !matches!(item, Item::Do(_)) {
                    sum.add(item, &link.location, report);
                }
            }
            for item in &link.items {
                sum.add(item, &link.location, report);
            }
            let condition = match link.condition {
                None => None,
                Some(condition) => match self.condition(condition, &link.location, report) {
                    Some(condition) => Some(condition),
                    None => {
                        complete = false;
                        continue;
                    }
                },
            };
            if !link.targets.is_empty() && link.targets.iter().all(|target| target.excluded) {
                report.note(
                    &link.location,
                    NoteKind::Suspicious,
                    format!("rule {} looks at nothing: all its variables are excluded", self.id),
                );
            }
            rule.links.push(Link {
                location: link.location,
                targets: link.targets,
                condition,
                transformations: sum.transformations,
                multi_match: sum.multi_match,
                capture: sum.capture,
                actions: sum.actions,
                log_data: sum.log_data,
            });
        }
        complete.then_some(rule)
    }

    fn condition(&self, condition: Condition, location: &Location, report: &mut Report) -> Option<model::Condition> {
        let Condition { negated, name, argument, folder } = condition;
        let making =
            Making { files: self.sources.files, folder: &folder, backtrack_limit: self.sources.backtrack_limit };
        if self.sources.patterns.is_full() {
            // That was said already.
            return None;
        }
        let made = Operator::new(&name, &argument, &making).and_then(|operator| {
            if let Some(pattern) = pattern(&operator) {
                self.sources.patterns.take(pattern)?;
            }
            Ok(operator)
        });
        let operator = match made {
            Ok(operator) => operator,
            Err(why) => {
                let is_known = OPERATORS.iter().any(|known| known.eq_ignore_ascii_case(&name));
                report.problem(Problem {
                    location: location.clone(),
                    column: None,
                    word: format!("@{}", clip(&name)),
                    text: format!("in rule {}: {why}", self.id),
                    nearest: if is_known { None } else { nearest(&name, OPERATORS.iter().copied()) },
                });
                return None;
            }
        };
        if let Some(why) = pattern(&operator).and_then(Pattern::backtracks) {
            let text = format!("the pattern of rule {} runs on the backtracking engine: {why}", self.id);
            report.note(location, NoteKind::Backtracks, text);
        }
        if let Some(why) = operator.note() {
            report.note(location, NoteKind::NeverMatches, format!("@{name} of rule {}: {why}", self.id));
        }
        Some(model::Condition { negated, operator, name: (*name).into(), argument: (*argument).into() })
    }
}

/// The pattern of an operator, where it has one that is known when loading.
fn pattern(operator: &Operator) -> Option<&Pattern> {
    match operator {
        Operator::Regex(regex) => regex.pattern(),
        _ => None,
    }
}

impl Sum {
    fn add(&mut self, item: &Item, location: &Location, report: &mut Report) {
        match item {
            Item::Transformation(transformation) => self.transformations.push(*transformation),
            Item::NoTransformations => self.transformations.clear(),
            Item::Do(action) => self.actions.push(action.clone()),
            Item::MultiMatch => self.multi_match = true,
            Item::Capture => self.capture = true,
            Item::LogData(template) => self.log_data = Some(template.clone()),
            Item::Inert(Some(why)) => report.note(location, NoteKind::Inert, *why),
            _ => {}
        }
    }
}

/// The last one that is written. `block` only fills in where none is: `block,deny` denies, in whichever order. As in libmodsecurity, a
/// rule that has neither passes, whatever the default of its phase.
fn disruptive(chain: &Chain, default: Option<&rule::Default>) -> Disruptive {
    let items = || chain.links.iter().flat_map(|link| &link.items);
    let mut written = items().filter_map(|item| match item {
        Item::Disruptive(disruptive) => Some(disruptive),
        _ => None,
    });
    if let Some(disruptive) = written.next_back() {
        return disruptive.clone();
    }
    match default {
        Some(default) if items().any(|item| matches!(item, Item::Block)) => default.disruptive.clone(),
        _ => Disruptive::Pass,
    }
}

/// What concerns the rule as a whole; a later one takes the place of an earlier one.
fn metadata(rule: &mut Rule, item: &Item) {
    match item {
        Item::Status(status) => rule.status = Some(*status),
        // The manual: nolog implies noauditlog, and nolog,auditlog undoes that.
        Item::Log(log) => (rule.log, rule.audit_log) = (*log, *log),
        Item::AuditLog(audit_log) => rule.audit_log = *audit_log,
        Item::Skip(skip) => rule.skip = Some(skip.clone()),
        Item::Message(message, _) => rule.message = Some(message.clone()),
        Item::Severity(severity) => rule.severity = Some(*severity),
        Item::Version(version) => rule.version = Some(Arc::from(&**version)),
        Item::Revision(revision) => rule.revision = Some(Arc::from(&**revision)),
        Item::Maturity(maturity) => rule.maturity = Some(*maturity),
        Item::Accuracy(accuracy) => rule.accuracy = Some(*accuracy),
        _ => {}
    }
}
