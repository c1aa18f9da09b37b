//! Lines for the operator. Grant: `log`.
//!
//! What is over 4 KiB is cut off; more than 100 lines a second, of all instances together, are dropped and counted.

use super::imports::log;
pub use crate::bindings::portcullis::filter::log::Level;

/// Writes a line.
pub fn write(level: Level, message: &str) {
    log::write(level, message);
}

/// For the author.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

/// What happened.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

/// What should be looked at.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

/// What is broken.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}

/// From now on a panic writes its message and place as an error before it traps. To be called in
/// [`configure`](crate::Plugin::configure). It is not the default because it makes the module import `log`, for which the operator then
/// must give the grant.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| write(Level::Error, &panic.to_string())));
}
