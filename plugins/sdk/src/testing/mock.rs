//! The host of a test: one for each thread, and `cargo test` gives each test a thread of its own.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use super::values::Values;
use crate::{
    connection::{Facts, Tls},
    http, key_value,
    log::Level,
};

/// 2026-01-01 00:00 UTC.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

pub(crate) type Answer = Rc<dyn Fn(&http::Request) -> Result<http::Response, http::Error>>;

/// Where in an exchange the plugin is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Moment {
    #[default]
    Outside,
    RequestHead,
    RequestBody,
    ResponseHead,
    ResponseBody,
    Log,
}

pub(crate) struct Mock {
    pub(crate) configuring: bool,
    pub(crate) facts: Facts,
    pub(crate) lines: Vec<(Level, String)>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) gauges: BTreeMap<String, f64>,
    pub(crate) observed: BTreeMap<String, Vec<f64>>,
    pub(crate) answer: Option<Answer>,
    pub(crate) sent: Vec<http::Request>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) journal: Vec<String>,
    pub(crate) note: Option<String>,
    pub(crate) moment: Moment,
    /// Bodies of the request and of the response that the exchange is not to be shown.
    pub(crate) skips: (bool, bool),
    now: Duration,
    elapsed: Duration,
    seed: u64,
    values: Values,
}

impl Mock {
    fn new() -> Self {
        Self {
            configuring: false,
            facts: Facts {
                client: "192.0.2.1".to_owned(),
                client_port: 40000,
                peer: "192.0.2.1".to_owned(),
                tls: Some(Tls {
                    version: "TLSv1.3".to_owned(),
                    sni: Some("example.com".to_owned()),
                    alpn: Some("http/1.1".to_owned()),
                    client_certificate: None,
                    ja4: None,
                }),
                listener: "https".to_owned(),
                route: "test".to_owned(),
                request_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            },
            lines: Vec::new(),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            observed: BTreeMap::new(),
            answer: None,
            sent: Vec::new(),
            files: BTreeMap::new(),
            journal: Vec::new(),
            note: None,
            moment: Moment::Outside,
            skips: (false, false),
            now: BEGINNING,
            elapsed: Duration::ZERO,
            seed: 1,
            values: Values::new(),
        }
    }

    pub(crate) fn nanoseconds(&self) -> u64 {
        self.now.as_nanos() as u64
    }

    pub(crate) fn monotonic(&self) -> u64 {
        self.elapsed.as_nanos() as u64
    }

    /// The next of a fixed sequence (SplitMix64).
    pub(crate) fn number(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn values(&mut self) -> Result<&mut Values, key_value::Error> {
        if self.configuring {
            return Err(key_value::Error::Unavailable);
        }
        self.values.now = self.elapsed.as_millis() as u64;
        Ok(&mut self.values)
    }
}

thread_local! {
    static MOCK: RefCell<Mock> = RefCell::new(Mock::new());
}

pub(crate) fn with<R>(call: impl FnOnce(&mut Mock) -> R) -> R {
    MOCK.with_borrow_mut(call)
}

/// Begins anew: everything as a fresh thread has it.
pub fn reset() {
    with(|mock| *mock = Mock::new());
}

/// Sets the clock: the time since 1970. It begins at 2026-01-01 and stands still.
pub fn set_time(now: Duration) {
    with(|mock| mock.now = now);
}

/// Lets time pass, for both clocks and for times to live.
pub fn advance(by: Duration) {
    with(|mock| {
        mock.now += by;
        mock.elapsed += by;
    });
}

/// Where the random numbers begin. The same seed gives the same numbers.
pub fn set_seed(seed: u64) {
    with(|mock| mock.seed = seed);
}

/// Sets the client's address, and with it the peer's.
pub fn set_client(address: &str) {
    with(|mock| {
        mock.facts.client = address.to_owned();
        mock.facts.peer = address.to_owned();
    });
}

/// Changes what [`connection::get`](crate::connection::get) says.
pub fn edit_facts(edit: impl FnOnce(&mut Facts)) {
    with(|mock| edit(&mut mock.facts));
}

/// The quota of shared values, in bytes. It begins at 1 MiB, as the proxy's default.
pub fn set_quota(bytes: usize) {
    with(|mock| mock.values.quota = bytes);
}

/// Answers outbound requests from now on. Before, they are unavailable.
pub fn answer_http(answer: impl Fn(&http::Request) -> Result<http::Response, http::Error> + 'static) {
    with(|mock| mock.answer = Some(Rc::new(answer)));
}

/// The outbound requests so far.
pub fn sent_http() -> Vec<http::Request> {
    with(|mock| mock.sent.clone())
}

/// The lines logged so far.
pub fn lines() -> Vec<(Level, String)> {
    with(|mock| mock.lines.clone())
}

/// What a counter has come to; 0 when it was never added to.
pub fn counter(name: &str) -> u64 {
    with(|mock| mock.counters.get(name).copied().unwrap_or(0))
}

/// What a gauge was last set to.
pub fn gauge(name: &str) -> Option<f64> {
    with(|mock| mock.gauges.get(name).copied())
}

/// The values a histogram was given.
pub fn observed(name: &str) -> Vec<f64> {
    with(|mock| mock.observed.get(name).cloned().unwrap_or_default())
}

/// Lays a file down that can be read in `configure`.
pub fn set_file(path: impl Into<String>, content: impl Into<Vec<u8>>) {
    with(|mock| mock.files.insert(path.into(), content.into()));
}

/// The lines written to the journal so far.
pub fn journal() -> Vec<String> {
    with(|mock| mock.journal.clone())
}

/// The last note of the exchange that runs, or ran last.
pub fn note() -> Option<String> {
    with(|mock| mock.note.clone())
}
