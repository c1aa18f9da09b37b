//! A plugin's part in one exchange.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use smallvec::SmallVec;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Store, component::ResourceAny};

use crate::{
    BodyMode, Failure, FailureKind, Local, Plugin, Verdict,
    breaker::Trial,
    contract::{exports::portcullis::filter::filter::Guest, portcullis::filter::types as guest},
    decision::{self, Place},
    failure,
    instance::{Instance, State},
    metered,
    ticker::FIRST_SLICE,
};

/// A request's head, as plugins are shown it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// As sent.
    pub method: &'a str,
    /// Whether the client used TLS.
    pub https: bool,
    /// Host and port as sent.
    pub authority: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// As sent.
    pub version: http::Version,
    /// All fields.
    pub fields: &'a HeaderMap,
}

/// A response's head, as plugins are shown it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// 200 to 599.
    pub status: StatusCode,
    /// All fields.
    pub fields: &'a HeaderMap,
}

/// The end of a body.
#[derive(Clone, Copy, Debug)]
pub enum BodyEnd<'a> {
    /// All was seen; the trailers, if any came.
    Complete(Option<&'a HeaderMap>),
    /// The limit of a held body was reached.
    Limit,
    /// The sender went away.
    Cut,
}

/// Who is on the other side. Asked for only when a guest asks.
#[derive(Clone, Debug)]
pub struct Facts {
    /// After trusted proxies.
    pub client: SocketAddr,
    /// Of the TCP connection.
    pub peer: SocketAddr,
    /// The proxy's end of it.
    pub server: SocketAddr,
    /// What the handshake settled, on TLS connections.
    pub tls: Option<Arc<TlsFacts>>,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The route's name.
    pub route: Arc<str>,
    /// `X-Request-Id`.
    pub request_id: Box<str>,
    /// The target as sent, where that was an absolute one.
    pub absolute_target: Option<Box<str>>,
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The name asked for.
    pub sni: Option<String>,
    /// The protocol agreed on.
    pub alpn: Option<String>,
    /// The subject of the verified client certificate.
    pub client_certificate: Option<String>,
    /// JA4.
    pub ja4: Option<String>,
}

/// What became of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// As sent; 0 when none was.
    pub status: u16,
    /// Request body bytes.
    pub received: u64,
    /// Response body bytes.
    pub sent: u64,
    /// From the head to the end.
    pub duration: Duration,
    /// The backend's name.
    pub backend: Option<&'a str>,
    /// The address that answered.
    pub endpoint: Option<SocketAddr>,
    /// The kind of error.
    pub error: Option<&'a str>,
    /// The plugin that responded or closed.
    pub decided_by: Option<&'a str>,
}

/// The five phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request's head.
    RequestHead,
    /// The request's body.
    RequestBody,
    /// The response's head.
    ResponseHead,
    /// The response's body.
    ResponseBody,
    /// The end.
    Log,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::RequestHead, Self::RequestBody, Self::ResponseHead, Self::ResponseBody, Self::Log];

    /// The word in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestHead => "request_head",
            Self::RequestBody => "request_body",
            Self::ResponseHead => "response_head",
            Self::ResponseBody => "response_body",
            Self::Log => "log",
        }
    }
}

/// What a run has cost so far, by phase in the order of [`Phase::ALL`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    /// Calls.
    pub calls: [u32; 5],
    /// Time of this thread, instances that had to be made included.
    pub time: [Duration; 5],
}

/// Bodies that a plugin takes its wish back for, in one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skips {
    /// The request's.
    pub request: bool,
    /// The response's.
    pub response: bool,
    /// Whether a piece of the response's was shown.
    pub(crate) response_has_begun: bool,
}

/// A plugin's part in one exchange. Making one costs nothing; an instance is taken at the first call and given back on drop.
///
/// Calls are cancel-safe in that dropping their future ends the guest; the run then fails in every later call. After a failure every
/// call fails alike: whether the exchange goes on without the plugin is for the caller to say (`on_failure`).
pub struct Run {
    local: Rc<Local>,
    facts: Option<Box<Facts>>,
    costs: Costs,
    instance: Option<Box<Instance>>,
    trial: Trial,
    failure: Option<Failure>,
    skips: Skips,
    note: Option<Box<str>>,
}

impl Run {
    /// For an exchange that begins. `facts` is asked only if the plugin can ask for them.
    pub(crate) fn new(local: Rc<Local>, facts: impl FnOnce() -> Facts) -> Self {
        let facts = local.plugin().wants_facts().then(|| Box::new(facts()));
        Self {
            local,
            facts,
            costs: Costs::default(),
            instance: None,
            trial: Trial::default(),
            failure: None,
            skips: Skips::default(),
            note: None,
        }
    }

    /// Of which plugin.
    pub fn plugin(&self) -> &Arc<Plugin> {
        self.local.plugin()
    }

    /// What it has cost so far.
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// How it failed, once it has.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Bodies that are not to be shown, whatever the plugin's declaration says.
    pub fn skips(&self) -> Skips {
        self.skips
    }

    /// What the plugin has put into the exchange's record since this was last asked: a JSON object on one line.
    pub fn take_note(&mut self) -> Option<Box<str>> {
        self.note.take()
    }

    /// Bytes of linear memory that its instance has now; 0 before the first call.
    pub fn memory(&self) -> u64 {
        self.instance.as_ref().map_or(0, |instance| instance.store.data().memory.used as u64)
    }

    /// Shows the request's head. Only to be called if it is wanted; so with all phases.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn request_head(&mut self, head: RequestHead<'_>) -> Result<Verdict, Failure> {
        let fields = Fields::of(head.fields);
        let fields = fields.borrow();
        let shown = guest::RequestHead {
            method: head.method,
            https: head.https,
            authority: head.authority,
            target: head.target,
            version: match head.version {
                http::Version::HTTP_10 => guest::HttpVersion::Http10,
                http::Version::HTTP_2 => guest::HttpVersion::Http2,
                http::Version::HTTP_3 => guest::HttpVersion::Http3,
                _ => guest::HttpVersion::Http11,
            },
            fields: &fields,
        };
        let place = Place { phase: Phase::RequestHead, head_is_held: true, is_complete: false };
        self.ask(place, async |store, exports, exchange| {
            exports.exchange().call_request_head(store, exchange, shown).await
        })
        .await
    }

    /// Shows a piece of the request's body, or all of it to a plugin that holds it.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn request_body(&mut self, data: &[u8], end: Option<BodyEnd<'_>>) -> Result<Verdict, Failure> {
        let mode = self.plugin().declaration().request_body;
        let place = Place::in_body(Phase::RequestBody, mode, end);
        let trailers = Fields::of_end(end);
        let trailers = trailers.borrow();
        let end = end.map(|end| end.shown(&trailers));
        self.ask(place, async |store, exports, exchange| {
            exports.exchange().call_request_body(store, exchange, data, end).await
        })
        .await
    }

    /// Shows the response's head.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn response_head(&mut self, head: ResponseHead<'_>) -> Result<Verdict, Failure> {
        let fields = Fields::of(head.fields);
        let fields = fields.borrow();
        let shown = guest::ResponseHead { status: head.status.as_u16(), fields: &fields };
        let place = Place { phase: Phase::ResponseHead, head_is_held: true, is_complete: false };
        self.ask(place, async |store, exports, exchange| {
            exports.exchange().call_response_head(store, exchange, shown).await
        })
        .await
    }

    /// Shows a piece of the response's body, or all of it to a plugin that holds it.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn response_body(&mut self, data: &[u8], end: Option<BodyEnd<'_>>) -> Result<Verdict, Failure> {
        let mode = self.plugin().declaration().response_body;
        let place = Place::in_body(Phase::ResponseBody, mode, end);
        let trailers = Fields::of_end(end);
        let trailers = trailers.borrow();
        let end = end.map(|end| end.shown(&trailers));
        self.ask(place, async |store, exports, exchange| {
            exports.exchange().call_response_body(store, exchange, data, end).await
        })
        .await
    }

    /// Tells it the end. Nothing comes after it.
    ///
    /// # Errors
    /// When the plugin fails.
    pub async fn log(&mut self, summary: Summary<'_>) -> Result<(), Failure> {
        let endpoint = summary.endpoint.map(|endpoint| endpoint.to_string());
        let shown = guest::Summary {
            status: summary.status,
            received: summary.received,
            sent: summary.sent,
            duration_ns: u64::try_from(summary.duration.as_nanos()).unwrap_or(u64::MAX),
            backend: summary.backend,
            endpoint: endpoint.as_deref(),
            error: summary.error,
            decided_by: summary.decided_by,
        };
        self.call(Phase::Log, async |store, exports, exchange| {
            exports.exchange().call_log(store, exchange, shown).await
        })
        .await
    }

    async fn ask<F>(&mut self, place: Place, call: F) -> Result<Verdict, Failure>
    where
        F: AsyncFnOnce(&mut Store<State>, &Guest, ResourceAny) -> wasmtime::Result<guest::Verdict>,
    {
        let verdict = self.call(place.phase, call).await?;
        decision::translate(verdict, place).map_err(|failure| self.fail(failure))
    }

    async fn call<T, F>(&mut self, phase: Phase, call: F) -> Result<T, Failure>
    where
        F: AsyncFnOnce(&mut Store<State>, &Guest, ResourceAny) -> wasmtime::Result<T>,
    {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.instance.as_ref().is_some_and(|instance| instance.is_running) {
            // Whoever waited for the last call has left in the middle of it. That is not the guest's doing, so that it is not counted: a
            // client that goes away often must not have a plugin suspended.
            let failure =
                Failure::new(FailureKind::Wait, "its last call was given up, so that it cannot be called again");
            self.end_instance();
            self.failure = Some(failure.clone());
            return Err(failure);
        }
        let plugin = self.local.plugin().clone();
        let mut fresh = None;
        if self.instance.is_none() {
            match self.admit().await {
                Ok(place) => fresh = place,
                Err(failure) => return Err(self.fail(failure)),
            }
        }
        let (instance, local, facts) = (&mut self.instance, &self.local, &mut self.facts);
        let mut used = Duration::ZERO;
        let result = metered::run(&plugin.host.ticker, plugin.allowance, &mut used, async {
            let instance = match instance {
                Some(instance) => instance,
                None => {
                    let store = plugin.kind.store(&plugin.engine, Some(local.outbound.clone()));
                    let mut made = Instance::new(store, &plugin.pre).await?;
                    made.permit = fresh.take();
                    plugin.prepare(&mut made).await?;
                    instance.insert(Box::new(made))
                }
            };
            instance.is_running = true;
            let Instance { store, bindings, exchange, .. } = &mut **instance;
            store.set_epoch_deadline(FIRST_SLICE);
            if let Some(facts) = facts.take() {
                store.data_mut().begin(facts);
            }
            store.data_mut().enter(phase);
            let exports = bindings.portcullis_filter_filter();
            let exchange = match exchange.take() {
                Some(mine) => mine,
                None => exports.exchange().call_constructor(&mut *store).await?,
            };
            instance.exchange = Some(exchange);
            let answer = call(&mut instance.store, instance.bindings.portcullis_filter_filter(), exchange).await?;
            instance.is_running = false;
            let state = instance.store.data_mut();
            Ok((answer, state.skips, state.note.take()))
        })
        .await;
        self.costs.calls[phase as usize] += 1;
        self.costs.time[phase as usize] += used;
        match result {
            Ok((answer, skips, note)) => {
                self.skips = skips;
                self.note = note.or(self.note.take());
                plugin.breaker.succeeded(self.trial);
                Ok(answer)
            }
            Err(error) => {
                let failure = failure::explain(&error, phase.name(), &plugin, self.instance.as_deref());
                Err(self.fail(failure))
            }
        }
    }

    /// Whether the plugin may be asked, and an instance that waits or a place for a new one.
    async fn admit(&mut self) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        self.trial = self.local.plugin().breaker.admit()?;
        if let Some(mut instance) = self.local.take() {
            match tidy(self.local.plugin(), &mut instance).await {
                Ok(()) => {
                    self.instance = Some(instance);
                    return Ok(None);
                }
                // The exchange before this one is to blame.
                Err(failure) => self.local.plugin().failed(&failure, Trial::default()),
            }
        }
        self.local.place().await.map(Some)
    }

    /// Its instance cannot be used again.
    fn end_instance(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.local.plugin().host.reaper.take(instance);
        }
    }

    /// The end of this run: counted, written down, and said again at each later call.
    fn fail(&mut self, failure: Failure) -> Failure {
        self.end_instance();
        self.local.plugin().failed(&failure, self.trial);
        self.failure = Some(failure.clone());
        failure
    }
}

/// Drops what the last exchange left in `instance`. When that one ended it would have taken a task of its own.
///
/// # Errors
/// When the guest fails in that: the instance cannot be used again.
async fn tidy(plugin: &Plugin, instance: &mut Instance) -> Result<(), Failure> {
    let Some(last) = instance.exchange.take() else { return Ok(()) };
    let store = &mut instance.store;
    store.set_epoch_deadline(FIRST_SLICE);
    let mut used = Duration::ZERO;
    let dropped = metered::run(&plugin.host.ticker, plugin.allowance, &mut used, last.resource_drop_async(store));
    dropped.await.map_err(|error| failure::explain(&error, "the drop of an exchange", plugin, Some(instance)))
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.local.give_back(instance);
        }
    }
}

impl Place {
    fn in_body(phase: Phase, mode: BodyMode, end: Option<BodyEnd<'_>>) -> Self {
        let head_is_held = matches!(mode, BodyMode::Hold { .. });
        Self { phase, head_is_held, is_complete: matches!(end, Some(BodyEnd::Complete(_))) }
    }
}

impl BodyEnd<'_> {
    fn shown<'a>(self, trailers: &'a [guest::FieldParam<'a>]) -> guest::BodyEnd<'a> {
        match self {
            Self::Complete(_) => guest::BodyEnd::Complete(trailers),
            Self::Limit => guest::BodyEnd::Limit,
            Self::Cut => guest::BodyEnd::Cut,
        }
    }
}

/// Fields as the guest is shown them, borrowed from a head.
struct Fields<'a>(Option<&'a HeaderMap>);

impl<'a> Fields<'a> {
    fn of(map: &'a HeaderMap) -> Self {
        Self(Some(map))
    }

    fn of_end(end: Option<BodyEnd<'a>>) -> Self {
        match end {
            Some(BodyEnd::Complete(trailers)) => Self(trailers),
            _ => Self(None),
        }
    }

    /// Heads mostly have fewer fields than fit on the stack here.
    fn borrow(&self) -> SmallVec<[guest::FieldParam<'a>; 24]> {
        let fields = self.0.into_iter().flatten();
        fields.map(|(name, value)| guest::FieldParam { name: name.as_str(), value: value.as_bytes() }).collect()
    }
}
