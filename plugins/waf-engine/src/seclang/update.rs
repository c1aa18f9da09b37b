//! `SecRuleRemove*` and `SecRuleUpdate*`: as in libmodsecurity, it makes no difference whether they stand before or behind the rules.

use std::collections::{BTreeMap, HashMap};

use crate::{
    model::{IdRange, Location, Selector, Target},
    seclang::{
        action::{self, Item, ranges},
        directive,
        report::{Mistake, NoteKind, Report, clip},
        rule::{Chain, Draft, Entry, Link, Place},
        target,
        word::Word,
        written::number,
    },
};

/// So many changes of rules are made at most: a short file that updates all rules many times would fill the memory.
const MOST_CHANGES: usize = 10_000_000;

/// Which rules are meant.
#[derive(Debug)]
enum Which {
    Ids(Vec<IdRange>),
    /// Exactly this tag.
    Tag(String),
    /// Exactly this message.
    Message(String),
}

#[derive(Debug)]
enum What {
    Remove,
    Targets(Vec<Target>),
    Items(Vec<Item>),
}

/// An update as written.
#[derive(Debug)]
pub(super) struct Update {
    location: Location,
    /// As written, for remarks.
    text: String,
    which: Which,
    /// `ID:N`: the Nth rule of the chain, from 0.
    link: usize,
    what: What,
}

impl Update {
    /// How much there is to do with one rule: it grows with what was added to the rule before.
    fn cost(&self, entry: &Entry) -> usize {
        let Entry::Chain(chain) = entry else { return 1 };
        let Some(link) = chain.links.get(self.link) else { return 1 };
        match &self.what {
            What::Remove => 1,
            What::Targets(targets) => targets.len().saturating_mul(1 + link.targets.len()),
            What::Items(items) => items.len() + link.items.len(),
        }
    }
}

/// Reads one.
pub(super) fn parse(
    kind: directive::Update,
    name: &str,
    words: &[Word<'_>],
    place: &Place<'_>,
) -> Result<Update, Vec<Mistake>> {
    use directive::Update as Kind;
    let update = |which, link, what| {
        let text = words.iter().map(|word| word.span.text).collect::<Vec<_>>().join(" ");
        Update { location: place.location.clone(), text: format!("{name} {}", clip(&text)), which, link, what }
    };
    let Some(first) = words.first() else {
        return Err(vec![Mistake::whole(format!("{name} does not say which rules: write their id, tag or message"))]);
    };
    match kind {
        Kind::RemoveById => {
            let mut all = Vec::new();
            for word in words {
                all.extend(ranges(word.span).map_err(|mistake| vec![mistake])?);
            }
            Ok(update(Which::Ids(all), 0, What::Remove))
        }
        Kind::RemoveByTag | Kind::RemoveByMsg => {
            one_more(words, 1, name)?;
            let text = first.text().into_owned();
            let which = if kind == Kind::RemoveByTag { Which::Tag(text) } else { Which::Message(text) };
            Ok(update(which, 0, What::Remove))
        }
        Kind::TargetById | Kind::TargetByTag | Kind::TargetByMsg => {
            one_more(words, 2, name)?;
            let (which, link) = match kind {
                Kind::TargetById => by_id(first).map_err(|mistake| vec![mistake])?,
                Kind::TargetByTag => (Which::Tag(first.text().into_owned()), 0),
                _ => (Which::Message(first.text().into_owned()), 0),
            };
            let Some(second) = words.get(1) else {
                return Err(vec![
                    first.mistake(format!("{name} does not say which variables: write for example !ARGS:q behind it")),
                ]);
            };
            let mut mistakes = Vec::new();
            let targets = target::list(second.span, place.patterns, &mut mistakes);
            if mistakes.is_empty() { Ok(update(which, link, What::Targets(targets))) } else { Err(mistakes) }
        }
        Kind::ActionById => {
            one_more(words, 2, name)?;
            let (which, link) = by_id(first).map_err(|mistake| vec![mistake])?;
            let Some(second) = words.get(1) else {
                return Err(vec![
                    first.mistake(format!("{name} does not say which actions: write for example \"pass\" behind it")),
                ]);
            };
            let mut mistakes = Vec::new();
            let items = action::list(*second, place.patterns, &mut mistakes);
            for item in &items {
                let fixed = match item {
                    Item::Id(_) => "id",
                    Item::Phase(_) => "phase",
                    Item::Chain => "chain",
                    _ => continue,
                };
                mistakes.push(second.mistake(format!("{name} cannot change the {fixed} of a rule: take it away")));
            }
            if link > 0 && items.iter().any(|item| matches!(item, Item::Disruptive(_))) {
                mistakes.push(second.mistake("a disruptive action may stand only in the first rule of a chain"));
            }
            if mistakes.is_empty() { Ok(update(which, link, What::Items(items))) } else { Err(mistakes) }
        }
    }
}

fn one_more(words: &[Word<'_>], most: usize, name: &str) -> Result<(), Vec<Mistake>> {
    super::setting::expect(words, most, name).map_err(|mistake| vec![mistake])
}

/// Ids, or one id with the number of a chained rule: `12345:1`.
fn by_id(word: &Word<'_>) -> Result<(Which, usize), Mistake> {
    if let Some((id, link)) = word.span.split_once(':') {
        let number = number(link.text).and_then(|number| usize::try_from(number).ok());
        let Some(number) = number else {
            return Err(link.mistake(format!(
                "{} is not the number of a chained rule: write 1 for the first behind the head",
                clip(link.text)
            )));
        };
        return Ok((Which::Ids(ranges(id)?), number));
    }
    Ok((Which::Ids(ranges(word.span)?), 0))
}

/// Finds rules.
struct Index {
    ids: BTreeMap<u64, usize>,
    tags: HashMap<String, Vec<usize>>,
    messages: HashMap<String, Vec<usize>>,
}

impl Index {
    fn new(draft: &Draft) -> Self {
        let mut index = Self { ids: BTreeMap::new(), tags: HashMap::new(), messages: HashMap::new() };
        for (at, entry) in draft.entries.iter().enumerate() {
            let Entry::Chain(chain) = entry else { continue };
            if chain.id > 0 {
                index.ids.insert(chain.id, at);
            }
            for tag in chain.tags() {
                index.tags.entry(tag.to_owned()).or_default().push(at);
            }
            if let Some(message) = chain.message() {
                index.messages.entry(message.to_owned()).or_default().push(at);
            }
        }
        index
    }

    /// Positions of entries; each once.
    fn find(&self, which: &Which, most: usize) -> Vec<usize> {
        let mut found: Vec<usize> = match which {
            Which::Ids(ranges) => ranges
                .iter()
                .flat_map(|range| self.ids.range(range.first..=range.last).map(|(_, at)| *at))
                .take(most)
                .collect(),
            Which::Tag(tag) => self.tags.get(tag).cloned().unwrap_or_default(),
            Which::Message(message) => self.messages.get(message).cloned().unwrap_or_default(),
        };
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Does them all: removals first, so that nothing is said about changes of rules that are gone.
pub(super) fn apply(updates: Vec<Update>, draft: &mut Draft, report: &mut Report) {
    if updates.is_empty() {
        return;
    }
    let index = Index::new(draft);
    let mut left = MOST_CHANGES;
    let (removals, changes): (Vec<Update>, Vec<Update>) =
        updates.into_iter().partition(|update| matches!(update.what, What::Remove));
    for update in removals.iter().chain(&changes) {
        let found = index.find(&update.which, left + 1);
        let mut cost = found.len().max(1);
        let mut changed = false;
        for at in found {
            let entry = &mut draft.entries[at];
            cost = cost.saturating_add(update.cost(entry));
            if cost > left {
                break;
            }
            changed |= match (&update.what, &mut *entry) {
                (What::Remove, Entry::Chain(_)) => {
                    *entry = Entry::Gone;
                    true
                }
                (What::Targets(targets), Entry::Chain(chain)) => add_targets(chain, targets, update, report),
                (What::Items(items), Entry::Chain(chain)) => add_items(chain, items, update, report),
                _ => false,
            };
        }
        let Some(rest) = left.checked_sub(cost) else {
            report.at(
                &update.location,
                "",
                format!("the directives that change rules make more than {MOST_CHANGES} changes together"),
            );
            return;
        };
        left = rest;
        if !changed {
            let hint = match &update.which {
                Which::Ids(_) => "no rule with such an id is loaded",
                Which::Tag(_) => "no rule with exactly this tag is loaded (it is no pattern)",
                Which::Message(_) => "no rule with exactly this message is loaded (it is no pattern)",
            };
            report.note(&update.location, NoteKind::NothingChanged, format!("{} changes nothing: {hint}", update.text));
        }
    }
}

/// The link that an update is about. One that is not there is said.
fn link_of<'a>(chain: &'a mut Chain, update: &Update, report: &mut Report) -> Option<&'a mut Link> {
    let id = chain.id;
    let link = chain.links.get_mut(update.link);
    if link.is_none() {
        report.note(
            &update.location,
            NoteKind::NothingChanged,
            format!("{}: rule {id} has no chained rule {}", update.text, update.link),
        );
    }
    link
}

/// Whether the rule is there (what makes no difference to it gets its own remark).
fn add_targets(chain: &mut Chain, targets: &[Target], update: &Update, report: &mut Report) -> bool {
    let id = chain.id;
    let Some(link) = link_of(chain, update, report) else { return true };
    for target in targets {
        if target.excluded && !link.targets.iter().any(|has| !has.excluded && may_exclude(target, has)) {
            report.note(
                &update.location,
                NoteKind::NothingChanged,
                format!("{}: rule {id} does not look at {} anyway", update.text, target.variable.name()),
            );
        }
        link.targets.push(target.clone());
    }
    true
}

/// Whether an exclusion can take something from what a target gives.
fn may_exclude(exclusion: &Target, target: &Target) -> bool {
    exclusion.variable == target.variable
        && match (&exclusion.selector, &target.selector) {
            (Selector::Name(a), Selector::Name(b)) => a == b,
            _ => true,
        }
}

fn add_items(chain: &mut Chain, items: &[Item], update: &Update, report: &mut Report) -> bool {
    let Some(link) = link_of(chain, update, report) else { return true };
    // A new disruptive action takes the place of the old one, `block` included; what there can be several of is added.
    if items.iter().any(|item| matches!(item, Item::Disruptive(_) | Item::Block)) {
        link.items.retain(|item| !matches!(item, Item::Disruptive(_) | Item::Block));
    }
    // An update that says what is logged says all of it.
    link.items.extend(items.iter().cloned());
    true
}
