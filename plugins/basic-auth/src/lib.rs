//! Asks for a user name and a password (HTTP Basic, RFC 7617).
//!
//! Hashes of passwords are slow on purpose, so a password that was good is remembered for a while, and a client that sends too many bad ones is
//! not listened to for a while.

mod credentials;
mod hash;
mod users;

use std::time::Duration;

use credentials::Credentials;
use portcullis_sdk::{
    Edits, Plugin, RequestHead, Response, Verdict, Wants, connection, key_value,
    settings::{FieldName, Millis, Network},
};
use serde::Deserialize;
use users::Users;

/// The plugin's table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    htpasswd: String,
    #[serde(default = "restricted")]
    realm: String,
    #[serde(default = "five_minutes")]
    remember: Millis,
    #[serde(default = "twenty")]
    attempts: u32,
    #[serde(default = "one_minute")]
    attempts_window: Millis,
    forward: Option<FieldName>,
    #[serde(default)]
    keep: bool,
}

/// The plugin, configured.
#[derive(Debug)]
pub struct BasicAuth {
    users: Users,
    challenge: String,
    remember: Duration,
    attempts: i64,
    attempts_window: Duration,
    forward: Option<FieldName>,
    keep: bool,
}

/// What a password was.
enum Outcome {
    Good,
    Bad,
    /// The client has sent too many bad ones; this one was not looked at.
    TooMany,
}

impl Plugin for BasicAuth {
    type Config = Config;
    type Exchange = ();

    fn configure(config: Config) -> Result<Self, String> {
        let users = config.users.iter().enumerate().map(|(at, line)| (format!("`users[{at}]`"), line.as_str()));
        let lines = config.htpasswd.lines().enumerate();
        let lines = lines.map(|(at, line)| (format!("`htpasswd`, line {}", at + 1), line));
        let users = Users::parse(users.chain(lines))?;
        if config.realm.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\') {
            return Err("`realm` must be ASCII without quotes and backslashes".to_owned());
        }
        if config.attempts > 0 && config.attempts_window.0 < 1000 {
            return Err("`attempts_window` must be at least \"1s\"; attempts = 0 switches it off".to_owned());
        }
        Ok(Self {
            users,
            challenge: format!("Basic realm=\"{}\", charset=\"UTF-8\"", config.realm),
            remember: Duration::from_millis(config.remember.0),
            attempts: config.attempts.into(),
            attempts_window: Duration::from_millis(config.attempts_window.0),
            forward: config.forward,
            keep: config.keep,
        })
    }

    fn wants(&self) -> Wants {
        Wants::new().request_head()
    }

    fn request_head(&self, _: &mut (), head: &RequestHead) -> Verdict {
        let Some(credentials) = Credentials::of(head) else { return self.ask().into() };
        match self.check(&credentials) {
            Outcome::Good => self.let_in(&credentials.name, head),
            Outcome::Bad => self.ask().into(),
            Outcome::TooMany => {
                let seconds = self.attempts_window.as_millis().div_ceil(1000).to_string();
                Response::new(429).field("retry-after", seconds).field("cache-control", "no-store").into()
            }
        }
    }
}

impl BasicAuth {
    fn check(&self, Credentials { name, password }: &Credentials) -> Outcome {
        let user = self.users.find(name);
        let memory = user.filter(|_| !self.remember.is_zero()).map(|user| user.memory(password));
        // What is not remembered, for whatever reason, is computed.
        if memory.as_ref().is_some_and(|memory| matches!(key_value::get(memory), Ok(Some(_)))) {
            return Outcome::Good;
        }
        let client = format!("bad/{}", Network::of_client(connection::get().client_address(), 64));
        if self.attempts > 0 && bad_attempts(&client) >= self.attempts {
            return Outcome::TooMany;
        }
        let good = match user {
            Some(user) => user.hash.matches(password),
            None => {
                self.users.waste(password);
                false
            }
        };
        if good {
            if let Some(memory) = memory {
                let _ = key_value::set(&memory, b"", Some(self.remember));
            }
            return Outcome::Good;
        }
        if self.attempts > 0 {
            let _ = key_value::add(&client, 1, Some(self.attempts_window));
        }
        Outcome::Bad
    }

    fn ask(&self) -> Response {
        Response::new(401).field("www-authenticate", self.challenge.as_str()).field("cache-control", "no-store")
    }

    fn let_in(&self, name: &str, head: &RequestHead) -> Verdict {
        let mut edits = Edits::new();
        if !self.keep {
            edits = edits.remove("authorization");
        }
        if let Some(field) = &self.forward {
            edits = field.vouch(Some(name), head, edits);
        }
        edits.into()
    }
}

/// How many bad passwords a client has sent lately.
fn bad_attempts(key: &str) -> i64 {
    let value = key_value::get(key).ok().flatten();
    value.and_then(|value| String::from_utf8(value).ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn restricted() -> String {
    "restricted".to_owned()
}

fn five_minutes() -> Millis {
    Millis(300_000)
}

fn one_minute() -> Millis {
    Millis(60_000)
}

fn twenty() -> u32 {
    20
}

portcullis_sdk::export!(BasicAuth);

#[cfg(test)]
mod tests;
