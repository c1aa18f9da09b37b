//! Escapes that begin with a backslash.

use memchr::memchr;

use super::{hex_digit, hex_pair, is_space};

/// Copies what stands between backslashes. For each of them, `decode` is given the text after it and writes what it means; how
/// much it used is left out.
fn unescape(input: &[u8], out: &mut Vec<u8>, decode: impl Fn(&[u8], &mut Vec<u8>) -> usize) -> bool {
    let Some(mut at) = memchr(b'\\', input) else { return false };
    let mut rest = input;
    loop {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let used = decode(rest, out);
        rest = &rest[used..];
        match memchr(b'\\', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    true
}

/// What ANSI C means by a letter after a backslash.
const fn control(letter: u8) -> Option<u8> {
    match letter {
        b'a' => Some(0x07),
        b'b' => Some(0x08),
        b'f' => Some(0x0c),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(0x0b),
        _ => None,
    }
}

/// Up to three octal digits: their value and number.
fn octal(text: &[u8]) -> (u16, usize) {
    let digits = text.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
    digits.fold((0, 0), |(value, count), digit| (value * 8 + u16::from(digit - b'0'), count + 1))
}

/// `escapeSeqDecode`: `\n`, `\\`, `\xHH`, `\OOO` (its lowest eight bits). Of an escape that does not exist, the backslash goes away.
pub(super) fn ansi_c(input: &[u8], out: &mut Vec<u8>) -> bool {
    unescape(input, out, |text, out| {
        let Some(&letter) = text.first() else {
            out.push(b'\\');
            return 0;
        };
        if let Some(byte) = control(letter) {
            out.push(byte);
            return 1;
        }
        if matches!(letter, b'x' | b'X')
            && let Some(byte) = hex_pair(&text[1..])
        {
            out.push(byte);
            return 3;
        }
        match octal(text) {
            (_, 0) => {
                out.push(letter);
                1
            }
            (value, digits) => {
                out.push(value as u8);
                digits
            }
        }
    })
}

/// `jsDecode`: `\uHHHH` (its lower byte; full width forms become ASCII), `\xHH`, `\OOO` up to 377, `\n`. Of any other escape, the
/// backslash goes away.
pub(super) fn js(input: &[u8], out: &mut Vec<u8>) -> bool {
    unescape(input, out, |text, out| {
        let Some(&letter) = text.first() else {
            out.push(b'\\');
            return 0;
        };
        if letter == b'u'
            && let (Some(high), Some(low)) = (hex_pair(&text[1..]), text.get(3..).and_then(hex_pair))
        {
            out.push(narrow(high, low));
            return 5;
        }
        if letter == b'x'
            && let Some(byte) = hex_pair(&text[1..])
        {
            out.push(byte);
            return 3;
        }
        match octal(text) {
            (_, 0) => {
                out.push(control(letter).unwrap_or(letter));
                1
            }
            // A third digit that would not fit into a byte is a character of its own.
            (value @ 256.., _) => {
                out.push((value / 8) as u8);
                2
            }
            (value, digits) => {
                out.push(value as u8);
                digits
            }
        }
    })
}

/// `cssDecode`: a backslash and one to six hexadecimal digits are a character, of which the lower byte is taken (full width forms
/// become ASCII); one white space after them belongs to them. A backslash before a newline or at the end goes away with it, before
/// anything else it goes away alone.
///
/// Coraza writes the whole character as UTF-8. Rules look for ASCII, and the lower byte is what shows them ASCII in disguise.
pub(super) fn css(input: &[u8], out: &mut Vec<u8>) -> bool {
    unescape(input, out, |text, out| {
        let digits = text.iter().take(6).take_while(|byte| hex_digit(**byte).is_some()).count();
        if digits == 0 {
            return match text.first() {
                None => 0,
                Some(b'\n') => 1,
                Some(byte) => {
                    out.push(*byte);
                    1
                }
            };
        }
        let code = text[..digits]
            .iter()
            .filter_map(|byte| hex_digit(*byte))
            .fold(0, |code, digit| code << 4 | u32::from(digit));
        let byte = code as u8;
        out.push(if code >> 16 == 0 { narrow((code >> 8) as u8, byte) } else { byte });
        digits + usize::from(text.get(digits).is_some_and(|byte| is_space(*byte)))
    })
}

/// The ASCII character that U+FF01 to U+FF5E shows in full width; the lower byte of any other.
pub(super) const fn narrow(high: u8, low: u8) -> u8 {
    if high == 0xff && low > 0 && low < 0x5f { low + 0x20 } else { low }
}
