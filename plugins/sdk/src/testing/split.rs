//! Bodies in every division into pieces.

use std::fmt::Debug;

/// Runs `run` with the body in one piece, in every division into two, byte by byte, with empty pieces between, and with an
/// empty last piece, and compares: how a body was divided on its way must make no difference. Gives what they agree on.
///
/// `run` makes a new exchange each time and shows the pieces in it, the end with the last one:
///
/// ```
/// # use portcullis_sdk::{BodyEnd, NoConfig, Wants, Body, Plugin, testing};
/// # struct Look;
/// # impl Plugin for Look {
/// #     type Config = NoConfig;
/// #     type Exchange = ();
/// #     fn configure(_: NoConfig) -> Result<Self, String> { Ok(Self) }
/// #     fn wants(&self) -> Wants { Wants::new().response_body(Body::Stream) }
/// # }
/// # let plugin = testing::Plugin::<Look>::configure("{}").unwrap();
/// let outcome = testing::every_split(b"a body", |pieces| {
///     plugin.exchange().response_pieces(pieces, &BodyEnd::Complete(vec![]))
/// });
/// assert_eq!(outcome.data, b"a body");
/// ```
///
/// A body of `n` bytes is run about `2 n` times, which asks for bodies of hundreds of bytes, not of megabytes.
///
/// # Panics
/// When two divisions give different results; the message shows the pieces.
pub fn every_split<R: PartialEq + Debug>(body: &[u8], mut run: impl FnMut(&[&[u8]]) -> R) -> R {
    let expected = run(&[body]);
    let mut compare = |pieces: &[&[u8]]| {
        let found = run(pieces);
        if found != expected {
            let pieces: Vec<_> = pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
            panic!("in one piece: {expected:?}\nin pieces: {found:?}\nthe pieces: {pieces:?}");
        }
    };
    for at in 0..=body.len() {
        let (first, second) = body.split_at(at);
        compare(&[first, second]);
        compare(&[first, b"", second, b""]);
    }
    let mut bytes: Vec<&[u8]> = body.chunks(1).collect();
    bytes.push(b"");
    compare(&bytes);
    if !body.is_empty() {
        compare(&bytes[..body.len()]);
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_where_pieces_make_no_difference() {
        assert_eq!(every_split(b"abc", |pieces| pieces.concat()), b"abc");
        assert_eq!(every_split(b"", |pieces| pieces.concat()), b"");
    }

    #[test]
    #[should_panic(expected = "in pieces")]
    fn shows_a_plugin_that_looks_within_pieces_only() {
        every_split(b"xxabxx", |pieces| pieces.iter().any(|piece| piece.windows(2).any(|pair| pair == b"ab")));
    }
}
