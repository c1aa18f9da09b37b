//! Sets of small numbers.

/// A set of numbers below a bound that is known when it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits(Box<[u64]>);

impl Bits {
    /// None of `0..count`.
    pub fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into())
    }

    pub fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    pub fn contains(&self, index: usize) -> bool {
        self.0[index / 64] & 1 << (index % 64) != 0
    }

    /// Adds all of `other`, which has the same bound.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    /// Adds what is in both.
    pub fn add_common(&mut self, other: &Self, words: &[u64]) {
        for ((mine, theirs), word) in self.0.iter_mut().zip(&other.0).zip(words) {
            *mine |= theirs & word;
        }
    }

    /// Becomes the same as `other`, which has the same bound.
    pub fn copy(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
    }

    /// How many words of 64 members there are.
    pub fn words(&self) -> usize {
        self.0.len()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// The lowest member that is at least `from`.
    pub fn next(&self, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut word = self.0.get(at)? & (!0 << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.0.get(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_order() {
        let mut bits = Bits::none(200);
        for member in [0, 63, 64, 199] {
            bits.insert(member);
        }
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(member) = bits.next(from) {
            found.push(member);
            from = member + 1;
        }
        assert_eq!(found, [0, 63, 64, 199]);
        assert!(!bits.contains(1) && bits.contains(63));
        bits.clear();
        assert_eq!(bits.next(0), None);
    }
}
