//! Routes that agree in priority, host and path, in the order in which they are tried.

use smallvec::SmallVec;

/// A route, as a look-up finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its index.
    pub(super) route: usize,
    /// How many predicates it has beside host and path: more come first.
    pub(super) predicates: usize,
}

/// Candidates in order: the more predicates the earlier. Between those that agree even in that, which a checked configuration has only where they
/// cannot match the same request, the file decides.
#[derive(Debug, Default)]
pub(super) struct Candidates(SmallVec<[Candidate; 1]>);

impl Candidates {
    /// Adds one that comes later in the file than all that are here.
    pub(super) fn insert(&mut self, candidate: Candidate) {
        let at = self.0.partition_point(|other| other.predicates >= candidate.predicates);
        self.0.insert(at, candidate);
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.0.iter()
    }
}
