//! Backends.
//!
//! - endpoints by IP or name, round-robin, weighted, least-requests, power-of-two-choices: [`balancing`]
//! - pools: keep-alive limits, idle time, HTTP/2 multiplexing, a bound on connections: [`pools`]
//! - connect, first-byte, idle and total time limits: [`times`]
//! - passive health, all endpoints down, endpoints that leave are drained: [`health`]
//! - retries only when safe, on another endpoint: [`retries`]

mod balancing;
mod health;
mod pools;
mod retries;
mod times;

use portcullis_tests::{
    origin::Origin,
    proxy::{Plan, Proxy},
};

/// A plain listener in front of one backend with these lines; `@a@`, `@b@` and so on are the origins' addresses.
async fn backend(lines: &str, origins: &[&Origin]) -> Proxy {
    plan(lines, origins).start().await
}

fn plan(lines: &str, origins: &[&Origin]) -> Plan {
    let mut plan = Plan::new(text(lines));
    for (origin, name) in origins.iter().zip(["a", "b", "c", "d"]) {
        plan = plan.set(name, origin.address());
    }
    plan
}

fn text(lines: &str) -> String {
    format!(
        "[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n[[route]]\nbackend = \"app\"\n[backend.app]\n{lines}\n"
    )
}
