//! `--name value` and `--flag` arguments.

use std::{fmt::Display, net::SocketAddr, str::FromStr};

use anyhow::{Context, Result, anyhow};

/// The words after the command.
pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self(words)
    }

    /// Every value of an option that may be repeated.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let option = format!("--{name}");
        self.0.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].as_str()).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).pop()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        let option = format!("--{name}");
        self.0.contains(&option)
    }

    pub(crate) fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>> {
        self.get(name).map(|text| text.parse().map_err(|error| anyhow!("--{name} {text}: {error}"))).transpose()
    }

    pub(crate) fn value_or<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.value(name)?.unwrap_or(default))
    }

    pub(crate) fn target(&self) -> Result<SocketAddr> {
        self.value("target")?.context("--target ADDRESS:PORT is missing")
    }
}
