//! The executable `portcullis`: one command a file in `commands`, nothing that moves a request.

#![forbid(unsafe_code)]

mod commands;
mod config_file;
mod demo;
mod error_log;
mod outline;
mod output;
mod plugin;
mod request_file;
mod running;
mod server;
mod waf;

use std::process::ExitCode;

use clap::Parser;

/// Worker threads allocate and free small things all day: mimalloc keeps that on the thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plugin::register();
    let outcome = commands::Arguments::parse().execute();
    output::exit_code(outcome)
}
