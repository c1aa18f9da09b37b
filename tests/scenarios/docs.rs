//! What the documentation shows is true.
//!
//! - [`pages`]: configurations load, commands exist and run, links lead somewhere, every key is described
//! - [`demo`]: `portcullis demo`, as its own lines say

mod demo;
mod pages;
