//! Counting, in the values that all workers share.

use std::time::Duration;

use portcullis_sdk::key_value;

use crate::{
    settings::Policy,
    window::{Count, Moment},
};

/// One request counted under one policy; it can be taken back.
#[derive(Debug)]
pub struct Counted {
    key: String,
    ttl: Duration,
    /// When it was counted.
    pub moment: Moment,
    /// With it.
    pub count: Count,
}

/// Counts a request for `who` at `now` (milliseconds since 1970).
///
/// The addition is atomic, and its sum is this request's own: of many workers at once, no two see the same. Only the
/// weight of the window before is read by itself, and nothing is added to that any more.
///
/// # Errors
///
/// Those of key-value: mostly that the plugin's limit is reached.
pub fn count(policy: &Policy, who: &str, now: u64) -> Result<Counted, key_value::Error> {
    let moment = policy.quota.moment(now);
    let key = |number: u64| format!("{}/{}/{who}/{number}", policy.name, policy.quota.window);
    // To the end of the next window, in which it is the one before.
    let ttl = Duration::from_millis(policy.quota.window * 2);
    let before = match moment.number.checked_sub(1) {
        Some(number) => key_value::get(&key(number))?.map_or(0, |value| number_of(&value)),
        None => 0,
    };
    let key = key(moment.number);
    let present = key_value::add(&key, 1, Some(ttl))?;
    let present = u64::try_from(present).unwrap_or(0).max(1);
    Ok(Counted { key, ttl, moment, count: Count { before, present } })
}

impl Counted {
    /// Takes the request back, because it was refused: what did not pass does not count, so a client that asks too often
    /// gets what is allowed, and not nothing. Between the two a request of another worker can be refused though there would have been room; never
    /// does one pass for which there is none.
    pub fn take_back(self) -> Count {
        // The key is there, so this needs no room. If it is not (its time has passed just now), nothing is lost.
        let _ = key_value::add(&self.key, -1, Some(self.ttl));
        Count { present: self.count.present - 1, ..self.count }
    }
}

/// Numbers made by `add` are read as decimal text.
fn number_of(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
