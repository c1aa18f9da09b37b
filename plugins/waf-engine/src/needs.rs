//! What a value must contain so that an operator can match it: the food of the plan's prefilter.

use crate::bytes::ByteSet;

pub(crate) mod likely;

/// A condition that holds for every value that the operator (not negated) matches. It may hold for others.
///
/// All clauses must hold. No clause: nothing is known, the operator must be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Each one must hold. The first tells most.
    pub clauses: Vec<Clause>,
    /// The value has at least so many bytes.
    pub length: usize,
}

/// One thing that a value must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// At least one of these, compared without regard to ASCII case. Lower case, none empty; some may be of one byte.
    Literals(Vec<Box<[u8]>>),
    /// At least one of these bytes, exactly.
    Bytes(ByteSet),
}
