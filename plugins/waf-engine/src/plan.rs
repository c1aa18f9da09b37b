//! Rules compiled for speed: which can match at all, given what a value contains.
