//! A guest that misbehaves, as its configuration says: `{"phase": "request_head", "do": "spin"}`.
//!
//! `only` restricts that to exchanges whose target begins with it, so that others pass the same instances in peace: then
//! the head of the request is wanted too. `bodies` says how bodies are wanted where the phase is one of a body.

mod answers;
mod attack;
mod calls;
mod config;

use std::{cell::Cell, sync::OnceLock};

use exports::portcullis::filter::filter::{Declaration, Guest, GuestExchange, RequestHead, ResponseHead, Summary};
use portcullis::filter::types::{BodyEnd, Verdict};

use self::config::{Config, Phase};

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

static CONFIG: OnceLock<Config> = OnceLock::new();

struct Hostile;

struct Exchange {
    /// Whether this exchange is one that is to be attacked.
    meant: Cell<bool>,
}

impl Guest for Hostile {
    type Exchange = Exchange;

    fn configure(config: String) -> Result<Declaration, String> {
        let config: Config = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        let declaration = config.declaration();
        let attacks = config.phase == Phase::Configure;
        let _ = CONFIG.set(config);
        if attacks {
            attack::run(CONFIG.get().map(|config| &config.attack));
        }
        Ok(declaration)
    }
}

impl GuestExchange for Exchange {
    fn new() -> Self {
        let is_everybody = CONFIG.get().is_some_and(|config| config.only.is_none());
        let exchange = Self { meant: Cell::new(is_everybody) };
        exchange.reached(Phase::Constructor);
        exchange
    }

    fn request_head(&self, head: RequestHead) -> Verdict {
        if let Some(only) = CONFIG.get().and_then(|config| config.only.as_deref()) {
            self.meant.set(head.target.starts_with(only));
        }
        self.reached(Phase::RequestHead)
    }

    fn request_body(&self, _: Vec<u8>, _: Option<BodyEnd>) -> Verdict {
        self.reached(Phase::RequestBody)
    }

    fn response_head(&self, _: ResponseHead) -> Verdict {
        self.reached(Phase::ResponseHead)
    }

    fn response_body(&self, _: Vec<u8>, _: Option<BodyEnd>) -> Verdict {
        self.reached(Phase::ResponseBody)
    }

    fn log(&self, _: Summary) {
        self.reached(Phase::Log);
    }
}

impl Exchange {
    fn reached(&self, phase: Phase) -> Verdict {
        match CONFIG.get() {
            Some(config) if config.phase == phase && self.meant.get() => attack::run(Some(&config.attack)),
            _ => Verdict::Continue,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.reached(Phase::Drop);
    }
}

export!(Hostile);
