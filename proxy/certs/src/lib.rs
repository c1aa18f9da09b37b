//! Ordering, keeping, renewing and sharing certificates.
//!
//! Knows nothing of listeners, routes or snapshots: the server says which names it wants certificates for, and is given a table of those there are.

#![forbid(unsafe_code)]

pub mod account;
pub mod answers;
pub mod challenge;
pub mod client;
pub mod clock;
pub mod documents;
pub mod failure;
pub mod issued;
pub mod local;
pub mod manager;
pub mod order;
pub mod renewal;
pub mod seal;
pub mod settings;
pub mod storage;
pub mod subject;
pub mod table;
