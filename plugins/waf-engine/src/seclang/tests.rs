//! The language, by small texts.

mod actions;
mod directives;
mod exceptions;
mod rules;
mod updates;

use std::collections::BTreeMap;

use super::*;
use crate::model::{
    Action, AllowScope, BodyProcessor, Change, Ctl, Disruptive, Entry, IdRange, LimitAction, Mode, Phase, Rule,
    Sanitise, Selector, Skip, Template, Variable,
};

/// Files in memory; patterns have one `*` at the most.
#[derive(Default)]
struct Memory(BTreeMap<&'static str, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "there is no such file".into())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (before, after) = pattern.split_once('*').ok_or("no pattern")?;
        let fits = |path: &&str| path.starts_with(before) && path.ends_with(after);
        Ok(self.0.keys().copied().filter(fits).map(Into::into).collect())
    }
}

fn files<const N: usize>(files: [(&'static str, &str); N]) -> Memory {
    Memory(files.into_iter().map(|(path, text)| (path, text.as_bytes().to_vec())).collect())
}

fn result(text: &str) -> Result<Loaded, Vec<Problem>> {
    let memory = Memory::default();
    let mut loader = Loader::new(&memory);
    loader.text("t", text.as_bytes());
    loader.finish()
}

fn load(text: &str) -> Loaded {
    result(text).unwrap_or_else(|problems| panic!("{text}\n{}", lines(&problems)))
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn rules(loaded: Loaded) -> Vec<Rule> {
    let rule = |entry| match entry {
        Entry::Rule(rule) => Some(rule),
        Entry::Marker(_) => None,
    };
    loaded.rules.entries.into_iter().filter_map(rule).collect()
}

/// The only rule.
fn rule(text: &str) -> Rule {
    let mut rules = rules(load(text));
    assert_eq!(rules.len(), 1, "{text}");
    rules.remove(0)
}

/// The actions of a rule that has these.
fn actions(list: &str) -> Vec<Action> {
    rule(&format!("SecAction \"id:1,{list}\"")).links.remove(0).actions
}

/// The first mistake of a text.
fn mistake(text: &str) -> Problem {
    match result(text) {
        Ok(_) => panic!("loaded: {text}"),
        Err(mut problems) => problems.remove(0),
    }
}

fn notes(text: &str) -> Vec<(NoteKind, String)> {
    load(text).notes.into_iter().map(|note| (note.kind, note.to_string())).collect()
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

const THREE: &str = concat!(
    "SecRule ARGS a \"id:1,phase:1,deny,tag:'x',msg:'one'\"\n",
    "SecRule ARGS a \"id:2,phase:1,tag:'xy',block,chain\"\nSecRule FILES a\n",
    "SecRule ARGS a \"id:3,phase:1,tag:'x',msg:'three'\"\n",
);
