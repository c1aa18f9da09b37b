//! Sets, appends and removes header fields of requests and responses, with presets of the security headers that browsers honour.
//!
//! Everything is decided when the configuration is loaded; an exchange costs a copy of the prepared edits.

mod config;
mod edits;
mod security;

use portcullis_sdk::{Plugin, RequestHead, ResponseHead, Verdict, Wants};

use self::{config::Config, edits::Changes};

/// The plugin.
pub struct Headers {
    request: Changes,
    response: Changes,
    /// `strict-transport-security`, which must not be sent over plain HTTP (RFC 6797 section 7.2).
    transport: Option<Changes>,
}

/// What is remembered of the request.
#[derive(Default)]
pub struct Exchange {
    https: bool,
}

impl Plugin for Headers {
    type Config = Config;
    type Exchange = Exchange;

    fn configure(config: Config) -> Result<Self, String> {
        let keep = config.keep()?;
        let mut security = security::fields(&config)?;
        let transport =
            security.iter().position(|field| field.name == security::TRANSPORT).map(|at| security.remove(at));
        let mut response = Changes::new("response", config.response)?;
        response.begin_with(security, security::removed(config.preset), &keep);
        let transport = transport.map(|field| {
            let mut changes = Changes::default();
            changes.begin_with(vec![field], Vec::new(), &keep);
            changes
        });
        Ok(Self { request: Changes::new("request", config.request)?, response, transport })
    }

    fn wants(&self) -> Wants {
        let mut wants = Wants::new();
        if !self.request.is_empty() || self.transport.is_some() {
            wants = wants.request_head();
        }
        if !self.response.is_empty() || self.transport.is_some() {
            wants = wants.response_head();
        }
        wants
    }

    fn request_head(&self, exchange: &mut Exchange, head: &RequestHead) -> Verdict {
        exchange.https = head.https;
        self.request.edits(&head.fields).into()
    }

    fn response_head(&self, exchange: &mut Exchange, head: &ResponseHead) -> Verdict {
        let mut edits = self.response.edits(&head.fields);
        if let Some(transport) = self.transport.as_ref().filter(|_| exchange.https) {
            // First, so that what the configuration names itself has the last word.
            let mut all = transport.edits(&head.fields);
            all.fields.append(&mut edits.fields);
            edits = all;
        }
        edits.into()
    }
}

portcullis_sdk::export!(Headers);

#[cfg(test)]
mod tests;
