//! Lines that plugins write into the log: not too long, and not too many.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// Bytes of a line, and lines in a second.
const LENGTH_MAX: usize = 4 << 10;
const PER_SECOND: u64 = 100;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the author.
    Debug,
    /// Worth knowing.
    Info,
    /// Somebody should look at it.
    Warn,
    /// Something does not work.
    Error,
}

impl Level {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Takes lines in place of the log: the plugin's name, the level, the line.
pub type Sink = Arc<dyn Fn(&str, Level, &str) + Send + Sync>;

/// The lines of one plugin.
pub struct Lines {
    plugin: Arc<str>,
    sink: Option<Sink>,
    since: Instant,
    /// The second that is being counted, from `since`, and how many lines it had: `second << 32 | lines`.
    window: AtomicU64,
    dropped: AtomicU64,
}

impl Lines {
    /// Of `plugin`, into `sink` or the log.
    pub fn new(plugin: Arc<str>, sink: Option<Sink>) -> Self {
        Self { plugin, sink, since: Instant::now(), window: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// Lines that were too many.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Nothing was written or dropped yet.
    pub fn clear(&self) {
        self.window.store(0, Relaxed);
        self.dropped.store(0, Relaxed);
    }

    /// Writes a line. Control characters are escaped: a plugin writes one line and not two.
    pub fn write(&self, level: Level, message: &str) {
        if !self.admit() {
            return;
        }
        let cut = message.floor_char_boundary(LENGTH_MAX);
        let line: String = if message[..cut].contains(char::is_control) {
            message[..cut].chars().flat_map(escaped).collect()
        } else {
            message[..cut].to_owned()
        };
        if let Some(sink) = &self.sink {
            return sink(&self.plugin, level, &line);
        }
        let plugin = &*self.plugin;
        match level {
            Level::Debug => tracing::debug!(plugin, "{line}"),
            Level::Info => tracing::info!(plugin, "{line}"),
            Level::Warn => tracing::warn!(plugin, "{line}"),
            Level::Error => tracing::error!(plugin, "{line}"),
        }
    }

    /// Whether one more line may be written in this second. The first line of a second says how many the last one lost.
    pub fn admit(&self) -> bool {
        let second = self.since.elapsed().as_secs() & 0xffff_ffff;
        let before = self
            .window
            .fetch_update(Relaxed, Relaxed, |window| {
                let lines = if window >> 32 == second { (window & 0xffff_ffff) + 1 } else { 1 };
                (lines <= PER_SECOND).then_some(second << 32 | lines)
            })
            .is_ok();
        if !before {
            self.dropped.fetch_add(1, Relaxed);
        }
        before
    }
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let escape = c.is_control().then(|| c.escape_default());
    let plain = escape.is_none().then_some(c);
    escape.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn lines_are_bounded_in_length_and_number() {
        let written: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = written.clone();
        let sink: Sink = Arc::new(move |_, _, line| into.lock().unwrap().push(line.to_owned()));
        let lines = Lines::new("p".into(), Some(sink));
        lines.write(Level::Info, "two\nlines\u{1b}[0m");
        lines.write(Level::Info, &"é".repeat(LENGTH_MAX));
        (0..10_000).for_each(|_| lines.write(Level::Error, "x"));
        let written = written.lock().unwrap();
        assert_eq!(written[0], "two\\nlines\\u{1b}[0m");
        assert_eq!(written[1].len(), LENGTH_MAX);
        assert!(written.len() as u64 >= PER_SECOND && written.len() as u64 <= 3 * PER_SECOND, "{}", written.len());
        assert_eq!(lines.dropped() + written.len() as u64, 10_002);
    }
}
