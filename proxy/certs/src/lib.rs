//! Ordering, keeping, renewing and sharing certificates.
//!
//! Knows nothing of listeners, routes or snapshots: the server says which names it wants certificates for, and is given a table of those there are.

#![forbid(unsafe_code)]

pub mod seal;
pub mod storage;
pub mod subject;
