//! Media types of bodies.

/// A set of types: `text/html`, `text/*`, `*/*`.
#[derive(Debug)]
pub(crate) struct Types(Vec<(String, String)>);

impl Types {
    pub(crate) fn new(types: &[String]) -> Result<Self, String> {
        let types = types.iter().map(|kind| match kind.split_once('/') {
            Some((major, minor)) if part(major) && part(minor) && (major != "*" || minor == "*") => {
                Ok((major.to_ascii_lowercase(), minor.to_ascii_lowercase()))
            }
            _ => Err(format!(
                "{kind:?} is no media type: write one like \"text/html\", \"text/*\" or \"*/*\", without parameters"
            )),
        });
        Ok(Self(types.collect::<Result<_, _>>()?))
    }

    /// Whether a `content-type` is one of them. Its parameters do not matter.
    pub(crate) fn has(&self, content_type: &str) -> bool {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let Some((major, minor)) = kind.split_once('/') else { return false };
        let same = |wanted: &str, found: &str| wanted == "*" || wanted.eq_ignore_ascii_case(found);
        self.0.iter().any(|(wanted_major, wanted_minor)| same(wanted_major, major) && same(wanted_minor, minor))
    }
}

fn part(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-*".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_parameters() {
        let types = Types::new(&["Text/HTML".to_owned(), "application/*".to_owned()]).unwrap();
        for kind in ["text/html", "TEXT/html; charset=utf-8", "application/json", " text/html ;a"] {
            assert!(types.has(kind), "{kind}");
        }
        for kind in ["text/plain", "text", "", "image/svg+xml"] {
            assert!(!types.has(kind), "{kind}");
        }
        for bad in ["text", "text/html; charset=utf-8", "*/html", "/"] {
            assert!(Types::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
