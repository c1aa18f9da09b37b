//! Files of the operator's, in [`configure`](crate::Plugin::configure) only. Grant: `files = ["/folder/"]`, or the keys of the plugin's own
//! table that its manifest declares: `files = ["rules"]` in `plugin.toml`.
//!
//! What was read is watched: when it changes, the plugin is configured anew.

use super::imports::files;
pub use crate::bindings::portcullis::filter::files::Error;

/// The whole file. A relative path begins at the configuration's folder. Links are followed, and where they end must be granted.
///
/// # Errors
/// Why there is none. Its text is for the operator.
pub fn read(path: &str) -> Result<Vec<u8>, Error> {
    files::read(path)
}

/// Paths that match: `*`, `?` and `[...]` within names. Sorted by bytes; none is not an error. At most 4096.
///
/// # Errors
/// When they cannot be known. Its text is for the operator.
pub fn glob(pattern: &str) -> Result<Vec<String>, Error> {
    files::glob(pattern)
}

/// One line for the operator: what the bindings' `Display` says is for authors.
pub fn explain(error: &Error) -> String {
    match error {
        Error::Denied(why) => why.clone(),
        Error::Missing => "there is no such file".to_owned(),
        Error::Size => "it is larger than 16 MiB".to_owned(),
        Error::Unreadable(why) => format!("it cannot be read: {why}"),
        Error::Unavailable => "files can be read in `configure` only".to_owned(),
    }
}
