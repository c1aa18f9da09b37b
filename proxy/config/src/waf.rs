//! `[route.waf]`: what the WAF does on a route that differs from its own table.
//!
//! The WAF is one plugin, configured once: its rules are in memory once, however many routes it stands on. So the tables of all routes are
//! handed to it together, by the names of the routes ([`Config::plugin_table`]), and it looks up where it is.

use serde_json::{Map, Value, json};

use crate::{
    Config,
    names::PluginName,
    plugin::{Plugin, Use},
};

/// The key of the WAF's own table that holds those of the routes.
pub const ROUTES: &str = "routes";

/// What is different on one route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waf {
    /// In place of the mode of the plugin's table.
    pub mode: Option<Mode>,
    /// Percent of the requests that are looked at, over 0 to 100. In place of what the plugin's table says.
    pub sample: Option<f64>,
    /// What is let through. All of them hold.
    pub except: Vec<Except>,
}

/// What the WAF does with what its rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuses.
    Block,
    /// Writes down what it would refuse.
    Detect,
    /// Looks at nothing.
    Off,
}

impl Mode {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Detect => "detect",
            Self::Off => "off",
        }
    }
}

/// Rules that do not apply here, or not to one target. Has rules, tags or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Except {
    /// Ids of rules, the last of a range included.
    pub rules: Vec<(u64, u64)>,
    /// Tags; a rule that has one of them is meant, beside `rules`.
    pub tags: Vec<String>,
    /// A variable as SecLang has it, `ARGS:q`; none: the rules do not apply at all.
    pub target: Option<String>,
    /// The path of requests this holds for, with `/*` at its end for everything below; none: all.
    pub path: Option<String>,
}

impl Waf {
    fn json(&self) -> Value {
        let mut table = Map::new();
        if let Some(mode) = self.mode {
            table.insert("mode".into(), mode.name().into());
        }
        if let Some(sample) = self.sample {
            table.insert("sample".into(), sample.into());
        }
        if !self.except.is_empty() {
            table.insert("except".into(), self.except.iter().map(Except::json).collect());
        }
        Value::Object(table)
    }
}

impl Except {
    fn json(&self) -> Value {
        let rule = |&(first, last): &(u64, u64)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let mut table = Map::new();
        if !self.rules.is_empty() {
            table.insert("rules".into(), self.rules.iter().map(rule).collect());
        }
        if !self.tags.is_empty() {
            table.insert("tags".into(), json!(self.tags));
        }
        for (key, value) in [("target", &self.target), ("path", &self.path)] {
            if let Some(value) = value {
                table.insert(key.into(), json!(value));
            }
        }
        Value::Object(table)
    }
}

impl Config {
    /// The table that `plugin`, used by a route as `used` says, is configured with: [`Plugin::config_for`], and for the WAF the tables of
    /// all routes that it stands on.
    pub fn plugin_table(&self, plugin: &Plugin, used: &Use) -> Map<String, Value> {
        let mut table = plugin.config_for(used);
        if plugin.is_waf() {
            let routes = self.waf_tables(&plugin.name);
            if !routes.is_empty() {
                table.insert(ROUTES.into(), Value::Object(routes));
            }
        }
        table
    }

    fn waf_tables(&self, plugin: &PluginName) -> Map<String, Value> {
        let has = |chain: &[Use]| chain.iter().any(|used| used.name == *plugin);
        let table = |route: &crate::route::Route| {
            let waf = route.waf.as_ref().filter(|_| has(&route.plugins))?;
            Some((route.name.as_str().to_owned(), waf.json()))
        };
        self.routes.iter().filter_map(table).collect()
    }
}
