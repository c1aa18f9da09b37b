//! The contract's imports, as guests call them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, uri::PathAndQuery};
use tokio::sync::oneshot;

use crate::{
    OutboundError, Phase,
    contract::portcullis::filter::{
        bodies, clock, connection, files, http as outbound, journal, key_value, log, metrics, notes, random, types,
    },
    instance::State,
    outbound::Outbound,
    services::{
        files::Refused as FileRefused,
        key_value::{KeyValue, Refused},
        lines::Level,
    },
};

/// Bytes of a body that a plugin sends or gets by itself, and of random numbers at once.
pub const BODY_MAX: usize = 1 << 20;
const RANDOM_MAX: u32 = 64 << 10;

impl types::Host for State {}

impl connection::Host for State {
    fn get(&mut self) -> wasmtime::Result<connection::Facts> {
        let Some(facts) = &self.facts else {
            return Err(wasmtime::Error::msg("`connection` was asked outside of an exchange"));
        };
        Ok(connection::Facts {
            client: facts.client.ip().to_canonical().to_string(),
            client_port: facts.client.port(),
            peer: facts.peer.ip().to_canonical().to_string(),
            tls: facts.tls.as_deref().map(|tls| connection::Tls {
                version: tls.version.clone(),
                sni: tls.sni.clone(),
                alpn: tls.alpn.clone(),
                client_certificate: tls.client_certificate.clone(),
                ja4: tls.ja4.clone(),
            }),
            listener: facts.listener.to_string(),
            route: facts.route.to_string(),
            request_id: facts.request_id.to_string(),
        })
    }

    fn server(&mut self) -> wasmtime::Result<connection::Socket> {
        let Some(facts) = &self.facts else {
            return Err(wasmtime::Error::msg("`connection` was asked outside of an exchange"));
        };
        let address = facts.server.ip().to_canonical().to_string();
        Ok(connection::Socket { address, port: facts.server.port() })
    }

    fn absolute_target(&mut self) -> wasmtime::Result<Option<String>> {
        let Some(facts) = &self.facts else {
            return Err(wasmtime::Error::msg("`connection` was asked outside of an exchange"));
        };
        Ok(facts.absolute_target.as_deref().map(str::to_owned))
    }
}

impl bodies::Host for State {
    fn skip_request(&mut self) -> wasmtime::Result<()> {
        if self.phase != Some(Phase::RequestHead) {
            return Err(wasmtime::Error::msg("`skip-request` was called outside of `request-head`"));
        }
        self.skips.request = true;
        Ok(())
    }

    fn skip_response(&mut self) -> wasmtime::Result<()> {
        let may = matches!(self.phase, Some(Phase::RequestHead | Phase::RequestBody | Phase::ResponseHead));
        if !may || self.skips.response_has_begun {
            return Err(wasmtime::Error::msg(
                "`skip-response` was called when the response's body had begun, or outside of an exchange",
            ));
        }
        self.skips.response = true;
        Ok(())
    }
}

impl notes::Host for State {
    fn put(&mut self, json: String) -> wasmtime::Result<()> {
        match self.phase {
            // Nobody's record: it is being configured, or warmed up.
            _ if self.configuring => {}
            None | Some(Phase::Log) => self.services.notes.drop_one(),
            Some(_) => {
                if let Some(note) = self.services.notes.check(&json) {
                    self.note = Some(note);
                }
            }
        }
        Ok(())
    }
}

impl From<FileRefused> for files::Error {
    fn from(refused: FileRefused) -> Self {
        match refused {
            FileRefused::Denied(why) => Self::Denied(why),
            FileRefused::Missing => Self::Missing,
            FileRefused::Size => Self::Size,
            FileRefused::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

impl files::Host for State {
    fn read(&mut self, path: String) -> wasmtime::Result<Result<Vec<u8>, files::Error>> {
        let found = self.files.read(&path);
        Ok(found.map_or(Err(files::Error::Unavailable), |found| found.map_err(files::Error::from)))
    }

    fn glob(&mut self, pattern: String) -> wasmtime::Result<Result<Vec<String>, files::Error>> {
        let found = self.files.glob(&pattern);
        Ok(found.map_or(Err(files::Error::Unavailable), |found| found.map_err(files::Error::from)))
    }
}

impl journal::Host for State {
    fn append(&mut self, line: Vec<u8>) -> wasmtime::Result<()> {
        if let Some(journal) = &self.journal
            && !self.configuring
        {
            self.services.journaled.append(&**journal, line);
        }
        Ok(())
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.services.lines.write(level, &message);
        Ok(())
    }
}

impl metrics::Host for State {
    fn count(&mut self, name: String, delta: u64) -> wasmtime::Result<()> {
        self.services.figures.count(&name, delta);
        Ok(())
    }

    fn gauge(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.services.figures.gauge(&name, value);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.services.figures.observe(&name, value);
        Ok(())
    }
}

/// What the clock says while a plugin is warmed up, 2026-01-01 00:00 UTC, and the number that all are.
const WARM_CLOCK: u64 = 1_767_225_600_000_000_000;
const WARM_NUMBER: u64 = 0x9e37_79b9_7f4a_7c15;

impl State {
    /// Whether an exchange of the manifest is run through it. What it keeps of that is in its image: the same image each time, so that it
    /// need not be compiled each time.
    fn is_warming_up(&self) -> bool {
        self.configuring && self.phase.is_some()
    }
}

impl clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(if self.is_warming_up() { WARM_CLOCK } else { self.services.world.now() })
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        Ok(if self.is_warming_up() { WARM_CLOCK } else { self.services.world.monotonic() })
    }
}

impl random::Host for State {
    fn number(&mut self) -> wasmtime::Result<u64> {
        if self.is_warming_up() {
            return Ok(WARM_NUMBER);
        }
        let mut bytes = [0; 8];
        self.services.world.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM_MAX {
            return Err(wasmtime::Error::msg(format!("{length} random bytes at once; at most {RANDOM_MAX}")));
        }
        if self.is_warming_up() {
            return Ok(WARM_NUMBER.to_le_bytes().into_iter().cycle().take(length as usize).collect());
        }
        let mut bytes = vec![0; length as usize];
        self.services.world.fill(&mut bytes)?;
        Ok(bytes)
    }
}

impl From<Refused> for key_value::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Quota => Self::Quota,
            Refused::NotANumber => Self::NotANumber,
            Refused::Size => Self::Size,
        }
    }
}

impl State {
    fn key_value(&self) -> Result<&KeyValue, key_value::Error> {
        if self.configuring { Err(key_value::Error::Unavailable) } else { Ok(&self.services.key_value) }
    }
}

fn ttl(milliseconds: Option<u64>) -> Option<Duration> {
    milliseconds.map(Duration::from_millis)
}

impl key_value::Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, key_value::Error>> {
        Ok(self.key_value().and_then(|values| Ok(values.get(&key)?)))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Result<(), key_value::Error>> {
        Ok(self.key_value().and_then(|values| Ok(values.set(&key, &value, ttl(ttl_ms))?)))
    }

    fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Result<bool, key_value::Error>> {
        Ok(self
            .key_value()
            .and_then(|values| Ok(values.compare_and_swap(&key, expected.as_deref(), &value, ttl(ttl_ms))?)))
    }

    fn add(&mut self, key: String, delta: i64, ttl_ms: Option<u64>) -> wasmtime::Result<Result<i64, key_value::Error>> {
        Ok(self.key_value().and_then(|values| Ok(values.add(&key, delta, ttl(ttl_ms))?)))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), key_value::Error>> {
        Ok(self.key_value().and_then(|values| Ok(values.delete(&key)?)))
    }
}

impl outbound::Host for State {
    async fn send(
        &mut self,
        request: outbound::Request,
    ) -> wasmtime::Result<Result<outbound::Response, outbound::Error>> {
        Ok(self.send_outbound(request).await)
    }
}

impl State {
    async fn send_outbound(&mut self, asked: outbound::Request) -> Result<outbound::Response, outbound::Error> {
        let Some(sender) = &self.outbound else {
            return Err(outbound::Error::Unavailable("not while the plugin is being configured".into()));
        };
        let Some(backend) = self.http.iter().find(|granted| ***granted == *asked.backend) else {
            let name = clip(&asked.backend);
            return Err(outbound::Error::Denied(format!("the grant `http` does not name the backend {name:?}")));
        };
        let timeout = Duration::from_millis(asked.timeout_ms.into()).min(self.wait);
        let request = head(asked)?;
        let (reply, answer) = oneshot::channel();
        let outbound = Outbound {
            plugin: self.plugin.clone(),
            backend: Arc::clone(backend),
            request,
            deadline: Instant::now() + timeout,
            body_max: BODY_MAX,
            reply,
        };
        if sender.try_send(outbound).is_err() {
            return Err(outbound::Error::Unavailable("too many requests of plugins are waiting".into()));
        }
        let response = match tokio::time::timeout(timeout, answer).await {
            Err(_) => return Err(outbound::Error::Timeout),
            Ok(Err(_)) => return Err(outbound::Error::Unavailable("the worker is ending".into())),
            Ok(Ok(Err(error))) => return Err(error.into()),
            Ok(Ok(Ok(response))) => response,
        };
        let fields = response.headers().iter().map(|(name, value)| types::FieldResult {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_owned(),
        });
        Ok(outbound::Response {
            status: response.status().as_u16(),
            fields: fields.collect(),
            body: response.into_body().into(),
        })
    }
}

impl From<OutboundError> for outbound::Error {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Denied(why) => Self::Denied(why),
            OutboundError::Unavailable(why) => Self::Unavailable(why),
            OutboundError::Timeout => Self::Timeout,
            OutboundError::Size => Self::Size,
        }
    }
}

fn head(asked: outbound::Request) -> Result<http::Request<Bytes>, outbound::Error> {
    let invalid = |what: &str, value: &str| outbound::Error::Invalid(format!("{what} {:?}", clip(value)));
    if asked.body.len() > BODY_MAX {
        return Err(outbound::Error::Size);
    }
    let method = Method::from_bytes(asked.method.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| invalid("this is no method:", &asked.method))?;
    let target = asked
        .target
        .starts_with('/')
        .then(|| PathAndQuery::try_from(asked.target.as_str()).ok())
        .flatten()
        .ok_or_else(|| invalid("this is no path that begins with `/`:", &asked.target))?;
    let mut request = http::Request::new(Bytes::from(asked.body));
    *request.method_mut() = method;
    *request.uri_mut() = target.into();
    for field in &asked.fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .ok()
            .filter(|name| !crate::decision::is_framing(name))
            .ok_or_else(|| invalid("this field cannot be sent:", &field.name))?;
        let value = HeaderValue::from_bytes(&field.value).map_err(|_| invalid("a value of", &field.name))?;
        if request.headers_mut().try_append(name, value).is_err() {
            return Err(invalid("too many fields, from", &field.name));
        }
    }
    Ok(request)
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}
