//! Real rule files load as they are.

mod disk;
mod shared;
