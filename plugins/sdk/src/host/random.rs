//! Unpredictable numbers, from the operating system's generator. Grant: `random`.

use super::imports::random;

/// Any number.
pub fn number() -> u64 {
    random::number()
}

/// That many bytes, at most 64 KiB at once; more traps.
pub fn bytes(length: u32) -> Vec<u8> {
    random::bytes(length)
}
