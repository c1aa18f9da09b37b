//! The cryptography behind every handshake: aws-lc-rs with its defaults, X25519MLKEM768 before the classical groups.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The one provider, shared by all configurations.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// A SHA-256 digest.
pub(super) type Digest = [u8; 32];

/// SHA-256 over `parts`, each preceded by its length, so that moving a byte from one to the next changes the digest.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let rustls::SupportedCipherSuite::Tls13(suite) = suite else { unreachable!("a TLS 1.3 suite by its name") };
    let mut hash = suite.common.hash_provider.start();
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    #[test]
    fn the_post_quantum_group_comes_first() {
        assert_eq!(provider().kx_groups[0].name(), NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn digests_tell_the_parts_apart() {
        assert_ne!(digest([&b"ab"[..], b"c"]), digest([&b"a"[..], b"bc"]));
        assert_eq!(digest([&b"ab"[..]]), digest([&b"ab"[..]]));
    }
}
