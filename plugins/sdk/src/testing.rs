//! Tests of plugins with no proxy: `cargo test`, natively.
//!
//! [`Plugin`] configures a plugin from JSON text, as the proxy does. Its [`exchange`](Plugin::exchange) runs it through phases by the
//! contract's rules: what is not wanted is not called, and an answer that the proxy would count as a failure panics and says why.
//!
//! The modules [`clock`](crate::clock), [`key_value`](crate::key_value) and so on go to a host of the test's own thread: a clock that
//! stands until [`advance`] moves it, random numbers from a seed, shared values in memory, [scripted](answer_http) outbound answers,
//! and everything logged and counted kept for [`lines`] and [`counter`].
//!
//! [`every_split`] tries a body in every division into pieces.

mod check;
mod exchange;
pub(crate) mod imports;
mod mock;
#[cfg(test)]
mod more_tests;
mod split;
#[cfg(test)]
mod tests;
mod values;

pub use self::{
    exchange::{Exchange, Outcome, Plugin},
    mock::{
        advance, answer_http, counter, edit_facts, gauge, journal, lines, note, observed, reset, sent_http, set_client,
        set_file, set_quota, set_seed, set_time,
    },
    split::every_split,
};
