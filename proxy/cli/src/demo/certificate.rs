//! A certificate authority for one demo folder, and a certificate from it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

const NAMES: [&str; 5] = ["localhost", "shop.localhost", "blog.localhost", "app.localhost", "127.0.0.1"];

/// Makes `ca.pem`, `server.pem` and `server.key` in `dir` unless all three are there.
///
/// The authority's key is kept nowhere: nobody can make more certificates from it.
pub(super) fn ensure(dir: &Path) -> anyhow::Result<()> {
    let [authority, chain, key] = ["ca.pem", "server.pem", "server.key"].map(|name| dir.join(name));
    if authority.exists() && chain.exists() && key.exists() {
        return Ok(());
    }
    let (authority_pem, chain_pem, key_pem) = make().context("cannot make the demo's certificate")?;
    for (path, pem, mode) in [(authority, authority_pem, 0o644), (chain, chain_pem, 0o644), (key, key_pem, 0o600)] {
        // Removed first: an old file would keep its mode.
        _ = fs::remove_file(&path);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(pem.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The authority's certificate, the server's chain and its key, in PEM.
fn make() -> Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "portcullis demo authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::new(NAMES.map(String::from))?;
    server.distinguished_name.push(DnType::CommonName, NAMES[0]);
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &issuer)?;
    Ok((authority_certificate.pem(), certificate.pem(), key.serialize_pem()))
}
