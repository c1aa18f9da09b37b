//! Durations and sizes, with their unit.

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{
    Read,
    text::{Problem, Written, examples},
};
use crate::{diagnostic::Sink, nearest::did_you_mean, tree::Node, units::Size};

/// Longer than anything that is waited for, short enough that a clock never overflows.
const LONGEST: Duration = Duration::from_secs(366 * 86400);

const TIMES: [(&str, u64); 6] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 7 * 86_400_000)];

const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A deadline or an interval: more than nothing.
impl Written for Duration {
    const KIND: &'static str = "a duration";
    const EXAMPLES: &'static [&'static str] = &["250ms", "30s", "1h30m"];

    fn parse(text: &str) -> Result<Self, Problem> {
        match duration(text)? {
            Duration::ZERO => Err(Problem::new("a duration of nothing").expected("more than zero, such as \"30s\"")),
            duration => Ok(duration),
        }
    }

    fn for_number(number: i64) -> Option<String> {
        Some(format!("a duration carries its unit: \"{number}s\", \"{number}ms\""))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$", "examples": Self::EXAMPLES })
    }
}

/// A duration that may also be nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrZero(pub(crate) Duration);

impl Written for OrZero {
    const KIND: &'static str = "a duration";
    const EXAMPLES: &'static [&'static str] = &["0s", "250ms", "30s", "1h30m"];

    fn parse(text: &str) -> Result<Self, Problem> {
        duration(text).map(Self)
    }

    fn for_number(number: i64) -> Option<String> {
        Duration::for_number(number)
    }

    fn schema() -> Schema {
        <Duration as Written>::schema()
    }
}

/// A duration between bounds, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within<const MIN: u64, const MAX: u64>(pub(crate) Duration);

impl<const MIN: u64, const MAX: u64> Read for Within<MIN, MAX> {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        let duration = Duration::read(node, out)?;
        let (min, max) = (Duration::from_millis(MIN), Duration::from_millis(MAX));
        if (min..=max).contains(&duration) {
            return Some(Self(duration));
        }
        out.error(node.span, format!("{duration:?} is out of range")).expected(format!("{min:?} to {max:?}"));
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        <Duration as Written>::schema()
    }
}

fn duration(text: &str) -> Result<Duration, Problem> {
    let mut rest = text;
    let mut total = 0u64;
    if rest.is_empty() {
        return Err(Problem::new("an empty duration").expected(examples::<Duration>()));
    }
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit::<Duration>(text, rest, &TIMES)?;
        total = number
            .checked_mul(unit)
            .and_then(|part| total.checked_add(part))
            .filter(|total| Duration::from_millis(*total) <= LONGEST)
            .ok_or_else(|| Problem::new("a duration of more than a year"))?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

/// A size between bounds, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<const MIN: u64, const MAX: u64>(pub(crate) Size);

impl<const MIN: u64, const MAX: u64> Read for Bytes<MIN, MAX> {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        let size = Size::read(node, out)?;
        if (MIN..=MAX).contains(&size.0) {
            return Some(Self(size));
        }
        let expected = match MAX {
            u64::MAX => format!("at least {}", Size(MIN)),
            _ => format!("{} to {}", Size(MIN), Size(MAX)),
        };
        out.error(node.span, format!("{size} is out of range")).expected(expected);
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        <Size as Written>::schema()
    }
}

impl Written for Size {
    const KIND: &'static str = "a size";
    const EXAMPLES: &'static [&'static str] = &["64KiB", "10MB", "512B"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let (number, unit, rest) = number_and_unit::<Self>(text, text, &SIZES)?;
        if !rest.is_empty() {
            return Err(malformed::<Self>(text));
        }
        number.checked_mul(unit).map(Self).ok_or_else(|| Problem::new("a size beyond 16 EiB"))
    }

    fn for_number(number: i64) -> Option<String> {
        Some(format!("a size carries its unit: \"{number}B\", \"{number}KiB\", \"{number}MiB\""))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB)$", "examples": Self::EXAMPLES })
    }
}

/// Splits a number and its unit off the front.
fn number_and_unit<'t, T: Written>(
    text: &str,
    rest: &'t str,
    units: &[(&str, u64)],
) -> Result<(u64, u64, &'t str), Problem> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    if number.is_empty() {
        return Err(malformed::<T>(text));
    }
    let number = number.parse().map_err(|_| Problem::new("a number beyond 64 bits"))?;
    let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => Ok((number, *factor, rest)),
        None if unit.is_empty() => {
            let help = i64::try_from(number).ok().and_then(T::for_number);
            let problem = Problem::new(format!("{} without a unit", T::KIND));
            Err(Problem { help, ..problem })
        }
        None if unit.starts_with(['.', ',']) => {
            Err(malformed::<T>(text).help("write whole numbers: \"1500ms\", \"1536KiB\""))
        }
        None => {
            let names = units.iter().map(|(name, _)| *name);
            let help = did_you_mean(unit.trim(), names.clone());
            let problem = Problem::new(format!("{} has no unit `{}`", T::KIND, super::table::clip(unit)))
                .expected(crate::nearest::one_of(names));
            Err(Problem { help, ..problem })
        }
    }
}

fn malformed<T: Written>(text: &str) -> Problem {
    Problem::new(format!("`{}` is not {}", super::table::clip(text), T::KIND)).expected(examples::<T>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up() {
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("3d").unwrap(), Duration::from_secs(3 * 86400));
    }

    #[test]
    fn durations_ask_for_their_unit() {
        assert!(duration("30").unwrap_err().help.unwrap().contains("\"30s\""));
        assert!(duration("").is_err());
        assert!(duration("s").is_err());
        assert!(duration("1.5s").unwrap_err().help.is_some());
        assert!(duration("5 s").is_err());
        assert!(duration("99999999999999999999s").is_err());
        assert!(duration("9999999999999h").is_err());
        assert!(Duration::parse("0s").is_err());
    }

    #[test]
    fn sizes_are_binary_or_decimal() {
        assert_eq!(Size::parse("64KiB").unwrap(), Size(65536));
        assert_eq!(Size::parse("10MB").unwrap(), Size(10_000_000));
        assert!(Size::parse("10").unwrap_err().help.unwrap().contains("10KiB"));
        assert!(Size::parse("10kib").unwrap_err().help.unwrap().contains("KiB"));
        assert!(Size::parse("1KiB2").is_err());
        assert!(Size::parse("99999999TiB").is_err());
    }
}
