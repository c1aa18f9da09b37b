//! Tokens that others made: those of the RFCs, and in `vectors.json` such as PyJWT 2 made with the keys beside them.

use std::collections::BTreeMap;

use portcullis_sdk::Verdict;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bearing, error, plugin, refusal};
use crate::{jwk, token::Token};

/// A key, and tokens signed with it by algorithm.
#[derive(Clone, Deserialize)]
pub struct Vector {
    pub pem: String,
    pub jwk: Value,
    /// In the older form that RSA keys have.
    pub pem_pkcs1: Option<String>,
    pub tokens: BTreeMap<String, String>,
}

pub fn all() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

/// RFC 7515 appendix A.1 to A.3, RFC 7520 section 4.2, RFC 8037 appendix A.4.
#[test]
fn the_examples_of_the_rfcs_hold() {
    let joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let bilbo = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwg\
                 YW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9m\
                 ZiB0by4";
    for (name, key, token) in [
        (
            "HS256",
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
            format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{joe}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        ),
        (
            "RS256",
            json!({
                "kty": "RSA",
                "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT\
                      -SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQO\
                      S-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q\
                      2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
                "e": "AQAB",
            }),
            format!(
                "eyJhbGciOiJSUzI1NiJ9.{joe}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF\
                 5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L\
                 07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgG\
                 Y9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
            ),
        ),
        (
            "ES256",
            json!({
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }),
            format!(
                "eyJhbGciOiJFUzI1NiJ9.{joe}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-K\
                 g6NU1Q"
            ),
        ),
        (
            "PS384",
            json!({
                "kty": "RSA",
                "kid": "bilbo.baggins@hobbiton.example",
                "use": "sig",
                "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBS\
                      FKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNL\
                      YD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7j\
                      ig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw",
                "e": "AQAB",
            }),
            format!(
                "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{bilbo}.cu22eBqkYDKgIlTpzDXGvaFfz6\
                 WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg\
                 -UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2M\
                 lp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Ea\
                 w"
            ),
        ),
        (
            "EdDSA",
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4k\
             i4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
                .to_owned(),
        ),
    ] {
        let key = jwk::key(&key).unwrap_or_else(|error| panic!("{name}: {error}"));
        let parsed = Token::parse(&token).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(parsed.algorithm.to_string(), name);
        assert!(parsed.is_signed_by(&key), "{name}");
        // Any bit of what was signed turned round, and it holds no more.
        let other = token.replacen("eyJ", "eyK", 1);
        assert!(Token::parse(&other).is_err() || !Token::parse(&other).unwrap().is_signed_by(&key), "{name}");
    }
}

#[test]
fn every_algorithm_holds_with_pem_and_with_jwk() {
    for vector in all() {
        for config in [
            json!({"keys": [{"pem": vector.pem}]}),
            json!({"keys": [{"jwk": vector.jwk}]}),
            json!({"jwks": {"keys": [vector.jwk]}}),
            json!({"keys": [{"pem": vector.pem_pkcs1.as_ref().unwrap_or(&vector.pem)}]}),
        ] {
            let plugin = plugin(&config.to_string());
            for (name, token) in &vector.tokens {
                assert_eq!(plugin.exchange().request_head(&bearing(token)), Verdict::Continue, "{name}");
                assert_eq!(refusal(&plugin, &bearing(&damaged(token))).status, 401, "{name}");
            }
        }
    }
}

#[test]
fn a_key_is_used_with_its_own_algorithms_only() {
    let vectors = all();
    for (at, own) in vectors.iter().enumerate() {
        let plugin = plugin(&json!({"keys": [{"pem": own.pem}]}).to_string());
        for other in
            vectors.iter().enumerate().filter(|(other, _)| *other != at).flat_map(|(_, vector)| vector.tokens.values())
        {
            assert_eq!(refusal(&plugin, &bearing(other)).status, 401);
        }
    }
    let rsa = &vectors[0];
    let plugin = plugin(&json!({"keys": [{"pem": rsa.pem, "algorithms": ["PS256"]}]}).to_string());
    for (name, token) in &rsa.tokens {
        let passes = plugin.exchange().request_head(&bearing(token)) == Verdict::Continue;
        assert_eq!(passes, name == "PS256", "{name}");
    }
}

#[test]
fn no_letter_of_a_token_can_be_changed() {
    let secret = json!({"keys": [{"secret": super::SECRET}]});
    let signed = super::token(r#"{"alg":"HS256"}"#, r#"{"exp":4102444800}"#);
    nothing_else_passes(&secret, &signed, 1);
    // Natively and not optimised, these take milliseconds each.
    for (vector, algorithm) in [(1, "ES256"), (3, "EdDSA")] {
        let vector = &all()[vector];
        nothing_else_passes(&json!({"keys": [{"pem": vector.pem}]}), &vector.tokens[algorithm], 13);
    }
}

/// Changes every letter, or one of `step`.
fn nothing_else_passes(config: &Value, token: &str, step: usize) {
    let plugin = plugin(&config.to_string());
    assert_eq!(plugin.exchange().request_head(&bearing(token)), Verdict::Continue);
    for at in (0..token.len()).step_by(step) {
        for other in ["A", "b", "_", ".", "=", " ", "\u{e9}", ""] {
            let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            if changed != *token {
                assert_eq!(refusal(&plugin, &bearing(&changed)).status, 401, "{changed}");
            }
        }
        assert_eq!(refusal(&plugin, &bearing(&token[..at])).status, 401);
    }
}

/// The old attack: a token "signed" with HMAC, the secret being the text of the public key, which everybody has.
#[test]
fn a_public_key_is_no_secret() {
    use hmac::{Hmac, Mac};
    for vector in all() {
        let plugin = plugin(&json!({"keys": [{"pem": vector.pem}]}).to_string());
        for secret in [vector.pem.as_bytes(), vector.pem.trim().as_bytes()] {
            let signed =
                format!("{}.{}", super::encode(br#"{"alg":"HS256"}"#), super::encode(br#"{"exp":4102444800}"#));
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
            mac.update(signed.as_bytes());
            let forged = format!("{signed}.{}", super::encode(&mac.finalize().into_bytes()));
            assert_eq!(refusal(&plugin, &bearing(&forged)).status, 401);
        }
    }
}

#[test]
fn the_algorithms_taken_can_be_narrowed() {
    let vectors = all();
    let keys: Vec<Value> = vectors.iter().map(|vector| json!({"pem": vector.pem})).collect();
    let plugin = plugin(&json!({"keys": keys, "algorithms": ["ES256", "EdDSA"]}).to_string());
    for (name, token) in vectors.iter().flat_map(|vector| &vector.tokens) {
        let passes = plugin.exchange().request_head(&bearing(token)) == Verdict::Continue;
        assert_eq!(passes, name == "ES256" || name == "EdDSA", "{name}");
    }
}

#[test]
fn weak_and_wrong_keys_are_refused() {
    let small = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDO4j9k4gA4/ZQf7X7w6MMbkuix\n\
                 YBoRvktve3+TzR7c77UepE8f+/i/GqVF/iAG8QDH8qUVXTuSr9NSs7aaFivD6dV8\n\
                 y4rjkBYQhcDV9BPSS89Cy2fbg0ulttysZAm86FIvcN6fCN59KL+zfjWt6lzsQ7Cs\n\
                 TbLyIAmXgrqZZkSGIQIDAQAB\n\
                 -----END PUBLIC KEY-----\n";
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    for (pem, part) in
        [(small, "1024 bits"), (private, "private key"), (&private.replace("PRIVATE KEY", "X"), "not a PUBLIC KEY")]
    {
        let error = error(&json!({"keys": [{"pem": pem}]}).to_string());
        assert!(error.starts_with("`keys[0]`") && error.contains(part), "{error}");
    }
    let zero = super::encode(&[0; 32]);
    let error = error(&json!({"keys": [{"jwk": {"kty": "OKP", "crv": "Ed25519", "x": zero}}]}).to_string());
    assert!(error.contains("Ed25519"), "{error}");
}

fn damaged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}
