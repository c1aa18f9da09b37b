//! Sizes and durations carry their unit in the file ("64KiB", "5s") and their type in the code.

use std::{fmt, str::FromStr, time::Duration};

use crate::raw;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

impl Size {
    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        for (unit, name) in UNITS {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl FromStr for Size {
    type Err = String;

    /// As it is written in a configuration: `64KiB`.
    fn from_str(text: &str) -> Result<Self, String> {
        raw::written(text)
    }
}

/// A duration as it is written in a configuration: `250ms`, `1h30m`.
///
/// # Errors
/// When it is none, with what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    raw::written(text)
}
