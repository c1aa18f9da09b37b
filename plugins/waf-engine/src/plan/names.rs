//! Names that rules write out, as numbers.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// FNV-1a: quick for short names. The map is made of what rules say, so nobody else chooses what collides.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        // The map looks at the highest and the lowest bits.
        self.0 ^ self.0 >> 29
    }
}

/// Numbers for names, compared without regard to ASCII case.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_name: HashMap<Box<[u8]>, u32, BuildHasherDefault<Fnv>>,
    /// As rules write them.
    shown: Vec<Box<str>>,
}

impl Names {
    /// For `TX`: the captures `0` to `9` are the numbers 0 to 9.
    pub fn with_captures() -> Self {
        let mut names = Self::default();
        for digit in 0..10 {
            names.slot(&digit.to_string());
        }
        names
    }

    /// The number of a name, new or known.
    pub fn slot(&mut self, name: &str) -> u32 {
        let next = self.shown.len() as u32;
        let slot = *self.by_name.entry(name.to_ascii_lowercase().into_bytes().into()).or_insert(next);
        if slot == next {
            self.shown.push(name.into());
        }
        slot
    }

    /// The number of a name, and the way it is to be shown: as it is assigned to.
    pub fn assigned_slot(&mut self, name: &str) -> u32 {
        let slot = self.slot(name);
        self.shown[slot as usize] = name.into();
        slot
    }

    /// The number of a name in lower case, if rules know it.
    pub fn find(&self, lower: &[u8]) -> Option<u32> {
        self.by_name.get(lower).copied()
    }

    pub fn shown(&self, slot: u32) -> &str {
        &self.shown[slot as usize]
    }

    pub fn len(&self) -> usize {
        self.shown.len()
    }
}
