//! Which rules a command is about, and loading them.

use std::{
    cell::RefCell,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use portcullis_config::{
    plugin::{Module, Plugin},
    waf::Except,
};
use serde_json::Value;
use waf_engine::{
    model::{Entry, IdRange, RuleSet},
    seclang::{Exception, Loader},
    transaction::Engine,
    world::Files,
};

use crate::config_file;

/// The rules that come with the executable, as `builtin:baseline`.
const BASELINE: &str = include_str!("../../../../plugins/waf/rules/baseline.conf");

/// What the plugin reads before them.
const DEFAULTS: &str = include_str!("../../../../plugins/waf/rules/defaults.conf");

/// Largest rule file that is read. As the plugin's host has it.
const LARGEST: u64 = 16 << 20;

/// Which rules. Without any, those of a configuration.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Rule files in order: paths, patterns, builtin:baseline
    #[arg(long = "rules", value_name = "FILE", num_args = 1..)]
    pub(crate) rules: Vec<String>,

    /// Take the rules from this configuration; without --rules by default ./portcullis.toml, then /etc/portcullis/portcullis.toml
    #[arg(long, value_name = "FILE", conflicts_with = "rules")]
    config: Option<PathBuf>,

    /// The plugin of the configuration, where more than one has the module builtin:waf
    #[arg(long, value_name = "NAME", conflicts_with = "rules")]
    plugin: Option<String>,

    /// With the exceptions that this route of the configuration has
    #[arg(long, value_name = "NAME", conflicts_with = "rules")]
    route: Option<String>,
}

/// The name under which the engine finds the exceptions that hold from the beginning.
pub(crate) const OWN: &str = "own";

/// Where rules come from, in order.
pub(crate) struct Sources {
    list: Vec<Source>,
    /// Those of the route that was asked for.
    pub(crate) own: Vec<Exception>,
    /// Relative names begin here.
    folder: PathBuf,
}

enum Source {
    /// A path or a pattern.
    Files(String),
    /// A name for messages, and the text.
    Text(String, String),
}

/// Rules that could be loaded.
pub(crate) struct Rules {
    /// Ready to judge.
    pub(crate) engine: Engine,
    /// What is without effect.
    pub(crate) notes: Vec<String>,
    /// How many rules there are, a chain counting once.
    pub(crate) rules: usize,
    /// How many files and texts they came from.
    pub(crate) files: usize,
}

impl Wanted {
    /// These files.
    #[cfg(test)]
    pub(crate) fn of(rules: Vec<String>) -> Self {
        Self { rules, config: None, plugin: None, route: None }
    }

    /// Finds out where the rules are; loads none.
    pub(crate) fn sources(&self) -> anyhow::Result<Sources> {
        if !self.rules.is_empty() {
            let mut list = vec![defaults()];
            list.extend(self.rules.iter().map(|name| source(name)));
            return Ok(Sources { list, own: Vec::new(), folder: PathBuf::new() });
        }
        let path = config_file::choose(self.config.clone()).context("no rules: name files with --rules")?;
        let config = config_file::load(&path)?.config;
        let mut plugins = config
            .plugins
            .values()
            .filter(|plugin| matches!(&plugin.module, Module::Builtin(name) if name == "waf"))
            .filter(|plugin| self.plugin.as_ref().is_none_or(|name| plugin.name.as_str() == name));
        let Some(plugin) = plugins.next() else {
            match &self.plugin {
                Some(name) => bail!("{}: there is no plugin {name} with module = \"builtin:waf\"", path.display()),
                None => bail!("{}: no plugin has module = \"builtin:waf\"", path.display()),
            }
        };
        if let Some(other) = plugins.next() {
            bail!(
                "{}: both {} and {} have module = \"builtin:waf\": say which is meant with --plugin NAME",
                path.display(),
                plugin.name,
                other.name
            );
        }
        let mut sources = of_plugin(plugin)?;
        if let Some(name) = &self.route {
            let Some(route) = config.routes.iter().find(|route| route.name.as_str() == name) else {
                bail!("{}: there is no route {name}", path.display());
            };
            sources.own = route.waf.iter().flat_map(|waf| &waf.except).map(exception).collect();
        }
        Ok(sources)
    }

    /// Loads them; a mistake in them is an error.
    pub(crate) fn load(&self) -> anyhow::Result<Rules> {
        self.sources()?.load().map_err(|problems| not_loaded(&problems))
    }
}

/// The error of a command that needs rules and has none.
pub(crate) fn not_loaded(problems: &[String]) -> anyhow::Error {
    anyhow::anyhow!("the rules cannot be used (`portcullis waf check` shows the same):\n  {}", problems.join("\n  "))
}

fn source(name: &str) -> Source {
    match name {
        "builtin:baseline" => Source::Text(name.into(), BASELINE.into()),
        _ => Source::Files(name.into()),
    }
}

/// What the plugin reads before the operator's rules.
fn defaults() -> Source {
    Source::Text("portcullis".into(), DEFAULTS.into())
}

fn exception(except: &Except) -> Exception {
    Exception {
        rules: except.rules.iter().map(|&(first, last)| IdRange { first, last }).collect(),
        tags: except.tags.clone(),
        target: except.target.clone(),
        path: except.path.clone(),
    }
}

/// The `rules` of the plugin's table.
fn of_plugin(plugin: &Plugin) -> anyhow::Result<Sources> {
    let folder = Path::new(&*plugin.at.file).parent().unwrap_or(Path::new("")).to_owned();
    let Some(rules) = plugin.config.get("rules") else {
        // What the plugin does without the key.
        return Ok(Sources { list: vec![defaults(), source("builtin:baseline")], own: Vec::new(), folder });
    };
    let rules = match rules {
        Value::Array(rules) => rules.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut list = Vec::new();
    if plugin.config.get("mode").and_then(Value::as_str) != Some("rules") {
        list.push(defaults());
    }
    for rule in rules {
        list.push(match (rule, &rule["inline"]) {
            (Value::String(name), _) => source(name),
            (_, Value::String(text)) => Source::Text(format!("inline rules {}", list.len() + 1), text.clone()),
            _ => bail!(
                "{}: rules of plugin {} are paths, \"builtin:baseline\" or {{ inline = \"SecRule ...\" }}, not {rule}",
                plugin.at,
                plugin.name
            ),
        });
    }
    Ok(Sources { list, own: Vec::new(), folder })
}

impl Sources {
    /// Reads and compiles them.
    ///
    /// # Errors
    /// All mistakes, one sentence each, with file and line.
    pub(crate) fn load(&self) -> Result<Rules, Vec<String>> {
        self.load_with(&[])
    }

    /// The same, with exceptions for each of the routes.
    pub(crate) fn load_with(&self, routes: &[(String, Vec<Exception>)]) -> Result<Rules, Vec<String>> {
        let disk = Disk { folder: self.folder.clone(), read: RefCell::default() };
        let mut loader = Loader::new(&disk);
        let mut texts = 0;
        if !self.own.is_empty() {
            loader.exceptions(OWN, &self.own);
        }
        for (route, exceptions) in routes {
            loader.exceptions(route, exceptions);
        }
        for source in &self.list {
            match source {
                Source::Files(pattern) => loader.file(pattern),
                Source::Text(name, text) => {
                    texts += usize::from(text != DEFAULTS);
                    loader.text(name, text.as_bytes())
                }
            };
        }
        let loaded =
            loader.finish().map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let notes = loaded.notes.iter().map(ToString::to_string).collect();
        let rules = count(&loaded.rules);
        Ok(Rules { rules, engine: Engine::new(loaded.rules), notes, files: texts + disk.read.take().len() })
    }
}

fn count(rules: &RuleSet) -> usize {
    rules.entries.iter().filter(|entry| matches!(entry, Entry::Rule(_))).count()
}

/// Files of this machine.
struct Disk {
    folder: PathBuf,
    read: RefCell<Vec<PathBuf>>,
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let path = self.folder.join(path);
        let mut bytes = Vec::new();
        let length = File::open(&path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
            .map_err(|error| error.to_string())?;
        if length as u64 > LARGEST {
            return Err(format!("it is larger than {LARGEST} bytes: no rule file is"));
        }
        self.read.borrow_mut().push(path);
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let whole = self.folder.join(pattern);
        let Some(whole) = whole.to_str() else { return Err(format!("{pattern} is not text")) };
        let paths = glob::glob(whole).map_err(|error| format!("{pattern} is no pattern: {error}"))?;
        let mut found = Vec::new();
        for path in paths {
            let path = path.map_err(|error| format!("{pattern}: {error}"))?;
            match path.to_str() {
                Some(text) => found.push(text.to_owned()),
                None => return Err(format!("the name of {} is not text", path.display())),
            }
        }
        found.sort();
        Ok(found)
    }
}
