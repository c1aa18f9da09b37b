//! From a host (or a name in a handshake) to what is kept for the patterns that match it, in the order of rank.

use portcullis_config::route::HostPattern;
use smallvec::SmallVec;

use super::lookup::{Map, host_key, look_up};

/// What is kept for host patterns, apart by priority.
#[derive(Debug)]
pub(super) struct Hosts<T> {
    exact: Map<Levels<T>>,
    /// By suffix.
    wildcard: Map<Levels<T>>,
    any: Levels<T>,
    /// The most labels that a suffix has: longer ones need not be looked for.
    labels: usize,
    /// Whether all priorities are the same, as mostly they are. Then the first pattern that leads to a match wins.
    flat: bool,
}

/// By priority, the highest first. Mostly there is one.
type Levels<T> = SmallVec<[(i32, T); 1]>;

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { exact: Map::default(), wildcard: Map::default(), any: Levels::new(), labels: 0, flat: true }
    }
}

impl<T: Default> Hosts<T> {
    /// What is kept for `pattern` at `priority`; made when there is nothing yet.
    pub(super) fn entry(&mut self, pattern: &HostPattern, priority: i32) -> &mut T {
        let levels = match pattern {
            HostPattern::Exact(name) => self.exact.entry(host_key(name).into()).or_default(),
            HostPattern::Wildcard(suffix) => {
                self.labels = self.labels.max(suffix.split('.').count());
                self.wildcard.entry(suffix.as_str().into()).or_default()
            }
            HostPattern::Any => &mut self.any,
        };
        let at = levels.partition_point(|level| level.0 > priority);
        if levels.get(at).is_none_or(|level| level.0 != priority) {
            levels.insert(at, (priority, T::default()));
        }
        &mut levels[at].1
    }

    /// To be called when all is in.
    pub(super) fn finish(&mut self) {
        let mut levels = self.exact.values().chain(self.wildcard.values()).chain([&self.any]).flatten();
        let first = levels.next().map(|level| level.0);
        self.flat = levels.all(|level| Some(level.0) == first);
    }
}

impl<T> Hosts<T> {
    /// Asks `look` about what is kept for the patterns that match `host`, the highest rank first, until it answers.
    pub(super) fn find<R>(&self, host: &str, mut look: impl FnMut(&T) -> Option<R>) -> Option<R> {
        if self.flat {
            return self.matching(host, |levels| levels.first().and_then(|level| look(&level.1)));
        }
        let mut found: SmallVec<[&[(i32, T)]; 4]> = SmallVec::new();
        self.matching(host, |levels| {
            found.push(levels);
            None::<R>
        });
        loop {
            // Priority decides before the host does. Patterns are in the order of rank, so the first one with the
            // highest priority is next; that is the last one that `max_by_key` meets from behind.
            let next = found.iter_mut().rev().filter(|levels| !levels.is_empty()).max_by_key(|levels| levels[0].0)?;
            let (level, rest) = next.split_first()?;
            *next = rest;
            if let Some(answer) = look(&level.1) {
                return Some(answer);
            }
        }
    }

    /// Exact, then the longer suffix, then any.
    fn matching<'t, R>(&'t self, host: &str, mut visit: impl FnMut(&'t [(i32, T)]) -> Option<R>) -> Option<R> {
        if let Some(levels) = look_up(&self.exact, host)
            && let Some(answer) = visit(levels)
        {
            return Some(answer);
        }
        if self.labels > 0 {
            // A suffix begins after a dot that is not the first byte.
            let starts: SmallVec<[usize; 8]> =
                memchr::memrchr_iter(b'.', host.as_bytes()).filter(|&at| at > 0).take(self.labels).collect();
            for start in starts.into_iter().rev() {
                if let Some(levels) = look_up(&self.wildcard, &host[start + 1..])
                    && let Some(answer) = visit(levels)
                {
                    return Some(answer);
                }
            }
        }
        visit(&self.any)
    }
}
