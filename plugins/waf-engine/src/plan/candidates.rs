//! Which rules can match at all, by the values that there are: the others are not visited.
//!
//! A rule is filtered if its first link looks only at values that no rule changes, through an operator that needs something of
//! them. Such a rule is visited only if the [`Prefilter`] lets its operator look at one of its values, after its transformations.
//! Whatever is not filtered is always visited. A rule may be visited without need; it is never left out wrongly.

use std::collections::BTreeMap;

use super::{bits::Bits, names::Names, prefilter::Prefilter};
use crate::{
    bytes::ByteSet,
    model::{self, Phase, Selector, Variable, XPath},
    needs::{Clause, Needs},
    transform::Transformation,
};

/// What is known of all rules.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub prefilter: Prefilter,
    /// Rules that are filtered.
    pub filtered: Bits,
    phases: Vec<Classes>,
}

/// The rules of a phase.
#[derive(Debug)]
pub(crate) struct Classes {
    /// Those that are always visited. The others by what they look at:
    pub always: Bits,
    /// By collection or single value.
    pub variables: Vec<(Variable, Class)>,
    /// By entry of a collection; the numbers are those of [`Plan::entries`](super::Plan::entries).
    pub named: Vec<(Variable, BTreeMap<u32, Class>)>,
    /// By path.
    pub paths: Vec<(XPath, Class)>,
}

/// Rules that look at the same values.
#[derive(Debug)]
pub(crate) struct Class {
    /// All of them.
    pub rules: Bits,
    /// By what they make of a value before they look. Those without transformations are in `rules` alone.
    pub views: Vec<View>,
    /// Without any of these bytes, no view shows anything else than the value itself,
    pub triggers: ByteSet,
    /// unless this is set, as of a [`View`].
    pub makes_something: bool,
}

/// Rules that see the same of a value.
#[derive(Debug)]
pub(crate) struct View {
    pub chain: Box<[Transformation]>,
    /// Without any of these bytes, a value stays as it is,
    pub triggers: ByteSet,
    /// but for the empty one, if this is set: `length` makes `0` of it.
    pub makes_something: bool,
    pub rules: Bits,
    /// With any of these bytes, a value may become one of any bytes. Without, its bytes stay, go, or become
    pub unbounded: ByteSet,
    /// one of these,
    pub produced: ByteSet,
    /// and no rule matches without one of these.
    pub needed: ByteSet,
}

impl View {
    /// Whether a value in which these bytes occur may look different, and then match.
    pub fn concerns(&self, present: &ByteSet) -> bool {
        if self.makes_something {
            return true;
        }
        if !self.triggers.meets(present) {
            return false;
        }
        let possible = present.union(&self.produced);
        self.unbounded.meets(&possible) || self.needed.meets(&possible)
    }
}

/// Values that stay the same from the moment they are there.
fn fixed(variable: Variable) -> bool {
    use Variable as V;
    matches!(
        variable,
        V::Args
            | V::ArgsNames
            | V::ArgsGet
            | V::ArgsGetNames
            | V::ArgsPost
            | V::ArgsPostNames
            | V::RequestHeaders
            | V::RequestHeadersNames
            | V::RequestCookies
            | V::RequestCookiesNames
            | V::ResponseHeaders
            | V::ResponseHeadersNames
            | V::Files
            | V::FilesNames
            | V::FilesTmpContent
            | V::MultipartFilename
            | V::MultipartName
            | V::MultipartPartHeaders
            | V::RequestLine
            | V::RequestUri
            | V::RequestUriRaw
            | V::RequestFilename
            | V::RequestBasename
            | V::PathInfo
            | V::QueryString
            | V::RequestMethod
            | V::RequestProtocol
            | V::RequestBody
            | V::ResponseBody
            | V::ResponseContentType
            | V::Xml
    )
}

impl Candidates {
    /// Of all rules, in the plan's order.
    pub fn new(rules: &[&model::Rule], names: &mut Names) -> Self {
        let count = rules.len();
        let mut needs: Vec<Option<Needs>> = Vec::with_capacity(count);
        let mut phases: Vec<_> = (0..5).map(|_| Classes::new(count)).collect();
        let mut filtered = Bits::none(count);
        for (index, rule) in rules.iter().enumerate() {
            needs.push(filter(rule));
            let classes = &mut phases[rule.phase as usize - 1];
            match needs[index] {
                None => classes.always.insert(index),
                Some(_) => {
                    filtered.insert(index);
                    let needed = needs[index].as_ref().map_or(ByteSet::ALL, needed);
                    classes.add(index, count, &rule.links[0], names, &needed);
                }
            }
        }
        Self { prefilter: Prefilter::new(&needs), filtered, phases }
    }

    pub fn phase(&self, phase: Phase) -> &Classes {
        &self.phases[phase as usize - 1]
    }
}

/// What the first link needs, if the rule can be filtered.
fn filter(rule: &model::Rule) -> Option<Needs> {
    let link = &rule.links[0];
    let condition = link.condition.as_ref().filter(|condition| !condition.negated)?;
    if link.targets.iter().any(|target| !target.excluded && (target.count || !fixed(target.variable))) {
        return None;
    }
    // A clause holds for no empty value: variables that are not there need no look.
    Some(condition.operator.needs()).filter(|needs| !needs.clauses.is_empty())
}

impl Classes {
    fn new(count: usize) -> Self {
        Self { always: Bits::none(count), variables: Vec::new(), named: Vec::new(), paths: Vec::new() }
    }

    fn add(&mut self, rule: usize, count: usize, link: &model::Link, names: &mut Names, needed: &ByteSet) {
        for target in link.targets.iter().filter(|target| !target.excluded) {
            let class = match &target.selector {
                Selector::Name(name) => {
                    let at = at(&mut self.named, target.variable, BTreeMap::new);
                    self.named[at].1.entry(names.slot(name)).or_insert_with(|| Class::new(count))
                }
                Selector::XPath(path) => {
                    let at = at(&mut self.paths, path.clone(), || Class::new(count));
                    &mut self.paths[at].1
                }
                Selector::All if target.variable == Variable::Xml => {
                    let at = at(&mut self.paths, XPath::Elements, || Class::new(count));
                    &mut self.paths[at].1
                }
                // What the expression or the template picks is among all.
                Selector::All | Selector::Regex { .. } | Selector::Template(_) => {
                    let at = at(&mut self.variables, target.variable, || Class::new(count));
                    &mut self.variables[at].1
                }
            };
            class.add(rule, count, link, needed);
        }
    }
}

/// The place of a key, which is added if it is new.
fn at<K: PartialEq, V>(list: &mut Vec<(K, V)>, key: K, new: impl FnOnce() -> V) -> usize {
    list.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        list.push((key, new()));
        list.len() - 1
    })
}

impl Class {
    fn new(count: usize) -> Self {
        Self { rules: Bits::none(count), views: Vec::new(), triggers: ByteSet::EMPTY, makes_something: false }
    }

    fn add(&mut self, rule: usize, count: usize, link: &model::Link, needed: &ByteSet) {
        self.rules.insert(rule);
        let whole = &link.transformations[..];
        let first = if link.multi_match { 1 } else { whole.len() };
        for length in first.max(1)..=whole.len() {
            let chain = seen(&whole[..length]);
            if chain.is_empty() {
                continue;
            }
            let view = match self.views.iter().position(|view| *view.chain == *chain) {
                Some(at) => &mut self.views[at],
                None => {
                    self.views.push(View::new(chain, count));
                    let last = self.views.len() - 1;
                    &mut self.views[last]
                }
            };
            view.rules.insert(rule);
            view.needed = view.needed.union(needed);
            self.triggers = self.triggers.union(&view.triggers);
            self.makes_something |= view.makes_something;
        }
    }
}

impl View {
    fn new(chain: &[Transformation], count: usize) -> Self {
        let mut view = Self {
            chain: chain.into(),
            triggers: triggers(chain),
            makes_something: chain.iter().any(|step| step.could_change(&ByteSet::EMPTY)),
            rules: Bits::none(count),
            unbounded: ByteSet::EMPTY,
            produced: ByteSet::EMPTY,
            needed: ByteSet::EMPTY,
        };
        for step in chain {
            match produces(*step) {
                Some(bytes) => view.produced = view.produced.union(&bytes),
                None => view.unbounded = view.unbounded.union(&triggers(&[*step])),
            }
        }
        view
    }
}

/// The bytes that a transformation writes which were not there before, where these are few: those that take away.
fn produces(step: Transformation) -> Option<ByteSet> {
    use Transformation as T;
    Some(match step {
        T::Trim | T::TrimLeft | T::TrimRight | T::RemoveNulls | T::RemoveWhitespace => ByteSet::EMPTY,
        T::CompressWhitespace | T::ReplaceNulls | T::ReplaceComments | T::RemoveComments | T::RemoveCommentsChar => {
            ByteSet::list(b" ")
        }
        T::NormalizePath | T::NormalizePathWin => ByteSet::list(b"./"),
        T::Lowercase => ByteSet::range(b'a', b'z'),
        T::Uppercase => ByteSet::range(b'A', b'Z'),
        T::CmdLine => ByteSet::range(b'a', b'z').union(&ByteSet::list(b" ")),
        _ => return None,
    })
}

/// Bytes of which a value has one if it has what an operator needs: of its clauses, the one whose bytes are rarest.
fn needed(needs: &Needs) -> ByteSet {
    let either_case = |byte: u8| ByteSet::list(&[byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
    let mut best: Option<(usize, ByteSet)> = None;
    for clause in &needs.clauses {
        let mut set = ByteSet::EMPTY;
        match clause {
            Clause::Bytes(bytes) => bytes.iter().for_each(|byte| set = set.union(&either_case(byte))),
            Clause::Literals(literals) => {
                for literal in literals {
                    // The whole literal is there, so its rarest byte is.
                    match literal.iter().max_by_key(|byte| rarity(**byte)) {
                        Some(byte) => set = set.union(&either_case(*byte)),
                        None => set = ByteSet::ALL,
                    }
                }
            }
        }
        let common = set.iter().map(|byte| COMMON.len() - rarity(byte)).sum();
        if best.as_ref().is_none_or(|(known, _)| common < *known) {
            best = Some((common, set));
        }
    }
    best.map_or(ByteSet::ALL, |(_, set)| set)
}

/// Bytes of ordinary requests, the commonest first.
const COMMON: &[u8] = b"etaoinshrdlcumwfgypbvkjxqzETAOINSHRDLCUMWFGYPBVKJXQZ0123456789/.-_ =:;,&()";

/// Greater for rarer bytes, at most the number of common ones.
fn rarity(byte: u8) -> usize {
    COMMON.iter().position(|common| *common == byte).unwrap_or(COMMON.len())
}

/// A chain without its last steps that change nothing but ASCII case: the prefilter does not regard it.
fn seen(chain: &[Transformation]) -> &[Transformation] {
    let is_case = |step: &Transformation| matches!(step, Transformation::Lowercase | Transformation::Uppercase);
    let end = chain.iter().rposition(|step| !is_case(step)).map_or(0, |last| last + 1);
    &chain[..end]
}

/// Bytes without which the chain changes nothing of a value but the case of letters: as few and as rare ones as come easily. Case
/// makes no difference to the prefilter.
///
/// Each byte is left out if values of all those left out so far stay as they are. That is right because a transformation that can
/// change values of some bytes can change values of more bytes, too (`could_change` never turns false as bytes are added). Letters
/// are left out in both cases or not at all, so that it makes no difference when case is changed on the way.
fn triggers(chain: &[Transformation]) -> ByteSet {
    let upper = ByteSet::range(b'A', b'Z');
    let changes = |step: &Transformation, set: &ByteSet| match step {
        Transformation::Lowercase | Transformation::Uppercase => false,
        // Makes capital letters small, and otherwise looks at other bytes.
        Transformation::CmdLine => step.could_change(&set.complement().union(&upper).complement()),
        _ => step.could_change(set),
    };
    let mut without = ByteSet::EMPTY;
    for byte in COMMON.iter().copied().chain(0..=255) {
        let mut more = without;
        more.insert(byte.to_ascii_lowercase());
        more.insert(byte.to_ascii_uppercase());
        if !chain.iter().any(|step| changes(step, &more)) {
            without = more;
        }
    }
    without.complement()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn triggers_are_few() {
        let triggers = |step| triggers(&[step]).iter().collect::<Vec<_>>();
        assert_eq!(triggers(Transformation::ReplaceComments), b"*");
        assert_eq!(triggers(Transformation::UrlDecodeUni), b"%+");
        assert_eq!(triggers(Transformation::Length).len(), 256);
        assert_eq!(triggers(Transformation::Lowercase), b"");
        assert_eq!(triggers(Transformation::CmdLine), b"\t\n\r \"',;\\^");
    }

    #[test]
    fn the_rarest_clause_is_needed() {
        let literals =
            |literals: &[&str]| Clause::Literals(literals.iter().map(|text| text.as_bytes().into()).collect());
        let of = |clauses| needed(&Needs { clauses, length: 1 }).iter().collect::<Vec<_>>();
        assert_eq!(of(vec![literals(&["tea", "javascript:"]), literals(&["<svg", "<x"])]), b"<");
        assert_eq!(of(vec![literals(&["zeta"])]), b"Zz");
        assert_eq!(of(vec![Clause::Bytes(ByteSet::list(b"a;"))]), b";Aa");
    }

    proptest! {
        #[test]
        fn a_view_that_does_not_concern_a_value_shows_nothing_needed(
            value in proptest::collection::vec(any::<u8>(), 1..40),
            text in "[ -~]{1,40}",
            chain in proptest::collection::vec(proptest::sample::select(Transformation::ALL), 1..4),
            wanted in any::<u8>(),
        ) {
            let mut view = View::new(&chain, 1);
            view.needed = ByteSet::list(&[wanted.to_ascii_lowercase(), wanted.to_ascii_uppercase()]);
            for value in [value, text.into_bytes()] {
                if view.concerns(&ByteSet::of(&value)) {
                    continue;
                }
                let mut seen = value.clone();
                for step in &chain {
                    let mut out = Vec::new();
                    if step.apply(&seen, &mut out, None) {
                        seen = out;
                    }
                }
                let same = seen.eq_ignore_ascii_case(&value);
                prop_assert!(same || !ByteSet::of(&seen).meets(&view.needed), "{chain:?} of {value:?}");
            }
        }

        #[test]
        fn without_a_trigger_only_case_changes(
            value in proptest::collection::vec(any::<u8>(), 0..40),
            text in "[ -~]{0,40}",
            chain in proptest::collection::vec(proptest::sample::select(Transformation::ALL), 1..4),
        ) {
            let set = triggers(&chain);
            for value in [value, text.into_bytes()] {
                // Only bytes that trigger nothing.
                let value: Vec<u8> = value.into_iter().filter(|byte| !set.contains(*byte)).collect();
                if value.is_empty() {
                    continue;
                }
                let mut seen = value.clone();
                for step in &chain {
                    let mut out = Vec::new();
                    if step.apply(&seen, &mut out, None) {
                        seen = out;
                    }
                    prop_assert!(seen.eq_ignore_ascii_case(&value), "{step:?} of {value:?}: {seen:?}");
                }
            }
        }
    }
}
