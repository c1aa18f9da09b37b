//! Variables that rules write: `TX` and `ENV`.

use crate::{operator::leading_number, plan::names::Names};

/// Values longer than this are cut: what a rule makes of its own values over and over must not fill the memory.
pub(super) const LONGEST: usize = 64 << 10;

/// At most so many names that the rules do not write out.
const MOST_NAMES: usize = 4096;

/// The values of `TX`.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// By number of the name.
    slots: Vec<Slot>,
    /// Names made up while judging: so many of these, the memory of the rest is used again.
    others: Vec<Other>,
    count: usize,
    lower: Vec<u8>,
}

#[derive(Debug, Default)]
struct Slot {
    there: bool,
    value: Vec<u8>,
    /// What numeric operators see.
    number: i64,
}

#[derive(Debug, Default)]
struct Other {
    lower: Vec<u8>,
    shown: Vec<u8>,
    value: Vec<u8>,
}

impl Store {
    pub fn clear(&mut self, names: usize) {
        for slot in self.slots.iter_mut().filter(|slot| slot.there) {
            slot.there = false;
            slot.value.clear();
            slot.number = 0;
        }
        self.slots.resize_with(names, Slot::default);
        // The room of a few is enough for the next one.
        self.others.truncate(64);
        self.count = 0;
    }

    pub fn slot(&self, slot: u32) -> Option<&[u8]> {
        let slot = &self.slots[slot as usize];
        slot.there.then_some(slot.value.as_slice())
    }

    /// The number that a value begins with, 0 without one.
    pub fn number(&self, slot: u32) -> Option<i64> {
        let slot = &self.slots[slot as usize];
        slot.there.then_some(slot.number)
    }

    pub fn set_slot(&mut self, slot: u32, value: &[u8]) {
        let slot = &mut self.slots[slot as usize];
        slot.there = true;
        slot.value.clear();
        slot.value.extend_from_slice(&value[..value.len().min(LONGEST)]);
        slot.number = leading_number(&slot.value);
    }

    pub fn copy_slot(&mut self, slot: u32, from: u32) {
        if slot == from {
            // What is not there becomes empty, as by any other text.
            self.slots[slot as usize].there = true;
            return;
        }
        let mut value = std::mem::take(&mut self.slots[slot as usize].value);
        value.clear();
        value.extend_from_slice(self.slot(from).unwrap_or_default());
        let slot = &mut self.slots[slot as usize];
        slot.there = true;
        slot.number = leading_number(&value);
        slot.value = value;
    }

    pub fn set_number(&mut self, slot: u32, number: i64) {
        use std::io::Write;
        let slot = &mut self.slots[slot as usize];
        slot.there = true;
        slot.value.clear();
        // Writing to a vector does not fail.
        let _ = write!(slot.value, "{number}");
        slot.number = number;
    }

    pub fn unset_slot(&mut self, slot: u32) {
        self.slots[slot as usize].there = false;
        self.slots[slot as usize].value.clear();
        self.slots[slot as usize].number = 0;
    }

    /// By a name in lower case.
    pub fn get(&self, names: Option<&Names>, lower: &[u8]) -> Option<&[u8]> {
        match names.and_then(|names| names.find(lower)) {
            Some(slot) => self.slot(slot),
            None => {
                self.others[..self.count].iter().find(|other| other.lower == lower).map(|other| other.value.as_slice())
            }
        }
    }

    /// By a name as written.
    pub fn set(&mut self, names: Option<&Names>, name: &[u8], value: &[u8]) {
        let mut lower = std::mem::take(&mut self.lower);
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        match names.and_then(|names| names.find(&lower)) {
            Some(slot) => self.set_slot(slot, value),
            None => self.set_other(name, &lower, &value[..value.len().min(LONGEST)]),
        }
        self.lower = lower;
    }

    fn set_other(&mut self, name: &[u8], lower: &[u8], value: &[u8]) {
        let write = |to: &mut Vec<u8>, text: &[u8]| {
            to.clear();
            to.extend_from_slice(text);
        };
        if let Some(other) = self.others[..self.count].iter_mut().find(|other| other.lower == lower) {
            return write(&mut other.value, value);
        }
        if self.count >= MOST_NAMES || name.len() > LONGEST {
            return;
        }
        if self.others.len() == self.count {
            self.others.push(Other::default());
        }
        let other = &mut self.others[self.count];
        write(&mut other.lower, lower);
        write(&mut other.shown, name);
        write(&mut other.value, value);
        self.count += 1;
    }

    pub fn unset(&mut self, names: Option<&Names>, name: &[u8]) {
        let lower = name.to_ascii_lowercase();
        match names.and_then(|names| names.find(&lower)) {
            Some(slot) => self.unset_slot(slot),
            None => {
                if let Some(at) = self.others[..self.count].iter().position(|other| other.lower == lower) {
                    // In order: the last one comes to its end, and is free.
                    self.others[at..self.count].rotate_left(1);
                    self.count -= 1;
                }
            }
        }
    }

    /// As [`iter`](Self::iter), without the names that rules write out.
    pub fn others(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.others[..self.count].iter().map(|other| (other.shown.as_slice(), other.value.as_slice()))
    }

    /// Names as they are shown, and values.
    pub fn iter<'a>(&'a self, names: Option<&'a Names>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.there).filter_map(move |(index, slot)| {
            names.map(|names| (names.shown(index as u32).as_bytes(), slot.value.as_slice()))
        });
        slots.chain(self.others())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        let mut names = Names::default();
        let score = names.assigned_slot("Score");
        let mut store = Store::default();
        store.clear(names.len());
        assert_eq!(store.slot(score), None);
        store.set(Some(&names), b"sCORE", b"5");
        store.set(Some(&names), b"Made-Up", b"x");
        assert_eq!((store.slot(score), store.number(score)), (Some(&b"5"[..]), Some(5)));
        assert_eq!(store.get(Some(&names), b"made-up"), Some(&b"x"[..]));
        let all: Vec<_> = store.iter(Some(&names)).collect();
        assert_eq!(all, [(&b"Score"[..], &b"5"[..]), (b"Made-Up", b"x")]);
        store.unset(Some(&names), b"SCORE");
        store.unset(Some(&names), b"made-UP");
        assert_eq!(store.iter(Some(&names)).count(), 0);
    }

    #[test]
    fn values_and_names_do_not_grow_without_bound() {
        let mut store = Store::default();
        store.clear(0);
        store.set(None, b"long", &vec![b'x'; LONGEST + 1]);
        assert_eq!(store.get(None, b"long").map(<[u8]>::len), Some(LONGEST));
        for number in 0..2 * MOST_NAMES {
            store.set(None, number.to_string().as_bytes(), b"");
        }
        assert_eq!(store.iter(None).count(), MOST_NAMES);
    }
}
