//! DNS.
//!
//! - nameservers by zone (several, with port, UDP then TCP), every A and AAAA an endpoint, SRV for ports, static hosts, names as platforms give
//!   them, the system's resolver, no leak to the public resolver, what public names may not lead to: [`zones`]
//! - TTL followed with floor and ceiling, a new look-up when connecting fails, the last good answer with its age, negative
//!   caching, starting without an answer, Happy Eyeballs: [`changes`]
//! - the same under load, with unbound as the nameserver: [`load`]

mod changes;
mod load;
mod zones;

use std::net::{IpAddr, SocketAddr};

use portcullis_tests::{
    nameserver::Nameserver,
    origin::Origin,
    port::Port,
    proxy::{Plan, Proxy},
};
use serde_json::Value;

use crate::ground::loopback;

/// A plain listener in front of the name `app.internal`, in a zone of its own, at the port `@port@`.
const TEXT: &str = r#"
[server]
workers = 1

[[listener]]
name = "http"
address = "127.0.0.1:@http@"

[[route]]
backend = "app"

[backend.app]
endpoints = ["http://app.internal:@port@"]

[[dns.zone]]
suffix = "internal"
nameservers = ["@nameserver@"]

[dns]
negative_ceiling = "1s"
time = "500ms"
"#;

/// The name in [`TEXT`].
const NAME: &str = "app.internal";

/// Origins at the same port of several addresses, named `o` and the last number of the address.
async fn origins(port: &Port, addresses: &[IpAddr]) -> Vec<Origin> {
    let mut origins = Vec::new();
    for address in addresses {
        let name = match address {
            IpAddr::V4(address) => format!("o{}", address.octets()[3]),
            IpAddr::V6(_) => "six".to_owned(),
        };
        origins.push(Origin::plan(&name).at(SocketAddr::new(*address, port.number())).start().await);
    }
    origins
}

/// `127.0.0.n` for each.
fn loopbacks<const N: usize>(numbers: [u8; N]) -> [IpAddr; N] {
    numbers.map(loopback)
}

/// [`TEXT`] with `change` done to it.
async fn proxy(text: &str, nameserver: &Nameserver, port: &Port) -> Proxy {
    Plan::new(text).set("nameserver", nameserver.address()).set("port", port.number()).start().await
}

/// What `portcullis dns NAME` says.
async fn dns(proxy: &Proxy, name: &str) -> Value {
    let finished = proxy.command(&["dns", name, "--json"]).await;
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

/// The addresses of an answer.
fn addresses(answer: &Value) -> Vec<String> {
    let records = answer["records"].as_array().unwrap();
    records.iter().map(|record| record["address"].as_str().unwrap().to_owned()).collect()
}
