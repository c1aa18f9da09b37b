//! A response on its way to the client, through the plugins in reverse order.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, response::Parts};
use portcullis_plugin::{BodyMode, Declaration, Edits, Phase, ResponseHead, Verdict};

use super::{Chain, Passing, Pipe, Side, Source, Stop};
use crate::{
    alarm::Alarm,
    download::Content,
    error::{Error, Kind, Retry},
    exchange::{Answer, Exchange},
    forward::{Forwarded, Onward},
    record::End,
    tape::Taped,
};

/// Takes an answer through the response phases of the first `upto` plugins of its chain, last first.
///
/// Dropping the future gives the exchange up.
///
/// # Errors
/// When a plugin fails and may not be done without, or the backend's body breaks while a plugin holds it.
pub async fn outward(
    exchange: &mut Exchange<'_>,
    chain: &Rc<Chain>,
    mut answer: Answer,
    upto: usize,
    method: &Method,
) -> Result<Answer, Error> {
    let mut at = upto;
    while at > 0 {
        // After a tunnel's head no response comes any more.
        if matches!(&answer, Answer::Close) || answer_is_switch(&answer) || !chain.any(at, wants_response) {
            break;
        }
        match through(exchange, chain, answer, &mut at, method).await {
            Ok(passed) => answer = passed,
            Err(stop) => {
                // Those that have been asked are not asked again about what came in its place.
                at = at.min(stop.by().unwrap_or(0));
                answer = replacement(exchange, stop)?;
            }
        }
    }
    Ok(answer)
}

/// What becomes of an exchange that its chain ended on the way in.
///
/// # Errors
/// What failed.
pub async fn stopped(
    exchange: &mut Exchange<'_>,
    chain: &Rc<Chain>,
    stop: Stop,
    method: &Method,
) -> Result<Answer, Error> {
    let by = stop.by().unwrap_or(0);
    let answer = replacement(exchange, stop)?;
    outward(exchange, chain, answer, by, method).await
}

impl Stop {
    fn by(&self) -> Option<usize> {
        match self {
            Self::Failed(_) => None,
            Self::Respond { by, .. } | Self::Close { by } => Some(*by),
        }
    }
}

fn replacement(exchange: &mut Exchange<'_>, stop: Stop) -> Result<Answer, Error> {
    // Nobody reads the rest of the request, and hyper waits for a body that somebody holds.
    if let Some(upload) = &exchange.flight.upload {
        upload.abandon();
    }
    match stop {
        Stop::Failed(error) => Err(error),
        Stop::Respond { response, .. } => Ok(Answer::Own(*response)),
        Stop::Close { .. } => {
            exchange.flight.record.end = End::Aborted;
            Ok(Answer::Close)
        }
    }
}

fn wants_response(wants: &Declaration) -> bool {
    wants.response_head || wants.response_body != BodyMode::None
}

fn answer_is_switch(answer: &Answer) -> bool {
    matches!(answer, Answer::Forwarded(forwarded) if forwarded.onward.is_switch())
}

/// The body while the head is with plugins.
#[expect(clippy::large_enum_variant, reason = "there is one, in a future that is boxed")]
enum Body {
    /// Nobody wants to see it, or there is nothing to see of it.
    Unseen(Unseen),
    Seen(Pipe),
}

enum Unseen {
    Own(Bytes),
    Content(Content),
}

/// One way out: until all were asked, or somebody ends it. `at` is whose turn it was last.
async fn through(
    exchange: &Exchange<'_>,
    chain: &Rc<Chain>,
    answer: Answer,
    at: &mut usize,
    method: &Method,
) -> Result<Answer, Stop> {
    let (mut head, body, onward) = match answer {
        Answer::Close => return Ok(Answer::Close),
        Answer::Own(response) => {
            let (head, body) = response.into_parts();
            (head, Unseen::Own(body), None)
        }
        Answer::Forwarded(forwarded) => {
            let Forwarded { response, onward } = *forwarded;
            let (head, content) = response.into_parts();
            (head, Unseen::Content(content), Some(onward))
        }
    };
    let wanted = chain.any(*at, |wants| wants.response_body != BodyMode::None);
    let empty = || Pipe::whole(chain.clone(), Side::Response, Bytes::new(), None);
    // A response that has no body by what it is has an end all the same; nothing can be put into it.
    let (unseen, mut pipe) = match body {
        body if !wanted => (Some(body), None),
        body if is_bodiless(method, head.status) => (Some(body), Some(empty())),
        Unseen::Own(body) => (None, Some(Pipe::whole(chain.clone(), Side::Response, body, None))),
        Unseen::Content(Content::Backend(incoming)) => (None, Some(coming(exchange, chain, incoming, onward.as_ref()))),
        // It has been this way, and nobody is left who wants to see it.
        body @ Unseen::Content(Content::Passing(_)) => (Some(body), None),
    };
    let deadline = onward.as_ref().and_then(|onward| onward.deadline);
    let phases = async {
        while *at > 0 {
            *at -= 1;
            if chain.wants(*at).is_some_and(|wants| wants.response_head) {
                let shown = ResponseHead { status: head.status, fields: &head.headers };
                match chain.ask(*at, Phase::ResponseHead, async |run| run.response_head(shown).await).await? {
                    Verdict::Continue => {}
                    Verdict::Edit(edits) => apply(&edits, &mut head),
                    Verdict::Respond(response) => return Err(Stop::Respond { by: *at, response }),
                    Verdict::Close => return Err(Stop::Close { by: *at }),
                }
            }
            if let Some(pipe) = &mut pipe
                && let Some(edits) = pipe.show(*at).await?
            {
                apply(&edits, &mut head);
            }
        }
        Ok(())
    };
    match deadline {
        None => phases.await?,
        Some(deadline) => tokio::time::timeout_at(deadline, phases).await.map_err(|_| late())??,
    }
    let body = match (unseen, pipe) {
        (Some(unseen), _) => Body::Unseen(unseen),
        (None, pipe) => Body::Seen(pipe.unwrap_or_else(empty)),
    };
    Ok(whole(chain, head, body, onward, method))
}

/// A backend's body, for plugins.
fn coming(exchange: &Exchange<'_>, chain: &Rc<Chain>, incoming: Taped, onward: Option<&Onward>) -> Pipe {
    let silence = onward.map_or(Duration::MAX, |onward| onward.silence);
    let source = Source::Backend { incoming, silence, upload: exchange.flight.upload.clone(), alarm: Alarm::new() };
    Pipe::new(chain.clone(), Side::Response, source)
}

/// The answer that the client gets, with the length that it has now.
fn whole(chain: &Rc<Chain>, mut head: Parts, body: Body, onward: Option<Onward>, method: &Method) -> Answer {
    // A plugin may have turned it into one that has none.
    let body = match body {
        Body::Seen(_) if is_bodiless(method, head.status) => {
            Body::Seen(Pipe::whole(chain.clone(), Side::Response, Bytes::new(), None))
        }
        body => body,
    };
    let passing = |pipe| {
        let passing = Passing::new(chain.clone(), Side::Response, pipe);
        Content::Passing(Box::new(passing))
    };
    match (body, onward) {
        (Body::Unseen(Unseen::Own(data)), None) => Answer::Own(Response::from_parts(head, data)),
        // It was all there from the beginning. An answer made here has no trailers.
        (Body::Seen(pipe), None) => {
            let data = pipe.into_whole().map_or_else(|_| Bytes::new(), |(data, _)| data);
            Answer::Own(Response::from_parts(head, data))
        }
        (Body::Unseen(Unseen::Content(content)), Some(onward)) => forwarded(head, content, onward),
        (Body::Unseen(Unseen::Own(data)), Some(onward)) => {
            let pipe = Pipe::whole(chain.clone(), Side::Response, data, None);
            forwarded(head, passing(pipe), onward)
        }
        (Body::Unseen(Unseen::Content(_)), None) => Answer::Own(Response::from_parts(head, Bytes::new())),
        (Body::Seen(pipe), Some(onward)) => {
            let content = match pipe.into_untouched() {
                // Those that wanted it have failed, and it goes on without them.
                Ok(Source::Backend { incoming, .. }) => return forwarded(head, Content::Backend(incoming), onward),
                Ok(source) => passing(Pipe::new(chain.clone(), Side::Response, source)),
                Err(pipe) => passing(pipe),
            };
            match &content {
                Content::Passing(passing) if passing.exact().is_some() && !is_bodiless(method, head.status) => {
                    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(passing.exact().unwrap_or(0)));
                }
                _ => drop(head.headers.remove(header::CONTENT_LENGTH)),
            }
            forwarded(head, content, onward)
        }
    }
}

fn forwarded(head: Parts, content: Content, onward: Onward) -> Answer {
    let response = Response::from_parts(head, content);
    Answer::Forwarded(Box::new(Forwarded { response, onward }))
}

/// Whether a response has no body whatever its head says (RFC 9110 section 6.4.1).
fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn apply(edits: &Edits, head: &mut Parts) {
    edits.apply(&mut head.headers);
    if let Some(status) = edits.status {
        head.status = status;
    }
}

fn late() -> Stop {
    let detail = "the response took too long (time.total)";
    Stop::Failed(Error::backend(Kind::HttpResponseTimeout, Retry::Never, detail))
}
