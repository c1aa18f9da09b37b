//! Backends: named groups of endpoints, which endpoint is next, and the connections to them.
//!
//! What is shared by all workers (which endpoints there are, their health) lives in [`Backend`]; connections live in
//! each worker's [`pool`]. The exchange asks `Backend::choose` for an endpoint, the pool for a lease on a connection, and
//! tells the endpoint's health how it went.

pub mod balance;
pub mod connect;
pub mod endpoint;
pub mod group;
pub mod health;
mod last_words;
pub mod pool;

pub use endpoint::Endpoint;
pub use group::Backend;
