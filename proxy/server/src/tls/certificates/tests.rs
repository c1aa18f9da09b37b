use super::{super::testing::Files, *};

#[test]
fn reads_names_kind_and_validity() {
    let files = Files::new();
    files.ecdsa("a", &["Shop.Example.com", "*.example.com", "192.0.2.1"]);
    files.rsa("b", &["b.example"]);
    files.ed25519("c", &["c.example"]);
    let loaded = files.load(&["a", "b", "c"]);
    let a = &loaded.certificates[0];
    assert_eq!(a.hosts, ["shop.example.com".into(), "*.example.com".into()]);
    assert_eq!(a.addresses, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    let kinds: Vec<_> = loaded.certificates.iter().map(|c| c.key_kind).collect();
    assert_eq!(kinds, [KeyKind::EcdsaP256, KeyKind::Rsa, KeyKind::Ed25519]);
    assert!(a.not_before < SystemTime::now() && a.not_after > SystemTime::now());
    assert!(a.warnings(SystemTime::now()).is_empty());
}

#[test]
fn a_key_of_another_certificate_is_an_error_that_names_both_files() {
    let files = Files::new();
    files.ecdsa("a", &["a.example"]);
    files.ecdsa("b", &["b.example"]);
    std::fs::copy(files.path("b.key"), files.path("a.key")).unwrap();
    assert_eq!(files.problem("a"), "the key in /a.key does not belong to the certificate in /a.pem");
}

#[test]
fn a_chain_that_does_not_begin_with_the_leaf_says_so() {
    let files = Files::new();
    files.ecdsa("a", &["a.example"]);
    let leaf = std::fs::read_to_string(files.path("a.pem")).unwrap();
    let authority = std::fs::read_to_string(files.path("ca.pem")).unwrap();
    files.write("a.pem", format!("{authority}{leaf}"));
    assert_eq!(
        files.problem("a"),
        "/a.pem: the certificate of the key in /a.key is not the first; the chain must begin with it"
    );
    files.write("a.pem", format!("{leaf}{authority}"));
    let loaded = files.load(&["a"]);
    assert_eq!(loaded.certificates[0].warnings(SystemTime::now()), [""; 0]);
    files.write("a.pem", format!("{leaf}{leaf}"));
    let warnings = files.load(&["a"]).certificates[0].warnings(SystemTime::now());
    assert!(warnings[0].contains("out of order"), "{warnings:?}");
}

#[test]
fn files_that_are_no_certificates_are_told_apart() {
    let files = Files::new();
    files.ecdsa("a", &["a.example"]);
    let (cert, key) = (std::fs::read(files.path("a.pem")).unwrap(), std::fs::read(files.path("a.key")).unwrap());
    assert_eq!(files.problem("gone"), "cannot read /gone.pem: No such file or directory (os error 2)");
    for (content, expected) in [
        (&b""[..], "/a.pem is empty"),
        (b"garbage", "/a.pem has no certificate (a `-----BEGIN CERTIFICATE-----` section)"),
        (&cert[..cert.len() / 2], "/a.pem: a section has no END line; is the file cut off?"),
        (b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "/a.pem: a section is not valid base64"),
        (b"\x30\x82\x01\x01", "/a.pem is DER; convert it with `openssl x509 -inform der -in /a.pem -out cert.pem`"),
    ] {
        files.write("a.pem", content);
        assert_eq!(files.problem("a"), expected);
    }
    files.write("a.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(files.problem("a").starts_with("/a.pem: the first certificate cannot be used"), "{}", files.problem("a"));
    files.write("a.pem", &cert);
    for (content, expected) in [
        (&b""[..], "/a.key is empty"),
        (&cert[..], "/a.key has no private key (PKCS#8, PKCS#1 or SEC1 in PEM)"),
        (&key[..key.len() / 2], "/a.key: a section has no END line; is the file cut off?"),
        (
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "/a.key: the key is encrypted; decrypt it with `openssl pkey -in /a.key -out key.pem`",
        ),
    ] {
        files.write("a.key", content);
        assert_eq!(files.problem("a"), expected);
    }
    files.write("a.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert!(files.problem("a").starts_with("/a.key: the key cannot be used"), "{}", files.problem("a"));
    files.write("a.pem", vec![b'x'; 2 << 20]);
    assert_eq!(files.problem("a"), "/a.pem is larger than 1024 KiB: not a PEM file for TLS");
}

#[test]
fn all_mistakes_are_reported_together() {
    let files = Files::new();
    files.ecdsa("good", &["a.example"]);
    let certificates = ["gone", "good", "missing"].map(|name| files.configured(name));
    let errors = load_all(&certificates, &Loaded::default()).unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(errors[1].to_string().starts_with("portcullis.toml:1:1: cannot read "), "{}", errors[1]);
}

#[test]
fn an_expired_certificate_loads_with_a_warning() {
    let files = Files::new();
    files.ecdsa("a", &["a.example"]);
    let certified = files.load(&["a"]).certificates.remove(0);
    let day = Duration::from_secs(24 * 3600);
    let later = certified.warnings(certified.not_after + 3 * day);
    assert!(later[0].contains("expired 3 days ago"), "{later:?}");
    let soon = certified.warnings(certified.not_after - 5 * day);
    assert!(soon[0].contains("expires in 5 days"), "{soon:?}");
    let early = certified.warnings(certified.not_before - 2 * day);
    assert!(early[0].contains("valid only in 2 days"), "{early:?}");
}

#[test]
fn a_certificate_that_names_no_host_or_odd_wildcards_is_remarked_on() {
    let files = Files::new();
    files.ecdsa("a", &["f*.example.com", "*.*.example.com"]);
    let certified = files.load(&["a"]).certificates.remove(0);
    assert!(certified.hosts.is_empty());
    let warnings = certified.warnings(SystemTime::now());
    assert!(warnings[0].contains("`f*.example.com`, whose wildcard no client accepts"), "{warnings:?}");
    assert!(warnings[2].contains("names no host"), "{warnings:?}");
}

#[test]
fn what_was_not_written_is_not_loaded_again_and_changes_are_told() {
    let files = Files::new();
    for name in ["same", "renewed", "removed", "added"] {
        files.ecdsa(name, &["a.example"]);
    }
    let before = files.load(&["same", "renewed", "removed"]);
    files.ecdsa("renewed", &["a.example"]);
    let after = files.load(&["same", "renewed", "added"]);
    assert!(Arc::ptr_eq(&before.certificates[0], &after.certificates[0]));
    let changes = after.changes(&before);
    assert_eq!(
        changes,
        Changes { added: vec!["added".into()], removed: vec!["removed".into()], changed: vec!["renewed".into()] }
    );
    assert!(after.changes(&after).is_empty());
}
