//! What an author implements.

use serde::{Deserialize, de::DeserializeOwned};

use crate::{BodyEnd, RequestHead, ResponseHead, Summary, Verdict, Wants};

/// A plugin, configured. Phases have a default that goes on unchanged, and are called only when [`wants`](Plugin::wants) says so.
///
/// `&self` is what [`configure`](Plugin::configure) made: it is built once, and instances start from its image. What belongs to
/// one exchange goes into [`Exchange`](Plugin::Exchange), so that nothing crosses from one client to another.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The plugin's table of the configuration. Refuse unknown keys with `#[serde(deny_unknown_fields)]`: a misspelt key must not
    /// pass in silence. [`NoConfig`] is a table without keys.
    type Config: DeserializeOwned;

    /// The state of one exchange, made new before its first phase and dropped after its last.
    type Exchange: Default;

    /// Checks the configuration and prepares what is expensive: parse, compile, build tables. [`key_value`](crate::key_value) and
    /// [`http`](crate::http) are not available yet, and [`clock`](crate::clock) and [`random`](crate::random) give what is then
    /// frozen for all instances.
    ///
    /// # Errors
    /// One sentence for the operator, naming the key that is wrong and what to write instead. The configuration is refused with it.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// The phases and body modes wanted. Asked once, after `configure`.
    fn wants(&self) -> Wants;

    /// The request's head has arrived.
    fn request_head(&self, exchange: &mut Self::Exchange, head: &RequestHead) -> Verdict {
        let _ = (exchange, head);
        Verdict::Continue
    }

    /// A piece of the request's body, or all of it when the plugin holds it. `end` comes with the last piece, which may be empty.
    fn request_body(&self, exchange: &mut Self::Exchange, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        let _ = (exchange, data, end);
        Verdict::Continue
    }

    /// The response's head, of the backend, the route, or a plugin further in.
    fn response_head(&self, exchange: &mut Self::Exchange, head: &ResponseHead) -> Verdict {
        let _ = (exchange, head);
        Verdict::Continue
    }

    /// A piece of the response's body, or all of it when the plugin holds it. `end` comes with the last piece, which may be empty.
    fn response_body(&self, exchange: &mut Self::Exchange, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        let _ = (exchange, data, end);
        Verdict::Continue
    }

    /// The exchange has ended. Nobody waits for this.
    fn log(&self, exchange: &mut Self::Exchange, summary: &Summary) {
        let _ = (exchange, summary);
    }
}

/// The configuration of a plugin that has none: every key is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a plugin's table and configures it.
///
/// # Errors
/// A sentence for the operator that begins with the key, where there is one.
pub(crate) fn configure<P: Plugin>(config: &str) -> Result<P, String> {
    let mut json = serde_json::Deserializer::from_str(config);
    let config = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        // Line and column are of the JSON text, which the operator never sees.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        if path == "." { message.to_owned() } else { format!("{path}: {message}") }
    })?;
    P::configure(config)
}
