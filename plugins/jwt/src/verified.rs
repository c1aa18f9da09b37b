//! Tokens whose signature was found good lately, by one instance: a client sends the same token many times, and checking it takes a millisecond in
//! WebAssembly. Claims are looked at each time; only the signature is remembered.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Tokens remembered. More than these push each other out.
const PLACES: usize = 512;

/// A token, and the keys that its signature was good with.
type Entry = ([u8; 32], u64);

/// What is remembered. It takes the same room however many tokens there are, and only good ones get in.
#[derive(Debug)]
pub struct Verified(Mutex<Vec<Option<Entry>>>);

/// A token by its digest.
#[derive(Clone, Copy, Debug)]
pub struct Token([u8; 32]);

impl Token {
    /// Of a token's whole text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    fn place(self) -> usize {
        usize::from(u16::from_be_bytes([self.0[0], self.0[1]])) % PLACES
    }
}

impl Verified {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Mutex::new(vec![None; PLACES]))
    }

    /// Whether the signature was good with these keys, of which each set has a number of its own.
    pub fn has(&self, token: Token, keys: u64) -> bool {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(token.place()) == Some(&Some((token.0, keys)))
    }

    /// Remembers that it was.
    pub fn remember(&self, token: Token, keys: u64) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(token.place()) {
            *place = Some((token.0, keys));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_with_the_keys_that_it_was_checked_with() {
        let verified = Verified::new();
        let (a, b) = (Token::of("a"), Token::of("b"));
        verified.remember(a, 1);
        assert!(verified.has(a, 1));
        assert!(!verified.has(a, 2) && !verified.has(b, 1));
        verified.remember(a, 2);
        assert!(verified.has(a, 2) && !verified.has(a, 1));
    }

    #[test]
    fn tokens_push_each_other_out_and_never_stand_for_each_other() {
        let verified = Verified::new();
        let tokens: Vec<_> = (0..2000).map(|number| Token::of(&format!("token {number}"))).collect();
        for token in &tokens {
            verified.remember(*token, 0);
        }
        let known = tokens.iter().filter(|token| verified.has(**token, 0)).count();
        assert!((1..=PLACES).contains(&known), "{known}");
    }
}
