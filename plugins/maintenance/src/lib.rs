//! Answers every request with a maintenance page, but those of the people who do the maintenance.

mod accept;
mod config;
mod page;
mod pass;

use portcullis_sdk::{Edits, Plugin, RequestHead, Response, Verdict, Wants, connection};

pub use self::config::Config;

use self::{page::Pages, pass::Pass};

/// The plugin.
pub struct Maintenance {
    enabled: bool,
    pages: Pages,
    pass: Pass,
}

impl Plugin for Maintenance {
    type Config = Config;
    type Exchange = ();

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self { enabled: config.enabled, pages: Pages::new(&config)?, pass: Pass::new(config.allow)? })
    }

    fn wants(&self) -> Wants {
        // Switched off, it costs nothing at all.
        if self.enabled { Wants::new().request_head() } else { Wants::new() }
    }

    fn request_head(&self, _: &mut (), head: &RequestHead) -> Verdict {
        if self.pass.by_header(head) {
            // The secret has done its work, and is none of the backend's business.
            return Edits::new().remove(self.pass.header_name()).into();
        }
        if self.pass.by_path(head.path()) || self.pass.by_cookie(head) {
            return Verdict::Continue;
        }
        if self.pass.has_networks() && self.pass.by_network(connection::get().client_address()) {
            return Verdict::Continue;
        }
        let response: Response = self.pages.response(head);
        response.into()
    }
}

portcullis_sdk::export!(Maintenance);

#[cfg(test)]
mod tests;
