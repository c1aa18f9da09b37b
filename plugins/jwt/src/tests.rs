//! The plugin as the proxy sees it. `vectors` holds tokens that others signed; here they are signed with a shared secret.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, Mac};
use portcullis_sdk::{Edits, RequestHead, Response, Verdict, testing};
use sha2::Sha256;

use super::Jwt;

mod remote;
mod vectors;

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// 2026-01-01 00:00 UTC, where the test host's clock stands.
pub const NOW: u64 = 1_767_225_600;

pub fn plugin(config: &str) -> testing::Plugin<Jwt> {
    testing::set_time(Duration::from_secs(NOW));
    testing::Plugin::configure(config).unwrap_or_else(|error| panic!("{config}: {error}"))
}

pub fn error(config: &str) -> String {
    testing::Plugin::<Jwt>::configure(config).err().unwrap_or_else(|| panic!("{config} is taken"))
}

/// With the secret and `more` keys of the table.
fn with_secret(more: &str) -> testing::Plugin<Jwt> {
    plugin(&format!(r#"{{"keys": [{{"secret": "{SECRET}"}}] {more}}}"#))
}

pub fn token(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", encode(&mac.finalize().into_bytes()))
}

fn good() -> String {
    token(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"alice","exp":{}}}"#, NOW + 60))
}

pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub fn bearing(token: &str) -> RequestHead {
    RequestHead::get_request("/").field("authorization", format!("Bearer {token}"))
}

pub fn refusal(plugin: &testing::Plugin<Jwt>, head: &RequestHead) -> Response {
    match plugin.exchange().request_head(head) {
        Verdict::Respond(response) => response,
        other => panic!("{head:?}: {other:?}"),
    }
}

#[test]
fn a_signed_token_passes() {
    let plugin = with_secret("");
    assert_eq!(plugin.exchange().request_head(&bearing(&good())), Verdict::Continue);
}

#[test]
fn a_token_that_was_good_is_looked_at_again() {
    let plugin = with_secret("");
    let token = good();
    assert_eq!(plugin.exchange().request_head(&bearing(&token)), Verdict::Continue);
    testing::advance(Duration::from_secs(60 + 30));
    assert_eq!(refusal(&plugin, &bearing(&token)).status, 401, "it has expired");
}

#[test]
fn without_a_token_the_client_is_asked_for_one() {
    let response = refusal(&with_secret(""), &RequestHead::get_request("/"));
    assert_eq!((response.status, response.get("www-authenticate")), (401, Some("Bearer")));
    let response = refusal(&with_secret(r#", "realm": "shop""#), &RequestHead::get_request("/"));
    assert_eq!(response.get("www-authenticate"), Some(r#"Bearer realm="shop""#));
}

#[test]
fn a_bad_token_is_told_what_is_wrong() {
    let plugin = with_secret(r#", "realm": "shop", "issuers": ["us"]"#);
    let exp = NOW + 60;
    let header = r#"{"alg":"HS256"}"#;
    let good = token(header, &format!(r#"{{"iss":"us","exp":{exp}}}"#));
    assert_eq!(plugin.exchange().request_head(&bearing(&good)), Verdict::Continue);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other_claims = encode(format!(r#"{{"iss":"us","exp":{exp},"sub":"admin"}}"#).as_bytes());
    for (token, text) in [
        (String::new(), "no JWT"),
        ("abc".to_owned(), "no JWT"),
        (format!("{good}.x.y"), "more than three parts"),
        (format!("{signed}."), "signature does not hold"),
        (format!("{signed}.{}A", &signature[1..]), "signature does not hold"),
        (format!("{}.{other_claims}.{signature}", encode(header.as_bytes())), "signature does not hold"),
        (format!("{signed}.*"), "signature is not base64url"),
        (token(r#"{"alg":"none"}"#, "{}"), "algorithm is not taken"),
        (token(r#"{"alg":"hs256"}"#, "{}"), "algorithm is not taken"),
        (token(r#"{"alg":"HS512"}"#, "{}"), "signature does not hold"),
        (token(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "{}"), "extension"),
        (token(r#"{"alg":"HS256","alg":"none"}"#, "{}"), "header is not what it must be"),
        (token(r#"[]"#, "{}"), "header is not what it must be"),
        (token(header, "[]"), "no JSON object"),
        (token(header, r#"{"iss":"us"}"#), "no time of expiry"),
        (token(header, &format!(r#"{{"iss":"us","exp":{}}}"#, NOW - 30)), "expired"),
        (token(header, &format!(r#"{{"iss":"them","exp":{exp}}}"#)), "another issuer"),
        ("a".repeat(20_000), "too long"),
    ] {
        let response = refusal(&plugin, &bearing(&token));
        assert_eq!(response.status, 401, "{token}");
        let told = response.get("www-authenticate").unwrap();
        let begin = r#"Bearer realm="shop", error="invalid_token", error_description=""#;
        assert!(told.starts_with(begin) && told.contains(text) && told.ends_with('"'), "{token}: {told}");
    }
}

#[test]
fn a_token_for_less_gets_403_with_what_is_needed() {
    let plugin = with_secret(r#", "scopes": ["read", "write"]"#);
    let token = token(r#"{"alg":"HS256"}"#, &format!(r#"{{"scope":"read","exp":{}}}"#, NOW + 60));
    let response = refusal(&plugin, &bearing(&token));
    assert_eq!(response.status, 403);
    let told = response.get("www-authenticate").unwrap();
    assert!(told.contains(r#"error="insufficient_scope""#) && told.ends_with(r#"scope="read write""#), "{told}");
}

#[test]
fn two_tokens_are_400() {
    let plugin = with_secret(r#", "from": ["bearer", "query:access_token"]"#);
    let mut head = bearing(&good());
    head.target = format!("/?access_token={}", good());
    let response = refusal(&plugin, &head);
    assert_eq!(response.status, 400);
    assert!(response.get("www-authenticate").unwrap().contains("invalid_request"));
}

#[test]
fn claims_reach_the_backend_and_copies_of_the_client_do_not() {
    let plugin = with_secret(r#", "forward": {"X-User-Id": "sub", "x-email": "email"}"#);
    let head =
        bearing(&good()).field("x-user-id", "root").field("x_user_id", "root").field("x-email", "root@example.com");
    let expected = Edits::new().remove("x_user_id").set("x-user-id", "alice").remove("x-email");
    assert_eq!(plugin.exchange().request_head(&head), Verdict::Edit(expected));
}

#[test]
fn without_a_token_nothing_of_the_client_passes_as_a_claim() {
    let plugin = with_secret(r#", "optional": true, "forward": {"x-user": "sub"}"#);
    let head = RequestHead::get_request("/").field("x-user", "root");
    assert_eq!(plugin.exchange().request_head(&head), Verdict::Edit(Edits::new().remove("x-user")));
    // A bad token is not as good as none.
    assert_eq!(refusal(&plugin, &bearing("a.b.c")).status, 401);
}

#[test]
fn the_token_can_be_taken_out() {
    let plugin = with_secret(r#", "strip": true"#);
    assert_eq!(plugin.exchange().request_head(&bearing(&good())), Verdict::Edit(Edits::new().remove("authorization")));
}

#[test]
fn the_type_can_be_asked_for() {
    let plugin = with_secret(r#", "types": ["at+jwt"]"#);
    let claims = format!(r#"{{"exp":{}}}"#, NOW + 60);
    for (header, passes) in [
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, true),
        (r#"{"alg":"HS256","typ":"application/AT+JWT"}"#, true),
        (r#"{"alg":"HS256","typ":"JWT"}"#, false),
        (r#"{"alg":"HS256"}"#, false),
    ] {
        let verdict = plugin.exchange().request_head(&bearing(&token(header, &claims)));
        assert_eq!(verdict == Verdict::Continue, passes, "{header}");
    }
}

#[test]
fn the_key_is_chosen_by_its_name() {
    let other = "another secret, of 32 bytes too.";
    let plugin =
        plugin(&format!(r#"{{"keys": [{{"id": "a", "secret": "{other}"}}, {{"id": "b", "secret": "{SECRET}"}}]}}"#));
    let claims = format!(r#"{{"exp":{}}}"#, NOW + 60);
    for (header, passes) in [
        (r#"{"alg":"HS256","kid":"b"}"#, true),
        (r#"{"alg":"HS256"}"#, true),
        (r#"{"alg":"HS256","kid":"a"}"#, false),
        (r#"{"alg":"HS256","kid":"c"}"#, false),
    ] {
        let verdict = plugin.exchange().request_head(&bearing(&token(header, &claims)));
        assert_eq!(verdict == Verdict::Continue, passes, "{header}");
    }
}

#[test]
fn mistakes_name_their_key() {
    for (config, part) in [
        ("{}", "there are no keys"),
        (r#"{"keys": [{}]}"#, "`keys[0]`: write exactly one of"),
        (r#"{"keys": [{"secret": "short"}]}"#, "`keys[0]`: the secret has 5 bytes, HS256 needs at least 32"),
        (
            r#"{"keys": [{"secret": "0123456789abcdef0123456789abcdef", "algorithms": ["HS512"]}]}"#,
            "has 32 bytes, HS512 needs at least 64",
        ),
        (
            r#"{"keys": [{"secret": "0123456789abcdef0123456789abcdef", "algorithms": ["RS256"]}]}"#,
            "RS256 is not for a shared secret",
        ),
        (r#"{"keys": [{"secret_base64": "*"}]}"#, "`secret_base64` is not base64"),
        (r#"{"keys": [{"pem": "x"}]}"#, "`keys[0]`: `pem`: it is no PEM"),
        (r#"{"keys": [{"secret": "x", "algorithms": ["none"]}]}"#, "keys[0].algorithms[0]: unknown variant `none`"),
        (r#"{"jwks": {"keys": [{"kty": "EC", "crv": "P-521"}]}}"#, "`jwks.keys[0]: `kty` \"EC\" with `crv` \"P-521\""),
        (r#"{"jwks": []}"#, "`jwks`: it is no key set"),
        (r#"{"remote": {"backend": "b", "target": "x"}}"#, "`remote.target`"),
        (r#"{"remote": {"backend": "b", "target": "/x", "ttl": "2d"}}"#, "`remote.stale` is shorter"),
        (r#"{"remote": {"backend": "b", "target": "/x", "ttl": "2"}}"#, "remote.ttl: \"2\" is not a duration"),
        (r#"{"remote": {"backend": "b", "target": "/x"}, "from": []}"#, "`from` is empty"),
        (r#"{"remote": {"backend": "b", "target": "/x"}, "from": ["body"]}"#, "from[0]: \"body\" is no place"),
        (r#"{"remote": {"backend": "b", "target": "/x"}, "realm": "a\"b"}"#, "`realm`"),
        (r#"{"remote": {"backend": "b", "target": "/x"}, "scopes": ["a b"]}"#, "`scopes`"),
        (r#"{"remote": {"backend": "b", "target": "/x"}, "algorithms": []}"#, "`algorithms` is empty"),
        (r#"{"remote": {"backend": "b", "target": "/x"}, "claims": {"role": []}}"#, "`claims.role` is empty"),
        (
            r#"{"remote": {"backend": "b", "target": "/x"}, "forward": {"host": "sub"}}"#,
            "`forward`: \"host\" belongs to the proxy",
        ),
        (r#"{"remote": {"backend": "b", "target": "/x"}, "forward": {"X-A": "sub", "x-a": "b"}}"#, "twice"),
        (r#"{"remote": {"backend": "b", "target": "/x"}, "issuer": "x"}"#, "unknown field `issuer`"),
    ] {
        let error = error(config);
        assert!(error.contains(part), "{config}: {error}");
    }
}
