//! Asks for a JSON Web Token (RFC 7519) signed by a known key, checks what it says, and hands its claims to the backend.

mod algorithm;
mod claims;
mod jwk;
mod key;
mod refusal;
mod remote;
mod settings;
mod source;
mod token;
mod verified;

use claims::Claims;
use portcullis_sdk::{Edits, Plugin, RequestHead, Verdict, Wants, clock};
use refusal::Refusal;
use settings::{Config, Settings, media_type};
use token::Token;
use verified::Verified;

/// Keys tried for one token, at most. Only tokens without `kid` come to more than one or two.
const TRIES: usize = 8;

/// The plugin, configured.
pub struct Jwt {
    settings: Settings,
    scopes: String,
    verified: Verified,
}

impl Plugin for Jwt {
    type Config = Config;
    type Exchange = ();

    fn configure(config: Config) -> Result<Self, String> {
        let settings = Settings::try_from(config)?;
        let scopes = settings.rules.scopes.join(" ");
        Ok(Self { settings, scopes, verified: Verified::new() })
    }

    fn wants(&self) -> Wants {
        Wants::new().request_head()
    }

    fn request_head(&self, _: &mut (), head: &RequestHead) -> Verdict {
        match self.check(head) {
            Ok(edits) => edits.into(),
            Err(refusal) => refusal.response(&self.settings.challenge, &self.scopes).into(),
        }
    }
}

impl Jwt {
    fn check(&self, head: &RequestHead) -> Result<Edits, Refusal> {
        let Settings { from, strip, optional, .. } = &self.settings;
        let claims = match source::token(from, head)? {
            Some(text) => self.claims(text)?,
            None if *optional => Claims::new(),
            None => return Err(Refusal::Missing),
        };
        let edits = self.forward(head, &claims)?;
        Ok(if *strip { source::strip(from, head, edits) } else { edits })
    }

    /// The claims of a token that holds in every respect.
    fn claims(&self, text: &str) -> Result<Claims, Refusal> {
        let now = clock::now();
        let token = Token::parse(text).map_err(Refusal::Token)?;
        if self.settings.algorithms.as_ref().is_some_and(|taken| !taken.contains(&token.algorithm)) {
            return Err(Refusal::Token("the token's algorithm is not taken"));
        }
        let kind = token.kind.as_deref().map(media_type);
        if !self.settings.types.is_empty() && !kind.is_some_and(|kind| self.settings.types.contains(&kind)) {
            return Err(Refusal::Token("the token is of another type"));
        }
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        if !self.is_signed(text, &token, now_ms)? {
            return Err(Refusal::Token("the token's signature does not hold"));
        }
        let claims = token.claims().map_err(Refusal::Token)?;
        self.settings.rules.check(&claims, now.as_secs_f64())?;
        Ok(claims)
    }

    fn is_signed(&self, text: &str, token: &Token<'_>, now: u64) -> Result<bool, Refusal> {
        let known = verified::Token::of(text);
        let fits = |key: &key::Key| key.fits(token.algorithm, token.key_id.as_deref());
        let signed = |keys: &[key::Key], number: u64| {
            let good = self.verified.has(known, number)
                || keys.iter().filter(|key| fits(key)).take(TRIES).any(|key| token.is_signed_by(key));
            if good {
                self.verified.remember(known, number);
            }
            good
        };
        if signed(&self.settings.keys, 0) {
            return Ok(true);
        }
        match &self.settings.remote {
            None => Ok(false),
            // A key that is gone from the set signs nothing any more: every set that was fetched is another one.
            Some(remote) => remote.keys(now, fits).map(|set| signed(&set.keys, set.fetched)).ok_or(Refusal::NoKeys),
        }
    }

    /// Puts claims into fields, in place of whatever the client wrote there.
    fn forward(&self, head: &RequestHead, claims: &Claims) -> Result<Edits, Refusal> {
        let mut edits = Edits::new();
        for (name, claim) in &self.settings.forward {
            edits = name.vouch(claims::field(claims, claim)?, head, edits);
        }
        Ok(edits)
    }
}

portcullis_sdk::export!(Jwt);

#[cfg(test)]
mod tests;
