//! An engine for SecLang, the rule language of ModSecurity.
//!
//! Rules are loaded once ([`seclang`]) into a [`model::RuleSet`], compiled once into a [`plan::Plan`], and judge any number of
//! [`transaction::Transaction`]s: one request with its response, in five phases.
//!
//! An ordinary library: no files, no clock, no sockets. What it needs of the world it asks of [`world::Files`] while loading and
//! of [`world::World`] while judging.

pub mod body;
pub mod bytes;
pub mod model;
pub mod needs;
pub mod operator;
pub mod pattern;
pub mod plan;
pub mod request;
pub mod seclang;
pub mod template;
pub mod transaction;
pub mod transform;
pub mod trial;
pub mod world;
