//! Answers made here: errors, redirects, fixed responses. The one place where an [`Error`] becomes a status.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, header};
use portcullis_config::route::Redirect;

use crate::{
    download::ResponseBody,
    error::{Error, Kind, Origin},
    exchange::{Answer, REQUEST_ID},
    flight::Flight,
    record::End,
    snapshot::RouteState,
};

/// RFC 9209.
const PROXY_STATUS: http::HeaderName = http::HeaderName::from_static("proxy-status");

/// Turns an error into an answer. The client learns the status, the kind of error and the id to ask the operator about; addresses and
/// names of the inside are in the log and in `explain`, not here.
pub fn error(mut flight: Flight, error: Error, is_head: bool, close: bool) -> Response<ResponseBody> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let id = &flight.record.id;
    let body = format!(
        "{} {}\n{}\nrequest id: {id}\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error"),
        explanation(&error),
    );
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&format!("portcullis; error={}", error.kind.name())) {
        headers.insert(PROXY_STATUS, value);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if matches!(error.status, 503 | 504) && error.origin == Origin::Backend {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    let unread = flight.upload.as_ref().is_some_and(|upload| !upload.is_finished());
    if let Some(upload) = &flight.upload {
        upload.abandon();
    }
    // After an answer to half a request, HTTP/1 cannot tell where the next one begins.
    if (close || unread) && flight.record.version != "HTTP/2.0" {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    count(&flight, &error);
    flight.fail(error);
    own(flight, response, is_head)
}

/// What a client may know about an error.
fn explanation(error: &Error) -> &str {
    match (error.origin, error.kind) {
        (Origin::Client, _) => &error.detail,
        (Origin::Backend, Kind::DestinationUnavailable) => "no server is available for this site at the moment",
        (Origin::Backend, kind) => kind.name(),
        (_, Kind::DestinationNotFound) => "nothing is configured here for this host and path",
        (_, kind) => kind.name(),
    }
}

fn count(flight: &Flight, error: &Error) {
    let counters = &flight.worker().counters;
    match (error.origin, error.status) {
        // Those found before the body was read were counted where they were found.
        (Origin::Client, 413) if flight.upload.is_some() => counters.bodies_too_large.up(),
        (Origin::Client, 408) if flight.upload.is_some() => counters.requests_slow.up(),
        (Origin::Client, 400) if flight.upload.is_some() => counters.requests_malformed.up(),
        _ => {}
    }
}

/// An answer made here, with the exchange's record as its companion.
pub fn own(mut flight: Flight, response: Response<Bytes>, is_head: bool) -> Response<ResponseBody> {
    flight.record.status = response.status().as_u16();
    flight.record.end = End::Complete;
    let (mut head, body) = response.into_parts();
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let body = if is_head || bodiless { Bytes::new() } else { body };
    Response::from_parts(head, ResponseBody::own(body, flight))
}

/// A redirect. `authority` is the host and port as sent, `host` the host alone.
///
/// # Errors
/// 400 when the request names no host and the redirect does not either, or when what comes out is not a header value.
pub fn redirect(
    to: &Redirect,
    uri: &Uri,
    authority: &str,
    host: &str,
    is_tls: bool,
    route: &RouteState,
) -> Result<Answer, Error> {
    let scheme = to.scheme.as_deref().unwrap_or(if is_tls { "https" } else { "http" });
    // Nothing of the authority is asked to change: then the port stays as well.
    let as_sent = (to.scheme.is_none() && to.host.is_none() && to.port.is_none()).then_some(authority);
    let host = as_sent.filter(|sent| !sent.is_empty()).or(to.host.as_deref()).unwrap_or(host);
    if host.is_empty() {
        let detail = "a redirect needs a host, and the request names none";
        return Err(Error::client(Kind::HttpRequestError, 400, detail));
    }
    let port = to.port.map(|port| format!(":{port}")).unwrap_or_default();
    let target = match &to.path {
        Some(path) => path.as_str(),
        // An absolute path that begins with two slashes stays one after the host, so it cannot lead elsewhere.
        None => uri.path_and_query().map_or("/", |target| target.as_str()),
    };
    let target = if target.starts_with('/') { target } else { "/" };
    let location = HeaderValue::try_from(format!("{scheme}://{host}{port}{target}"))
        .map_err(|_| Error::client(Kind::HttpRequestError, 400, "the target cannot be redirected"))?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(to.status).unwrap_or(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(header::LOCATION, location);
    edit(&mut response, route);
    Ok(Answer::Own(response))
}

/// A configured response.
pub fn fixed(status: StatusCode, body: &Bytes, content_type: Option<&HeaderValue>, route: &RouteState) -> Answer {
    let mut response = Response::new(body.clone());
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    edit(&mut response, route);
    Answer::Own(response)
}

fn edit(response: &mut Response<Bytes>, route: &RouteState) {
    if let Some(edits) = &route.edits {
        edits.response_headers.apply(response.headers_mut());
    }
}
