//! A route's plugins in one exchange.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use http::Response;
use portcullis_plugin::{BodyMode, Costs, Declaration, Facts, Failure, Local, OnFailure, Phase, Run, Verdict};
use smallvec::SmallVec;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    error::{Error, Kind},
    flight::Sentence,
    record::PluginPart,
};

/// The plugins of a route, as one exchange goes through them. Positions are those of the route's `plugins`.
pub struct Chain {
    links: SmallVec<[Link; 2]>,
    /// Why the exchange ends, where a body that somebody else sends found it out.
    stop: RefCell<Option<Stop>>,
    sentence: Rc<Sentence>,
    /// Who responded or closed last.
    decided: Cell<Option<usize>>,
}

/// One plugin's part.
struct Link {
    /// In the snapshot.
    position: usize,
    local: Rc<Local>,
    /// Request and response may be on their way at once; an instance does one thing at a time.
    run: Mutex<Run>,
    /// What it declared, less what it has taken back for this exchange.
    wants: Cell<Declaration>,
    /// It failed, and the exchange goes on without it.
    is_out: Cell<bool>,
    /// A call has begun and not ended. One that is given up leaves this, and then the guest cannot be called again.
    is_busy: Cell<bool>,
    said: Cell<(Phase, &'static str)>,
    costs: Cell<Costs>,
    note: RefCell<Option<Box<str>>>,
    failure: RefCell<Option<Failure>>,
}

impl Link {
    /// Takes over what the plugin has said beside its verdict.
    fn heard(&self, run: &mut Run) {
        if let Some(note) = run.take_note() {
            *self.note.borrow_mut() = Some(note);
        }
        let (skips, mut wants) = (run.skips(), self.wants.get());
        if skips.request {
            wants.request_body = BodyMode::None;
        }
        if skips.response {
            wants.response_body = BodyMode::None;
        }
        self.wants.set(wants);
    }
}

/// Why a chain ends an exchange.
#[derive(Debug)]
pub enum Stop {
    /// Something failed: a plugin that refuses then, or whoever sends the body.
    Failed(Error),
    /// A plugin answers.
    Respond {
        /// Its position.
        by: usize,
        /// With this.
        response: Box<Response<Bytes>>,
    },
    /// A plugin closes.
    Close {
        /// Its position.
        by: usize,
    },
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Chain {
    /// The plugins `locals`, each with its position in the snapshot, in an exchange that begins. `facts` is asked only by those that may
    /// ask for them.
    pub fn begin<'a>(
        locals: impl Iterator<Item = (usize, &'a Rc<Local>)>,
        sentence: Rc<Sentence>,
        facts: impl Fn() -> Facts,
    ) -> Rc<Self> {
        let links = locals.map(|(position, local)| Link {
            position,
            local: local.clone(),
            run: Mutex::new(local.begin(&facts)),
            wants: Cell::new(*local.plugin().declaration()),
            is_out: Cell::new(false),
            is_busy: Cell::new(false),
            said: Cell::new((Phase::RequestHead, "continue")),
            costs: Cell::default(),
            note: RefCell::default(),
            failure: RefCell::default(),
        });
        Rc::new(Self { links: links.collect(), stop: RefCell::default(), sentence, decided: Cell::new(None) })
    }

    /// Where they are in the snapshot, in order.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.links.iter().map(|link| link.position)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// What a plugin wants to see: nothing, once the exchange goes on without it.
    pub fn wants(&self, at: usize) -> Option<Declaration> {
        self.links.get(at).filter(|link| !link.is_out.get()).map(|link| link.wants.get())
    }

    /// Whether any of the first `upto` plugins wants what `which` says.
    pub fn any(&self, upto: usize, which: impl Fn(&Declaration) -> bool) -> bool {
        (0..upto.min(self.len())).any(|at| self.wants(at).is_some_and(|wants| which(&wants)))
    }

    /// Asks a plugin. One that fails and may be done without has answered to go on.
    ///
    /// # Errors
    /// When it fails and may not be done without.
    pub async fn ask(
        &self,
        at: usize,
        phase: Phase,
        call: impl AsyncFnOnce(&mut Run) -> Result<Verdict, Failure>,
    ) -> Result<Verdict, Error> {
        let link = &self.links[at];
        let mut run = link.run.lock().await;
        if link.is_out.get() {
            return Ok(Verdict::Continue);
        }
        link.is_busy.set(true);
        let answer = call(&mut run).await;
        link.is_busy.set(false);
        link.costs.set(*run.costs());
        link.heard(&mut run);
        match answer {
            Ok(verdict) => {
                if !matches!(verdict, Verdict::Continue) {
                    link.said.set((phase, verdict.name()));
                }
                if matches!(verdict, Verdict::Respond(_) | Verdict::Close) {
                    self.decided.set(Some(at));
                }
                Ok(verdict)
            }
            Err(failure) => {
                link.is_out.set(true);
                let definition = link.local.plugin().definition();
                let error = failed(&definition.name, &failure);
                *link.failure.borrow_mut() = Some(failure);
                match definition.on_failure {
                    OnFailure::Refuse => Err(error),
                    OnFailure::Continue => Ok(Verdict::Continue),
                }
            }
        }
    }

    /// Shows a plugin what is decided already. What it says of it is in the record and nowhere else.
    pub async fn show(&self, at: usize, phase: Phase, call: impl AsyncFnOnce(&mut Run) -> Result<Verdict, Failure>) {
        // A failure is counted and written down where it happens.
        let _ = self.ask(at, phase, call).await;
        self.decided.set(None);
    }

    /// The runs that can be told the end, one after the other, each once whoever has it is done with it.
    pub async fn run(&self, at: usize) -> Option<MutexGuard<'_, Run>> {
        let link = self.links.get(at)?;
        let run = link.run.lock().await;
        (link.wants.get().log && !link.is_out.get() && !link.is_busy.get()).then_some(run)
    }

    /// A plugin's name in the configuration.
    pub fn name(&self, at: usize) -> &Arc<str> {
        &self.links[at].local.plugin().definition().name
    }

    /// The plugin that responded or closed.
    pub fn decided_by(&self) -> Option<&Arc<str>> {
        self.decided.get().map(|at| self.name(at))
    }

    /// Ends the exchange from a body that somebody else is sending.
    pub fn stop(&self, stop: Stop) {
        self.stop.borrow_mut().get_or_insert(stop);
    }

    /// The response has begun, so that nobody looks for why sending the request ended: cuts it off.
    pub fn cut_off(&self) {
        self.sentence.stop(crate::record::End::Aborted);
    }

    /// Why a body ended the exchange, if one did.
    pub fn take_stop(&self) -> Option<Stop> {
        self.stop.borrow_mut().take()
    }

    /// What the record says of each.
    pub fn parts(&self) -> Vec<PluginPart> {
        let part = |link: &Link| {
            let (phase, verdict) = link.said.get();
            PluginPart {
                name: link.local.plugin().definition().name.clone(),
                verdict,
                phase: phase.name(),
                costs: link.costs.get(),
                note: link.note.borrow().clone(),
                failure: link.failure.borrow().clone().map(Box::new),
            }
        };
        self.links.iter().map(part).collect()
    }
}

/// A plugin that failed, where it may not be done without.
fn failed(name: &str, failure: &Failure) -> Error {
    Error::plugin(Kind::ProxyInternalError, format!("plugin {name} failed ({}): {failure}", failure.kind.name()))
}
