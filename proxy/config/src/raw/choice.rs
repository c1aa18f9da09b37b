//! Values that are one of a few words.

/// Declares how the variants of an enum are written; the first word of a variant is the one that messages name.
macro_rules! choice {
    ($type:ty, $kind:literal, { $( $word:literal => $value:expr ),* $(,)? }) => {
        impl $crate::raw::text::Written for $type {
            const KIND: &'static str = $kind;
            const EXAMPLES: &'static [&'static str] = &[$( $word ),*];

            fn parse(text: &str) -> Result<Self, $crate::raw::text::Problem> {
                match text {
                    $( $word => Ok($value), )*
                    _ => Err($crate::raw::choice::no_such(text, $kind, Self::EXAMPLES)),
                }
            }

            fn schema() -> schemars::Schema {
                schemars::json_schema!({ "enum": Self::EXAMPLES })
            }
        }
    };
}

pub(super) use choice;

use super::{table::clip, text::Problem};
use crate::nearest::{did_you_mean, one_of};

pub(super) fn no_such(text: &str, kind: &str, words: &[&str]) -> Problem {
    let problem = Problem::new(format!("`{}` is not {kind}", clip(text))).expected(one_of(words.iter().copied()));
    Problem { help: did_you_mean(text, words.iter().copied()), ..problem }
}
