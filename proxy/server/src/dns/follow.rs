//! A question asked again and again: when its answer runs out, and at once when a connection fails.
//!
//! Each question has one task, owned by those who follow it: it ends when the last of them lets go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use portcullis_config::dns::Dns;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{
    answer::{Answer, Question, Source, State},
    look_up::Resolver,
};

/// However often it is hurried, a question is asked out of turn at most once in this time.
const HURRY: Duration = Duration::from_secs(1);

/// After failures: the first wait, doubled each time up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// An answer of a second or less may have a floor of nothing; asking goes on no faster than this.
const SHORTEST: Duration = Duration::from_millis(50);

/// A name that is looked up again and again. Clones share one task; the last one dropped ends it.
#[derive(Clone)]
pub struct Followed(Arc<Task>);

impl Followed {
    /// What is known now. Never waits: before the first answer it is [`State::Pending`].
    pub fn current(&self) -> Arc<Answer> {
        self.0.cell.answer.load_full()
    }

    /// Says that connecting to one of the addresses failed: the name is looked up now, or when the last look-up is 1 s
    /// ago. Cheap, and any number of calls count as one.
    pub fn hurry(&self) {
        self.0.cell.hurry.notify_one();
    }

    /// Whether the answer can never change: an address as written, a static host.
    pub fn is_fixed(&self) -> bool {
        self.0.task.is_none()
    }

    /// A number that changes when the set of records or the state does; the answer is then already in place.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.cell.version.subscribe()
    }

    pub(super) fn start(
        question: Question,
        resolver: &Arc<Resolver>,
        register: &Arc<Register>,
        seeds: &HashMap<Question, Arc<Answer>>,
        runtime: &Handle,
    ) -> Self {
        let mut followed = register.lock();
        if let Some(task) = followed.get(&question).and_then(Weak::upgrade) {
            return Self(task);
        }
        let known = resolver.known(&question);
        let asked = known.is_none();
        let cell = Arc::new(Cell {
            answer: ArcSwap::new(match (known, seeds.get(&question)) {
                (Some(known), _) => Arc::new(known),
                // What was believed under the table before is believed until this one has an answer.
                (None, Some(seed)) => seed.clone(),
                (None, None) => Arc::new(pending(&question)),
            }),
            version: watch::Sender::new(0),
            hurry: Notify::new(),
        });
        // What is known for ever needs no task.
        let task = asked.then(|| {
            let (cell, resolver, question) = (Arc::clone(&cell), Arc::clone(resolver), question.clone());
            runtime.spawn(async move { cell.keep(&resolver, &question).await }).abort_handle()
        });
        let task = Arc::new(Task { cell, task, question: question.clone(), register: Arc::clone(register) });
        followed.insert(question, Arc::downgrade(&task));
        Self(task)
    }
}

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Followed").field(&self.current()).finish()
    }
}

/// Who is followed, so that the same question shares one task. Never locked across a wait.
#[derive(Default)]
pub(super) struct Register(Mutex<HashMap<Question, Weak<Task>>>);

impl Register {
    fn lock(&self) -> MutexGuard<'_, HashMap<Question, Weak<Task>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a question, if somebody follows it.
    pub(super) fn current(&self, question: &Question) -> Option<Arc<Answer>> {
        // The task may be the last of its question by now, and its end takes the lock: not while it is held.
        let task = self.lock().get(question).and_then(Weak::upgrade);
        task.map(|task| task.cell.answer.load_full())
    }

    /// Every good answer that somebody follows.
    pub(super) fn answers(&self) -> HashMap<Question, Arc<Answer>> {
        let tasks: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        let answers = tasks.iter().map(|task| (task.question.clone(), task.cell.answer.load_full()));
        answers.filter(|(_, answer)| !answer.records.is_empty()).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

/// A running task and its place in the register.
struct Task {
    cell: Arc<Cell>,
    task: Option<AbortHandle>,
    question: Question,
    register: Arc<Register>,
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        let mut followed = self.register.lock();
        // Somebody may have begun to follow the same question meanwhile: that entry is alive and stays.
        if followed.get(&self.question).is_some_and(|task| task.strong_count() == 0) {
            followed.remove(&self.question);
        }
    }
}

/// What a task writes and its followers read.
struct Cell {
    answer: ArcSwap<Answer>,
    version: watch::Sender<u64>,
    hurry: Notify,
}

impl Cell {
    /// Looks up for ever; ended by aborting it.
    async fn keep(&self, resolver: &Resolver, question: &Question) {
        let mut failures = 0;
        let mut hurried: Option<Instant> = None;
        loop {
            // Who hurried before this look-up is served by it; who does while it runs may know more than it will say.
            let _ = self.hurry.notified().now_or_never();
            let answer = resolver.look_up(question).await;
            let next = next(&self.answer.load(), answer, &mut failures, resolver.config());
            self.publish(next.answer);
            tokio::select! {
                () = sleep(next.wait) => {}
                () = self.hurry.notified() => {
                    if let Some(before) = hurried {
                        sleep_until(before + HURRY).await;
                    }
                    hurried = Some(Instant::now());
                }
            }
        }
    }

    fn publish(&self, answer: Answer) {
        let before = self.answer.load_full();
        let differs = before.differs(&answer);
        if differs {
            report(&before, &answer);
        }
        self.answer.store(Arc::new(answer));
        if differs {
            self.version.send_modify(|version| *version = version.wrapping_add(1));
        }
    }
}

/// What to believe from now on, and when to ask again.
struct Next {
    answer: Answer,
    wait: Duration,
}

/// Weighs a look-up against what is believed. A good answer and a denial replace it; a failure does not, until the good
/// answer has been past its TTL for longer than `stale` (RFC 8767 section 5).
fn next(before: &Answer, latest: Answer, failures: &mut u32, config: &Dns) -> Next {
    let State::Failed(reason) = &latest.state else {
        *failures = 0;
        // A little later than the TTL says, so that what was asked at one moment is not asked at one moment for ever,
        // and a caching nameserver's own copy has run out.
        let wait = latest.ttl.max(SHORTEST);
        let wait = wait + Duration::from_millis(fastrand::u64(0..=millis(wait / 20).min(1000)));
        return Next { answer: latest, wait };
    };
    let wait = BACK_OFF.0.saturating_mul(1 << (*failures).min(16)).min(BACK_OFF.1);
    let wait = wait - Duration::from_millis(fastrand::u64(0..=millis(wait / 10)));
    *failures = failures.saturating_add(1);
    let until = before.ttl.saturating_add(config.stale);
    let usable = matches!(before.state, State::Fresh | State::Stale) && before.age(latest.at) <= until;
    let answer = if usable {
        Answer { state: State::Stale, trouble: Some(Arc::clone(reason)), ..before.clone() }
    } else {
        latest
    };
    Next { answer, wait }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn pending(question: &Question) -> Answer {
    Answer {
        question: question.clone(),
        records: Vec::new(),
        state: State::Pending,
        from: Source::Literal,
        nameserver: None,
        ttl: Duration::ZERO,
        at: Instant::now().into_std(),
        trouble: None,
    }
}

/// One line for each change, not for each look-up.
fn report(before: &Answer, answer: &Answer) {
    let name = &*answer.question.name;
    let addresses = || answer.records.iter().map(|record| record.address).collect::<Vec<_>>();
    match &answer.state {
        State::Fresh if before.state == State::Stale && before.records == answer.records => {
            tracing::info!(name, from = %answer.from, "the name is answered again");
        }
        State::Fresh | State::Pending => {
            tracing::info!(name, from = %answer.from, addresses = ?addresses(), "the name has new addresses");
        }
        State::Stale => tracing::warn!(
            name, from = %answer.from, reason = answer.reason(), "no nameserver answers: the last good answer is kept"
        ),
        State::NoSuchName => tracing::warn!(name, from = %answer.from, "there is no such name"),
        State::Refused(reason) => {
            tracing::warn!(name, from = %answer.from, %reason, "the name's addresses are refused")
        }
        State::Failed(reason) => tracing::warn!(name, from = %answer.from, %reason, "the name cannot be looked up"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{answer::Record, tests::config};

    fn answer(state: State, ttl: u64) -> Answer {
        let good = matches!(state, State::Fresh | State::Stale);
        Answer {
            records: if good { vec![Record::address([10, 0, 0, 1].into())] } else { Vec::new() },
            ttl: Duration::from_secs(ttl),
            state,
            ..pending(&Question::address("app.internal"))
        }
    }

    fn failed() -> Answer {
        answer(State::Failed("silence".into()), 0)
    }

    #[test]
    fn a_good_answer_is_kept_for_its_ttl_and_a_little() {
        let next = next(&failed(), answer(State::Fresh, 100), &mut 3, &config());
        assert_eq!(next.answer.state, State::Fresh);
        assert!((100.0..=101.0).contains(&next.wait.as_secs_f64()), "{:?}", next.wait);
    }

    #[test]
    fn failures_keep_the_last_good_answer_with_its_age_until_it_is_too_old() {
        let before = answer(State::Fresh, 60);
        let limit = Duration::from_secs(60) + config().stale;
        let after = |age| next(&before, Answer { at: before.at + age, ..failed() }, &mut 0, &config()).answer;
        let kept = after(limit);
        assert_eq!((kept.state.clone(), kept.reason(), kept.at), (State::Stale, Some("silence"), before.at));
        assert_eq!(kept.records, before.records);
        let dropped = after(limit + Duration::from_millis(1));
        assert_eq!(dropped.state, State::Failed("silence".into()));
        assert!(dropped.records.is_empty());
    }

    #[test]
    fn a_denial_empties_the_set() {
        let next = next(&answer(State::Stale, 60), answer(State::NoSuchName, 5), &mut 0, &config());
        assert!(next.answer.records.is_empty());
        assert_eq!(next.answer.state, State::NoSuchName);
    }

    #[test]
    fn a_failure_after_a_denial_is_a_failure() {
        let next = next(&answer(State::NoSuchName, 60), failed(), &mut 0, &config());
        assert_eq!(next.answer.state, State::Failed("silence".into()));
    }

    #[test]
    fn backs_off_from_one_second_to_thirty() {
        let mut failures = 0;
        let waits: Vec<f64> =
            (0..40).map(|_| next(&failed(), failed(), &mut failures, &config()).wait.as_secs_f64()).collect();
        for (wait, expected) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) {
            assert!((expected * 0.9..=expected).contains(wait), "{wait} for {expected}");
        }
        assert!(waits[39] >= 27.0);
    }

    #[test]
    fn a_ttl_of_nothing_is_no_busy_loop() {
        assert!(next(&failed(), answer(State::Fresh, 0), &mut 0, &config()).wait >= SHORTEST);
    }
}
