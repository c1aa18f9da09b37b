//! A set of byte values.

/// Which of the 256 byte values there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ByteSet(pub [u64; 4]);

/// From this length on, a table of flags is quicker than four words in registers, although it must be packed at the end.
const TABLE_FROM: usize = 96;

impl ByteSet {
    /// None.
    pub const EMPTY: Self = Self([0; 4]);

    /// White space as C's `isspace` has it: space, tab, line feed, vertical tab, form feed, carriage return.
    pub const SPACE: Self = Self::list(b" \t\n\x0b\x0c\r");

    /// Letters and digits of ASCII.
    pub const ALPHANUMERIC: Self =
        Self::range(b'0', b'9').union(&Self::range(b'A', b'Z')).union(&Self::range(b'a', b'z'));

    /// Those that occur in `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.len() < TABLE_FROM { Self::of_few(bytes) } else { Self::of_many(bytes) }
    }

    /// No table, no memory that one byte writes and the next must read.
    fn of_few(bytes: &[u8]) -> Self {
        let [mut a, mut b, mut c, mut d] = [0_u64; 4];
        for &byte in bytes {
            let bit = 1_u64 << (byte & 63);
            let quarter = byte >> 6;
            a |= if quarter == 0 { bit } else { 0 };
            b |= if quarter == 1 { bit } else { 0 };
            c |= if quarter == 2 { bit } else { 0 };
            d |= if quarter == 3 { bit } else { 0 };
        }
        Self([a, b, c, d])
    }

    /// One store for each byte, then eight flags become eight bits at a time.
    fn of_many(bytes: &[u8]) -> Self {
        let mut seen = [0_u8; 256];
        for &byte in bytes {
            seen[byte as usize] = 1;
        }
        let mut set = Self::EMPTY;
        for (at, flags) in seen.as_chunks::<8>().0.iter().enumerate() {
            // Each flag is moved to its own bit of the highest byte; no two meet on the way there.
            let eight = u64::from_le_bytes(*flags).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            set.0[at / 8] |= eight << (at % 8 * 8);
        }
        set
    }

    /// Those of a list.
    pub const fn list(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        let mut at = 0;
        while at < bytes.len() {
            set.insert(bytes[at]);
            at += 1;
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

    /// All 256.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// Those from `first` to `last`, both included.
    pub const fn range(first: u8, last: u8) -> Self {
        let mut set = Self::EMPTY;
        let mut byte = first as usize;
        while byte <= last as usize {
            set.insert(byte as u8);
            byte += 1;
        }
        set
    }

    /// Those of both together.
    pub const fn union(&self, other: &Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]])
    }

    /// Those that are not there.
    pub const fn complement(&self) -> Self {
        let a = self.0;
        Self([!a[0], !a[1], !a[2], !a[3]])
    }

    /// Whether there is none that `other` lacks.
    pub const fn within(&self, other: &Self) -> bool {
        !self.meets(&other.complement())
    }

    /// From the smallest to the greatest.
    pub fn iter(&self) -> impl Iterator<Item = u8> + use<> {
        let set = *self;
        (0..=u8::MAX).filter(move |&byte| set.contains(byte))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_the_bytes_there_are(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut expected = ByteSet::EMPTY;
            for &byte in &bytes {
                expected.insert(byte);
            }
            prop_assert_eq!(ByteSet::of(&bytes), expected);
            prop_assert_eq!(ByteSet::of_few(&bytes), expected);
            prop_assert_eq!(ByteSet::of_many(&bytes), expected);
            for byte in 0..=255 {
                prop_assert_eq!(expected.contains(byte), bytes.contains(&byte));
                prop_assert_ne!(expected.contains(byte), expected.complement().contains(byte));
            }
        }
    }

    #[test]
    fn ranges_have_both_ends() {
        assert_eq!(ByteSet::range(0, 255), ByteSet::ALL);
        assert_eq!(ByteSet::range(b'a', b'a'), ByteSet::list(b"a"));
        assert_eq!(ByteSet::ALPHANUMERIC.len(), 62);
    }
}
