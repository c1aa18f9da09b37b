//! The request on its way to a backend: in the form that a connection speaks, and whole again where it may be sent a second time.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header, request, uri::PathAndQuery};
use hyper::upgrade::OnUpgrade;
use portcullis_config::backend::Scheme;

use crate::{backend::Endpoint, http::hop::Hop, upload::RequestBody};

/// A request that may have to be sent more than once.
pub struct Outbound {
    /// `None` while it is with hyper.
    head: Option<(Method, HeaderMap)>,
    body: Option<RequestBody>,
    target: PathAndQuery,
    /// A copy of the head, where a second sending would be safe: no body, and a method that may be repeated.
    spare: Option<(Method, HeaderMap)>,
    /// The client's side of a connection that wants to stop being HTTP.
    pub upgrade: Option<OnUpgrade>,
    te_trailers: bool,
    from_h2: bool,
}

impl Outbound {
    /// The request as the backend is to get it.
    pub fn new(mut parts: request::Parts, target: PathAndQuery, hop: Hop, upgrade: bool, body: RequestBody) -> Self {
        let mut switch = None;
        // HTTP/2 by upgrade would take the connection out of the proxy's sight (RFC 9113 section 3.1 dropped it).
        if upgrade
            && let Some(protocol) = hop.upgrade.filter(|protocol| !protocol.as_bytes().eq_ignore_ascii_case(b"h2c"))
        {
            parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(header::UPGRADE, protocol);
            switch = parts.extensions.remove::<OnUpgrade>();
        }
        let spare = (matches!(body, RequestBody::Empty) && switch.is_none() && is_idempotent(&parts.method))
            .then(|| (parts.method.clone(), parts.headers.clone()));
        Self {
            head: Some((parts.method, parts.headers)),
            body: Some(body),
            target,
            spare,
            upgrade: switch,
            te_trailers: hop.te_trailers,
            from_h2: parts.version == Version::HTTP_2,
        }
    }

    /// Has it ask for `endpoint` by its own name: where nobody says which host is meant.
    pub fn name(&mut self, endpoint: &Endpoint) {
        if let (Some((_, headers)), Ok(host)) = (&mut self.head, HeaderValue::from_str(&endpoint.authority())) {
            headers.insert(header::HOST, host);
        }
    }

    /// Whether it can be sent.
    pub fn is_whole(&self) -> bool {
        self.head.is_some() && self.body.is_some()
    }

    /// The request, in the form that the connection speaks.
    pub fn take(&mut self, h2: bool, scheme: Scheme) -> Request<RequestBody> {
        let (method, mut headers) = self.head.take().expect("an attempt is made only while the request is whole");
        let body = self.body.take().expect("an attempt is made only while the request is whole");
        let mut uri = http::uri::Parts::default();
        uri.path_and_query = Some(self.target.clone());
        if h2 {
            // RFC 9113 section 8.3.1: `:authority` instead of `Host`.
            uri.scheme = Some(if scheme == Scheme::Https { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
            uri.authority = headers.remove(header::HOST).and_then(|host| host.as_bytes().try_into().ok());
            if uri.authority.is_none() {
                uri.scheme = None;
            }
        } else {
            if self.from_h2 {
                join_cookies(&mut headers);
            }
            // Without this hyper takes a GET or HEAD of unknown length for one without a body, and the body would be lost.
            if !http_body::Body::is_end_stream(&body) && !headers.contains_key(header::CONTENT_LENGTH) {
                headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        if self.te_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            if !h2 && self.upgrade.is_none() {
                // Hop by hop there, so it has to be named (RFC 9110 section 10.1.4).
                headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        *request.version_mut() = if h2 { Version::HTTP_2 } else { Version::HTTP_11 };
        // Parts of a URI that was one before: a path, and scheme and authority both or neither.
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        request
    }

    /// hyper gave it back: not one byte was sent.
    pub fn put_back(&mut self, request: Request<RequestBody>) {
        let (mut parts, body) = request.into_parts();
        if let Some(authority) = parts.uri.authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            parts.headers.insert(header::HOST, host);
        }
        parts.headers.remove(header::TRANSFER_ENCODING);
        if self.te_trailers {
            parts.headers.remove(header::TE);
            parts.headers.remove(header::CONNECTION);
        }
        self.head = Some((parts.method, parts.headers));
        self.body = Some(body);
    }

    /// Makes it whole again after it was sent, if a second sending is safe.
    pub fn restore(&mut self) -> bool {
        if self.is_whole() {
            return true;
        }
        let Some((method, headers)) = self.spare.clone() else { return false };
        self.head = Some((method, headers));
        self.body = Some(RequestBody::Empty);
        true
    }
}

/// One `Cookie` field instead of several (RFC 9113 section 8.2.3): HTTP/1 servers know only one.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Joined from valid values, so it is one.
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}
