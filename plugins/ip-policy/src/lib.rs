//! Lets exchanges pass, or not, by the client's address.
//!
//! The address is the one that the proxy vouches for (`connection.client`: after PROXY protocol and trusted forwarders), never a field
//! that the client wrote.

mod policy;

use policy::{Access, Policy};
use portcullis_sdk::{Plugin, RequestHead, Response, Verdict, Wants, connection, log, settings::Network};
use serde::Deserialize;

/// The plugin's table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    allow: Vec<Network>,
    #[serde(default)]
    deny: Vec<Network>,
    default: Option<Access>,
    #[serde(default = "forbidden")]
    status: u16,
    #[serde(default)]
    body: String,
    #[serde(default = "plain_text")]
    content_type: String,
    #[serde(default)]
    close: bool,
    #[serde(default)]
    dry_run: bool,
}

fn forbidden() -> u16 {
    403
}

fn plain_text() -> String {
    "text/plain; charset=utf-8".to_owned()
}

/// The plugin, configured.
pub struct IpPolicy {
    policy: Policy,
    denied: Verdict,
    dry_run: bool,
}

impl Plugin for IpPolicy {
    type Config = Config;
    type Exchange = ();

    fn configure(config: Config) -> Result<Self, String> {
        let policy = Policy::new(&config.allow, &config.deny, config.default)?;
        if !(400..=599).contains(&config.status) {
            return Err(format!("`status` is {}: write one from 400 to 599", config.status));
        }
        if config.content_type.is_empty() || config.content_type.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
            return Err("`content_type` is no media type: write one like \"text/html\"".to_owned());
        }
        let denied = if config.close {
            Verdict::Close
        } else {
            let response = Response::new(config.status).field("cache-control", "no-store");
            Verdict::Respond(match config.body.as_str() {
                "" => response,
                body => response.field("content-type", config.content_type.as_str()).body(body),
            })
        };
        Ok(Self { policy, denied, dry_run: config.dry_run })
    }

    fn wants(&self) -> Wants {
        Wants::new().request_head()
    }

    fn request_head(&self, _: &mut (), head: &RequestHead) -> Verdict {
        let facts = connection::get();
        match self.policy.access(facts.client_address()) {
            Access::Allow => Verdict::Continue,
            Access::Deny if self.dry_run => {
                let request = format_args!("{} {}{}", head.method, head.authority, head.target);
                log::info(format!("dry run: {} would be denied: {request}", facts.client));
                Verdict::Continue
            }
            Access::Deny => self.denied.clone(),
        }
    }
}

portcullis_sdk::export!(IpPolicy);

#[cfg(test)]
mod tests;
