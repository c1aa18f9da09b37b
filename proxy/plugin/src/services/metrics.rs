//! Figures that plugins count.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Figures of one plugin, and the bytes of a name.
const FIGURES_MAX: usize = 256;
const NAME_MAX: usize = 64;

/// Buckets of a histogram: up to 2^-10, 2^-9, ... 2^20, and what is larger.
const SMALLEST: i32 = -10;
const BUCKETS: usize = 32;

/// One figure of one plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Value,
}

/// What a figure says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
    /// Values and how many of them there were.
    Histogram {
        /// How many.
        count: u64,
        /// Their sum.
        sum: f64,
        /// How many were at most 2^i and more than 2^(i-1), for i from -10 to 20; the last are those that are larger.
        buckets: Vec<u64>,
    },
}

/// The figures of one plugin, by its name in the configuration; kept over reloads.
#[derive(Default)]
pub struct Figures {
    by_name: RwLock<HashMap<Box<str>, Kept, RandomState>>,
    dropped: AtomicU64,
}

enum Kept {
    Counter(AtomicU64),
    Gauge(AtomicU64),
    Histogram(Box<Histogram>),
}

#[derive(Default)]
struct Histogram {
    sum: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Figures {
    /// Forgets all of them.
    pub fn clear(&self) {
        self.by_name.write().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        self.dropped.store(0, Relaxed);
    }

    /// Adds to a counter.
    pub fn count(&self, name: &str, delta: u64) {
        self.with(
            name,
            || Kept::Counter(AtomicU64::new(0)),
            |kept| {
                let Kept::Counter(counter) = kept else { return false };
                counter.fetch_add(delta, Relaxed);
                true
            },
        );
    }

    /// Sets a gauge.
    pub fn gauge(&self, name: &str, value: f64) {
        self.with(
            name,
            || Kept::Gauge(AtomicU64::new(0)),
            |kept| {
                let Kept::Gauge(gauge) = kept else { return false };
                gauge.store(value.to_bits(), Relaxed);
                true
            },
        );
    }

    /// Adds a value to a histogram.
    pub fn observe(&self, name: &str, value: f64) {
        self.with(
            name,
            || Kept::Histogram(Box::default()),
            |kept| {
                let Kept::Histogram(histogram) = kept else { return false };
                if !value.is_finite() {
                    return false;
                }
                histogram.buckets[bucket(value)].fetch_add(1, Relaxed);
                let _ =
                    histogram.sum.fetch_update(Relaxed, Relaxed, |sum| Some((f64::from_bits(sum) + value).to_bits()));
                true
            },
        );
    }

    /// Values that were not taken: too many names, names that are none, or one name for two kinds.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// All of them, in alphabetical order.
    pub fn all(&self) -> Vec<(String, Value)> {
        let by_name = self.by_name.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut all: Vec<_> = by_name.iter().map(|(name, kept)| (name.to_string(), kept.value())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// A name that is there takes a shared lock for the length of one addition; only a new one excludes the others.
    fn with(&self, name: &str, new: impl FnOnce() -> Kept, change: impl Fn(&Kept) -> bool) {
        let known = {
            let by_name = self.by_name.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            by_name.get(name).map(&change)
        };
        let taken = known.unwrap_or_else(|| {
            if !is_name(name) {
                return false;
            }
            let mut by_name = self.by_name.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            if by_name.len() >= FIGURES_MAX && !by_name.contains_key(name) {
                return false;
            }
            change(by_name.entry(name.into()).or_insert_with(new))
        });
        if !taken {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Kept {
    fn value(&self) -> Value {
        match self {
            Self::Counter(counter) => Value::Counter(counter.load(Relaxed)),
            Self::Gauge(gauge) => Value::Gauge(f64::from_bits(gauge.load(Relaxed))),
            Self::Histogram(histogram) => {
                let buckets: Vec<u64> = histogram.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
                let count = buckets.iter().sum();
                Value::Histogram { count, sum: f64::from_bits(histogram.sum.load(Relaxed)), buckets }
            }
        }
    }
}

fn bucket(value: f64) -> usize {
    (0..BUCKETS - 1).find(|&i| value <= 2f64.powi(SMALLEST + i as i32)).unwrap_or(BUCKETS - 1)
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_kept_by_name_and_kind() {
        let figures = Figures::default();
        figures.count("hits", 2);
        figures.count("hits", 3);
        figures.gauge("level", 1.5);
        figures.gauge("level", -2.5);
        figures.observe("size", 3.0);
        figures.observe("size", 1e9);
        figures.observe("size", f64::NAN);
        figures.gauge("hits", 1.0);
        figures.count("Hits", 1);
        let all = figures.all();
        assert_eq!(all[0], ("hits".into(), Value::Counter(5)));
        assert_eq!(all[1], ("level".into(), Value::Gauge(-2.5)));
        let Value::Histogram { count, sum, buckets } = &all[2].1 else { panic!("{all:?}") };
        assert_eq!((*count, *sum), (2, 3.0 + 1e9));
        assert_eq!((buckets[12], buckets[31]), (1, 1), "3 is at most 4; a billion is over the last");
        assert_eq!(figures.dropped(), 3);
    }

    #[test]
    fn a_plugin_cannot_make_up_names_without_end() {
        let figures = Figures::default();
        for i in 0..10_000 {
            figures.count(&format!("n{i}"), 1);
        }
        assert_eq!(figures.all().len(), FIGURES_MAX);
        assert_eq!(figures.dropped(), 10_000 - FIGURES_MAX as u64);
    }
}
