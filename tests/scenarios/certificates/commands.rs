use std::os::unix::fs::PermissionsExt as _;

use portcullis_tests::{
    certificates::{authority, leaf},
    client::tls,
    scenario::scenario,
};

use super::{ONE, certified, failed, ground, shown};

#[test]
fn certificates_are_listed_renewed_and_given_out() {
    scenario(async {
        let (plan, pebble) = ground(ONE, |_| ()).await;
        let proxy = plan.start().await;
        let first = shown(&proxy, &pebble, "a.example.com").await;
        let list = proxy.command(&["certs", "list"]).await;
        assert_eq!(list.code, Some(0), "{list:?}");
        for word in ["a.example.com", "valid", "Pebble"] {
            assert!(list.stdout.contains(word), "{list:?}");
        }
        let renewed = proxy.command(&["certs", "renew", "a.example.com"]).await;
        assert_eq!(renewed.code, Some(0), "{renewed:?}");
        let second = shown(&proxy, &pebble, "a.example.com").await;
        assert_ne!(first, second);
        let (cert, key) = (proxy.folder().join("out.pem"), proxy.folder().join("out.key"));
        let files = [cert.to_str().unwrap(), key.to_str().unwrap()];
        let given = proxy.command(&["certs", "export", "a.example.com", "--cert", files[0], "--key", files[1]]).await;
        assert_eq!(given.code, Some(0), "{given:?}");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&key).unwrap().contains("PRIVATE KEY"));
        assert!(std::fs::read_to_string(&cert).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
        let unknown = proxy.command(&["certs", "renew", "nobody.example.com"]).await;
        assert_eq!(unknown.code, Some(1));
        assert!(unknown.stderr.contains("no certificate is ordered for nobody.example.com"), "{unknown:?}");
    });
}

#[test]
fn explain_knows_certificates_that_come_from_no_file() {
    scenario(async {
        let (plan, mut pebble) = ground(ONE, |_| ()).await;
        pebble.stop();
        let proxy = plan.start().await;
        failed(&proxy, "a.example.com").await;
        let url = format!("https://a.example.com:{}/", proxy.address("https").port());
        let explained = async || proxy.command(&["explain", "GET", &url, "--json"]).await;
        let without = explained().await;
        assert!(without.stdout.contains("there is no certificate for a.example.com yet"), "{without:?}");
        pebble.start_again().await;
        assert_eq!(proxy.command(&["certs", "renew", "a.example.com"]).await.code, Some(0));
        let with = explained().await;
        assert!(with.stdout.contains("p256") && !with.stdout.contains("refused"), "{with:?}");
    });
}

#[test]
fn a_certificate_from_elsewhere_is_taken_in_when_it_fits() {
    scenario(async {
        let (plan, mut pebble) = ground(ONE, |_| ()).await;
        pebble.stop();
        let proxy = plan.start().await;
        failed(&proxy, "a.example.com").await;
        let (own, other) = (leaf(&["a.example.com"]), leaf(&["b.example.com"]));
        proxy.write_leaf("own", &own);
        proxy.write_leaf("other", &other);
        let file = |name: &str| proxy.folder().join(name).display().to_string();
        let import = async |cert: &str, key: &str| {
            proxy.command(&["certs", "import", "a.example.com", "--cert", &file(cert), "--key", &file(key)]).await
        };
        let wrong = import("own.pem", "other.key").await;
        assert_eq!(wrong.code, Some(1));
        assert!(wrong.stderr.contains("the key is not the certificate's"), "{wrong:?}");
        let wrong = import("other.pem", "other.key").await;
        assert!(wrong.stderr.contains("not for a.example.com"), "{wrong:?}");
        let taken = import("own.pem", "own.key").await;
        assert_eq!(taken.code, Some(0), "{taken:?}");
        certified(&proxy, "a.example.com", "valid").await;
        let shown = tls(proxy.address("https"), "a.example.com", &authority().client(&["http/1.1"])).await.unwrap();
        assert_eq!(shown.get_ref().1.peer_certificates().unwrap()[0].as_ref(), own.der());
    });
}

#[test]
fn without_a_table_there_is_nothing_to_do() {
    scenario(async {
        let proxy = portcullis_tests::proxy::Proxy::start(
            "[[listener]]\naddress = \"127.0.0.1:@http@\"\n[[route]]\nrespond = { status = 204 }\n",
        )
        .await;
        let list = proxy.command(&["certs", "list"]).await;
        assert_eq!((list.code, list.stdout.as_str()), (Some(0), "none\n"), "{list:?}");
        let renew = proxy.command(&["certs", "renew", "a.example.com"]).await;
        assert_eq!(renew.code, Some(1));
        assert!(renew.stderr.contains("no [acme]"), "{renew:?}");
    });
}
