//! Wall-clock time in whole seconds: what documents keep, and what certificates are valid by.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Instant(pub i64);

impl Instant {
    /// By the system's clock, which may jump. Nothing here measures time by it: it is compared with what is written in certificates.
    pub fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `earlier` to this; zero when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// `2026-11-21T17:30:00Z`.
impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = time::OffsetDateTime::from_unix_timestamp(self.0)
            .ok()
            .and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok());
        f.write_str(text.as_deref().unwrap_or("at no time"))
    }
}
