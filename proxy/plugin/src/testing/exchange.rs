//! One exchange through one plugin, as the proxy would do it: phases in order, bodies in pieces or held.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, header};

use super::{
    case::Case,
    message::Message,
    outcome::{Answer, Text, Word, fields},
    shape::{Division, End},
};
use crate::{
    AtLimit, BodyEnd, BodyMode, Costs, Failure, Local, Phase, RequestHead, ResponseHead, Run, Summary, Verdict,
};

/// The way that a case takes.
#[derive(Clone, Debug)]
pub struct Way {
    /// How the request's body comes.
    pub request: (Division, End),
    /// How the response's body comes.
    pub response: (Division, End),
}

/// What a run gave.
#[derive(Debug, Default)]
pub struct Ran {
    /// What was answered in each phase, in the order of [`Phase::ALL`]; the last one only if it failed.
    pub answers: [Option<Answer>; 5],
    /// The failure, in words.
    pub failure: Option<Failure>,
    /// What it cost.
    pub costs: Costs,
    /// Bytes of the instance's memory at the end.
    pub memory: u64,
}

/// The exchange as it stands.
struct Going<'a> {
    case: &'a Case,
    run: Run,
    ran: Ran,
    received: u64,
    sent: u64,
    status: u16,
}

/// Runs `case` the way `way`.
pub async fn run(local: &Rc<Local>, case: &Case, way: &Way) -> Ran {
    let run = local.begin(|| case.connection.facts());
    let mut going = Going { case, run, ran: Ran::default(), received: 0, sent: 0, status: 0 };
    // Whether the exchange goes on to its next part or has ended is what each says.
    if going.request(way).await {
        going.response(way).await;
    }
    going.end().await;
    let Going { run, mut ran, .. } = going;
    ran.costs = *run.costs();
    ran.memory = run.memory();
    ran
}

impl Going<'_> {
    async fn request(&mut self, way: &Way) -> bool {
        let wants = *self.run.plugin().declaration();
        let request = &self.case.recorded.request;
        if wants.request_head {
            let head = RequestHead {
                method: request.first.method.as_str(),
                https: self.case.connection.tls.is_some(),
                authority: request.fields.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost"),
                target: request.first.target.as_str(),
                version: request.first.version,
                fields: &request.fields,
            };
            let verdict = self.run.request_head(head).await;
            if !self.head(Phase::RequestHead, verdict) {
                return false;
            }
        }
        let mode = if self.run.skips().request { BodyMode::None } else { wants.request_body };
        let (goes_on, _) = self.body(Phase::RequestBody, mode, request, &way.request).await;
        self.received = request.body.len() as u64;
        goes_on
    }

    async fn response(&mut self, way: &Way) {
        let wants = *self.run.plugin().declaration();
        let Some(response) = &self.case.recorded.response else { return };
        self.status = response.first.as_u16();
        if wants.response_head {
            let head = ResponseHead { status: response.first, fields: &response.fields };
            let verdict = self.run.response_head(head).await;
            if let Ok(Verdict::Edit(edits)) = &verdict {
                self.status = edits.status.map_or(self.status, |status| status.as_u16());
            }
            if !self.head(Phase::ResponseHead, verdict) {
                return;
            }
        }
        let mode = if self.run.skips().response { BodyMode::None } else { wants.response_body };
        let (goes_on, passed) = self.body(Phase::ResponseBody, mode, response, &way.response).await;
        if goes_on {
            self.sent = passed as u64;
        }
    }

    async fn end(&mut self) {
        if !self.run.plugin().declaration().log || self.ran.failure.is_some() {
            return;
        }
        let decided =
            self.ran.answers.iter().flatten().any(|answer| matches!(answer.verdict, Word::Respond | Word::Close));
        let name = self.run.plugin().definition().name.clone();
        let has_backend = self.ran.answers[..2].iter().flatten().all(|answer| !answer.is_end());
        let summary = Summary {
            status: self.status,
            received: self.received,
            sent: self.sent,
            duration: Case::DURATION,
            backend: has_backend.then_some("test"),
            endpoint: has_backend.then_some(([127, 0, 0, 1], 8080).into()),
            error: None,
            decided_by: decided.then_some(&*name),
        };
        if let Err(failure) = self.run.log(summary).await {
            self.keep(Phase::Log, Answer::failed(&failure));
            self.ran.failure = Some(failure);
        }
    }

    fn head(&mut self, phase: Phase, verdict: Result<Verdict, Failure>) -> bool {
        let answer = match verdict {
            Ok(verdict) => Answer::about_head(&verdict),
            Err(failure) => self.failed(failure),
        };
        self.keep(phase, answer)
    }

    fn failed(&mut self, failure: Failure) -> Answer {
        let answer = Answer::failed(&failure);
        self.ran.failure = Some(failure);
        answer
    }

    /// Writes down what was answered in a phase; gives whether the exchange goes on.
    fn keep(&mut self, phase: Phase, answer: Answer) -> bool {
        let is_end = answer.is_end();
        if is_end {
            self.status = match answer.verdict {
                Word::Respond => answer.status.unwrap_or_default(),
                Word::Fail => 503,
                Word::Refuse if phase == Phase::RequestBody => 413,
                Word::Refuse => 502,
                _ => 0,
            };
            self.sent = answer.body.as_ref().map_or(0, |body| body.0.len() as u64);
        }
        self.ran.answers[phase as usize] = Some(answer);
        !is_end
    }

    /// Shows a body; gives whether the exchange goes on, and the bytes that passed.
    async fn body<F>(
        &mut self,
        phase: Phase,
        mode: BodyMode,
        message: &Message<F>,
        (division, end): &(Division, End),
    ) -> (bool, usize) {
        let trailers = trailers(message, *end);
        let is_cut = trailers.is_err();
        let end = match &trailers {
            Ok(trailers) => BodyEnd::Complete(trailers.as_ref()),
            Err(Cut) => BodyEnd::Cut,
        };
        let body = &message.body[..];
        let mut passed = Passed::default();
        let mut pieces: Vec<(&[u8], Option<BodyEnd<'_>>)> = Vec::new();
        match mode {
            BodyMode::None => return (!is_cut, body.len()),
            BodyMode::Hold { limit, at_limit: AtLimit::Refuse } if body.len() > limit => {
                return (self.keep(phase, Answer::of(Word::Refuse)), 0);
            }
            BodyMode::Hold { limit, at_limit: AtLimit::Inspect } if body.len() > limit => {
                pieces.push((&body[..limit], Some(BodyEnd::Limit)));
                passed.unseen = &body[limit..];
            }
            BodyMode::Hold { .. } => pieces.push((body, Some(end))),
            BodyMode::Stream => {
                pieces.extend(division.0.iter().map(|piece| (&body[piece.clone()], None)));
                // Bytes that arrived were decided on before anybody knew that no more would come.
                match pieces.last_mut() {
                    Some(last) if !is_cut => last.1 = Some(end),
                    _ => pieces.push((&[], Some(end))),
                }
            }
        }
        for (piece, end) in pieces {
            let verdict = match phase {
                Phase::RequestBody => self.run.request_body(piece, end).await,
                _ => self.run.response_body(piece, end).await,
            };
            match verdict {
                Err(failure) => {
                    let answer = self.failed(failure);
                    return (self.keep(phase, answer), 0);
                }
                // Nobody is left to decide for.
                Ok(_) if matches!(end, Some(BodyEnd::Cut)) => {}
                Ok(verdict @ (Verdict::Respond(_) | Verdict::Close)) => {
                    return (self.keep(phase, Answer::about_head(&verdict)), 0);
                }
                Ok(verdict) => {
                    if let Verdict::Edit(edits) = &verdict
                        && phase == Phase::ResponseBody
                    {
                        self.status = edits.status.map_or(self.status, |status| status.as_u16());
                    }
                    passed.piece(piece, &verdict);
                }
            }
        }
        if is_cut {
            // What had passed by then depends on where the pieces began.
            self.keep(phase, Answer::default());
            self.status = 0;
            return (false, 0);
        }
        let length = passed.bytes.len() + passed.unseen.len();
        (self.keep(phase, passed.answer(body)), length)
    }
}

/// The end of a body by the sender's going away.
struct Cut;

fn trailers<F>(message: &Message<F>, end: End) -> Result<Option<HeaderMap>, Cut> {
    match end {
        End::AsRecorded if message.is_cut => Err(Cut),
        End::AsRecorded => Ok(message.trailers.clone()),
        End::Bare => Ok(None),
        End::Trailers => Ok(Some(message.trailers.clone().unwrap_or_else(|| {
            HeaderMap::from_iter([(header::HeaderName::from_static("x-trailer"), HeaderValue::from_static("1"))])
        }))),
        End::Cut => Err(Cut),
    }
}

/// What came out of a body's pieces.
#[derive(Default)]
struct Passed<'a> {
    bytes: Vec<u8>,
    /// What follows what was shown.
    unseen: &'a [u8],
    about_head: Answer,
    trailers: Option<Vec<String>>,
}

impl Passed<'_> {
    fn piece(&mut self, piece: &[u8], verdict: &Verdict) {
        let Verdict::Edit(edits) = verdict else {
            self.bytes.extend_from_slice(piece);
            return;
        };
        self.bytes.extend_from_slice(edits.data.as_deref().unwrap_or(piece));
        if let Some(trailers) = &edits.trailers {
            self.trailers = Some(fields(trailers));
        }
        let Answer { edits, target, status, .. } = Answer::about_head(verdict);
        let about = &mut self.about_head;
        about.edits.extend(edits);
        about.target = target.or(about.target.take());
        about.status = status.or(about.status);
    }

    fn answer(mut self, body: &[u8]) -> Answer {
        self.bytes.extend_from_slice(self.unseen);
        let mut answer = self.about_head;
        answer.body = (self.bytes != body).then_some(Text(self.bytes));
        answer.trailers = self.trailers;
        if answer != Answer::default() {
            answer.verdict = Word::Edit;
        }
        answer
    }
}
