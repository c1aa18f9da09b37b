//! Attacks through what the host offers.

use std::hint::black_box;

use crate::{
    config::Attack,
    portcullis::filter::{connection, http, key_value, log, metrics, random},
};

pub fn run(attack: &Attack) {
    match attack {
        Attack::Keys { count, bytes } => {
            let value = vec![b'v'; *bytes];
            for i in 0..*count {
                let _ = black_box(key_value::set(&format!("key-{i}"), &value, None));
            }
        }
        Attack::Add { count } => {
            for _ in 0..*count {
                let _ = black_box(key_value::add("sum", 1, None));
            }
        }
        Attack::Lines { count, bytes } => {
            let line = "l".repeat(*bytes);
            (0..*count).for_each(|_| log::write(log::Level::Error, &line));
        }
        Attack::Names { count } => (0..*count).for_each(|i| metrics::count(&format!("name_{i}"), 1)),
        Attack::Random { bytes } => {
            black_box(random::bytes(*bytes));
        }
        Attack::Requests { backend, count, timeout_ms } => {
            for _ in 0..*count {
                let request = http::Request {
                    backend: backend.clone(),
                    method: "GET".into(),
                    target: "/".into(),
                    fields: vec![],
                    body: vec![],
                    timeout_ms: *timeout_ms,
                };
                let _ = black_box(http::send(&request));
            }
        }
        Attack::Facts => {
            black_box(connection::get());
        }
        _ => {}
    }
}
