//! Operators that find numbers of cards and people, and check their digits.

use super::Found;
use crate::{
    bytes::ByteSet,
    needs::{Clause, Needs},
    pattern::{Groups, LimitExceeded, Options, Pattern},
};

/// Numbers that a pattern finds and whose check digits are right.
#[derive(Debug)]
pub struct Identity {
    kind: Kind,
    pattern: Pattern,
}

/// Of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `@verifyCC`: cards (ISO/IEC 7812-1 annex B).
    CreditCard,
    /// `@verifyCPF`: people in Brazil.
    Cpf,
    /// `@verifySSN`, `@validateNid us`: people in the United States of America.
    Ssn,
    /// `@verifySVNR`: people in Austria.
    Svnr,
    /// `@validateNid cl`: people in Chile.
    Rut,
}

/// A match of more bytes is no number of any kind, but still one place to look for the next match: inside it. Without this bound, one
/// long run of digits would be looked at from each of its digits on.
const LONGEST: usize = 64;

impl Identity {
    /// # Errors
    /// When the argument is not a pattern.
    pub(super) fn new(kind: Kind, argument: &str, backtrack_limit: u64) -> Result<Self, String> {
        let pattern = Pattern::new(argument.as_bytes(), Options { ignore_case: false, backtrack_limit })?;
        Ok(Self { kind, pattern })
    }

    /// Of `@validateNid`, an operator of Coraza: the country, a space, the pattern.
    ///
    /// # Errors
    /// When the country is not known, or what comes after it is not a pattern.
    pub(super) fn national(argument: &str, backtrack_limit: u64) -> Result<Self, String> {
        let (country, pattern) = argument.split_once(' ').unwrap_or((argument, ""));
        let kind = match country {
            "cl" => Kind::Rut,
            "us" => Kind::Ssn,
            _ => return Err(format!("{country} is not a country whose numbers are known: write cl or us")),
        };
        Self::new(kind, pattern, backtrack_limit)
    }

    pub(super) fn judge(&self, value: &[u8], found: &mut Found) -> Result<bool, LimitExceeded> {
        let mut groups = Groups::default();
        let mut from = 0;
        while from < value.len() && self.pattern.groups_from(value, from, &mut groups)? {
            let Some(Some(whole)) = groups.0.first() else { break };
            let text = &value[whole.clone()];
            if self.kind.is_valid(text) {
                found.set(whole.clone());
                return Ok(true);
            }
            // Matches may overlap: a separator may end one and begin the next.
            from = if text.len() <= LONGEST { whole.start + 1 } else { whole.end };
        }
        Ok(false)
    }

    pub(super) fn needs(&self) -> Needs {
        let mut needs = self.pattern.needs();
        needs.clauses.push(Clause::Bytes(ByteSet::range(b'0', b'9')));
        needs.length = needs.length.max(self.kind.digits());
        needs
    }
}

impl Kind {
    /// The least number of digits.
    fn digits(self) -> usize {
        match self {
            Self::CreditCard => 1,
            Self::Cpf => 11,
            Self::Ssn => 9,
            Self::Svnr => 10,
            Self::Rut => 8,
        }
    }

    fn is_valid(self, text: &[u8]) -> bool {
        let digits = || text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'));
        match self {
            Self::CreditCard => luhn(digits().rev()),
            // What comes after the last digit that counts is not looked at.
            Self::Cpf => first(digits()).is_some_and(cpf),
            Self::Svnr => first(digits()).is_some_and(svnr),
            Self::Ssn => digits().count() == 9 && first(digits()).is_some_and(ssn),
            Self::Rut => rut(text),
        }
    }
}

/// So many digits from the beginning, if there are.
fn first<const N: usize>(digits: impl Iterator<Item = u32>) -> Option<[u32; N]> {
    let mut all = [0; N];
    let mut count = 0;
    for (place, digit) in all.iter_mut().zip(digits) {
        *place = digit;
        count += 1;
    }
    (count == N).then_some(all)
}

/// The sum of the products with weights.
fn weighted(digits: &[u32], weights: impl IntoIterator<Item = u32>) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// The last digit makes the sum of the digits a multiple of ten, each second one doubled and its own digits added.
fn luhn(from_last: impl Iterator<Item = u32>) -> bool {
    let mut count = 0_usize;
    let sum = from_last.fold(0, |sum, digit| {
        let doubled = if digit > 4 { 2 * digit - 9 } else { 2 * digit };
        count += 1;
        (sum + if count.is_multiple_of(2) { doubled } else { digit }) % 10
    });
    count > 0 && sum == 0
}

/// Eleven digits, the last two of which check the others; not all the same, and not the digits in order (which anybody types).
fn cpf(digits: [u32; 11]) -> bool {
    let check = |sum: u32| if sum % 11 < 2 { 0 } else { 11 - sum % 11 };
    let first = check(weighted(&digits[..9], (2..=10).rev()));
    let second = check(weighted(&digits[..10], (2..=11).rev()));
    let in_order = digits == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
    !is_repeated(&digits) && !in_order && digits[9..] == [first, second]
}

/// Ten digits, the fourth of which checks the others.
fn svnr(digits: [u32; 10]) -> bool {
    let sum = weighted(&digits, [3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11;
    let in_order = digits == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] || digits == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
    !is_repeated(&digits) && !in_order && digits[3] == if sum == 10 { 0 } else { sum }
}

/// Nine digits: an area from 1 to 739 that is not 666, a group, a serial number, none of them zero.
fn ssn(digits: [u32; 9]) -> bool {
    let number = |digits: &[u32]| digits.iter().fold(0, |number, digit| number * 10 + digit);
    let (area, group, serial) = (number(&digits[..3]), number(&digits[3..5]), number(&digits[5..]));
    let in_order = digits.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    !is_repeated(&digits) && !in_order && (1..740).contains(&area) && area != 666 && group > 0 && serial > 0
}

/// Digits, and a last sign that checks them: a digit or K.
fn rut(text: &[u8]) -> bool {
    let signs = text.iter().map(u8::to_ascii_lowercase).filter(|byte| byte.is_ascii_digit() || *byte == b'k');
    let mut from_last = signs.rev();
    let Some(check) = from_last.next() else { return false };
    let (mut sum, mut count) = (0_u32, 1);
    for (sign, weight) in from_last.zip((2..=7).cycle()) {
        if sign == b'k' {
            return false;
        }
        sum = (sum + u32::from(sign - b'0') * weight) % 11;
        count += 1;
    }
    let expected = match 11 - sum {
        11 => b'0',
        10 => b'k',
        digit => b'0' + digit as u8,
    };
    count >= Kind::Rut.digits() && check == expected
}

fn is_repeated(digits: &[u32]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
}
