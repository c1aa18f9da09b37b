//! Routes.
//!
//! - match on SNI, host, path, method, header, query, client network: [`matching`]
//! - the most specific wins, `priority` overrides, a tie is an error naming both lines: [`ranking`]
//! - path normalisation for matching, with the raw target kept: [`paths`]
//! - forward with weights, redirect, fixed response, passthrough ([`super::listeners`]): [`actions`]
//! - edits: [`edits`]
//! - ten thousand hosts: [`many`]

mod actions;
mod edits;
mod many;
mod matching;
mod paths;
mod ranking;

use portcullis_tests::{
    client::http::{Connection, request},
    proxy::{Plan, Proxy},
};

/// A plain listener with these routes, which answer themselves.
async fn routes(routes: &str) -> Proxy {
    Plan::new(format!("[[listener]]\nname = \"http\"\naddress = \"127.0.0.1:@http@\"\n{routes}")).start().await
}

/// A route that answers with its name. `matches` are its other lines.
fn route(name: &str, matches: &str) -> String {
    format!("[[route]]\nname = \"{name}\"\n{matches}\nrespond = {{ status = 200, body = \"{name}\" }}\n")
}

/// The name of the route that answers, or the status where none does.
async fn answers(client: &Connection, host: &str, target: &str) -> String {
    answers_to(client, "GET", host, target, &[]).await
}

async fn answers_to(
    client: &Connection,
    method: &str,
    host: &str,
    target: &str,
    fields: &[(&'static str, &str)],
) -> String {
    let mut ask = request(method, host, target);
    for (name, value) in fields {
        ask.headers_mut().append(*name, value.parse().unwrap());
    }
    let answer = client.fetch(ask).await;
    if answer.status == 200 { answer.text() } else { answer.status.to_string() }
}
