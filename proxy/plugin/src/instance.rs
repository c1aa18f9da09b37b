//! A guest that runs: a store with one instance of the component.

use std::{sync::Arc, time::Duration};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{
    Engine, ResourceLimiter, Store,
    component::{HasData, ResourceAny, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p2::pipe::MemoryOutputPipe};

use crate::{
    Facts, OutboundSender, Phase, Skips,
    contract::{Plugin as Bindings, PluginPre},
    metered,
    services::{Services, files::Files, journal::Journal},
};

/// What a guest may have written to standard error before more of it is refused.
const STDERR_MAX: usize = 16 << 10;

/// Elements of a table: a pointer each, and a function each in what compilers make. Python's own has some ten thousand.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// Handles that a guest may hold at once: an exchange and what WASI gives.
const HANDLES_MAX: usize = 1024;

/// What the host knows of a running guest.
pub struct State {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// What its name shares.
    pub services: Arc<Services>,
    /// Backends that it may ask.
    pub http: Arc<[Arc<str>]>,
    /// The longest that it may wait.
    pub wait: Duration,
    /// Where its requests go; `None` while configuring.
    pub outbound: Option<OutboundSender>,
    /// Of the exchange that it is used by.
    pub facts: Option<Box<Facts>>,
    /// In which it is called, while an exchange uses it.
    pub phase: Option<Phase>,
    /// Bodies that it has taken its wish back for, in this exchange.
    pub skips: Skips,
    /// What it has put into the record, since it was last looked at.
    pub note: Option<Box<str>>,
    /// What it may read.
    pub files: Files,
    /// Where its lines go.
    pub journal: Option<Arc<dyn Journal>>,
    /// Whether it is being configured.
    pub configuring: bool,
    /// Its memory.
    pub memory: Memory,
    wasi: Option<Box<Wasi>>,
}

impl State {
    /// An exchange begins to use it.
    pub fn begin(&mut self, facts: Box<Facts>) {
        self.facts = Some(facts);
    }

    /// The exchange calls it in this phase.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = Some(phase);
        self.skips.response_has_begun |= phase == Phase::ResponseBody;
    }

    /// The exchange has done with it.
    pub fn leave(&mut self) {
        (self.facts, self.phase, self.note) = (None, None, None);
        self.skips = Skips::default();
    }
}

/// For [`wasmtime::component`]: host calls get the whole state.
pub struct Calls;

impl HasData for Calls {
    type Data<'a> = &'a mut State;
}

/// The part of WASI that a guest sees: no files, no environment, no network.
struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    stderr: MemoryOutputPipe,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(Box::default);
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

impl Default for Wasi {
    fn default() -> Self {
        let stderr = MemoryOutputPipe::new(STDERR_MAX);
        let mut ctx = WasiCtxBuilder::new();
        ctx.stderr(stderr.clone()).allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        Self { ctx: ctx.build(), table: ResourceTable::new(), stderr }
    }
}

/// Keeps a guest within its memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    limit: usize,
    /// Over all its memories, as far as they have grown.
    pub used: usize,
    /// Whether it wanted more.
    pub refused: bool,
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

/// What instances of one plugin have in common.
pub struct Kind {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// What its name shares.
    pub services: Arc<Services>,
    /// Backends that it may ask.
    pub http: Arc<[Arc<str>]>,
    /// The longest that it may wait.
    pub wait: Duration,
    /// Bytes of linear memory.
    pub memory: usize,
    /// Bytes that one call may hand to the host.
    pub hand_over: usize,
    /// Where its lines go.
    pub journal: Option<Arc<dyn Journal>>,
}

impl Kind {
    /// A store for one instance.
    pub fn store(&self, engine: &Engine, outbound: Option<OutboundSender>) -> Store<State> {
        let state = State {
            plugin: self.plugin.clone(),
            services: self.services.clone(),
            http: self.http.clone(),
            wait: self.wait,
            configuring: outbound.is_none(),
            outbound,
            facts: None,
            phase: None,
            skips: Skips::default(),
            note: None,
            files: Files::default(),
            journal: self.journal.clone(),
            memory: Memory { limit: self.memory, used: 0, refused: false },
            wasi: None,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|_| metered::epoch_moved());
        store.set_hostcall_fuel(self.hand_over);
        store.set_max_component_handles(HANDLES_MAX);
        store
    }
}

/// An instance, and the exchange that uses it.
pub struct Instance {
    /// Its store.
    pub store: Store<State>,
    /// Its exports.
    pub bindings: Bindings,
    /// What it made for the exchange that uses it, or used it last.
    pub exchange: Option<ResourceAny>,
    /// Exchanges that have used it.
    pub uses: u32,
    /// Set while it runs: if that is never undone, it was left in the middle and cannot be used again.
    pub is_running: bool,
    /// Its place among the plugin's instances.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl Instance {
    /// Makes one. To be run by [`metered::run`]: a start function is the guest's too.
    pub async fn new(mut store: Store<State>, pre: &PluginPre<State>) -> wasmtime::Result<Self> {
        store.set_epoch_deadline(crate::ticker::FIRST_SLICE);
        let bindings = pre.instantiate_async(&mut store).await?;
        Ok(Self { store, bindings, exchange: None, uses: 0, is_running: false, permit: None })
    }

    /// The end of what it wrote to standard error: where other languages say why they gave up.
    pub fn stderr(&self) -> String {
        let Some(wasi) = &self.store.data().wasi else { return String::new() };
        String::from_utf8_lossy(&wasi.stderr.contents()).trim_end().to_owned()
    }
}
