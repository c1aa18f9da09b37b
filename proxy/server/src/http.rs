//! HTTP as rules: what a request may look like, and what is changed on its way. Computing only, but for the
//! [`guard`], which stands between a connection's bytes and hyper.

pub(crate) mod bytes;
pub mod guard;
pub mod target;
