//! Real rule files load as they are.

mod disk;
mod regression;
mod shared;
