//! Judges requests and responses by rules in SecLang, the language of ModSecurity: a web application firewall.
//!
//! The rules are compiled when the configuration is loaded ([`load`]) and are part of the image that instances start from. Here is the way
//! from the proxy's phases to the engine's ([`exchange`]) and from its decisions to answers ([`refusal`]) and to the record ([`note`]).

mod config;
mod exchange;
mod load;
mod note;
mod refusal;
mod world;

use std::collections::BTreeMap;

use portcullis_sdk::{Body, BodyEnd, Plugin, RequestHead, ResponseHead, Summary, Verdict, Wants, log};
use waf_engine::model::{Mode, Phase};

use crate::{
    config::{Config, Judging},
    exchange::Exchange,
    load::Loaded,
    refusal::Page,
};

/// Notes of one load that are written into the log.
const NOTES_MAX: usize = 40;

/// The plugin, configured.
pub struct Waf {
    loaded: Loaded,
    page: Page,
    /// On routes of which nothing is said.
    default: Judging,
    routes: BTreeMap<String, Judging>,
    has_audit_log: bool,
}

impl Plugin for Waf {
    type Config = Config;
    type Exchange = Exchange;

    fn configure(config: Config) -> Result<Self, String> {
        let (default, routes) = config.judging()?;
        let status = config.status()?;
        let loaded = load::load(&config)?;
        let has_audit_log = config.audit_log.is_some();
        tell(&loaded, has_audit_log);
        Ok(Self { loaded, page: Page::new(config.page, status), default, routes, has_audit_log })
    }

    fn wants(&self) -> Wants {
        let settings = self.loaded.engine.settings();
        let modes = self.routes.values().chain([&self.default]).map(|judging| judging.mode.unwrap_or(settings.mode));
        if modes.into_iter().all(|mode| mode == Mode::Off) {
            return Wants::new();
        }
        // What is over a limit is shown as far as it fits: the engine says what becomes of it.
        let mut wants = Wants::new().request_head();
        if self.loaded.request_body {
            wants = wants.request_body(Body::hold(settings.request_body_limit).inspect());
        }
        let audits = self.has_audit_log && self.loaded.audits();
        if self.loaded.response_body {
            wants = wants.response_body(Body::hold(settings.response_body_limit).inspect());
        }
        if self.loaded.has(Phase::ResponseHead) || self.loaded.has(Phase::ResponseBody) || audits {
            wants = wants.response_head();
        }
        if self.loaded.has(Phase::Logging) || audits {
            wants = wants.log();
        }
        wants
    }

    fn request_head(&self, exchange: &mut Exchange, head: &RequestHead) -> Verdict {
        exchange.request_head(self, head)
    }

    fn request_body(&self, exchange: &mut Exchange, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        exchange.request_body(self, data, end)
    }

    fn response_head(&self, exchange: &mut Exchange, head: &ResponseHead) -> Verdict {
        exchange.response_head(self, head)
    }

    fn response_body(&self, exchange: &mut Exchange, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        exchange.response_body(self, data, end)
    }

    fn log(&self, exchange: &mut Exchange, summary: &Summary) {
        exchange.log(self, summary);
    }
}

impl Waf {
    fn judging(&self, route: &str) -> Judging {
        self.routes.get(route).copied().unwrap_or(self.default)
    }
}

/// What the operator should know of the rules.
fn tell(loaded: &Loaded, has_audit_log: bool) {
    for note in loaded.notes.iter().take(NOTES_MAX) {
        log::info(note);
    }
    if loaded.notes.len() > NOTES_MAX {
        let more = loaded.notes.len() - NOTES_MAX;
        log::info(format!("and {more} more of these; `portcullis waf check` shows all of them"));
    }
    if let Some(path) = &loaded.engine.settings().audit_log
        && !has_audit_log
    {
        log::warn(format!(
            "SecAuditLog names {path}: to have it written, write audit_log = \"{path}\" in the plugin's config"
        ));
    }
}

portcullis_sdk::export!(Waf);

#[cfg(test)]
mod tests;
