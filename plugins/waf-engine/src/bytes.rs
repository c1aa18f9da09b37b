//! A set of byte values.

/// Which of the 256 byte values there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ByteSet(pub [u64; 4]);

impl ByteSet {
    /// None.
    pub const EMPTY: Self = Self([0; 4]);

    /// Those that occur in `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        for &byte in bytes {
            set.insert(byte);
        }
        set
    }

    /// Adds one.
    pub const fn insert(&mut self, byte: u8) {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
    }

    /// Whether it is there.
    pub const fn contains(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] & 1 << (byte & 63) != 0
    }

    /// Whether both have one in common.
    pub const fn meets(&self, other: &Self) -> bool {
        (self.0[0] & other.0[0]) | (self.0[1] & other.0[1]) | (self.0[2] & other.0[2]) | (self.0[3] & other.0[3]) != 0
    }

    /// How many there are.
    pub const fn len(&self) -> u32 {
        self.0[0].count_ones() + self.0[1].count_ones() + self.0[2].count_ones() + self.0[3].count_ones()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
