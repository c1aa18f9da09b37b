//! The exchange's record: what the access log and `portcullis explain` show of it. Needs no grant.

use super::imports::notes;

/// Puts a JSON object under this plugin's name. At most 8 KiB; the last one counts. What is no JSON object or is larger is dropped and
/// counted, and so is what comes in `log`, when the record is closed.
pub fn put(json: &str) {
    notes::put(json);
}
