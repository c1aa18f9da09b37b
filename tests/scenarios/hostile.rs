//! Plugins that attack, in the way of real exchanges.
//!
//! - [`attacks`]: an attack ends as `on_failure` says, in each phase, and nothing else notices
//! - [`beside`]: others are served while guests spin; a plugin that keeps failing is suspended, and comes back
//! - [`lasting`]: a reload and the end of the process do not wait for guests, and failures leave nothing in memory
//!
//! The guest is `hostile` of `tests/guests`. Its attacks one by one are tests of the host (`proxy/plugin/tests`).

mod attacks;
mod beside;
mod lasting;

use portcullis_tests::{
    client::http::{Answer, Connection, Failure, request_with_body},
    origin::{Origin, stock},
    proxy::{Plan, Proxy},
};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::plugins::guest;

const HOST: &str = "a.example";

/// One worker, so that whatever holds it up holds up everybody.
const GROUND: &str = r#"
[server]
workers = 1
drain = "3s"

[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[route]]
name = "other"
backend = "app"

[backend.app]
endpoints = ["http://@origin@"]

[backend.silent]
endpoints = ["http://@silent@"]

"#;

/// Little time, so that attacks end soon, and a long wait, because the machine may be busy.
const LIMITS: &str = "memory = '16MiB', time = '20ms', wait = '2s', instances = 16";

/// What is behind the proxy: an origin, and one that takes connections and says nothing.
struct Behind {
    origin: Origin,
    silent: TcpListener,
}

impl Behind {
    async fn start() -> Self {
        Self { origin: Origin::start().await, silent: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// A proxy with these plugins (see [`plugin`]).
    async fn proxy(&self, plugins: &str) -> Proxy {
        let silent = self.silent.local_addr().unwrap();
        Plan::new(text(plugins)).set("origin", self.origin.address()).set("silent", silent).start().await
    }
}

fn text(plugins: &str) -> String {
    format!("{GROUND}{plugins}")
}

/// The plugin `name`, and a route of this name to it: everything below `/name` passes it. `attack` is the inside of the table that
/// the guest is configured with.
fn plugin(name: &str, on_failure: &str, limits: &str, attack: &str) -> String {
    let module = guest("hostile");
    format!(
        "[plugin.{name}]\nmodule = \"{module}\"\non_failure = \"{on_failure}\"\nlimits = {{ {limits} }}\n\
         grants = {{ log = true, metrics = true, clock = true, random = true, key_value = true, http = [\"silent\"] }}\n\
         config = {{ {attack} }}\n\
         [[route]]\nname = \"{name}\"\npath = \"/{name}\"\nbackend = \"app\"\nplugins = [\"{name}\"]\n\n"
    )
}

/// [`plugin`], whose guest attacks only exchanges below `/name/attack`.
fn at_times(name: &str, on_failure: &str, limits: &str, attack: &str) -> String {
    plugin(name, on_failure, limits, &format!("only = '/{name}/attack', {attack}"))
}

async fn try_post(proxy: &Proxy, target: &str) -> Result<Answer, Failure> {
    let request = request_with_body("POST", HOST, target, stock::full("a body"));
    Connection::h1(proxy.address("http")).await.try_fetch(request).await
}

async fn post(proxy: &Proxy, target: &str) -> Answer {
    try_post(proxy, target).await.unwrap_or_else(|error| panic!("{target}: {error}"))
}

/// A plugin's part of the status.
async fn health(proxy: &Proxy, name: &str) -> Value {
    let status = proxy.status().await;
    let plugins = status["plugins"].as_array().unwrap_or_else(|| panic!("no plugins in {status}"));
    plugins.iter().find(|plugin| plugin["name"] == name).unwrap_or_else(|| panic!("no {name} in {status}")).clone()
}
