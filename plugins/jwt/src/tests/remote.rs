//! A key set behind a backend: fetched when needed, shared, kept.

use std::{cell::RefCell, rc::Rc, time::Duration};

use portcullis_sdk::{Verdict, http, key_value, testing};
use serde_json::{Value, json};

use super::{
    NOW, bearing, plugin, refusal,
    vectors::{self, Vector},
};
use crate::Jwt;

const CONFIG: &str = r#"{"remote": {"backend": "issuer", "target": "/jwks.json"}}"#;

/// What the issuer has just now; None: it is away.
type Issuer = Rc<RefCell<Option<Value>>>;

fn issuer(keys: &[(&str, &Vector)]) -> Issuer {
    let issuer: Issuer = Rc::default();
    publish(&issuer, keys);
    let answers = Rc::clone(&issuer);
    testing::answer_http(move |request| {
        assert_eq!((request.backend.as_str(), request.target.as_str()), ("issuer", "/jwks.json"));
        match &*answers.borrow() {
            Some(set) => Ok(http::Response::new(200).body(set.to_string())),
            None => Err(http::Error::Unavailable("refused".to_owned())),
        }
    });
    issuer
}

fn publish(issuer: &Issuer, keys: &[(&str, &Vector)]) {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(id, vector)| {
            let mut key = vector.jwk.clone();
            key["kid"] = json!(id);
            key
        })
        .collect();
    *issuer.borrow_mut() = Some(json!({ "keys": keys }));
}

fn fetches() -> usize {
    testing::sent_http().len()
}

fn passes(plugin: &testing::Plugin<Jwt>, token: &str) -> bool {
    plugin.exchange().request_head(&bearing(token)) == Verdict::Continue
}

/// Tokens of the vectors say no `kid`, so that one is put into the set's keys does not keep them from passing.
fn es256() -> (Vector, String) {
    let vector = vectors::all().remove(1);
    let token = vector.tokens["ES256"].clone();
    (vector, token)
}

/// A token that nobody signed, with a key's name.
fn made_up(id: &str) -> String {
    super::token(&format!(r#"{{"alg":"ES256","kid":"{id}"}}"#), &format!(r#"{{"exp":{}}}"#, NOW + 60))
}

#[test]
fn the_set_is_fetched_once_for_all_instances() {
    let (vector, token) = es256();
    issuer(&[("a", &vector)]);
    let (one, other) = (plugin(CONFIG), plugin(CONFIG));
    assert!(passes(&one, &token));
    assert!(passes(&one, &token));
    assert!(passes(&other, &token));
    assert_eq!(fetches(), 1);
}

#[test]
fn an_old_set_is_fetched_again_and_serves_on_while_the_issuer_is_away() {
    let (vector, token) = es256();
    let issuer = issuer(&[("a", &vector)]);
    let plugin = plugin(CONFIG);
    assert!(passes(&plugin, &token));
    testing::advance(Duration::from_secs(601));
    assert!(passes(&plugin, &token));
    assert_eq!(fetches(), 2);
    *issuer.borrow_mut() = None;
    testing::advance(Duration::from_secs(601));
    for _ in 0..5 {
        assert!(passes(&plugin, &token));
    }
    assert_eq!(fetches(), 3, "one in each `refetch`, not one for each request");
    assert!(testing::lines().iter().any(|(_, line)| line.contains("issuer/jwks.json cannot be used")));
    testing::advance(Duration::from_secs(31));
    assert!(passes(&plugin, &token));
    assert_eq!(fetches(), 4);
    // A day without an answer is too long.
    testing::advance(Duration::from_secs(86_400));
    let response = refusal(&plugin, &bearing(&token));
    assert_eq!((response.status, response.get("retry-after")), (503, Some("1")));
}

#[test]
fn an_issuer_that_was_never_there_is_asked_once_a_second() {
    let (vector, token) = es256();
    let issuer = issuer(&[("a", &vector)]);
    *issuer.borrow_mut() = None;
    let plugin = plugin(CONFIG);
    for _ in 0..5 {
        assert_eq!(refusal(&plugin, &bearing(&token)).status, 503);
    }
    assert_eq!(fetches(), 1);
    publish(&issuer, &[("a", &vector)]);
    testing::advance(Duration::from_millis(1001));
    assert!(passes(&plugin, &token));
}

#[test]
fn an_unknown_key_is_looked_for_but_not_on_every_request() {
    let (vector, token) = es256();
    let issuer = issuer(&[("a", &vector)]);
    let plugin = plugin(CONFIG);
    assert!(passes(&plugin, &token));
    for at in 0..20 {
        assert_eq!(refusal(&plugin, &bearing(&made_up(&format!("made-up-{at}")))).status, 401);
    }
    assert_eq!(fetches(), 2);
    // The issuer changes its keys: the first token with the new one finds it, when the time between fetches has passed.
    testing::advance(Duration::from_secs(31));
    publish(&issuer, &[("a", &vector), ("b", &vectors::all()[2])]);
    let es384 = vectors::all()[2].tokens["ES384"].clone();
    assert!(passes(&plugin, &es384));
    assert_eq!(fetches(), 3);
}

#[test]
fn a_key_that_the_issuer_takes_back_opens_nothing_any_more() {
    let (vector, token) = es256();
    let issuer = issuer(&[("a", &vector)]);
    let plugin = plugin(CONFIG);
    assert!(passes(&plugin, &token) && passes(&plugin, &token));
    publish(&issuer, &[("b", &vectors::all()[3])]);
    testing::advance(Duration::from_secs(601));
    assert_eq!(refusal(&plugin, &bearing(&token)).status, 401);
}

#[test]
fn keys_that_cannot_be_used_are_passed_over() {
    let (vector, token) = es256();
    let issuer = issuer(&[]);
    let keys = json!([
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
        {"kty": "oct", "k": super::encode(super::SECRET.as_bytes())},
        {"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"},
        vector.jwk,
    ]);
    *issuer.borrow_mut() = Some(json!({ "keys": keys }));
    let plugin = plugin(CONFIG);
    assert!(passes(&plugin, &token));
    // A secret that is published signs nothing.
    let forged = super::token(r#"{"alg":"HS256"}"#, &format!(r#"{{"exp":{}}}"#, NOW + 60));
    assert_eq!(refusal(&plugin, &bearing(&forged)).status, 401);
}

#[test]
fn rubbish_of_the_issuer_changes_nothing() {
    let (vector, token) = es256();
    let issuer = issuer(&[("a", &vector)]);
    let plugin = plugin(CONFIG);
    assert!(passes(&plugin, &token));
    for rubbish in
        [json!([]), json!({"keys": []}), json!({"keys": [1, {}]}), json!({"keys": vec![vector.jwk.clone(); 101]})]
    {
        *issuer.borrow_mut() = Some(rubbish);
        testing::advance(Duration::from_secs(601));
        assert!(passes(&plugin, &token));
    }
    assert_eq!(fetches(), 5);
}

#[test]
fn rubbish_among_the_shared_values_is_as_none() {
    let (vector, token) = es256();
    issuer(&[("a", &vector)]);
    for rubbish in [&b""[..], b"1234567", b"12345678", b"12345678{}", b"12345678\xff"] {
        key_value::set("jwks", rubbish, None).unwrap();
        assert!(passes(&plugin(CONFIG), &token));
    }
}

#[test]
fn without_room_to_share_each_instance_keeps_its_own() {
    let (vector, token) = es256();
    issuer(&[("a", &vector)]);
    testing::set_quota(100);
    let plugin = plugin(CONFIG);
    assert!(passes(&plugin, &token));
    assert!(passes(&plugin, &token));
    assert_eq!(fetches(), 1);
    assert!(testing::lines().iter().any(|(_, line)| line.contains("is not shared")));
}
