//! From the table to an engine.

use waf_engine::{
    model::{Action, AuditEngine, Ctl, Entry, IdRange, Phase, RuleSet},
    seclang::{Exception, Loader},
    transaction::Engine,
};

use crate::{
    config::{Config, Except, Inline, Mode, Source},
    world::Disk,
};

/// Where the operator names no rules.
const BASELINE: &str = "builtin:baseline";

/// Rules of this project.
const BASELINE_RULES: &str = include_str!("../rules/baseline.conf");

/// What holds where no rule file says otherwise: those of ModSecurity judge nothing unless they are told to.
const DEFAULTS: &str = include_str!("../rules/defaults.conf");

/// With an audit log.
const AUDITED: &str = "SecAuditEngine RelevantOnly\n";

/// Rules, ready to judge, and what of an exchange they look at.
pub struct Loaded {
    /// The engine.
    pub engine: Engine,
    /// Whether there are rules of a phase.
    pub phases: [bool; 5],
    /// Whether a request's body may be wanted.
    pub request_body: bool,
    /// Whether a response's body may be wanted.
    pub response_body: bool,
    /// Sentences for the operator.
    pub notes: Vec<String>,
}

/// Loads what `config` names.
///
/// # Errors
/// Everything that is wrong with it, a line for each.
pub fn load(config: &Config) -> Result<Loaded, String> {
    let mut loader = Loader::new(&Disk);
    if config.mode != Some(Mode::Rules) {
        loader.text("portcullis", DEFAULTS.as_bytes());
        if config.audit_log.is_some() {
            loader.text("portcullis", AUDITED.as_bytes());
        }
    }
    let baseline = [Source::Path(BASELINE.to_owned())];
    for source in config.rules.as_deref().unwrap_or(&baseline) {
        match source {
            Source::Path(path) => match path.strip_prefix("builtin:") {
                None => loader.file(path),
                Some("baseline") => loader.text(BASELINE, BASELINE_RULES.as_bytes()),
                Some(_) => return Err(format!("rules: there is no {path:?}; write \"{BASELINE}\" or a path")),
            },
            Source::Inline(Inline { inline }) => loader.text("inline", inline.as_bytes()),
        };
    }
    for (name, route) in &config.routes {
        if !route.except.is_empty() {
            loader.exceptions(name, &exceptions(name, &route.except)?);
        }
    }
    let loaded = loader.finish().map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    let notes = loaded.notes.iter().map(ToString::to_string).collect();
    let rules = loaded.rules;
    Ok(Loaded {
        phases: phases(&rules),
        request_body: rules.settings.request_body_access || has_ctl(&rules, &Ctl::RequestBodyAccess(true)),
        response_body: rules.settings.response_body_access || has_ctl(&rules, &Ctl::ResponseBodyAccess(true)),
        notes,
        engine: Engine::new(rules),
    })
}

impl Loaded {
    /// Whether anything is to be judged in a phase.
    pub fn has(&self, phase: Phase) -> bool {
        self.phases[phase as usize - 1]
    }

    /// Whether there may be lines for the audit log.
    pub fn audits(&self) -> bool {
        self.engine.settings().audit_engine != AuditEngine::Off
    }
}

/// Those of a route, in the engine's words.
fn exceptions(route: &str, except: &[Except]) -> Result<Vec<Exception>, String> {
    let exception = |(at, except): (usize, &Except)| {
        let rules = except.rules.iter().map(|text| {
            range(text).ok_or_else(|| {
                format!("routes.{route}.except[{at}].rules: {text:?} is no rule's id and no range of them; write \"942100\" or \"941000-941999\"")
            })
        });
        Ok(Exception {
            rules: rules.collect::<Result<_, String>>()?,
            tags: except.tags.clone(),
            target: except.target.clone(),
            path: except.path.clone(),
        })
    };
    except.iter().enumerate().map(exception).collect()
}

fn range(text: &str) -> Option<IdRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(IdRange { first, last })
}

fn phases(rules: &RuleSet) -> [bool; 5] {
    let mut phases = [false; 5];
    for entry in &rules.entries {
        if let Entry::Rule(rule) = entry {
            phases[rule.phase as usize - 1] = true;
        }
    }
    phases
}

/// Whether some rule does this.
fn has_ctl(rules: &RuleSet, ctl: &Ctl) -> bool {
    let links = rules.entries.iter().filter_map(|entry| match entry {
        Entry::Rule(rule) => Some(&rule.links),
        Entry::Marker(_) => None,
    });
    links.flatten().flat_map(|link| &link.actions).any(|action| matches!(action, Action::Ctl(done) if done == ctl))
}
