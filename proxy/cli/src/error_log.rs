//! The error log: what the process says about itself, on standard error.

use std::io::{self, IsTerminal};

use portcullis_config::log::Level;
use tracing_subscriber::{
    EnvFilter, Registry, filter::LevelFilter, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Overrides `[log] level`, with `tracing` directives such as `debug` or `info,portcullis_server::dns=trace`.
const VARIABLE: &str = "PORTCULLIS_LOG";

/// Starts the error log at level info and returns what sets its level when the configuration is known, and when it
/// changes. Where `PORTCULLIS_LOG` is set, the configuration's level does nothing.
///
/// # Errors
/// Where `PORTCULLIS_LOG` cannot be understood.
pub(crate) fn start() -> anyhow::Result<impl Fn(Level) + Send + Sync + 'static> {
    let fixed = match std::env::var(VARIABLE) {
        Ok(directives) => {
            Some(directives.parse::<EnvFilter>().map_err(|error| anyhow::anyhow!("{VARIABLE}: {error}"))?)
        }
        Err(_) => None,
    };
    let is_fixed = fixed.is_some();
    let filter = fixed.unwrap_or_else(|| filter(Level::Info));
    let (filter, handle) = reload::Layer::<EnvFilter, Registry>::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(move |level| {
        if !is_fixed {
            // Fails only when the subscriber is gone, and then nobody reads what is not filtered.
            _ = handle.reload(self::filter(level));
        }
    })
}

fn filter(level: Level) -> EnvFilter {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // The nameserver of the demonstration tells each query at info.
    let quiet = "hickory_server=warn".parse().expect("a directive written here");
    EnvFilter::default().add_directive(level.into()).add_directive(quiet)
}
