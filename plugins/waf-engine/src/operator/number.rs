//! Operators that compare a value with a number.

use std::borrow::Cow;

use crate::model::Template;

/// Compares the number with which a value begins.
#[derive(Debug)]
pub struct Number {
    comparison: Comparison,
    argument: Argument,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    AtLeast,
    More,
    AtMost,
    Less,
}

#[derive(Debug)]
enum Argument {
    Fixed(i64),
    Made(Template),
}

impl Number {
    /// # Errors
    /// When a macro names a variable that does not exist.
    pub(super) fn new(comparison: Comparison, argument: &str) -> Result<Self, String> {
        let template = Template::parse(argument)?;
        let argument = match template.as_literal() {
            Some(text) => Argument::Fixed(leading_number(text.as_bytes())),
            None => Argument::Made(template),
        };
        Ok(Self { comparison, argument })
    }

    pub(super) fn judge<'a>(&self, value: &[u8], expand: &mut dyn FnMut(&Template) -> Cow<'a, [u8]>) -> bool {
        let argument = match &self.argument {
            Argument::Fixed(number) => *number,
            Argument::Made(template) => leading_number(&expand(template)),
        };
        self.comparison.holds(leading_number(value), argument)
    }

    /// How it compares.
    pub(crate) fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// With what: a number, or a text that becomes one.
    pub(crate) fn argument(&self) -> Result<i64, &Template> {
        match &self.argument {
            Argument::Fixed(number) => Ok(*number),
            Argument::Made(template) => Err(template),
        }
    }
}

impl Comparison {
    /// Whether `value` compares so with `argument`.
    pub(crate) fn holds(self, value: i64, argument: i64) -> bool {
        match self {
            Self::Equal => value == argument,
            Self::AtLeast => value >= argument,
            Self::More => value > argument,
            Self::AtMost => value <= argument,
            Self::Less => value < argument,
        }
    }
}

/// The number with which a text begins, after white space, as C's `atoi` reads it; 0 if it begins with none. Beyond 64 bits, it is
/// the greatest or smallest there is: libmodsecurity's are of 32 bits, and a length of 4 GiB is not 0.
pub(crate) fn leading_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut number = 0_i64;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()).map(|byte| i64::from(byte - b'0')) {
        number = number.saturating_mul(10);
        number = if negative { number.saturating_sub(digit) } else { number.saturating_add(digit) };
    }
    number
}

#[cfg(test)]
mod tests {
    use super::leading_number;

    #[test]
    fn reads_as_c_does() {
        for (text, expected) in [
            ("", 0),
            ("x", 0),
            ("12", 12),
            (" \t12x", 12),
            ("-7", -7),
            ("+7", 7),
            ("--7", 0),
            ("1.9", 1),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(leading_number(text.as_bytes()), expected, "{text}");
        }
    }
}
