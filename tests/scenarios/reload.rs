//! Hot reload.
//!
//! - no failed exchange, whatever changes under load: [`load`]
//! - what did not change is kept (WebSockets, pools, health), what is gone drains to its end or to the deadline: [`kept`]
//! - listeners, certificates, logs and names are replaced while others serve on: [`parts`]
//! - a mistake keeps the old configuration: [`mistakes`]
//! - files renamed, overwritten, behind links, in a folder, SIGHUP and `portcullis reload`: [`files`]
//! - generation numbers, and the line that says what changed: [`said`]

mod files;
mod kept;
mod load;
mod mistakes;
mod parts;
mod said;
