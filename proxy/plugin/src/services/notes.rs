//! What plugins add to the record of an exchange.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Map, Value};

/// Bytes of a note.
const NOTE_MAX: usize = 8 << 10;

/// Notes of plugins of one name.
#[derive(Debug, Default)]
pub struct Notes {
    dropped: AtomicU64,
}

impl Notes {
    /// The note on one line, if it is a JSON object of a fair size; else it is counted.
    pub fn check(&self, json: &str) -> Option<Box<str>> {
        let object = (json.len() <= NOTE_MAX).then(|| serde_json::from_str::<Map<String, Value>>(json).ok()).flatten();
        // Escapes may be longer here than they were there.
        let line = object.map(|object| Value::Object(object).to_string()).filter(|line| line.len() <= 2 * NOTE_MAX);
        if line.is_none() {
            self.drop_one();
        }
        line.map(String::into_boxed_str)
    }

    /// One was put where there is no record any more.
    pub fn drop_one(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// Those that were not taken.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_of_a_fair_size_are_taken_and_on_one_line() {
        let notes = Notes::default();
        assert_eq!(notes.check("{\n \"a\": [1, \"x\\ny\"]\n}").as_deref(), Some(r#"{"a":[1,"x\ny"]}"#));
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(NOTE_MAX));
        for bad in ["", "1", "[]", "{", "{} {}", &long, &"{\"a\":".repeat(1000)] {
            assert_eq!(notes.check(bad), None, "{bad}");
        }
        assert_eq!(notes.dropped(), 7);
    }
}
