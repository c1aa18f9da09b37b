//! Steps that treat each byte by itself.

use crate::bytes::ByteSet;

/// The number of bytes, in decimal digits.
pub(super) fn length(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(input.len().to_string().as_bytes());
    true
}

/// ASCII only, as `tolower` in the C locale.
pub(super) fn lowercase(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(input);
    out.make_ascii_lowercase();
    true
}

/// ASCII only, as `toupper` in the C locale.
pub(super) fn uppercase(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(input);
    out.make_ascii_uppercase();
    true
}

/// Leaves out zero bytes.
pub(super) fn remove_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = memchr::memchr(0, input) else { return false };
    out.extend_from_slice(&input[..first]);
    out.extend(input[first..].iter().filter(|byte| **byte != 0));
    true
}

/// Makes zero bytes spaces.
pub(super) fn replace_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(0, input).is_none() {
        return false;
    }
    out.extend(input.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
    true
}

/// Bytes that [`parity_even`] may change: those with an odd number of ones, and those whose eighth bit may go away.
pub(super) const ODD_OR_EIGHT_BITS: ByteSet = seven_bits_with(1).union(&ByteSet::range(0x80, 0xff));

/// Bytes that [`parity_odd`] may change.
pub(super) const EVEN_OR_EIGHT_BITS: ByteSet = seven_bits_with(0).union(&ByteSet::range(0x80, 0xff));

/// Bytes of seven bits whose number of ones leaves this rest when halved.
const fn seven_bits_with(rest: u32) -> ByteSet {
    let mut set = ByteSet::EMPTY;
    let mut byte = 0_u8;
    while byte < 0x80 {
        if byte.count_ones() % 2 == rest {
            set.insert(byte);
        }
        byte += 1;
    }
    set
}

/// The eighth bit is set where the byte has an odd number of ones, else taken away.
///
/// Like libmodsecurity, the number is that of all eight bits: a byte of seven bits becomes even, one of eight may not.
fn even(byte: u8) -> u8 {
    if byte.count_ones() % 2 == 1 { byte | 0x80 } else { byte & 0x7f }
}

fn odd(byte: u8) -> u8 {
    if byte.count_ones() % 2 == 1 { byte & 0x7f } else { byte | 0x80 }
}

/// Makes the eighth bit an even parity.
pub(super) fn parity_even(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.iter().map(|byte| even(*byte)));
    true
}

/// Makes the eighth bit an odd parity.
pub(super) fn parity_odd(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.iter().map(|byte| odd(*byte)));
    true
}

/// Takes the eighth bit away.
pub(super) fn parity_zero(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.iter().map(|byte| byte & 0x7f));
    true
}
