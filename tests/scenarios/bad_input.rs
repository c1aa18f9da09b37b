//! What bad input gets: a clear error, and nothing lost.
//!
//! - [`configuration`]: a change with mistakes, half of a file, a missing certificate, a port in use: the old configuration serves on,
//!   and at the start there is a sentence for whoever must act
//! - [`backends`]: garbage is 502, a truncated body is an aborted response and never a short 200, slowness is 504
//! - [`clients`]: slow ones, floods, lies about framing, and any bytes at all, at every kind of listener

mod backends;
mod clients;
mod configuration;
