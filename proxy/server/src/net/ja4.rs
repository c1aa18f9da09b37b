//! JA4: which kind of TLS client this is, from its ClientHello. By FoxIO's description of the TLS client part (`technical_details/JA4.md` in
//! its repository, BSD 3-clause). Other fingerprints of that family are not made here.
//!
//! A fingerprint is what a client offers, so that it is a hint and no proof: who wants to looks like a browser.

use std::{fmt::Write, sync::Arc};

use sha2::{Digest, Sha256};

use super::hello::{APPLICATION_PROTOCOLS, Reader, SERVER_NAME, SUPPORTED_VERSIONS};

/// What carried the ClientHello, as the fingerprint's first letter: TLS over TCP. QUIC's is `q`.
pub(super) const TCP: char = 't';

/// The fingerprint of a ClientHello message without its four bytes of handshake header. `transport` is its first letter. `None` where it breaks the format.
pub(super) fn fingerprint(body: &[u8], transport: char) -> Option<Arc<str>> {
    let offer = Offer::read(body)?;
    let mut text = String::with_capacity(LENGTH);
    text.push(transport);
    text.push_str(version_code(offer.version));
    text.push(if offer.named { 'd' } else { 'i' });
    // Two digits, whatever is offered.
    write!(text, "{:02}{:02}", offer.ciphers.len().min(99), offer.extensions.len().min(99)).ok()?;
    text.extend(protocol_ends(offer.protocol));

    let mut ciphers = offer.ciphers;
    ciphers.sort_unstable();
    let ciphers = list(&ciphers);
    // Both are said already, and depend on where the client goes rather than on what it is.
    let mut extensions = offer.extensions;
    extensions.retain(|&kind| kind != SERVER_NAME && kind != APPLICATION_PROTOCOLS);
    extensions.sort_unstable();
    let mut rest = list(&extensions);
    if !rest.is_empty() && !offer.algorithms.is_empty() {
        rest.push('_');
        rest.push_str(&list(&offer.algorithms));
    }
    for part in [ciphers, rest] {
        text.push('_');
        push_hash(&mut text, &part);
    }
    debug_assert_eq!(text.len(), LENGTH);
    Some(text.into())
}

/// What the fingerprint is made from, in the client's order and without GREASE.
struct Offer<'a> {
    version: u16,
    named: bool,
    ciphers: Vec<u16>,
    extensions: Vec<u16>,
    /// The first protocol of the list; empty without one.
    protocol: &'a [u8],
    algorithms: Vec<u16>,
}

impl<'a> Offer<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let mut hello = Reader(body);
        let version = hello.u16()?;
        hello.take(32)?; // random
        hello.vector8()?; // session id
        let ciphers = numbers(hello.vector16()?)?;
        hello.vector8()?; // compression methods
        let mut offer =
            Self { version, named: false, ciphers, extensions: Vec::new(), protocol: &[], algorithms: Vec::new() };
        if hello.0.is_empty() {
            return Some(offer);
        }
        let mut extensions = Reader(hello.vector16()?);
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let mut content = Reader(extensions.vector16()?);
            match kind {
                _ if is_grease(kind) => continue,
                SERVER_NAME => offer.named = true,
                APPLICATION_PROTOCOLS => offer.protocol = Reader(content.vector16()?).vector8()?,
                SIGNATURE_ALGORITHMS => offer.algorithms = numbers(content.vector16()?)?,
                SUPPORTED_VERSIONS => offer.version = numbers(content.vector8()?)?.into_iter().max().unwrap_or(0),
                _ => {}
            }
            offer.extensions.push(kind);
        }
        Some(offer)
    }
}

/// A list of numbers of two bytes, without GREASE.
fn numbers(list: &[u8]) -> Option<Vec<u16>> {
    let (pairs, rest) = list.as_chunks::<2>();
    let numbers = pairs.iter().map(|&pair| u16::from_be_bytes(pair)).filter(|&number| !is_grease(number));
    rest.is_empty().then(|| numbers.collect())
}

/// RFC 8701: 0x0a0a, 0x1a1a and so on to 0xfafa.
fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn version_code(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of a protocol's name; of its bytes in hexadecimal, where either is neither letter nor digit.
fn protocol_ends(name: &[u8]) -> [char; 2] {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return ['0', '0'] };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first.into(), last.into()];
    }
    [HEX[usize::from(first >> 4)].into(), HEX[usize::from(last & 0x0f)].into()]
}

/// `002f,0035,...`
fn list(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(5 * numbers.len());
    for number in numbers {
        if !text.is_empty() {
            text.push(',');
        }
        for shift in [12, 8, 4, 0] {
            text.push(HEX[usize::from(number >> shift & 0x0f)].into());
        }
    }
    text
}

/// The first twelve hexadecimal digits of the SHA-256 of `part`; zeros for nothing.
fn push_hash(text: &mut String, part: &str) {
    let digest = if part.is_empty() { [0; 32] } else { Sha256::digest(part).into() };
    for byte in &digest[..6] {
        text.push(HEX[usize::from(byte >> 4)].into());
        text.push(HEX[usize::from(byte & 0x0f)].into());
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
const SIGNATURE_ALGORITHMS: u16 = 13;
/// `t13d1516h2_8daaf6152771_e5627efa2ab1`
const LENGTH: usize = 36;

#[cfg(test)]
mod tests;
