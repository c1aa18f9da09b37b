//! The plugin's table.

use std::collections::BTreeMap;

use serde::Deserialize;
use waf_engine::model;

/// As the operator writes it; `routes` is filled in by the proxy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the rules are, in their order.
    pub rules: Option<Vec<Source>>,
    /// What becomes of what they say.
    pub mode: Option<Mode>,
    /// Of a hundred requests so many are judged.
    pub sample: Option<f64>,
    /// Where the audit log goes. The proxy opens it; here it only matters that there is one.
    pub audit_log: Option<String>,
    /// The body of a refusal: HTML if it begins with `<`, else text. `{id}` is the request's id, `{status}` the status.
    pub page: Option<String>,
    /// The status of a refusal in place of the rules' own.
    pub status: Option<u16>,
    /// What is different for a route, by its name.
    pub routes: BTreeMap<String, Route>,
}

/// Rules.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Source {
    /// A path, a pattern, or `builtin:baseline`.
    Path(String),
    /// SecLang itself.
    Inline(Inline),
}

/// `{ inline = "SecRule ..." }`
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Inline {
    /// The text.
    pub inline: String,
}

/// What becomes of what the rules say.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is done.
    Block,
    /// It is written down and not done.
    Detect,
    /// Nothing is judged.
    Off,
    /// What `SecRuleEngine` says.
    Rules,
}

/// What is different for a route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// In place of the table's.
    pub mode: Option<Mode>,
    /// In place of the table's.
    pub sample: Option<f64>,
    /// What is not judged here.
    pub except: Vec<Except>,
}

/// Rules that do not hold, or not for one target.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Except {
    /// Ids, and ranges of them: `941100-941999`.
    pub rules: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// `ARGS:q`: they hold for everything else.
    pub target: Option<String>,
    /// `/search`, or `/api/*`: they hold everywhere else.
    pub path: Option<String>,
}

/// How requests of a route are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judging {
    /// `None`: as the rules say.
    pub mode: Option<model::Mode>,
    /// How many of a million are.
    pub sample: u32,
}

/// All of a million.
pub const ALL: u32 = 1_000_000;

impl Config {
    /// How requests are judged on routes of which nothing is said, and on the others.
    ///
    /// # Errors
    /// A sentence that begins with the key.
    pub fn judging(&self) -> Result<(Judging, BTreeMap<String, Judging>), String> {
        let default = Judging { mode: engine(self.mode), sample: share("sample", self.sample)? };
        let mut routes = BTreeMap::new();
        for (name, route) in &self.routes {
            let judging = Judging {
                mode: route.mode.map_or(default.mode, |mode| engine(Some(mode))),
                sample: match route.sample {
                    None => default.sample,
                    sample => share(&format!("routes.{name}.sample"), sample)?,
                },
            };
            routes.insert(name.clone(), judging);
        }
        Ok((default, routes))
    }

    /// The status of refusals, where the rules' own does not hold.
    ///
    /// # Errors
    /// A sentence that begins with the key.
    pub fn status(&self) -> Result<Option<u16>, String> {
        match self.status {
            Some(status) if !(400..=599).contains(&status) => {
                Err(format!("status: {status} is no status of a refusal; write 400 to 599, such as 403"))
            }
            status => Ok(status),
        }
    }
}

fn engine(mode: Option<Mode>) -> Option<model::Mode> {
    match mode {
        None | Some(Mode::Rules) => None,
        Some(Mode::Block) => Some(model::Mode::On),
        Some(Mode::Detect) => Some(model::Mode::DetectionOnly),
        Some(Mode::Off) => Some(model::Mode::Off),
    }
}

fn share(key: &str, percent: Option<f64>) -> Result<u32, String> {
    match percent {
        None => Ok(ALL),
        // Between these it fits.
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * f64::from(ALL / 100)).round() as u32),
        Some(percent) => Err(format!("{key}: {percent} is no percentage; write 0 to 100, such as 10")),
    }
}
