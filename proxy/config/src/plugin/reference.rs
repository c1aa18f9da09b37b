//! A module in a registry: `REGISTRY/REPOSITORY:TAG@sha256:HEX`, the grammar of the OCI distribution specification, with nothing left
//! to defaults: whose registry is meant when none is written differs from tool to tool.

use std::fmt;

/// Names a module in a registry. Has a tag, a digest, or both; then the digest counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Host, with a port where one is written.
    pub registry: String,
    /// Path in the registry, without slashes at its ends.
    pub repository: String,
    /// A name that can be moved to another digest.
    pub tag: Option<String>,
    /// `sha256:` and 64 hexadecimal digits in lower case, of the manifest.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads what stands behind `oci://`.
    ///
    /// # Errors
    /// One sentence that says which part is wrong, and what it should look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(self::digest(digest)?)),
            None => (text, None),
        };
        let Some((registry, path)) = rest.split_once('/') else {
            return Err("there is no repository: write `oci://REGISTRY/REPOSITORY:TAG`".to_owned());
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(self::tag(tag)?)),
            None => (path, None),
        };
        if tag.is_none() && digest.is_none() {
            return Err("there is neither a tag nor a digest: write `oci://REGISTRY/REPOSITORY:TAG`".to_owned());
        }
        Ok(Self { registry: self::registry(registry)?, repository: self::repository(repository)?, tag, digest })
    }
}

/// Without `oci://`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// `ghcr.io`, `localhost:5000`, `[::1]:5000`.
fn registry(text: &str) -> Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
    let literal = bracketed.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    if !named && !literal {
        return Err("the registry is not a host: write it as `ghcr.io` or `localhost:5000`".to_owned());
    }
    match port.map(str::parse::<u16>) {
        Some(Err(_) | Ok(0)) => Err("the registry's port is not a number from 1 to 65535".to_owned()),
        // A name without a dot or a port is taken for the first part of a repository elsewhere.
        None if !host.contains('.') && host != "localhost" && bracketed.is_none() => Err(format!(
            "`{text}` is not a registry: write its full name, as `docker.io/{text}/...` or `ghcr.io/{text}/...`"
        )),
        _ => Ok(text.to_ascii_lowercase()),
    }
}

/// Parts of lower-case letters and digits, with single separators inside.
fn repository(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(inner)
            && part.ends_with(inner)
            && part.chars().all(|c| inner(c) || matches!(c, '.' | '_' | '-'))
    };
    match text.len() <= 255 && text.split('/').all(part) {
        true => Ok(text.to_owned()),
        false => {
            Err("the repository is not made of lower-case letters, digits, `.`, `_`, `-` and single `/`".to_owned())
        }
    }
}

fn tag(text: &str) -> Result<String, String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match text.len() <= 128 && text.starts_with(word) && text.chars().all(|c| word(c) || matches!(c, '.' | '-')) {
        true => Ok(text.to_owned()),
        false => Err("the tag is not made of at most 128 letters, digits, `.`, `_` and `-`".to_owned()),
    }
}

fn digest(text: &str) -> Result<String, String> {
    match text.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) => Ok(text.to_owned()),
        _ => Err("the digest is not `sha256:` and 64 hexadecimal digits in lower case".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written_the_same() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for text in [
            "ghcr.io/team/rate-limit:1.2".to_owned(),
            "localhost:5000/a:b".to_owned(),
            "[::1]:5000/a/b_c/d:1".to_owned(),
            format!("ghcr.io/team/x@{digest}"),
            format!("registry.example.com:443/team/x:1.0@{digest}"),
        ] {
            let reference = Reference::parse(&text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(reference.to_string(), text);
        }
        assert_eq!(Reference::parse("GHCR.io/a:B").unwrap().to_string(), "ghcr.io/a:B");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            ("ghcr.io", "no repository"),
            ("ghcr.io/team/x", "neither a tag nor a digest"),
            ("team/x:1", "`team` is not a registry"),
            ("/x:1", "not a host"),
            ("a..b/x:1", "not a host"),
            ("ghcr.io:0/x:1", "port"),
            ("ghcr.io:99999/x:1", "port"),
            ("ghcr.io/Team/x:1", "lower-case"),
            ("ghcr.io/team//x:1", "lower-case"),
            ("ghcr.io/../x:1", "lower-case"),
            ("ghcr.io/x:", "tag"),
            ("ghcr.io/x:a/b", "tag"),
            ("ghcr.io/x@sha256:00", "digest"),
            ("ghcr.io/x@sha512:00", "digest"),
            ("", "no repository"),
        ] {
            let found = Reference::parse(text).expect_err(text);
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
