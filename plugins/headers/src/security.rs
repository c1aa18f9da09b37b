//! The security headers and their presets. Values follow the OWASP Secure Headers Project, read in November 2026.

use portcullis_sdk::Field;
use serde::Deserialize;

use crate::config::{Choice, Config};

/// Sent over TLS only.
pub(crate) const TRANSPORT: &str = "strict-transport-security";

/// What to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    /// Nothing.
    #[default]
    None,
    /// What breaks no site that works over TLS.
    Basic,
    /// For sites that load nothing from elsewhere and are framed by nobody.
    Strict,
}

/// A header's key in the table, its name, and its value in the presets `basic` and `strict`.
struct Header {
    key: &'static str,
    name: &'static str,
    basic: Option<&'static str>,
    strict: Option<&'static str>,
    choice: fn(&Config) -> &Choice,
}

const HEADERS: [Header; 9] = [
    Header {
        key: "hsts",
        name: TRANSPORT,
        basic: Some("max-age=31536000"),
        strict: Some("max-age=31536000; includeSubDomains"),
        choice: |config| &config.hsts,
    },
    Header {
        key: "frame_options",
        name: "x-frame-options",
        basic: Some("SAMEORIGIN"),
        strict: Some("DENY"),
        choice: |config| &config.frame_options,
    },
    Header {
        key: "content_type_options",
        name: "x-content-type-options",
        basic: Some("nosniff"),
        strict: Some("nosniff"),
        choice: |config| &config.content_type_options,
    },
    Header {
        key: "referrer_policy",
        name: "referrer-policy",
        basic: Some("strict-origin-when-cross-origin"),
        strict: Some("no-referrer"),
        choice: |config| &config.referrer_policy,
    },
    Header {
        key: "csp",
        name: "content-security-policy",
        basic: None,
        strict: Some(
            "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
        ),
        choice: |config| &config.csp,
    },
    Header {
        key: "csp_report_only",
        name: "content-security-policy-report-only",
        basic: None,
        strict: None,
        choice: |config| &config.csp_report_only,
    },
    Header {
        key: "permissions_policy",
        name: "permissions-policy",
        basic: None,
        strict: Some("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        choice: |config| &config.permissions_policy,
    },
    Header {
        key: "opener_policy",
        name: "cross-origin-opener-policy",
        basic: None,
        strict: Some("same-origin"),
        choice: |config| &config.opener_policy,
    },
    Header {
        key: "resource_policy",
        name: "cross-origin-resource-policy",
        basic: None,
        strict: Some("same-origin"),
        choice: |config| &config.resource_policy,
    },
];

/// The fields that preset and table ask for.
pub(crate) fn fields(config: &Config) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    for header in &HEADERS {
        let preset = match config.preset {
            Preset::None => None,
            Preset::Basic => header.basic,
            Preset::Strict => header.strict,
        };
        let value = match (header.choice)(config) {
            Choice::Preset => preset,
            Choice::Without => None,
            Choice::Value(value) => Some(value.as_str()),
        };
        let Some(value) = value else { continue };
        let field = Field::new(header.name, value);
        field.check().and_then(|()| known(header.key, value)).map_err(|why| format!("{}: {why}", header.key))?;
        fields.push(field);
    }
    Ok(fields)
}

/// Names that the preset removes: what tells an attacker which software to look up.
pub(crate) fn removed(preset: Preset) -> Vec<String> {
    match preset {
        Preset::None | Preset::Basic => Vec::new(),
        Preset::Strict => ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator"]
            .map(String::from)
            .to_vec(),
    }
}

/// Browsers pass over a value that they do not know, without a word: the operator would believe in a header that does nothing.
fn known(key: &str, value: &str) -> Result<(), String> {
    let among = |known: &[&str]| {
        if known.iter().any(|known| known.eq_ignore_ascii_case(value)) {
            Ok(())
        } else {
            Err(format!("browsers do not know {value:?}: write one of {}", known.join(", ")))
        }
    };
    match key {
        "hsts" => {
            let age = value
                .split(';')
                .filter_map(|directive| directive.trim().split_once('='))
                .find(|(name, _)| name.eq_ignore_ascii_case("max-age"));
            match age {
                Some((_, seconds)) if !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit()) => {
                    Ok(())
                }
                _ => Err(format!("{value:?} has no max-age: write one in seconds, like \"max-age=31536000\"")),
            }
        }
        "frame_options" => among(&["DENY", "SAMEORIGIN"]),
        "content_type_options" => among(&["nosniff"]),
        // A list is allowed: browsers take the last one they know.
        "referrer_policy" => value.split(',').map(str::trim).try_for_each(|policy| {
            let known = [
                "no-referrer",
                "no-referrer-when-downgrade",
                "origin",
                "origin-when-cross-origin",
                "same-origin",
                "strict-origin",
                "strict-origin-when-cross-origin",
                "unsafe-url",
            ];
            if known.contains(&policy) {
                Ok(())
            } else {
                Err(format!("browsers do not know {policy:?}: write one of {}", known.join(", ")))
            }
        }),
        "opener_policy" => among(&["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"]),
        "resource_policy" => among(&["same-origin", "same-site", "cross-origin"]),
        _ => Ok(()),
    }
}
