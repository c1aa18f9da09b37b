//! A file that the plugin writes whole lines to. Grant: `journal = "/path"`, or the key of the plugin's own table that its manifest declares:
//! `journal = "audit_log"` in `plugin.toml`.

use super::imports::journal;

/// Adds a line, without its end; ends of lines in it become blanks. At most 1 MiB. Never waits: lines are dropped and counted when the disk is
/// behind. Where no file is named, they go nowhere.
pub fn append(line: &[u8]) {
    journal::append(line);
}
