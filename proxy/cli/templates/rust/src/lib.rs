//! {{description}}.

use portcullis_sdk::{Edits, Plugin, RequestHead, Verdict, Wants};
use serde::Deserialize;

/// The plugin's table in portcullis.toml. Keys that are not here are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What the backend reads in `{{field}}`.
    greeting: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { greeting: "hello".into() }
    }
}

/// The plugin, configured. One exchange must not leave anything here for another.
pub struct {{type}} {
    greeting: String,
}

impl Plugin for {{type}} {
    type Config = Config;
    /// What is kept from one phase of an exchange to the next: nothing yet.
    type Exchange = ();

    fn configure(config: Config) -> Result<Self, String> {
        if config.greeting.is_empty() || config.greeting.contains(['\r', '\n', '\0']) {
            return Err("`greeting` is one line of text, such as \"hello\"".into());
        }
        Ok(Self { greeting: config.greeting })
    }

    fn wants(&self) -> Wants {
        Wants::new().request_head()
    }

    fn request_head(&self, _: &mut (), _: &RequestHead) -> Verdict {
        Edits::new().set("{{field}}", self.greeting.as_str()).into()
    }
}

portcullis_sdk::export!({{type}});

#[cfg(test)]
mod tests {
    use portcullis_sdk::{RequestHead, Verdict, testing::Plugin};

    use super::{{type}};

    #[test]
    fn greets() {
        let plugin = Plugin::<{{type}}>::configure(r#"{ "greeting": "good day" }"#).unwrap();
        let verdict = plugin.exchange().request_head(&RequestHead::get_request("/"));
        let Verdict::Edit(edits) = verdict else { panic!("{verdict:?}") };
        assert_eq!(edits.fields.len(), 1);
    }

    #[test]
    fn refuses_what_is_no_header() {
        assert!(Plugin::<{{type}}>::configure(r#"{ "greeting": "two\nlines" }"#).is_err());
        assert!(Plugin::<{{type}}>::configure(r#"{ "greetings": "hello" }"#).is_err());
    }
}
