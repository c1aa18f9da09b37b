//! The words of SQL and the fingerprints of injections.

use std::{ops::RangeInclusive, sync::LazyLock};

use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;

use super::tokenizer::{Kind, LONGEST};

/// A word, or words with one space between them, in capitals; or an operator of two characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    pub(super) text: &'static [u8],
    pub(super) kind: Kind,
}

/// Both tables have room for twice as many as they hold, so a search for what is not there ends after a step or two.
struct Tables {
    words: Vec<Word>,
    /// Where a word's [`hash`] leads: one more than its place in `words`; 0 is nothing.
    places: Vec<u16>,
    /// Packed, each where its hash leads, or behind; 0 is nothing.
    fingerprints: Vec<u32>,
    lengths: RangeInclusive<usize>,
}

/// `0` begins an entry that is a fingerprint in the list of words.
const FINGERPRINT: u8 = b'F';

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let (fingerprints, words): (Vec<_>, Vec<_>) =
        SQL_KEYWORDS.iter().partition(|entry| entry.token_type == FINGERPRINT);
    let words: Vec<Word> = words
        .iter()
        .filter_map(|entry| Some(Word { text: entry.word.as_bytes(), kind: Kind::from_letter(entry.token_type)? }))
        .collect();
    let mut tables = Tables {
        places: vec![0; (2 * words.len()).next_power_of_two()],
        fingerprints: vec![0; (2 * fingerprints.len()).next_power_of_two()],
        lengths: words.iter().map(|word| word.text.len()).min().unwrap_or(1)
            ..=words.iter().map(|word| word.text.len()).max().unwrap_or(0),
        words,
    };
    for (at, word) in (1..).zip(&tables.words) {
        let mut place = hash(word.text) & (tables.places.len() - 1);
        while tables.places[place] != 0 {
            place = (place + 1) & (tables.places.len() - 1);
        }
        tables.places[place] = at;
    }
    for entry in fingerprints {
        let packed = pack(&entry.word.as_bytes()[1..]);
        let mut place = spread(packed.into()) & (tables.fingerprints.len() - 1);
        while tables.fingerprints[place] != 0 && tables.fingerprints[place] != packed {
            place = (place + 1) & (tables.fingerprints.len() - 1);
        }
        tables.fingerprints[place] = packed;
    }
    tables
});

/// Builds the tables.
pub(super) fn prepare() {
    LazyLock::force(&TABLES);
}

/// What a word is, in any case.
pub(super) fn find(text: &[u8]) -> Option<Word> {
    let tables = &*TABLES;
    if !tables.lengths.contains(&text.len()) {
        return None;
    }
    let mut place = hash(text) & (tables.places.len() - 1);
    loop {
        let word = tables.words.get(usize::from(tables.places[place]).checked_sub(1)?)?;
        if word.text.eq_ignore_ascii_case(text) {
            return Some(*word);
        }
        place = (place + 1) & (tables.places.len() - 1);
    }
}

/// What two words are with a space between them.
pub(super) fn find_two(first: &[u8], second: &[u8]) -> Option<Word> {
    // All that are in the list end with a letter: most pairs (`a+`) need no search.
    let ends = |word: &[u8]| word.last().is_some_and(u8::is_ascii_alphabetic);
    let length = first.len() + 1 + second.len();
    let mut both = [b' '; LONGEST];
    if !ends(first) || !ends(second) || length > both.len() {
        return None;
    }
    both[..first.len()].copy_from_slice(first);
    both[first.len() + 1..length].copy_from_slice(second);
    find(&both[..length])
}

/// Whether injections have this fingerprint. The list does not tell small letters from capitals.
pub(super) fn is_fingerprint(letters: &[u8]) -> bool {
    let tables = &*TABLES;
    let packed = pack(letters);
    let mut place = spread(packed.into()) & (tables.fingerprints.len() - 1);
    while tables.fingerprints[place] != 0 {
        if tables.fingerprints[place] == packed {
            return true;
        }
        place = (place + 1) & (tables.fingerprints.len() - 1);
    }
    false
}

/// Six bits for each of up to five letters. No letter is 0, so the length is told as well.
fn pack(letters: &[u8]) -> u32 {
    letters.iter().fold(0, |packed, letter| {
        let letter = match letter.to_ascii_uppercase() {
            // In six bits they would be `;` and `=`.
            b'{' => b'[',
            b'}' => b']',
            other => other,
        };
        packed << 6 | u32::from(letter & 0x3f)
    })
}

/// The same for small letters and capitals. Eight bytes of either end and the length tell all words apart well enough.
fn hash(text: &[u8]) -> usize {
    let [head, tail] = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(head), Some(tail)) => [u64::from_le_bytes(*head), u64::from_le_bytes(*tail)],
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(head), Some(tail)) => [u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into()],
            // Three bytes or fewer: first, middle, last.
            _ => [text.first(), text.get(text.len() / 2)]
                .map(|byte| u64::from(*byte.unwrap_or(&0)))
                .map(|byte| byte << 8 | u64::from(*text.last().unwrap_or(&0))),
        },
    };
    const CAPITALS: u64 = 0xdfdf_dfdf_dfdf_dfdf;
    spread((head & CAPITALS) ^ (tail & CAPITALS).rotate_left(29) ^ text.len() as u64)
}

/// Every bit of the key has a say in the low bits of the result (multiplication by the golden ratio, Knuth, volume 3,
/// 6.4).
fn spread(key: u64) -> usize {
    let product = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (product ^ product >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> 8
}
