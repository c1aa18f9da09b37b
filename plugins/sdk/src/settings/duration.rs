//! Durations as the proxy's own configuration writes them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// A duration in whole milliseconds, written with its unit: `"500ms"`, `"30s"`, `"10m"`, `"1h"`, `"7d"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Whole seconds, rounded up: what fields like `retry-after` take.
    pub fn seconds_up(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError(String);

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a duration: write a whole number and its unit (ms, s, m, h, d), like \"30s\"", self.0)
    }
}

impl std::error::Error for DurationError {}

impl FromStr for Millis {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DurationError(text.chars().take(40).collect());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(error()),
        };
        let number: u64 = number.parse().map_err(|_| error())?;
        // Four hundred years: what follows can add and double such values without a thought of overflow.
        let millis = number.checked_mul(factor).filter(|millis| *millis <= 146_097 * 86_400_000).ok_or_else(error)?;
        Ok(Self(millis))
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By value: text with escapes cannot be borrowed.
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("1h", 3_600_000), ("7d", 604_800_000)]
        {
            assert_eq!(text.parse(), Ok(Millis(millis)), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "5", "s", "-1s", "1.5s", " 1s", "1 s", "1w", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(Millis(1).seconds_up(), 1);
        assert_eq!(Millis(1000).seconds_up(), 1);
        assert_eq!(Millis(1001).seconds_up(), 2);
    }
}
