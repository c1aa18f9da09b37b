//! What the proxy says: its access log as JSON, its error log as text.

use serde_json::Value;

use super::Proxy;
use crate::scenario::eventually;

impl Proxy {
    /// The access log so far.
    pub fn access_log(&self) -> String {
        read(self, "access.log")
    }

    /// The error log so far.
    pub fn error_log(&self) -> String {
        read(self, "error.log")
    }

    /// The whole lines of the access log so far.
    ///
    /// # Panics
    /// When one is not JSON.
    pub fn log_lines(&self) -> Vec<Value> {
        lines(&self.access_log())
    }

    /// Waits for the first access line that `wanted` holds for.
    ///
    /// # Panics
    /// When there is none soon.
    pub async fn log_line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("the access log has the line", async || self.log_lines().into_iter().find(|line| wanted(line))).await
    }

    /// Waits for the access line of the request for `target`.
    ///
    /// # Panics
    /// When there is none soon.
    pub async fn log_of(&self, target: &str) -> Value {
        self.log_line(|line| line["target"] == target).await
    }

    /// Waits until the error log holds `text`, and gives the line.
    ///
    /// # Panics
    /// When it does not soon.
    pub async fn says(&self, text: &str) -> String {
        eventually(&format!("the error log says {text:?}"), async || {
            self.error_log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
        .await
    }
}

/// The whole lines of an access log.
///
/// # Panics
/// When one is not JSON.
fn lines(log: &str) -> Vec<Value> {
    log.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the access line {line}")))
        .collect()
}

fn read(proxy: &Proxy, name: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(proxy.folder().join(name)).unwrap_or_default()).into_owned()
}
