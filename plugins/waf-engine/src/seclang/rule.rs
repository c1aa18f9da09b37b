//! Rules while files are being read: links of chains, as their directives have them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    model::{Disruptive, Location, Phase, Target},
    seclang::{
        action::{self, Item},
        line::Line,
        patterns::Patterns,
        report::{Mistake, NoteKind, Report, clip},
        target,
        word::{Word, Words},
    },
};

/// So many rules and markers are loaded at most: the Core Rule Set has about 700.
const MOST_ENTRIES: usize = 100_000;

/// A condition as written. Its operator is made when it is certain that the rule stays and what the limits are.
#[derive(Debug)]
pub(super) struct Condition {
    pub negated: bool,
    pub name: Box<str>,
    pub argument: Box<str>,
    /// Of the rule's file, with its `/`.
    pub folder: Arc<str>,
}

/// A directive of a chain.
#[derive(Debug)]
pub(super) struct Link {
    pub location: Location,
    pub targets: Vec<Target>,
    pub condition: Option<Condition>,
    pub items: Vec<Item>,
}

impl Link {
    fn is_open(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Chain))
    }
}

/// A rule with the rules chained to it.
#[derive(Debug)]
pub(super) struct Chain {
    pub id: u64,
    pub phase: Phase,
    pub links: Vec<Link>,
}

impl Chain {
    /// Tags as written.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.links.iter().flat_map(|link| &link.items).filter_map(|item| match item {
            Item::Tag(_, text) => Some(&**text),
            _ => None,
        })
    }

    /// The message as written: the first link that has one.
    pub fn message(&self) -> Option<&str> {
        self.links.iter().find_map(|link| {
            link.items.iter().rev().find_map(|item| match item {
                Item::Message(_, text) => Some(&**text),
                _ => None,
            })
        })
    }
}

#[derive(Debug)]
pub(super) enum Entry {
    Chain(Chain),
    Marker(Arc<str>),
    /// A rule that was taken away.
    Gone,
}

/// What a default action says for its phase.
#[derive(Debug)]
pub(super) struct Default {
    pub location: Location,
    pub disruptive: Disruptive,
    pub items: Vec<Item>,
}

/// Where a directive stands.
pub(super) struct Place<'a> {
    pub line: &'a Line,
    pub location: Location,
    pub folder: &'a Arc<str>,
    pub patterns: &'a Patterns,
}

/// Everything that was read.
#[derive(Debug, std::default::Default)]
pub(super) struct Draft {
    pub entries: Vec<Entry>,
    pub defaults: BTreeMap<Phase, Default>,
    /// Where each id was written first.
    ids: HashMap<u64, Location>,
    /// Where the next rule belongs to.
    open: Open,
}

/// What the last rule said about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, std::default::Default)]
enum Open {
    /// It stands by itself.
    #[default]
    No,
    /// It belongs to the last entry.
    Chain,
    /// It belongs to a chain with a mistake: by itself it would only be misunderstood.
    Lost,
}

impl Draft {
    /// `SecRule` (with variables and an operator) or `SecAction`.
    pub fn rule(&mut self, words: Words<'_>, has_condition: bool, place: &Place<'_>, report: &mut Report) {
        let mut mistakes = Vec::new();
        let link = link(words, has_condition, place, &mut mistakes, report);
        let broken = !mistakes.is_empty();
        for mistake in mistakes {
            report.mistake(&place.location.file, place.line, mistake);
        }
        let open = link.as_ref().is_some_and(Link::is_open);
        let done = match (std::mem::take(&mut self.open), link) {
            (Open::Lost, _) | (_, None) => false,
            (_, Some(_)) if broken => false,
            (Open::Chain, Some(link)) => self.add_to_chain(link, report),
            (Open::No, Some(link)) => self.begin(link, report),
        };
        if open {
            self.open = if done { Open::Chain } else { Open::Lost };
        }
    }

    fn add_to_chain(&mut self, link: Link, report: &mut Report) -> bool {
        let Some(Entry::Chain(chain)) = self.entries.last_mut() else { return false };
        for item in &link.items {
            match item {
                Item::Disruptive(_) => report.at(
                    &link.location,
                    "",
                    "a disruptive action (pass, deny, drop, redirect, allow) may stand only in the first rule of a chain: move it there",
                ),
                Item::Id(id) => report.note(
                    &link.location,
                    NoteKind::Inert,
                    format!("id:{id} has no effect: a chain has the id of its first rule"),
                ),
                Item::Phase(phase) if *phase != chain.phase => report.note(
                    &link.location,
                    NoteKind::Inert,
                    "the phase of a chained rule has no effect: a chain has the phase of its first rule",
                ),
                _ => {}
            }
        }
        chain.links.push(link);
        true
    }

    fn begin(&mut self, link: Link, report: &mut Report) -> bool {
        let (mut id, mut phase) = (None, Phase::RequestBody);
        for item in &link.items {
            match item {
                Item::Id(value) => id = Some(*value),
                Item::Phase(value) => phase = *value,
                _ => {}
            }
        }
        if id.is_none() && link.condition.is_none() {
            // As in libmodsecurity, where an action without an id can neither be removed nor excepted.
            let text = "the SecAction has no id: nothing can refer to it, write id:NUMBER among its actions";
            report.note(&link.location, NoteKind::Suspicious, text);
            return self.push(Chain { id: 0, phase, links: vec![link] }, report);
        }
        let Some(id) = id else {
            report.at(&link.location, "", "the rule has no id: write id:NUMBER among its actions");
            return false;
        };
        if let Some(first) = self.ids.get(&id) {
            report.at(
                &link.location,
                &id.to_string(),
                format!("the id {id} is taken: the rule at {}:{} has it; write another", first.file, first.line),
            );
            return false;
        }
        self.ids.insert(id, link.location.clone());
        self.push(Chain { id, phase, links: vec![link] }, report)
    }

    fn push(&mut self, chain: Chain, report: &mut Report) -> bool {
        let full = chain.links.first().is_some_and(|head| self.is_full(&head.location, report));
        if !full {
            self.entries.push(Entry::Chain(chain));
        }
        !full
    }

    fn is_full(&self, location: &Location, report: &mut Report) -> bool {
        if self.entries.len() < MOST_ENTRIES {
            return false;
        }
        if self.entries.len() == MOST_ENTRIES {
            report.at(location, "", format!("there are more than {MOST_ENTRIES} rules"));
        }
        true
    }

    /// `SecMarker`.
    pub fn marker(&mut self, name: &str, location: &Location, report: &mut Report) {
        if let Some(chain) = self.cut_chain()
            && let Some(last) = chain.links.last()
        {
            let text = "the rule says chain, but a SecMarker comes instead of a rule: write the next rule of the chain, or take chain away";
            report.at(&last.location, "chain", text);
        }
        if !self.is_full(location, report) {
            self.entries.push(Entry::Marker(name.into()));
        }
    }

    /// The last rule if it says `chain`, and what comes now is no rule.
    fn cut_chain(&mut self) -> Option<&mut Chain> {
        if std::mem::take(&mut self.open) != Open::Chain {
            return None;
        }
        match self.entries.last_mut() {
            Some(Entry::Chain(chain)) => Some(chain),
            _ => None,
        }
    }

    /// All files are read. A chain whose next rule is missing loads, as in libmodsecurity, and never matches as a whole.
    pub fn end(&mut self, report: &mut Report) {
        let Some(chain) = self.cut_chain() else { return };
        let Some(location) = chain.links.last().map(|last| last.location.clone()) else { return };
        let text = format!("rule {} says chain, but no rule follows: it never matches as a whole", chain.id);
        report.note(&location, NoteKind::Suspicious, text);
        let condition =
            Condition { negated: false, name: "noMatch".into(), argument: "".into(), folder: Arc::from("") };
        chain.links.push(Link { location, targets: Vec::new(), condition: Some(condition), items: Vec::new() });
    }

    /// `SecDefaultAction`.
    pub fn default_action(&mut self, word: Word<'_>, place: &Place<'_>) -> Result<(), Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut items = action::list(word, place.patterns, &mut mistakes);
        let (mut phase, mut disruptive) = (None, None);
        for item in &items {
            let unfit = match item {
                Item::Phase(value) => {
                    phase = Some(*value);
                    continue;
                }
                Item::Disruptive(value) => {
                    disruptive = Some(value.clone());
                    continue;
                }
                Item::Id(_) => "id",
                Item::Chain => "chain",
                Item::NoTransformations => "t:none",
                Item::Skip(_) => "skip",
                Item::Message(..) => "msg",
                Item::LogData(_) => "logdata",
                Item::Severity(_) => "severity",
                Item::Version(_) => "ver",
                Item::Revision(_) => "rev",
                Item::Maturity(_) => "maturity",
                Item::Accuracy(_) => "accuracy",
                Item::Capture => "capture",
                Item::MultiMatch => "multiMatch",
                _ => continue,
            };
            mistakes.push(word.mistake(format!("{unfit} does not suit a SecDefaultAction: write it in the rules")));
        }
        let phase = phase.unwrap_or(Phase::RequestHead);
        let Some(disruptive) = disruptive else {
            mistakes.push(word.mistake(
                "a SecDefaultAction says what block does: add pass, deny, drop, redirect or allow (block itself is none of them)",
            ));
            return Err(mistakes);
        };
        if let Some(first) = self.defaults.get(&phase) {
            mistakes.push(word.mistake(format!(
                "phase {} has a SecDefaultAction already, at {}:{}: there can be only one for a phase",
                phase as u8, first.location.file, first.location.line
            )));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        items.retain(|item| !matches!(item, Item::Phase(_) | Item::Disruptive(_) | Item::Block));
        self.defaults.insert(phase, Default { location: place.location.clone(), disruptive, items });
        Ok(())
    }
}

/// Reads the words of a rule. `None` where not even its actions can be told.
fn link(
    mut words: Words<'_>,
    has_condition: bool,
    place: &Place<'_>,
    mistakes: &mut Vec<Mistake>,
    report: &mut Report,
) -> Option<Link> {
    let mut link = Link { location: place.location.clone(), targets: Vec::new(), condition: None, items: Vec::new() };
    if has_condition {
        let variables = words.next_targets().map_err(|mistake| mistakes.push(mistake)).ok()?;
        let operator = words.next().map_err(|mistake| mistakes.push(mistake)).ok()?;
        let (Some(variables), Some(operator)) = (variables, operator) else {
            mistakes.push(Mistake::whole(
                "a SecRule has variables, an operator and actions: SecRule ARGS \"@rx ...\" \"id:1,...\"",
            ));
            return None;
        };
        link.targets = target::list(variables.span, place.patterns, mistakes);
        link.condition = condition(operator, place, mistakes);
    }
    if !words.is_empty() {
        let (actions, unclosed) = words.next_unclosed().map_err(|mistake| mistakes.push(mistake)).ok()??;
        if unclosed {
            // libmodsecurity takes them so, and so do rule sets that were only ever tried there.
            let text = "the actions have no closing \": what stands up to the end of the line was taken for them";
            report.note(&place.location, NoteKind::Suspicious, text);
        }
        link.items = action::list(actions, place.patterns, mistakes);
    } else if !has_condition {
        mistakes.push(Mistake::whole("a SecAction has actions: SecAction \"id:1,phase:1,pass,...\""));
    }
    if !words.is_empty()
        && let Ok(Some(more)) = words.next()
    {
        mistakes.push(
            more.mistake(format!("the directive goes on after its actions: {} is too much", clip(more.span.text))),
        );
    }
    Some(link)
}

/// `"@rx ..."`, `"!@eq 0"`, or a pattern without `@rx`.
fn condition(word: Word<'_>, place: &Place<'_>, mistakes: &mut Vec<Mistake>) -> Option<Condition> {
    let text = word.text();
    let mut rest = text.trim_start();
    let negated = rest.starts_with('!');
    if negated {
        rest = rest[1..].trim_start();
    }
    let (name, argument) = match rest.strip_prefix('@') {
        Some(rest) => {
            let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (name, argument.trim_start())
        }
        // Blanks before a pattern are a part of it.
        None if negated => ("rx", rest),
        None => ("rx", &*text),
    };
    if name.is_empty() || (argument.is_empty() && !text.contains('@')) {
        mistakes.push(word.mistake("the operator is empty: write for example \"@rx PATTERN\""));
        return None;
    }
    Some(Condition { negated, name: name.into(), argument: argument.into(), folder: place.folder.clone() })
}
