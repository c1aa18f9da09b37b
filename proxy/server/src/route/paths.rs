//! From a path to the candidates of one host, in the order of rank: exact, regex, the longer prefix, any.

use portcullis_config::route::PathPattern;
use regex::Regex;
use smallvec::SmallVec;

use super::{
    candidates::{Candidate, Candidates},
    lookup::{Map, look_up},
};

/// The routes of one host pattern and one priority, by path.
#[derive(Debug, Default)]
pub(super) struct Paths {
    exact: Map<Candidates>,
    /// In the order in which they are tried.
    regexes: Vec<(Regex, Candidate)>,
    prefix: Map<Candidates>,
    /// The most segments that a prefix has: longer ones need not be looked for.
    segments: usize,
    any: Candidates,
}

impl Paths {
    /// Adds a route that comes later in the file than all that are here.
    pub(super) fn insert(&mut self, pattern: &PathPattern, candidate: Candidate) {
        match pattern {
            PathPattern::Any => self.any.insert(candidate),
            PathPattern::Exact(path) => self.exact.entry_ref(path.as_str()).or_default().insert(candidate),
            PathPattern::Prefix(path) => {
                self.segments = self.segments.max(path.matches('/').count());
                self.prefix.entry_ref(path.as_str()).or_default().insert(candidate);
            }
            PathPattern::Regex(regex) => {
                let at = self.regexes.partition_point(|(_, other)| other.predicates >= candidate.predicates);
                self.regexes.insert(at, (regex.clone(), candidate));
            }
        }
    }

    /// Asks `look` about the candidates for `path`, the highest rank first, until it answers: `Ok` when the path matches,
    /// `Err` when it was tried and does not.
    pub(super) fn find<R>(
        &self,
        path: &str,
        mut look: impl FnMut(Result<&Candidate, &Candidate>) -> Option<R>,
    ) -> Option<R> {
        if !self.exact.is_empty()
            && let Some(candidates) = look_up(&self.exact, path)
            && let Some(answer) = candidates.iter().find_map(|candidate| look(Ok(candidate)))
        {
            return Some(answer);
        }
        for (regex, candidate) in &self.regexes {
            let found = if regex.is_match(path) { Ok(candidate) } else { Err(candidate) };
            if let Some(answer) = look(found) {
                return Some(answer);
            }
        }
        if self.segments > 0 {
            // Where a prefix of whole segments may end: before each slash but the first, and at the end.
            let slashes = memchr::memchr_iter(b'/', path.as_bytes()).filter(|&at| at > 0);
            let ends: SmallVec<[usize; 8]> = slashes.chain([path.len()]).take(self.segments).collect();
            for end in ends.into_iter().rev() {
                if let Some(candidates) = look_up(&self.prefix, &path[..end])
                    && let Some(answer) = candidates.iter().find_map(|candidate| look(Ok(candidate)))
                {
                    return Some(answer);
                }
            }
        }
        self.any.iter().find_map(|candidate| look(Ok(candidate)))
    }
}
