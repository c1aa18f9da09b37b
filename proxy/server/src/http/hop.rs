//! Fields that concern one connection only (RFC 9110 section 7.6.1), taken off on the way in both directions.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

/// What the fields that were taken off asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The protocols to switch to: `Upgrade`, where `Connection` names it as it must. Whoever passes an upgrade on sets
    /// both again.
    pub upgrade: Option<HeaderValue>,
    /// Whether trailers are welcome (`TE: trailers`). A request in HTTP/2 to a gRPC server has to say so again.
    pub te_trailers: bool,
}

/// Takes off the hop-by-hop fields, and those that `Connection` names.
///
/// Some fields stay though `Connection` names them: those that the proxy sets, and those that frame a message or say where it goes and
/// whose it is. A client must not be able to make the proxy drop them. `Trailer` stays: trailers are passed on. To be called
/// before the proxy sets its own fields.
pub fn strip(headers: &mut HeaderMap) -> Hop {
    let mut hop = Hop::default();
    // One look at each name costs less than looking six names up, and most messages have at most one of them.
    let there = headers.keys().fold(0, |there, name| there | bit(name.as_str()));
    if there == 0 {
        return hop;
    }
    let switches = there & CONNECTION != 0 && take_connection(headers);
    if there & UPGRADE != 0 {
        hop.upgrade = headers.remove(header::UPGRADE).filter(|_| switches);
    }
    if there & TRANSFER_ENCODING != 0 {
        headers.remove(header::TRANSFER_ENCODING);
    }
    if there & KEEP_ALIVE != 0 {
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
    }
    if there & TE != 0 {
        hop.te_trailers = headers.get_all(header::TE).iter().any(|te| tokens(te).any(is("trailers")));
        headers.remove(header::TE);
    }
    hop
}

/// Takes off what a request must not say in its trailers (RFC 9110 section 6.5.1): framing, routing, authentication, what describes the
/// content, and what the proxy says itself. Backends merge trailers into the header, where all of this was checked.
pub fn clean_request_trailers(trailers: &mut HeaderMap) {
    clean(trailers, |name| is_hop_or_framing(name) || is_kept(name) || is_request_only(name.as_str()));
}

/// Takes off what a response must not say in its trailers: what concerns one connection, and framing.
pub fn clean_response_trailers(trailers: &mut HeaderMap) {
    clean(trailers, is_hop_or_framing);
}

fn clean(trailers: &mut HeaderMap, is_bad: impl Fn(&HeaderName) -> bool) {
    let bad: SmallVec<[HeaderName; 4]> = trailers.keys().filter(|name| is_bad(name)).cloned().collect();
    for name in bad {
        trailers.remove(name);
    }
}

fn is_hop_or_framing(name: &HeaderName) -> bool {
    bit(name.as_str()) != 0 || *name == header::CONTENT_LENGTH || *name == header::HOST || *name == header::TRAILER
}

/// Beside what [`is_kept`] has: the rest of what a server reads before it reads the body.
fn is_request_only(name: &str) -> bool {
    name.starts_with("content-")
        || name.starts_with("if-")
        || name.starts_with("proxy-")
        || name.starts_with("sec-")
        || matches!(
            name,
            "accept-encoding"
                | "cache-control"
                | "expect"
                | "http2-settings"
                | "max-forwards"
                | "origin"
                | "pragma"
                | "range"
                | "referer"
                | "via"
        )
}

const CONNECTION: u8 = 1;
const UPGRADE: u8 = 2;
const TRANSFER_ENCODING: u8 = 4;
/// `Keep-Alive` or `Proxy-Connection`, which nobody sends any more.
const KEEP_ALIVE: u8 = 8;
const TE: u8 = 16;

fn bit(name: &str) -> u8 {
    match (name.len(), name) {
        (2, "te") => TE,
        (7, "upgrade") => UPGRADE,
        (10, "connection") => CONNECTION,
        (10, "keep-alive") | (16, "proxy-connection") => KEEP_ALIVE,
        (17, "transfer-encoding") => TRANSFER_ENCODING,
        _ => 0,
    }
}

/// Takes `Connection` off with what it names, but for `Upgrade`; whether it names that.
fn take_connection(headers: &mut HeaderMap) -> bool {
    // Taking the value out, and not a list of names: what a client can make us keep is then no more than what it sent.
    let values: SmallVec<[HeaderValue; 1]> = match headers.entry(header::CONNECTION) {
        header::Entry::Occupied(entry) => entry.remove_entry_mult().1.collect(),
        header::Entry::Vacant(_) => return false,
    };
    let mut upgrade = false;
    for token in values.iter().flat_map(tokens) {
        if is("upgrade")(token) {
            upgrade = true;
        } else if !is("close")(token)
            && !is("keep-alive")(token)
            && let Ok(name) = HeaderName::from_bytes(token)
            && !is_kept(&name)
        {
            headers.remove(name);
        }
    }
    upgrade
}

/// Whether a field stays even when `Connection` names it.
fn is_kept(name: &HeaderName) -> bool {
    const KEPT: [HeaderName; 7] = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::AUTHORIZATION,
        header::COOKIE,
        header::FORWARDED,
    ];
    // `te` is looked at after this, and then taken off in any case.
    KEPT.contains(name)
        || *name == header::TE
        || matches!(name.as_str(), "x-request-id" | "x-real-ip")
        || name.as_str().starts_with("x-forwarded-")
}

/// The members of a list (RFC 9110 section 5.6.1), without empty ones.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn is(expected: &'static str) -> impl Fn(&[u8]) -> bool {
    move |token| token.eq_ignore_ascii_case(expected.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_go_and_the_rest_stays() {
        let mut sent = headers(&[
            ("connection", "keep-alive, X-One"),
            ("connection", ",x-two ,"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip, Trailers"),
            ("upgrade", "h2c"),
            ("x-one", "1"),
            ("x-one", "1b"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("trailer", "x-sum"),
        ]);
        let hop = strip(&mut sent);
        assert_eq!(hop, Hop { upgrade: None, te_trailers: true });
        assert_eq!(sent, headers(&[("x-three", "3"), ("trailer", "x-sum")]));
    }

    #[test]
    fn an_upgrade_is_one_when_connection_names_it() {
        let mut sent =
            headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "x")]);
        assert_eq!(strip(&mut sent).upgrade.unwrap(), "websocket");
        assert_eq!(sent, headers(&[("sec-websocket-key", "x")]));
    }

    #[test]
    fn trailers_of_requests_say_nothing_that_was_checked_in_the_header() {
        let mut sent = headers(&[
            ("x-sum", "1"),
            ("grpc-status", "0"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "6.6.6.7"),
            ("x-forwarded-anything", "a"),
            ("forwarded", "for=a"),
            ("x-real-ip", "a"),
            ("x-request-id", "a"),
            ("authorization", "a"),
            ("proxy-authorization", "a"),
            ("cookie", "a"),
            ("host", "a"),
            ("content-length", "1"),
            ("content-type", "a"),
            ("content-range", "a"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-sum"),
            ("keep-alive", "a"),
            ("upgrade", "a"),
            ("trailer", "a"),
            ("if-match", "a"),
            ("expect", "100-continue"),
        ]);
        clean_request_trailers(&mut sent);
        assert_eq!(sent, headers(&[("x-sum", "1"), ("grpc-status", "0")]));
    }

    #[test]
    fn trailers_of_responses_concern_no_connection() {
        let mut sent = headers(&[
            ("grpc-status", "0"),
            ("content-type", "a"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("content-length", "1"),
            ("trailer", "a"),
        ]);
        clean_response_trailers(&mut sent);
        assert_eq!(sent, headers(&[("grpc-status", "0"), ("content-type", "a")]));
    }

    #[test]
    fn connection_cannot_strip_what_the_proxy_and_the_backend_rely_on() {
        let kept = [
            ("host", "a"),
            ("content-length", "1"),
            ("authorization", "x"),
            ("cookie", "x"),
            ("forwarded", "for=a"),
            ("x-forwarded-for", "a"),
            ("x-forwarded-proto", "a"),
            ("x-request-id", "a"),
            ("x-real-ip", "a"),
        ];
        let mut sent = headers(&kept);
        let names = kept.map(|(name, _)| name).join(", ");
        sent.insert("connection", HeaderValue::from_str(&format!("{names}, te, bad name, \t")).unwrap());
        sent.insert("te", HeaderValue::from_static("trailers"));
        assert!(strip(&mut sent).te_trailers);
        assert_eq!(sent, headers(&kept));
    }
}
