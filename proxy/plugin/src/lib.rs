//! Runs plugins: WebAssembly guests in the way of exchanges, confined, limited, and replaceable while traffic flows.
//!
//! The contract between host and guest is `wit/`. This crate knows nothing of listeners, routes or backends and is the only one that
//! names wasmtime; the server calls it and translates between its own words and those of here in one file.
//!
//! From the outside in: [`Host`] is what a process has once (compiled code on disk, shared values, figures, the thread that ticks);
//! a [`Plugin`] is a module compiled, configured and kept as an image, shared by all workers; a [`Local`] is what one worker has of it,
//! with instances that wait to be used again; a [`Run`] is its part in one exchange.

mod breaker;
mod build;
mod bulk;
mod circle;
mod component;
mod contract;
mod decision;
mod definition;
mod engine;
mod failure;
mod folders;
mod host;
mod inspect;
mod instance;
mod local;
mod manifest;
mod metered;
pub mod module;
mod outbound;
mod pack;
mod reaper;
mod run;
mod services;
pub mod store;
pub mod testing;
mod ticker;
mod warm;

pub use self::{
    breaker::Health,
    build::{BuildError, Plugin},
    decision::{Edits, FieldEdit, Verdict},
    definition::{AtLimit, BodyMode, Declaration, Definition, Grants, Isolation, Limits, OnFailure},
    failure::{Failure, FailureKind},
    folders::{cache_folder, state_folder, store_folder},
    host::{Host, Settings},
    inspect::{Inspection, inspect},
    local::Local,
    manifest::{Manifest, Sample},
    outbound::{Outbound, OutboundError, OutboundSender},
    pack::pack,
    run::{BodyEnd, Costs, Facts, Phase, RequestHead, ResponseHead, Run, Skips, Summary, TlsFacts},
    services::{
        journal::{Journal, OpenJournal},
        key_value::{KeyValue, Refused},
        lines::{Level, Sink},
        metrics::{Figure, Value},
    },
};
