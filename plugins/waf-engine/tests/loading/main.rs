//! Real rule files load as they are.

mod disk;
mod hostile;
mod regression;
mod shared;
