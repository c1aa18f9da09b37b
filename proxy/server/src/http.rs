//! HTTP as rules: what a request may look like, and what is changed on its way. Computing only, but for the
//! [`guard`], which stands between a connection's bytes and hyper.

pub(crate) mod bytes;
pub mod edits;
pub mod forwarded;
pub mod guard;
pub mod hop;
pub mod path;
pub mod raw;
pub mod target;
