//! The plugin's table, as written and as checked.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use portcullis_sdk::settings::{FieldName, Millis};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    algorithm::Algorithm,
    claims::Rules,
    jwk,
    key::{Key, Material},
    remote::{self, Remote},
    source::Source,
};

/// The plugin's table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    keys: Vec<KeyConfig>,
    jwks: Option<Value>,
    remote: Option<remote::Settings>,
    algorithms: Option<Vec<Algorithm>>,
    #[serde(default = "bearer")]
    from: Vec<Source>,
    #[serde(default)]
    strip: bool,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    realm: String,
    #[serde(default)]
    issuers: Vec<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default = "half_a_minute")]
    leeway: Millis,
    max_age: Option<Millis>,
    #[serde(default = "expiry")]
    require: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    forward: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyConfig {
    id: Option<String>,
    algorithms: Option<Vec<Algorithm>>,
    secret: Option<String>,
    secret_base64: Option<String>,
    pem: Option<String>,
    jwk: Option<Value>,
}

/// What tokens are held against.
#[derive(Debug)]
pub struct Settings {
    /// Those of the table.
    pub keys: Vec<Key>,
    /// Those of a backend.
    pub remote: Option<Remote>,
    /// If said, the only ones taken, whatever the keys are for.
    pub algorithms: Option<Vec<Algorithm>>,
    /// Where the token may be.
    pub from: Vec<Source>,
    /// Whether it is taken out of the request.
    pub strip: bool,
    /// Whether a request without a token passes.
    pub optional: bool,
    /// `Bearer`, with its realm.
    pub challenge: String,
    /// What the claims must say.
    pub rules: Rules,
    /// What `typ` may say, lower case and without `application/`; anything, if empty.
    pub types: Vec<String>,
    /// Fields for the backend, and the claim that each is of.
    pub forward: Vec<(FieldName, String)>,
}

impl TryFrom<Config> for Settings {
    type Error = String;

    fn try_from(config: Config) -> Result<Self, String> {
        let keys = keys(config.keys, config.jwks.as_ref())?;
        if keys.is_empty() && config.remote.is_none() {
            return Err("there are no keys: write `keys`, `jwks` or `remote`".to_owned());
        }
        if let Some(remote) = &config.remote {
            remote.check()?;
        }
        if config.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return Err("`algorithms` is empty, so no token would be good: name some, or remove the key".to_owned());
        }
        if config.from.is_empty() {
            return Err("`from` is empty, so no token would be found: write [\"bearer\"], or remove the key".to_owned());
        }
        quotable("realm", &config.realm)?;
        for scope in &config.scopes {
            if scope.is_empty() || scope.contains(' ') {
                return Err(format!("`scopes` has {scope:?}: write each scope by itself"));
            }
            quotable("scopes", scope)?;
        }
        if let Some((name, _)) = config.claims.iter().find(|(_, values)| values.is_empty()) {
            return Err(format!("`claims.{name}` is empty, so no token would be good: name the values it may have"));
        }
        let seconds = |millis: Millis| millis.0 as f64 / 1000.0;
        Ok(Self {
            keys,
            remote: config.remote.map(Remote::new),
            algorithms: config.algorithms,
            from: config.from,
            strip: config.strip,
            optional: config.optional,
            challenge: match config.realm.as_str() {
                "" => "Bearer".to_owned(),
                realm => format!("Bearer realm=\"{realm}\""),
            },
            rules: Rules {
                issuers: config.issuers,
                audiences: config.audiences,
                leeway: seconds(config.leeway),
                longest_age: config.max_age.map(seconds),
                required: config.require,
                expected: config.claims,
                scopes: config.scopes,
            },
            types: config.types.iter().map(|kind| media_type(kind)).collect(),
            forward: forward(config.forward)?,
        })
    }
}

/// A token's type as it is compared (RFC 7515 section 4.1.9).
pub fn media_type(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    kind.strip_prefix("application/").map_or(kind.clone(), str::to_owned)
}

fn keys(configs: Vec<KeyConfig>, jwks: Option<&Value>) -> Result<Vec<Key>, String> {
    let mut keys = Vec::with_capacity(configs.len());
    for (at, config) in configs.into_iter().enumerate() {
        keys.push(key(config).map_err(|reason| format!("`keys[{at}]`: {reason}"))?);
    }
    if let Some(value) = jwks {
        let jwk::Set { usable, refused } = jwk::set(value).map_err(|reason| format!("`jwks`: {reason}"))?;
        // Of one's own set every key should be of use; of an issuer's, those for encryption are passed over.
        if let Some(reason) = refused.first() {
            return Err(format!("`jwks.{reason}"));
        }
        keys.extend(usable.into_iter().map(|(key, _)| key));
    }
    Ok(keys)
}

fn key(config: KeyConfig) -> Result<Key, String> {
    let KeyConfig { id, algorithms, secret, secret_base64, pem, jwk } = config;
    match (secret, secret_base64, pem, jwk) {
        (Some(secret), None, None, None) => Key::new(id, Material::Secret(secret.into_bytes()), algorithms),
        (None, Some(secret), None, None) => {
            let secret = Base64::decode_vec(secret.trim()).map_err(|_| "`secret_base64` is not base64".to_owned())?;
            Key::new(id, Material::Secret(secret), algorithms)
        }
        (None, None, Some(text), None) => {
            Key::new(id, jwk::pem(&text).map_err(|reason| format!("`pem`: {reason}"))?, algorithms)
        }
        (None, None, None, Some(_)) if id.is_some() || algorithms.is_some() => {
            Err("a `jwk` has its own `kid` and `alg`: remove `id` and `algorithms`".to_owned())
        }
        (None, None, None, Some(value)) => jwk::key(&value).map_err(|reason| format!("`jwk`: {reason}")),
        _ => Err("write exactly one of `secret`, `secret_base64`, `pem` and `jwk`".to_owned()),
    }
}

fn forward(table: BTreeMap<String, String>) -> Result<Vec<(FieldName, String)>, String> {
    let mut fields: Vec<(FieldName, String)> = Vec::with_capacity(table.len());
    for (field, claim) in table {
        let name: FieldName = field.parse().map_err(|error| format!("`forward`: {error}"))?;
        if fields.iter().any(|(other, _)| *other == name) {
            return Err(format!("`forward` has {field:?} twice: names of fields are read in any case"));
        }
        if claim.is_empty() {
            return Err(format!("`forward.{field}` is empty: write the claim's name, like \"sub\""));
        }
        fields.push((name, claim));
    }
    Ok(fields)
}

fn quotable(key: &str, text: &str) -> Result<(), String> {
    if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\') {
        return Err(format!("`{key}` has {text:?}: write ASCII without quotes and backslashes"));
    }
    Ok(())
}

fn bearer() -> Vec<Source> {
    vec![Source::Bearer]
}

fn half_a_minute() -> Millis {
    Millis(30_000)
}

fn expiry() -> Vec<String> {
    vec!["exp".to_owned()]
}
