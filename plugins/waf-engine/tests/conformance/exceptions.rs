//! `not-applicable.txt`: what a suite asks and this engine does not do, each with its reason.

use std::collections::HashMap;

/// The exceptions of one suite.
pub(crate) struct Exceptions(HashMap<String, String>);

impl Exceptions {
    /// Those of lines that begin with `suite`.
    pub(crate) fn read(suite: &str) -> Self {
        let mut found = HashMap::new();
        for (number, line) in include_str!("../not-applicable.txt").lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let parts: Vec<_> = line.splitn(3, " | ").collect();
            let [of, name, reason] = parts[..] else { panic!("line {}: SUITE | NAME | REASON", number + 1) };
            if of == suite && found.insert(name.to_owned(), reason.to_owned()).is_some() {
                panic!("line {}: {name} is there twice", number + 1);
            }
        }
        Self(found)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.keys().any(|known| match known.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => known == name,
        })
    }
}
