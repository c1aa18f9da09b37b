//! What the engine decides, compared with what others' test suites say it must. The suites are the shared test data; without them
//! these tests say so and pass.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod backend;
mod corpus;
mod crs;
mod debug_log;
mod differential;
mod exceptions;
mod ftw;
mod regression;
mod support;
