//! Bodies in every division into pieces.

use std::fmt::Debug;

use crate::{BodyEnd, Field};

/// Runs `run` with the body in one piece, in every division into two, byte by byte, with empty pieces between, and with an
/// empty last piece, and each of these with every end that a sender can make: without trailers, with one, and cut off. Compares:
/// how a body was divided on its way must make no difference. Gives what they agree on for the end without trailers. (When a body is cut
/// off nobody asks what the verdict was; the plugin must only not panic.)
///
/// `run` makes a new exchange each time and shows the pieces in it, the end with the last one:
///
/// ```
/// # use portcullis_sdk::{NoConfig, Wants, Body, Plugin, testing};
/// # struct Look;
/// # impl Plugin for Look {
/// #     type Config = NoConfig;
/// #     type Exchange = ();
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Self) }
/// #     fn wants(&self) -> Wants { Wants::new().response_body(Body::Stream) }
/// # }
/// # let plugin = testing::Plugin::<Look>::configure("{}").unwrap();
/// let outcome = testing::every_split(b"a body", |pieces, end| plugin.exchange().response_pieces(pieces, end));
/// assert_eq!(outcome.data, b"a body");
/// ```
///
/// A body of `n` bytes is run about `6 n` times, which asks for bodies of hundreds of bytes, not of megabytes.
///
/// # Panics
/// When two divisions give different results; the message shows the pieces.
pub fn every_split<R: PartialEq + Debug>(body: &[u8], mut run: impl FnMut(&[&[u8]], &BodyEnd) -> R) -> R {
    let mut bytes: Vec<&[u8]> = body.chunks(1).collect();
    bytes.push(b"");
    let mut try_all = |end: &BodyEnd| {
        let expected = run(&[body], end);
        let mut compare = |pieces: &[&[u8]]| {
            let found = run(pieces, end);
            if *end != BodyEnd::Cut && found != expected {
                let pieces: Vec<_> = pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
                panic!("in one piece: {expected:?}\nin pieces: {found:?}\nthe pieces: {pieces:?}, the end: {end:?}");
            }
        };
        for at in 0..=body.len() {
            let (first, second) = body.split_at(at);
            compare(&[first, second]);
            compare(&[first, b"", second, b""]);
        }
        compare(&bytes);
        if !body.is_empty() {
            compare(&bytes[..body.len()]);
        }
        expected
    };
    try_all(&BodyEnd::Complete(vec![Field::new("x-trailer", "1")]));
    try_all(&BodyEnd::Cut);
    try_all(&BodyEnd::Complete(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_where_pieces_make_no_difference() {
        assert_eq!(every_split(b"abc", |pieces, _| pieces.concat()), b"abc");
        assert_eq!(every_split(b"", |pieces, _| pieces.concat()), b"");
    }

    #[test]
    fn tries_every_shape_of_the_end() {
        let mut ends = Vec::new();
        every_split(b"a", |_, end| {
            if !ends.contains(end) {
                ends.push(end.clone());
            }
        });
        assert_eq!(ends.len(), 3);
        // What an answer to a cut body is makes no difference.
        every_split(b"ab", |pieces, end| *end == BodyEnd::Cut && pieces.len() > 1);
    }

    #[test]
    #[should_panic(expected = "in pieces")]
    fn shows_a_plugin_that_looks_within_pieces_only() {
        every_split(b"xxabxx", |pieces, _| pieces.iter().any(|piece| piece.windows(2).any(|pair| pair == b"ab")));
    }
}
