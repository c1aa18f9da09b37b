//! Who passes.

use std::net::IpAddr;

use portcullis_sdk::{RequestHead, check_name, settings::Network};
use subtle::ConstantTimeEq;

use crate::config::{Allow, Secret};

/// The shortest secret: 16 letters and digits are more than anybody tries over a network.
const SHORTEST: usize = 16;

pub(crate) struct Pass {
    allow: Allow,
}

impl Pass {
    pub(crate) fn new(allow: Allow) -> Result<Self, String> {
        for (key, secret) in [("header", &allow.header), ("cookie", &allow.cookie)] {
            let Some(Secret { name, value }) = secret else { continue };
            check_name(name).map_err(|why| format!("allow.{key}.name: {why}"))?;
            if value.len() < SHORTEST
                || !value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\";,\\".contains(&byte))
            {
                return Err(format!(
                    "allow.{key}.value: it is a password: write at least {SHORTEST} letters, digits or signs other than \" ; , \\"
                ));
            }
        }
        for path in &allow.paths {
            if !path.starts_with('/') || path.contains(['*', '?', '#']) {
                return Err(format!(
                    "allow.paths: {path:?} is no path: write \"/healthz\" for just that one, or \"/static/\" for all below it"
                ));
            }
        }
        Ok(Self { allow })
    }

    /// Whether the path is among those that pass: as it is, or below one that ends with `/`.
    ///
    /// A path that the backend may read as another one (`/static/../admin`, `/static/%2e%2e/admin`) does not pass.
    pub(crate) fn by_path(&self, path: &str) -> bool {
        let listed = self
            .allow
            .paths
            .iter()
            .any(|allowed| path == allowed || (allowed.ends_with('/') && path.starts_with(allowed.as_str())));
        listed && plain(path)
    }

    pub(crate) fn by_header(&self, head: &RequestHead) -> bool {
        self.allow.header.as_ref().is_some_and(|secret| {
            // Exactly one: who sends several is guessing.
            let mut values = head.all(&secret.name);
            values.next().is_some_and(|value| same(value, &secret.value)) && values.next().is_none()
        })
    }

    /// The name of the field that opens; empty when there is none.
    pub(crate) fn header_name(&self) -> &str {
        self.allow.header.as_ref().map_or("", |secret| &secret.name)
    }

    pub(crate) fn by_cookie(&self, head: &RequestHead) -> bool {
        let secret = self.allow.cookie.as_ref();
        secret
            .is_some_and(|secret| head.cookie(&secret.name).is_some_and(|value| same(value.as_bytes(), &secret.value)))
    }

    /// Whether the client's address is needed at all.
    pub(crate) fn has_networks(&self) -> bool {
        !self.allow.networks.is_empty()
    }

    pub(crate) fn by_network(&self, client: IpAddr) -> bool {
        self.allow.networks.iter().any(|network: &Network| network.contains(client))
    }
}

/// In constant time, so that the secret cannot be guessed letter by letter.
fn same(given: &[u8], secret: &str) -> bool {
    given.ct_eq(secret.as_bytes()).into()
}

/// Whether a path means what it says: no dot segments, however written, no backslashes, no empty segments.
fn plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    !["%2e", "%2f", "%5c", "\\", "//", ";"].iter().any(|odd| lower.contains(odd))
        && !lower.split('/').any(|segment| segment == "." || segment == "..")
}
