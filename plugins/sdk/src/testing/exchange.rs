//! Running a plugin through the phases of an exchange.

use super::{
    check::{self, Place},
    mock::{Moment, with},
};
use crate::{
    Body, BodyEnd, Field, Holding, RequestHead, Response, ResponseHead, Summary, Verdict, Wants,
    bindings::exports::portcullis::filter::filter::Phases,
};

/// A configured plugin.
pub struct Plugin<P> {
    plugin: P,
    wants: Wants,
}

impl<P: crate::Plugin> Plugin<P> {
    /// Configures it with JSON text, `{}` for an empty table.
    ///
    /// # Errors
    /// What the operator would read.
    pub fn configure(config: &str) -> Result<Self, String> {
        with(|mock| mock.configuring = true);
        let plugin = crate::plugin::configure::<P>(config);
        with(|mock| mock.configuring = false);
        let plugin = plugin?;
        let wants = plugin.wants();
        Ok(Self { plugin, wants })
    }

    /// What it wants.
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// A new exchange.
    pub fn exchange(&self) -> Exchange<'_, P> {
        with(|mock| mock.note = None);
        Exchange { plugin: self, state: P::Exchange::default(), skips: (false, false) }
    }
}

/// One exchange. Phases that the plugin does not want answer [`Verdict::Continue`] without calling it, as in the proxy.
///
/// # Panics
/// Every phase does, when the answer is one that the proxy would count as a failure.
pub struct Exchange<'a, P: crate::Plugin> {
    plugin: &'a Plugin<P>,
    state: P::Exchange,
    skips: (bool, bool),
}

/// What became of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The bytes passed on.
    pub data: Vec<u8>,
    /// The trailers, where the plugin changed them.
    pub trailers: Option<Vec<Field>>,
    /// Anything but continue and edit, which ended the exchange there (the proxy's own 413 or 502 for a body over its limit, too). And
    /// the edits of the head, of a body that is held.
    pub verdict: Option<Verdict>,
}

impl<P: crate::Plugin> Exchange<'_, P> {
    /// Shows the request's head.
    pub fn request_head(&mut self, head: &RequestHead) -> Verdict {
        if !self.plugin.wants.phases.contains(Phases::REQUEST_HEAD) {
            return Verdict::Continue;
        }
        let verdict = self.at(Moment::RequestHead, |plugin, state| plugin.request_head(state, head));
        check::verdict(&verdict, Place { response: false, head: true, body: false, complete: false });
        verdict
    }

    /// Shows the response's head.
    pub fn response_head(&mut self, head: &ResponseHead) -> Verdict {
        if !self.plugin.wants.phases.contains(Phases::RESPONSE_HEAD) {
            return Verdict::Continue;
        }
        let verdict = self.at(Moment::ResponseHead, |plugin, state| plugin.response_head(state, head));
        check::verdict(&verdict, Place { response: true, head: true, body: false, complete: false });
        verdict
    }

    /// Shows a piece of the request's body. To a plugin that holds it, give all of it.
    pub fn request_body(&mut self, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        self.body(false, data, end)
    }

    /// Shows a piece of the response's body. To a plugin that holds it, give all of it.
    pub fn response_body(&mut self, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        self.body(true, data, end)
    }

    /// Shows the request's body in these pieces; the end comes with the last one. A plugin that holds it is given all at once, and
    /// no more than its limit.
    pub fn request_pieces(&mut self, pieces: &[&[u8]], end: &BodyEnd) -> Outcome {
        self.pieces(false, pieces, end)
    }

    /// Shows the response's body in these pieces; the end comes with the last one. A plugin that holds it is given all at once, and
    /// no more than its limit.
    pub fn response_pieces(&mut self, pieces: &[&[u8]], end: &BodyEnd) -> Outcome {
        self.pieces(true, pieces, end)
    }

    /// Tells it the end.
    pub fn log(&mut self, summary: &Summary) {
        if self.plugin.wants.phases.contains(Phases::LOG) {
            self.at(Moment::Log, |plugin, state| plugin.log(state, summary));
        }
    }

    /// Its state, to look at.
    pub fn state(&self) -> &P::Exchange {
        &self.state
    }

    /// Calls the plugin.
    fn at<T>(&mut self, moment: Moment, call: impl FnOnce(&P, &mut P::Exchange) -> T) -> T {
        with(|mock| (mock.moment, mock.skips) = (moment, self.skips));
        let answer = call(&self.plugin.plugin, &mut self.state);
        self.skips = with(|mock| {
            mock.moment = Moment::Outside;
            mock.skips
        });
        answer
    }

    fn wanted(&self, response: bool) -> Body {
        let is_skipped = if response { self.skips.1 } else { self.skips.0 };
        if is_skipped {
            return Body::None;
        }
        if response { self.plugin.wants.response_body } else { self.plugin.wants.request_body }
    }

    fn body(&mut self, response: bool, data: &[u8], end: Option<&BodyEnd>) -> Verdict {
        let wanted = self.wanted(response);
        if wanted == Body::None {
            return Verdict::Continue;
        }
        let held = matches!(wanted, Body::Hold(_));
        assert!(!held || end.is_some(), "a body that is held is shown in one piece, with its end");
        let verdict = if response {
            self.at(Moment::ResponseBody, |plugin, state| plugin.response_body(state, data, end))
        } else {
            self.at(Moment::RequestBody, |plugin, state| plugin.request_body(state, data, end))
        };
        let complete = matches!(end, Some(BodyEnd::Complete(_)));
        if !matches!(end, Some(BodyEnd::Cut)) {
            check::verdict(&verdict, Place { response, head: held, body: true, complete });
        }
        verdict
    }

    fn pieces(&mut self, response: bool, pieces: &[&[u8]], end: &BodyEnd) -> Outcome {
        let Body::Hold(Holding { limit, inspect }) = self.wanted(response) else {
            return self.shown(response, pieces, end);
        };
        let whole = pieces.concat();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if whole.len() <= limit {
            return self.shown(response, &[&whole], end);
        }
        if !inspect {
            // The proxy's own answer.
            let verdict = Some(Verdict::Respond(Response::new(if response { 502 } else { 413 })));
            return Outcome { verdict, ..Outcome::default() };
        }
        let (fits, rest) = whole.split_at(limit);
        let mut outcome = self.shown(response, &[fits], &BodyEnd::Limit);
        if !matches!(outcome.verdict, Some(Verdict::Respond(_) | Verdict::Close)) {
            outcome.data.extend_from_slice(rest);
        }
        outcome
    }

    fn shown(&mut self, response: bool, pieces: &[&[u8]], end: &BodyEnd) -> Outcome {
        let mut outcome = Outcome::default();
        let last = pieces.len().checked_sub(1).expect("a body has at least one piece, which may be empty");
        for (index, piece) in pieces.iter().enumerate() {
            match self.body(response, piece, (index == last).then_some(end)) {
                Verdict::Continue => outcome.data.extend_from_slice(piece),
                Verdict::Edit(mut edits) => {
                    outcome.data.extend_from_slice(edits.data.take().as_deref().unwrap_or(piece));
                    outcome.trailers = edits.trailers.take().or(outcome.trailers);
                    if !edits.is_empty() {
                        outcome.verdict = Some(Verdict::Edit(edits));
                    }
                }
                ending => {
                    outcome.verdict = Some(ending);
                    break;
                }
            }
        }
        outcome
    }
}
