//! The plugin's table, as written and as checked.

use portcullis_sdk::settings::Millis;
use serde::Deserialize;

use crate::{key::Part, window::Quota};

/// The plugin's table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    limits: Vec<Limit>,
    #[serde(default)]
    on_full: OnFull,
    #[serde(default)]
    fields: Fields,
    #[serde(default = "sixty_four")]
    ipv6_prefix: u32,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    name: Option<String>,
    requests: u64,
    window: Millis,
    by: Option<Vec<Part>>,
    #[serde(default)]
    missing: Missing,
}

/// What is done when the count cannot be kept because the plugin's `key_value` limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFull {
    /// The request passes uncounted.
    #[default]
    Allow,
    /// It is answered with 503.
    Refuse,
}

/// When responses tell the client how much is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fields {
    /// In every response.
    #[default]
    Always,
    /// In those with 429.
    Refused,
    /// Never, but for `retry-after`.
    Never,
}

/// How a request is counted that lacks the header or cookie to count by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// By its client's address instead.
    #[default]
    Client,
    /// Together with all others that lack it.
    Together,
    /// Not at all.
    Pass,
}

/// What requests are held against.
#[derive(Debug)]
pub struct Settings {
    /// At least one.
    pub policies: Vec<Policy>,
    /// See [`OnFull`].
    pub on_full: OnFull,
    /// See [`Fields`].
    pub fields: Fields,
    /// Bits of an IPv6 address that make a client, 32 to 128.
    pub ipv6_prefix: u32,
    /// Count and log, and refuse nothing.
    pub dry_run: bool,
}

/// One limit, checked.
#[derive(Debug)]
pub struct Policy {
    /// `[a-z0-9_-]`, at most 32 bytes, unlike the others'.
    pub name: String,
    /// How many in how long.
    pub quota: Quota,
    /// Whom it counts for.
    pub by: Vec<Part>,
    /// See [`Missing`].
    pub missing: Missing,
}

const SHORTEST: Millis = Millis(1000);
const LONGEST: Millis = Millis(31 * 86_400_000);

impl TryFrom<Config> for Settings {
    type Error = String;

    fn try_from(config: Config) -> Result<Self, String> {
        if config.limits.is_empty() {
            return Err("`limits` is empty: write at least one, like { requests = 100, window = \"1m\" }".to_owned());
        }
        if !(32..=128).contains(&config.ipv6_prefix) {
            return Err(format!("`ipv6_prefix` is {}: write 32 to 128; most want 64", config.ipv6_prefix));
        }
        let mut policies: Vec<Policy> = Vec::with_capacity(config.limits.len());
        for (at, limit) in config.limits.into_iter().enumerate() {
            let policy = check(limit, at)?;
            if policies.iter().any(|other| other.name == policy.name) {
                return Err(format!("`limits[{at}].name` is {:?} as another one's: they must differ", policy.name));
            }
            policies.push(policy);
        }
        let Config { on_full, fields, ipv6_prefix, dry_run, .. } = config;
        Ok(Self { policies, on_full, fields, ipv6_prefix, dry_run })
    }
}

fn check(limit: Limit, at: usize) -> Result<Policy, String> {
    let name = limit.name.unwrap_or_else(|| if at == 0 { "default".to_owned() } else { format!("limit-{}", at + 1) });
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
        return Err(format!("`limits[{at}].name` is {name:?}: write 1 to 32 of a-z, 0-9, `-` and `_`"));
    }
    if limit.requests == 0 {
        return Err(format!(
            "`limits[{at}].requests` is 0: write at least 1; what nobody may ask for is better refused by the route"
        ));
    }
    // The most that an Integer of structured fields holds (RFC 9651), because clients are told the number in one.
    if limit.requests > 999_999_999_999_999 {
        return Err(format!("`limits[{at}].requests` is {}: write at most 999999999999999", limit.requests));
    }
    if !(SHORTEST..=LONGEST).contains(&limit.window) || !limit.window.0.is_multiple_of(1000) {
        return Err(format!("`limits[{at}].window` must be whole seconds, from \"1s\" to \"31d\""));
    }
    let quota = Quota { requests: limit.requests, window: limit.window.0 };
    Ok(Policy { name, quota, by: limit.by.unwrap_or_else(|| vec![Part::Client]), missing: limit.missing })
}

fn sixty_four() -> u32 {
    64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<Settings, String> {
        serde_json::from_str::<Config>(json).map_err(|error| error.to_string())?.try_into()
    }

    #[test]
    fn defaults_are_filled_in() {
        let settings =
            settings(r#"{"limits": [{"requests": 10, "window": "1s"}, {"requests": 100, "window": "1m"}]}"#).unwrap();
        assert_eq!(settings.policies[0].name, "default");
        assert_eq!(settings.policies[1].name, "limit-2");
        assert_eq!(settings.policies[1].quota, Quota { requests: 100, window: 60_000 });
        assert_eq!(settings.policies[0].by, [Part::Client]);
        assert_eq!((settings.ipv6_prefix, settings.on_full, settings.fields), (64, OnFull::Allow, Fields::Always));
    }

    #[test]
    fn mistakes_are_named() {
        for (json, part) in [
            (r#"{}"#, "missing field `limits`"),
            (r#"{"limits": []}"#, "`limits` is empty"),
            (r#"{"limits": [{"requests": 0, "window": "1s"}]}"#, "`limits[0].requests` is 0"),
            (r#"{"limits": [{"requests": 1, "window": "500ms"}]}"#, "`limits[0].window`"),
            (r#"{"limits": [{"requests": 1, "window": "32d"}]}"#, "`limits[0].window`"),
            (r#"{"limits": [{"requests": 1, "window": 5}]}"#, "expected a string"),
            (r#"{"limits": [{"requests": 1, "window": "1s", "name": "A"}]}"#, "`limits[0].name`"),
            (r#"{"limits": [{"requests": 1, "window": "1s", "by": ["ip"]}]}"#, "nothing to count by"),
            (r#"{"limits": [{"requests": 1, "window": "1s", "burst": 1}]}"#, "unknown field `burst`"),
            (r#"{"limits": [{"requests": 1, "window": "1s"}], "ipv6_prefix": 16}"#, "`ipv6_prefix` is 16"),
            (
                r#"{"limits": [{"requests": 1, "window": "1s", "name": "a"}, {"requests": 1, "window": "1s", "name": "a"}]}"#,
                "`limits[1].name`",
            ),
        ] {
            let error = settings(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
