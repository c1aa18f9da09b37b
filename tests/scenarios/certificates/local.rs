use std::sync::Arc;

use portcullis_tests::{
    certificates::leaf,
    client::{http::Connection, tls},
    proxy::{Plan, Proxy},
    scenario::scenario,
};
use rustix::process::Signal;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

const LOCAL: &str = r#"
[[listener]]
name = "https"
address = "127.0.0.1:@https@"
tls = { local = true }

[[route]]
respond = { status = 204 }
"#;

async fn believer(proxy: &Proxy) -> Arc<ClientConfig> {
    let root = proxy.command(&["certs", "root"]).await;
    assert_eq!(root.code, Some(0), "{root:?}");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.stdout.as_bytes()).unwrap()).unwrap();
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn every_host_has_a_certificate_of_the_machine_itself() {
    scenario(async {
        let plan = Plan::new(LOCAL);
        let home = plan.folder().join("data").display().to_string();
        let text = format!("{LOCAL}[acme]\nstate = \"{home}\"\n");
        let mut proxy = plan.with_text(text).start().await;
        let client = believer(&proxy).await;
        for name in ["shop.localhost", "any.example.com", "localhost"] {
            let connection = Connection::tls(proxy.address("https"), name, &client).await;
            assert_eq!(connection.get(name, "/").await.status, 204);
        }
        // A client that names no host.
        assert!(tls(proxy.address("https"), "127.0.0.1", &client).await.is_ok());
        // The same authority after a restart.
        proxy.restart_after(Signal::TERM).await;
        assert!(tls(proxy.address("https"), "shop.localhost", &client).await.is_ok());
    });
}

#[test]
fn a_certificate_from_a_file_wins_over_the_machines_own() {
    scenario(async {
        let plan = Plan::new(LOCAL);
        let home = plan.folder().join("data").display().to_string();
        let own = leaf(&["shop.localhost"]);
        let file = "[[certificate]]\ncert = \"own.pem\"\nkey = \"own.key\"\n";
        let text = format!("{LOCAL}{file}[acme]\nstate = \"{home}\"\n");
        let proxy = plan.leaf("own", &own).with_text(text).start().await;
        let client = portcullis_tests::certificates::authority().client(&[]);
        let shown = tls(proxy.address("https"), "shop.localhost", &client).await.unwrap();
        assert_eq!(shown.get_ref().1.peer_certificates().unwrap()[0].as_ref(), own.der());
        assert!(tls(proxy.address("https"), "other.localhost", &client).await.is_err());
        assert!(tls(proxy.address("https"), "other.localhost", &believer(&proxy).await).await.is_ok());
    });
}
