//! Which configuration a command is about, and reading it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use portcullis_config::load::Loaded;

use crate::output::Paint;

/// Where a configuration is looked for when the command line names none, in this order.
pub(crate) const DEFAULTS: [&str; 2] = ["portcullis.toml", "/etc/portcullis/portcullis.toml"];

/// The path as given, else the first default that is there.
pub(crate) fn choose(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match given.or_else(default) {
        Some(path) => Ok(path),
        None => bail!(
            "no configuration: neither {} nor {} is there. Name one, or try `portcullis demo`",
            DEFAULTS[0],
            DEFAULTS[1]
        ),
    }
}

/// The first default that is there.
pub(crate) fn default() -> Option<PathBuf> {
    DEFAULTS.iter().map(PathBuf::from).find(|path| path.exists())
}

/// Reads and checks a configuration; the error is the whole report, ready to print.
pub(crate) fn load(path: &Path) -> anyhow::Result<Loaded> {
    portcullis_config::load::load(path)
        .map_err(|report| anyhow::anyhow!("\n{}", Paint::for_stderr().report(report.to_string().trim_end())))
        .with_context(|| format!("{} cannot be used", path.display()))
}
