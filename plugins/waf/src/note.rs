//! What the exchange's record says of the WAF: `{"decision": "blocked", "score": 5, "rules": [{"id": 942100, ...}]}`.

use serde_json::{Map, Value, json};
use waf_engine::transaction::Match;

/// What the proxy takes, less the room for what comes after the rules.
const ROOM: usize = (8 << 10) - 200;

/// Bytes of one text.
const TEXT_MAX: usize = 200;

/// What became of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Rules matched, and it went on.
    Passed,
    /// It would have been refused, if that was not only detected.
    Detected,
    /// It was refused.
    Blocked,
}

impl Decision {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Detected => "detected",
            Self::Blocked => "blocked",
        }
    }
}

/// The note; `None` where no rule has anything to say.
pub fn of(matches: &[Match], decision: Decision) -> Option<String> {
    let mut size = 0;
    let mut rules = Vec::new();
    let mut more = 0;
    for one in matches.iter().filter(|one| one.log) {
        let rule = rule(one);
        size += rule.to_string().len() + 1;
        if size <= ROOM { rules.push(rule) } else { more += 1 }
    }
    if rules.is_empty() && more == 0 && decision == Decision::Passed {
        return None;
    }
    let score: i64 = matches.iter().map(|one| one.score).fold(0, i64::saturating_add);
    let mut note = Map::new();
    note.insert("decision".into(), decision.name().into());
    note.insert("score".into(), score.into());
    note.insert("rules".into(), rules.into());
    if more > 0 {
        note.insert("more".into(), more.into());
    }
    Some(Value::Object(note).to_string())
}

fn rule(one: &Match) -> Value {
    let mut rule = json!({ "id": one.rule });
    for (key, text) in [("msg", &one.message), ("variable", &one.variable)] {
        if !text.is_empty() {
            rule[key] = clip(text).into();
        }
    }
    rule
}

fn clip(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    // Control characters grow to six bytes in JSON.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text[..text.floor_char_boundary(TEXT_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use waf_engine::model::Phase;

    use super::*;

    fn matched(rule: u64, message: &[u8], log: bool) -> Match {
        Match {
            rule,
            phase: Phase::RequestHead,
            file: "f".into(),
            line: 1,
            message: message.into(),
            data: vec![],
            severity: None,
            tags: vec![],
            variable: b"ARGS:q".to_vec(),
            value: b"secret".to_vec(),
            log,
            audit_log: log,
            disruptive: false,
            score: 5,
        }
    }

    #[test]
    fn it_says_which_rules_on_what_and_no_values() {
        let note = of(&[matched(1, b"one", true), matched(2, b"two", false)], Decision::Detected).unwrap();
        let expected = r#"{"decision":"detected","rules":[{"id":1,"msg":"one","variable":"ARGS:q"}],"score":10}"#;
        assert_eq!(note, expected);
        assert_eq!(of(&[matched(2, b"two", false)], Decision::Passed), None);
        assert!(of(&[], Decision::Blocked).is_some());
    }

    #[test]
    fn it_fits_whatever_clients_send() {
        let bad: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let many: Vec<_> = (0..1000).map(|rule| matched(rule, &bad, true)).collect();
        let note = of(&many, Decision::Blocked).unwrap();
        assert!(note.len() <= 8 << 10, "{}", note.len());
        let note: Value = serde_json::from_str(&note).unwrap();
        let named = note["rules"].as_array().unwrap().len();
        assert_eq!(named as u64 + note["more"].as_u64().unwrap(), 1000);
    }
}
