//! TLS.
//!
//! - 1.2 and 1.3, X25519MLKEM768 first, ALPN, openssl as the client, a deadline that never blocks accepting: [`handshakes`]
//! - certificates by SNI, exact before wildcard, several per host, unknown SNI refused or the declared default, 421: [`names`]
//! - files watched and reloaded, a pair that does not match, resumption that survives reloads: [`renewal`]
//! - the ClientHello's JA4 fingerprint: [`fingerprint`]
//! - TLS to backends, verified, SNI settable: [`backends`]

mod backends;
mod fingerprint;
mod handshakes;
mod names;
mod renewal;
