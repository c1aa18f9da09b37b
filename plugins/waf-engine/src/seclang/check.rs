//! What can only be said when all rules are known.

use std::collections::{BTreeSet, HashSet};

use crate::{
    model::{Action, Ctl, Entry, IdRange, Selector, Skip, Variable},
    seclang::report::{NoteKind, Report, clip},
};

/// Remarks about what refers to rules and markers that are not there.
pub(super) fn references(entries: &[Entry], report: &mut Report) {
    let mut ids = BTreeSet::new();
    let mut markers = HashSet::new();
    let mut tags = HashSet::new();
    for entry in entries {
        match entry {
            Entry::Marker(name) => {
                markers.insert(&**name);
            }
            Entry::Rule(rule) => {
                ids.insert(rule.id);
                tags.extend(rule.tags.iter().filter_map(|tag| tag.as_literal()));
            }
        }
    }
    let missing = |ranges: &[IdRange]| {
        let missing = ranges.iter().find(|range| ids.range(range.first..=range.last).next().is_none())?;
        Some(match missing.first == missing.last {
            true => format!("there is no rule {}", missing.first),
            false => format!("there is no rule from {} to {}", missing.first, missing.last),
        })
    };
    let untagged = |tag: &str| (!tags.contains(tag)).then(|| format!("no rule has the tag {}", clip(tag)));
    for entry in entries {
        let Entry::Rule(rule) = entry else { continue };
        if let Some(Skip::After(name)) = &rule.skip
            && !markers.contains(&**name)
            && !name.parse().is_ok_and(|id| ids.contains(&id))
            && let Some(head) = rule.links.first()
        {
            let text = format!(
                "rule {}: there is no marker or rule {name} to skip to: the rest of its phase is skipped",
                rule.id
            );
            report.note(&head.location, NoteKind::Suspicious, text);
        }
        for link in &rule.links {
            for action in &link.actions {
                let Action::Ctl(ctl) = action else { continue };
                let missing = match ctl {
                    Ctl::RuleRemoveById(rules) | Ctl::RuleRemoveTargetById { rules, .. } => missing(rules),
                    Ctl::RuleRemoveTargetByTag { tag, .. } => untagged(tag),
                    Ctl::RuleRemoveByTag(tag) => tag.as_literal().and_then(untagged),
                    _ => None,
                };
                if let Some(why) = missing {
                    let text = format!("an exclusion of rule {} removes nothing: {why}", rule.id);
                    report.note(&link.location, NoteKind::NothingChanged, text);
                }
            }
        }
    }
}

/// Complains where a rule has the id of a generated one.
pub(super) fn ids(entries: &[Entry], generated: usize, report: &mut Report) {
    let (generated, written) = entries.split_at(generated.min(entries.len()));
    let id = |entry: &Entry| match entry {
        Entry::Rule(rule) => Some(rule.id),
        Entry::Marker(_) => None,
    };
    let taken: HashSet<u64> = generated.iter().filter_map(id).collect();
    for entry in written {
        let Entry::Rule(rule) = entry else { continue };
        if taken.contains(&rule.id)
            && let Some(head) = rule.links.first()
        {
            report.at(
                &head.location,
                &rule.id.to_string(),
                format!("the id {} is taken by the exceptions of a route: write another", rule.id),
            );
        }
    }
}

/// Remarks about variables that are always empty here.
pub(super) fn empty_variables(entries: &[Entry], report: &mut Report) {
    for entry in entries {
        let Entry::Rule(rule) = entry else { continue };
        for link in &rule.links {
            for target in link.targets.iter().filter(|target| !target.excluded) {
                let why = match target.variable {
                    Variable::FilesTmpnames => "files are never put on a disk: look at FILES_TMP_CONTENT instead",
                    Variable::Geo => "there is no geographical database",
                    _ => continue,
                };
                let text = format!("{} of rule {} is always empty: {why}", target.variable.name(), rule.id);
                report.note(&link.location, NoteKind::NeverMatches, text);
            }
        }
    }
}

/// Remarks about patterns on the backtracking engine, and why.
pub(super) fn backtracking(entries: &[Entry], report: &mut Report) {
    for entry in entries {
        let Entry::Rule(rule) = entry else { continue };
        for link in &rule.links {
            for target in &link.targets {
                if let Selector::Regex { source, pattern } = &target.selector
                    && let Some(why) = pattern.backtracks()
                {
                    report.note(
                        &link.location,
                        NoteKind::Backtracks,
                        format!(
                            "the selector /{}/ of rule {} runs on the backtracking engine: {why}",
                            clip(source),
                            rule.id
                        ),
                    );
                }
            }
        }
    }
}
