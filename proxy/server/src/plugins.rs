//! Plugins in the way of exchanges: the one place where the words of `portcullis_plugin` meet those of the server.
//!
//! A [`Chain`] is a route's plugins in one exchange. [`inward`] takes a request through it, in order; [`outward`] a response, in
//! reverse. Bodies that somebody wants to see go through a [`Pipe`], which pulls them piece by piece; what is still to come when the head
//! leaves is a [`Passing`] body. [`last_words`] is the log phase.
//!
//! A route without plugins touches none of this.

mod build;
mod chain;
mod inward;
mod last_words;
mod outbound;
mod outward;
mod passing;
mod pipe;
mod spent;
mod status;

pub use self::{
    build::{Built, build},
    chain::{Chain, Stop},
    inward::{inward, show},
    last_words::last_words,
    outbound::{QUEUE, serve as serve_outbound},
    outward::{outward, stopped},
    passing::Passing,
    pipe::{Pipe, Side, Source},
    spent::Spent,
    status::{describe, figures, phases, suspended},
};
