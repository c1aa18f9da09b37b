//! Orders at pebble, by the manager alone, with a small responder for http-01.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::{
    collections::BTreeSet,
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis_certs::{
    answers::{Answers, HTTP_PATH},
    issued::Issued,
    manager::{Manager, Parts, Served},
    settings::{Authority, Binding, ChallengeKind, KeyKind, Settings},
    storage::disk::Disk,
    subject::Subject,
};
use portcullis_tests::{
    certificates,
    pebble::{Choice, Pebble},
    port::Port,
    scenario::{eventually_within, scenario},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Long enough for pebble beside a compiler.
const WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Seen(Mutex<Vec<String>>);

impl Served for Seen {
    fn check<'a>(&'a self, issued: &'a Issued) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        self.0.lock().unwrap().push(issued.subject.to_string());
        Box::pin(async { Ok(()) })
    }
}

struct Ground {
    pebble: Pebble,
    _http: Port,
    folder: tempfile::TempDir,
    seen: Arc<Seen>,
    /// Of all managers that were started here.
    answers: Arc<Mutex<Vec<Answers>>>,
}

impl Ground {
    async fn new(choice: impl FnOnce(&mut Choice)) -> Self {
        let http = Port::reserve();
        let mut chosen = Choice { http: Some(http.number()), ..Choice::default() };
        choice(&mut chosen);
        let folder = tempfile::tempdir().unwrap();
        let answers = Arc::default();
        tokio::spawn(respond(http.address(), Arc::clone(&answers)));
        Self { pebble: Pebble::start(chosen).await, _http: http, folder, seen: Arc::default(), answers }
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn settings(&self) -> Settings {
        Settings {
            authorities: vec![Authority {
                name: "pebble".into(),
                directory: self.pebble.directory().into(),
                public: false,
                roots: Arc::new(certificates::authority().roots()),
                binding: None,
                profile: None,
            }],
            email: vec!["ops@example.com".into()],
            keys: vec![KeyKind::P256],
            challenges: vec![ChallengeKind::Http01],
            parallel: 4,
            spread: Duration::ZERO,
        }
    }

    fn manager(&self, settings: Settings) -> Manager {
        let manager = Manager::start(Parts {
            settings,
            storage: Arc::new(Disk::open(&self.state()).unwrap()),
            records: None,
            served: self.seen.clone(),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        });
        self.answers.lock().unwrap().push(manager.answers());
        manager.begin();
        manager
    }
}

/// Answers http-01 and nothing else.
async fn respond(address: std::net::SocketAddr, answers: Arc<Mutex<Vec<Answers>>>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(16).unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = vec![0; 4096];
        let Ok(length) = stream.read(&mut head).await else { continue };
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let answer = path
            .strip_prefix(HTTP_PATH)
            .and_then(|token| answers.lock().unwrap().iter().find_map(|answers| answers.token(token)));
        let body = answer.as_deref().unwrap_or("nothing");
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let _ = stream.write_all(text.as_bytes()).await;
    }
}

fn names(list: &[&str]) -> BTreeSet<Subject> {
    list.iter().map(|name| Subject::parse(name).unwrap()).collect()
}

async fn certificate(manager: &Manager, host: &str) -> Arc<Issued> {
    eventually_within(WITHIN, "there is a certificate", async || manager.table().covering(host).first().cloned()).await
}

#[test]
fn a_name_that_is_wanted_gets_a_certificate_that_is_kept() {
    scenario(async {
        let ground = Ground::new(|_| ()).await;
        let manager = ground.manager(ground.settings());
        manager.want(&names(&["a.example.com", "b.example.com"]));
        let issued = certificate(&manager, "a.example.com").await;
        certificate(&manager, "b.example.com").await;
        assert!(issued.issuer.contains("Pebble"), "{}", issued.issuer);
        eventually_within(WITHIN, "both were looked at", async || {
            (ground.seen.0.lock().unwrap().len() == 2).then_some(())
        })
        .await;
        drop(manager);
        // A second start finds them, and orders nothing.
        let before = ground.pebble.orders();
        let manager = ground.manager(ground.settings());
        manager.want(&names(&["a.example.com", "b.example.com"]));
        assert_eq!(certificate(&manager, "a.example.com").await.serial, issued.serial);
        assert_eq!(ground.pebble.orders(), before);
    });
}

#[test]
fn half_of_all_nonces_may_be_bad() {
    scenario(async {
        let ground = Ground::new(|choice| choice.bad_nonces = 50).await;
        let manager = ground.manager(ground.settings());
        manager.want(&names(&["a.example.com"]));
        // instant-acme tries a nonce three times; where that is not enough the order waits its minute, so this asks again.
        eventually_within(Duration::from_secs(60), "there is a certificate", async || {
            if manager.table().covering("a.example.com").is_empty() {
                let subject = Subject::parse("a.example.com").unwrap();
                if manager.list().first().is_some_and(|listed| listed.failures > 0) {
                    manager.renew(&subject);
                }
                return None;
            }
            Some(())
        })
        .await;
    });
}

#[test]
fn an_account_is_bound_where_that_is_required() {
    scenario(async {
        let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
        let ground = Ground::new(|choice| choice.binding = Some(("kid-1".into(), key.into()))).await;
        let mut settings = ground.settings();
        let manager = ground.manager(settings.clone());
        manager.want(&names(&["a.example.com"]));
        let listed = eventually_within(WITHIN, "it is refused", async || {
            manager.list().into_iter().find(|listed| listed.failures > 0)
        })
        .await;
        assert_eq!(listed.error_kind, Some("account"), "{listed:?}");
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, key).unwrap();
        settings.authorities[0].binding = Some(Binding { id: "kid-1".into(), key: bytes });
        manager.configure(settings, None);
        certificate(&manager, "a.example.com").await;
    });
}

#[test]
fn what_cannot_be_reached_is_said_and_waits() {
    scenario(async {
        let ground = Ground::new(|choice| choice.http = Some(1)).await;
        let manager = ground.manager(ground.settings());
        manager.want(&names(&["a.example.com", "*.example.com"]));
        let listed = eventually_within(WITHIN, "both have failed", async || {
            let listed = manager.list();
            listed.iter().all(|listed| listed.failures > 0).then_some(listed)
        })
        .await;
        let by = |host: &str| listed.iter().find(|listed| listed.host == host).unwrap();
        assert_eq!(by("a.example.com").error_kind, Some("unreachable"), "{listed:?}");
        assert_eq!(by("*.example.com").error_kind, Some("no_challenge"), "{listed:?}");
        assert!(by("a.example.com").next.is_some());
    });
}

#[test]
fn an_authority_that_is_away_is_passed_over_for_the_next() {
    scenario(async {
        let ground = Ground::new(|_| ()).await;
        let mut settings = ground.settings();
        let mut away = settings.authorities[0].clone();
        away.name = "away".into();
        away.directory = "https://localhost:1/dir".into();
        settings.authorities.insert(0, away);
        let manager = ground.manager(settings);
        manager.want(&names(&["a.example.com"]));
        certificate(&manager, "a.example.com").await;
    });
}

#[test]
fn an_authority_that_has_forgotten_the_account_gets_a_new_one() {
    scenario(async {
        let mut ground = Ground::new(|_| ()).await;
        let manager = ground.manager(ground.settings());
        manager.want(&names(&["a.example.com"]));
        let first = certificate(&manager, "a.example.com").await;
        ground.pebble.start_again().await;
        manager.renew(&first.subject);
        eventually_within(WITHIN, "it is renewed", async || {
            manager.table().covering("a.example.com").first().filter(|issued| issued.serial != first.serial).cloned()
        })
        .await;
        let accounts = std::fs::read_dir(ground.state().join("accounts")).unwrap().count();
        assert_eq!(accounts, 2, "the old account is set aside, not lost");
    });
}

#[test]
fn a_short_lived_certificate_is_renewed_by_itself() {
    scenario(async {
        let ground = Ground::new(|choice| choice.validity = Some(8)).await;
        let manager = ground.manager(ground.settings());
        manager.want(&names(&["a.example.com"]));
        let first = certificate(&manager, "a.example.com").await;
        eventually_within(WITHIN, "it is renewed", async || {
            manager.table().covering("a.example.com").first().filter(|issued| issued.serial != first.serial).cloned()
        })
        .await;
    });
}

#[test]
fn of_two_managers_on_one_folder_one_orders() {
    scenario(async {
        let ground = Ground::new(|_| ()).await;
        let first = ground.manager(ground.settings());
        let second = ground.manager(ground.settings());
        first.want(&names(&["a.example.com"]));
        second.want(&names(&["a.example.com"]));
        let one = certificate(&first, "a.example.com").await;
        let other = certificate(&second, "a.example.com").await;
        assert_eq!(one.serial, other.serial);
        assert_eq!(ground.pebble.orders(), 1);
    });
}

#[test]
fn a_broken_certificate_file_is_set_aside_and_ordered_again() {
    scenario(async {
        let ground = Ground::new(|_| ()).await;
        let manager = ground.manager(ground.settings());
        manager.want(&names(&["a.example.com"]));
        certificate(&manager, "a.example.com").await;
        drop(manager);
        let file = ground.state().join("certificates/a.example.com.p256.json");
        let text = std::fs::read_to_string(&file).unwrap();
        write_private(&file, &text[..text.len() / 2]);
        let manager = ground.manager(ground.settings());
        manager.want(&names(&["a.example.com"]));
        certificate(&manager, "a.example.com").await;
        assert_eq!(std::fs::read_dir(ground.state().join("certificates")).unwrap().count(), 2);
    });
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
