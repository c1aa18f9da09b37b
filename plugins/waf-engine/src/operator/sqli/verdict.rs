//! Whether a fingerprint means an injection: it is known, and not one that ordinary text has as well.

use memchr::memmem;

use super::{
    Fingerprint,
    fold::Folded,
    tokenizer::{Kind, Token},
    words,
};

/// SQL Server keeps statements with this word out of its audit log.
const HIDES_FROM_AUDIT: &[u8] = b"sp_password";

pub(super) fn is_injection(fingerprint: &Fingerprint, folded: &Folded<'_>, value: &[u8]) -> bool {
    let letters = fingerprint.letters();
    if !words::is_fingerprint(letters) {
        return false;
    }
    if letters.len() > 1 && letters.ends_with(b"c") && memmem::find(value, HIDES_FROM_AUDIT).is_some() {
        return true;
    }
    match *folded.tokens() {
        [first, second] => is_short_injection(first, second, folded.seen, value),
        [first, second, third] => match letters {
            // `it's' + 'theirs`: strings on both sides, of which neither begins nor ends within the value.
            b"sos" | b"s&s" => first.open == 0 && third.close == 0 && first.close == third.open,
            // `you and 17` is text; with more tokens than these three it is no longer.
            b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => folded.seen != 3,
            // Of keywords in the middle only MySQL's INTO OUTFILE and INTO DUMPFILE do harm.
            _ => {
                second.kind != Kind::Keyword || second.text.len() >= 5 && second.text[..4].eq_ignore_ascii_case(b"INTO")
            }
        },
        _ => true,
    }
}

/// Two tokens are hard to tell from ordinary text.
fn is_short_injection(first: Token<'_>, second: Token<'_>, seen: usize, value: &[u8]) -> bool {
    let begins = |byte| second.text.first() == Some(&byte);
    if second.kind == Kind::Union {
        return seen != 2;
    }
    if begins(b'#') {
        return false;
    }
    match (first.kind, second.kind) {
        (Kind::Word, Kind::Comment) if !begins(b'/') => false,
        (Kind::Number, Kind::Comment) => {
            // More tokens were folded into the number, or the comment follows it: `1--` and `1 --`, not `1234-ABC--`.
            // The length of the number is looked at as if it began the value, as libinjection does. Its characters have
            // a sign, so that all above ASCII count as white space.
            let at = |index: usize| value.get(index).copied().unwrap_or(0);
            let next = first.text.len();
            begins(b'/')
                || seen > 2
                || at(next) <= b' '
                || !at(next).is_ascii()
                || at(next) == b'/' && at(next + 1) == b'*'
                || at(next) == b'-' && at(next + 1) == b'-'
        }
        // Dashes end many a text; a comment with something in it after them does not end an injection.
        _ => second.text.len() <= 2 || !begins(b'-'),
    }
}
