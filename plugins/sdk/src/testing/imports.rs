//! The imports' native side, with the signatures that wit-bindgen gives them on wasm32.

use super::mock::with;

pub(crate) mod clock {
    use super::with;

    pub(crate) fn now() -> u64 {
        with(|mock| mock.nanoseconds())
    }

    pub(crate) fn monotonic() -> u64 {
        with(|mock| mock.monotonic())
    }
}

pub(crate) mod connection {
    use super::with;
    use crate::connection::{Facts, Socket};

    pub(crate) fn get() -> Facts {
        with(|mock| {
            assert!(!mock.configuring, "connection::get traps in configure: there is no exchange yet");
            mock.facts.clone()
        })
    }

    pub(crate) fn server() -> Socket {
        with(|mock| {
            assert!(!mock.configuring, "connection::server traps in configure: there is no exchange yet");
            Socket { address: "192.0.2.2".to_owned(), port: 443 }
        })
    }

    pub(crate) fn absolute_target() -> Option<String> {
        with(|mock| {
            assert!(!mock.configuring, "connection::absolute_target traps in configure: there is no exchange yet");
            None
        })
    }
}

pub(crate) mod bodies {
    use super::with;
    use crate::testing::mock::Moment;

    pub(crate) fn skip_request() {
        with(|mock| {
            assert!(mock.moment == Moment::RequestHead, "bodies::skip_request traps outside of request_head");
            mock.skips.0 = true;
        });
    }

    pub(crate) fn skip_response() {
        with(|mock| {
            let may = matches!(mock.moment, Moment::RequestHead | Moment::RequestBody | Moment::ResponseHead);
            assert!(may, "bodies::skip_response traps when the response's body has begun, and outside of an exchange");
            mock.skips.1 = true;
        });
    }
}

pub(crate) mod notes {
    use super::with;
    use crate::testing::mock::Moment;

    pub(crate) fn put(json: &str) {
        assert!(json.len() <= 8 << 10, "the host drops a note of {} bytes; it has at most 8 KiB", json.len());
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json);
        assert!(object.is_ok(), "the host drops a note that is no JSON object: {json}");
        with(|mock| {
            assert!(mock.moment != Moment::Log, "the host drops a note in log, when the record is closed");
            mock.note = Some(json.to_owned());
        });
    }
}

pub(crate) mod files {
    use super::with;
    use crate::files::Error;

    pub(crate) fn read(path: &str) -> Result<Vec<u8>, Error> {
        with(|mock| match mock.configuring {
            true => mock.files.get(path).cloned().ok_or(Error::Missing),
            false => Err(Error::Unavailable),
        })
    }

    pub(crate) fn glob(pattern: &str) -> Result<Vec<String>, Error> {
        with(|mock| match mock.configuring {
            true => Ok(mock.files.keys().filter(|path| matches(pattern, path)).cloned().collect()),
            false => Err(Error::Unavailable),
        })
    }

    /// `*` and `?` within names.
    fn matches(pattern: &str, path: &str) -> bool {
        let mut rest = pattern.chars();
        match rest.next() {
            None => path.is_empty(),
            Some('*') => {
                let ends = path.char_indices().map(|(at, _)| at).chain([path.len()]);
                ends.take_while(|&end| !path[..end].contains('/')).any(|end| matches(rest.as_str(), &path[end..]))
            }
            Some(wanted) => {
                let mut left = path.chars();
                let found = left.next().is_some_and(|found| found == wanted || wanted == '?' && found != '/');
                found && matches(rest.as_str(), left.as_str())
            }
        }
    }
}

pub(crate) mod journal {
    use super::with;

    pub(crate) fn append(line: &[u8]) {
        assert!(line.len() <= 1 << 20, "the host drops a line of {} bytes; it has at most 1 MiB", line.len());
        with(|mock| mock.journal.push(String::from_utf8_lossy(line).replace(['\n', '\r'], " ")));
    }
}

pub(crate) mod log {
    use super::with;
    use crate::log::Level;

    pub(crate) fn write(level: Level, message: &str) {
        with(|mock| mock.lines.push((level, message.to_owned())));
    }
}

pub(crate) mod metrics {
    use super::with;

    pub(crate) fn count(name: &str, delta: u64) {
        with(|mock| *mock.counters.entry(valid(name)).or_default() += delta);
    }

    pub(crate) fn gauge(name: &str, value: f64) {
        with(|mock| mock.gauges.insert(valid(name), value));
    }

    pub(crate) fn observe(name: &str, value: f64) {
        with(|mock| mock.observed.entry(valid(name)).or_default().push(value));
    }

    fn valid(name: &str) -> String {
        let good = name.len() <= 64
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(good, "the host drops the figure {name:?}: names are [a-z][a-z0-9_]*, at most 64 bytes");
        name.to_owned()
    }
}

pub(crate) mod random {
    use super::with;

    pub(crate) fn number() -> u64 {
        with(|mock| mock.number())
    }

    pub(crate) fn bytes(length: u32) -> Vec<u8> {
        assert!(length <= 64 << 10, "random::bytes traps for more than 64 KiB, and {length} bytes were asked for");
        with(|mock| {
            let mut bytes = Vec::new();
            while bytes.len() < length as usize {
                bytes.extend_from_slice(&mock.number().to_le_bytes());
            }
            bytes.truncate(length as usize);
            bytes
        })
    }
}

pub(crate) mod key_value {
    use super::with;
    use crate::key_value::Error;

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        with(|mock| mock.values()?.get(key))
    }

    pub(crate) fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Error> {
        with(|mock| mock.values()?.set(key, value, ttl_ms))
    }

    pub(crate) fn compare_and_swap(
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl_ms: Option<u64>,
    ) -> Result<bool, Error> {
        with(|mock| {
            let values = mock.values()?;
            if values.get(key)?.as_deref() != expected {
                return Ok(false);
            }
            values.set(key, value, ttl_ms).map(|()| true)
        })
    }

    pub(crate) fn add(key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        with(|mock| mock.values()?.add(key, delta, ttl_ms))
    }

    pub(crate) fn delete(key: &str) -> Result<(), Error> {
        with(|mock| mock.values()?.delete(key))
    }
}

pub(crate) mod http {
    use super::with;
    use crate::http::{Error, Request, Response};

    pub(crate) fn send(request: &Request) -> Result<Response, Error> {
        let answer = with(|mock| {
            if mock.configuring {
                return None;
            }
            mock.sent.push(request.clone());
            mock.answer.clone()
        });
        // Called outside of the mock, so that it may call what it likes.
        match answer {
            Some(answer) => answer(request),
            None => Err(Error::Unavailable("nothing answers: see testing::answer_http".to_owned())),
        }
    }
}
