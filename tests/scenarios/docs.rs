//! What the documentation shows is true.
//!
//! - [`pages`]: configurations load, commands exist and run, links lead somewhere, every key is described
//! - [`waf`]: the commands of the WAF's page, in its own example
//! - [`demo`]: `portcullis demo`, as its own lines say

mod demo;
mod pages;
mod waf;
