//! What clients are told: `ratelimit-policy`, `ratelimit` (draft-ietf-httpapi-ratelimit-headers-10), `retry-after` (RFC 9110) and a problem
//! document (RFC 9457).

use std::fmt::Write;

use crate::settings::Policy;

/// What one policy says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The policy's place in the settings.
    pub policy: usize,
    /// Requests that are left.
    pub remaining: u64,
    /// Milliseconds until there are more.
    pub reset: u64,
    /// Whether the request was one too many.
    pub exceeded: bool,
}

/// `ratelimit-policy`: a policy's name, its quota and its window in seconds.
pub fn policies(policies: &[Policy]) -> String {
    list(policies, |text, policy| {
        // Names hold nothing that a string of structured fields would have to escape; `Settings` sees to it.
        let _ = write!(text, "\"{}\";q={};w={}", policy.name, policy.quota.requests, policy.quota.window / 1000);
    })
}

/// `ratelimit`: what is left of each, and for how many seconds.
pub fn remaining(policies: &[Policy], states: &[State]) -> String {
    list(states, |text, state| {
        let name = policies.get(state.policy).map_or("", |policy| policy.name.as_str());
        let _ = write!(text, "\"{name}\";r={};t={}", state.remaining, seconds(state.reset));
    })
}

/// The body of a refusal.
pub fn problem(policies: &[Policy], states: &[State]) -> String {
    let violated = list(states.iter().filter(|state| state.exceeded), |text, state| {
        let name = policies.get(state.policy).map_or("", |policy| policy.name.as_str());
        let _ = write!(text, "\"{name}\"");
    });
    format!(
        "{{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\"title\":\"Too many requests\",\
         \"status\":429,\"violated-policies\":[{violated}]}}\n"
    )
}

/// Milliseconds as whole seconds, at least one: a client that is told 0 comes back at once.
pub fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000).max(1)
}

fn list<T>(items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push_str(", ");
        }
        write(&mut text, item);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::Missing, window::Quota};

    fn two() -> Vec<Policy> {
        [("burst", 10, 1000), ("hour", 1000, 3_600_000)]
            .map(|(name, requests, window)| Policy {
                name: name.to_owned(),
                quota: Quota { requests, window },
                by: Vec::new(),
                missing: Missing::Client,
            })
            .into()
    }

    #[test]
    fn fields_are_lists_of_named_items() {
        let states = [
            State { policy: 0, remaining: 3, reset: 1, exceeded: false },
            State { policy: 1, remaining: 0, reset: 90_001, exceeded: true },
        ];
        assert_eq!(policies(&two()), r#""burst";q=10;w=1, "hour";q=1000;w=3600"#);
        assert_eq!(remaining(&two(), &states), r#""burst";r=3;t=1, "hour";r=0;t=91"#);
        assert!(problem(&two(), &states).contains(r#""violated-policies":["hour"]"#));
    }
}
