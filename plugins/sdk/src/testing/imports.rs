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
    use crate::connection::Facts;

    pub(crate) fn get() -> Facts {
        with(|mock| {
            assert!(!mock.configuring, "connection::get traps in configure: there is no exchange yet");
            mock.facts.clone()
        })
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
