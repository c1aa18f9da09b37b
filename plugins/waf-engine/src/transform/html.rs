//! Entities of HTML.

use memchr::memchr;

use super::hex_digit;

/// `htmlEntityDecode`: `&#xHH;` and `&#DD;` (their lowest byte), `&quot;`, `&amp;`, `&lt;`, `&gt;` and `&nbsp;` (0xA0), names in any
/// case, all of them also without the semicolon. Others stay.
pub(super) fn entity_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(mut at) = memchr(b'&', input) else { return false };
    let mut rest = input;
    loop {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match entity(rest) {
            Some((byte, used)) => {
                out.push(byte);
                rest = &rest[used..];
                rest = rest.strip_prefix(b";").unwrap_or(rest);
            }
            None => out.push(b'&'),
        }
        match memchr(b'&', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    true
}

/// What the entity after an ampersand means, and its length without the semicolon.
fn entity(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16).map(|(byte, used)| (byte, 2 + used)),
        [b'#', digits @ ..] => number(digits, 10).map(|(byte, used)| (byte, 1 + used)),
        _ => {
            // The longest name has four letters: of a longer word, only that it is longer need be known.
            let name = &text[..text.iter().take(5).take_while(|byte| byte.is_ascii_alphanumeric()).count()];
            let known: [(&[u8], u8); 5] =
                [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", 0xa0)];
            known.iter().find(|(word, _)| word.eq_ignore_ascii_case(name)).map(|(_, byte)| (*byte, name.len()))
        }
    }
}

/// The lowest byte of a number and how many digits it has. Like C's `strtol`, it stops growing at the greatest 64-bit integer.
fn number(text: &[u8], base: u32) -> Option<(u8, usize)> {
    let mut value = 0_i64;
    let mut used = 0;
    for digit in text.iter().map_while(|byte| hex_digit(*byte).filter(|digit| u32::from(*digit) < base)) {
        value = value.saturating_mul(i64::from(base)).saturating_add(i64::from(digit));
        used += 1;
    }
    (used > 0).then_some((value as u8, used))
}
