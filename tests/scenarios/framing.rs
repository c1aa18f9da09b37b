//! Strict framing.
//!
//! - anything ambiguous gets 400 and the connection closes, and neither it nor what follows it reaches the origin: [`heads`], [`chunks`]
//! - what only has to be percent-encoded is: the origin gets it encoded, plugins and the log see what was sent: [`sent`]
//! - the same in HTTP/2, where a stream or the connection ends: [`frames`]

mod chunks;
mod frames;
mod heads;
mod sent;
