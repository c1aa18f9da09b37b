//! A request on its way to the backend, through the plugins in order.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Uri, header, request::Parts, uri::PathAndQuery};
use hyper::body::Incoming;
use portcullis_plugin::{BodyMode, Edits, Phase, RequestHead, Verdict};

use super::{Chain, Passing, Pipe, Side, Source, Stop};
use crate::{
    error::{Error, Kind},
    http::path,
    upload::{self, RequestBody, Upload},
};

/// Takes the request through its chain: every plugin sees it as those before have left it. Gives the body for the backend, and the URI
/// where a plugin has changed it; the head is changed in place. `raw` is path and query as sent, where `uri` has them encoded.
///
/// Dropping the future gives the exchange up.
///
/// # Errors
/// When a plugin answers, closes, or fails and may not be done without; or the client's body breaks while a plugin holds it.
pub async fn inward(
    chain: &Rc<Chain>,
    parts: &mut Parts,
    uri: &Uri,
    raw: Option<&str>,
    https: bool,
    upload: &Rc<Upload>,
    body: Incoming,
) -> Result<(RequestBody, Option<Uri>), Stop> {
    let mut target = None;
    let wants_body = chain.any(chain.len(), |wants| wants.request_body != BodyMode::None);
    let mut body = match (wants_body, upload.is_finished()) {
        (false, _) => Body::Unseen(body),
        (true, true) => Body::Seen(Pipe::whole(chain.clone(), Side::Request, Default::default(), None)),
        (true, false) => {
            let stream = upload::Stream::new(body, upload.clone());
            Body::Seen(Pipe::new(chain.clone(), Side::Request, Source::Client(stream, upload.clone())))
        }
    };
    for at in 0..chain.len() {
        if chain.wants(at).is_some_and(|wants| wants.request_head) {
            match head(chain, at, parts, uri, target.as_ref(), raw, https).await? {
                Verdict::Continue => {}
                Verdict::Edit(edits) => apply(chain, at, &edits, &mut parts.headers, &mut target)?,
                Verdict::Respond(response) => return Err(Stop::Respond { by: at, response }),
                Verdict::Close => return Err(Stop::Close { by: at }),
            }
        }
        if let Body::Seen(pipe) = &mut body
            && let Some(edits) = pipe.show(at).await?
        {
            apply(chain, at, &edits, &mut parts.headers, &mut target)?;
        }
    }
    let body = match body {
        Body::Unseen(incoming) => RequestBody::of(incoming, upload),
        Body::Seen(pipe) => sent(chain, pipe, &mut parts.headers, upload),
    };
    let uri = target.map(|target| {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(target);
        // Only the path and query are others, so it stays one.
        Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
    });
    Ok((body, uri))
}

#[expect(clippy::large_enum_variant, reason = "there is one, in a future that is boxed")]
enum Body {
    Unseen(Incoming),
    Seen(Pipe),
}

async fn head(
    chain: &Chain,
    at: usize,
    parts: &Parts,
    uri: &Uri,
    edited: Option<&PathAndQuery>,
    raw: Option<&str>,
    https: bool,
) -> Result<Verdict, Error> {
    let authority = uri.authority().map(|authority| authority.as_str());
    let host = || parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let head = RequestHead {
        method: parts.method.as_str(),
        https,
        authority: authority.or_else(host).unwrap_or_default(),
        target: edited.map(PathAndQuery::as_str).or(raw).unwrap_or(target),
        version: parts.version,
        fields: &parts.headers,
    };
    chain.ask(at, Phase::RequestHead, async |run| run.request_head(head).await).await
}

/// Shows a head that is refused to the plugins of `chain`, one after the other.
pub async fn show(chain: &Chain, head: RequestHead<'_>) {
    for at in 0..chain.len() {
        if chain.wants(at).is_some_and(|wants| wants.request_head) {
            chain.show(at, Phase::RequestHead, async |run| run.request_head(head).await).await;
        }
    }
}

fn apply(
    chain: &Chain,
    at: usize,
    edits: &Edits,
    headers: &mut HeaderMap,
    target: &mut Option<PathAndQuery>,
) -> Result<(), Error> {
    edits.apply(headers);
    if let Some(wanted) = &edits.target {
        // What a client may not ask for, a plugin may not ask for in its place.
        path::normalise(wanted.path()).map_err(|error| {
            let name = chain.name(at);
            let detail = format!("plugin {name} edited the target into one that is refused: {}", error.0);
            Error::plugin(Kind::ProxyInternalError, detail)
        })?;
        *target = Some(wanted.clone());
    }
    Ok(())
}

/// What the backend gets of a body that plugins have seen, and how long it says it is.
fn sent(chain: &Rc<Chain>, pipe: Pipe, headers: &mut HeaderMap, upload: &Rc<Upload>) -> RequestBody {
    let pipe = match pipe.into_untouched() {
        // Those that wanted it have failed, and it goes on without them.
        Ok(Source::Client(stream, _)) => return RequestBody::Stream(stream),
        Ok(source) => Pipe::new(chain.clone(), Side::Request, source),
        Err(pipe) => pipe,
    };
    let passing = Passing::new(chain.clone(), Side::Request, pipe);
    match passing.exact() {
        // What had no length because it had no body has none now.
        Some(0) if !headers.contains_key(header::CONTENT_LENGTH) => return RequestBody::Empty,
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length))),
        None => drop(headers.remove(header::CONTENT_LENGTH)),
    }
    RequestBody::Passing(Box::new(passing), chain.clone(), upload.clone())
}
