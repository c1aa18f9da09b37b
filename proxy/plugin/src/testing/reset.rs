//! Putting a host back to its beginning, so that one run does not see what another left behind.

use std::sync::Arc;

use crate::{BuildError, Host, Plugin};

use super::case::Case;

impl Host {
    /// Makes everything that plugins of this name share what it was before anything ran: no values but those of the case, no figures,
    /// the clock and chance of the case.
    ///
    /// # Errors
    /// When a value of the case does not fit the plugin's quota.
    pub(super) fn begin(&self, plugin: &Arc<Plugin>, case: &Case, seed: u64) -> Result<(), BuildError> {
        let name = &plugin.definition().name;
        let services = self.services(name);
        services.key_value.clear();
        services.figures.clear();
        services.lines.clear();
        services.world.set(case.now, seed);
        plugin.breaker.forgive();
        for (key, value) in &case.key_value {
            value.put(&services.key_value, key).map_err(|refused| {
                BuildError(format!("{}.toml: key_value.{key:?} cannot be stored ({refused:?})", case.name))
            })?;
        }
        Ok(())
    }
}
