//! docker-registry: a registry as there are many, on loopback.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Uri;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    client::http::{Answer, Connection, request_with_body},
    origin::stock,
    port::Port,
    process::Process,
    scenario::eventually,
    tool::installed,
};

/// The base64 form of the name `team` and its password, for those who log in.
pub const LOGIN: &str = "dGVhbTpVKlU=";

/// The same for the registry, in bcrypt.
const PASSWORDS: &str = "team:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";

/// A running registry, empty at first. Ends when dropped.
#[derive(Debug)]
pub struct Registry {
    process: Option<Process>,
    folder: TempDir,
    port: Port,
    is_locked: bool,
}

impl Registry {
    /// Starts one that lets everybody in.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start() -> Self {
        Self::start_with(false).await
    }

    /// Starts one that lets nobody in but those who have [`LOGIN`].
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_locked() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(is_locked: bool) -> Self {
        let port = Port::reserve();
        let folder = tempfile::Builder::new().prefix("registry-").tempdir().expect("a folder can be made");
        let at = folder.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{ level: warn }}\nhttp: {{ addr: \"{}\" }}\n\
             storage: {{ filesystem: {{ rootdirectory: \"{at}/data\" }}, delete: {{ enabled: true }} }}\n",
            port.address(),
        );
        if is_locked {
            std::fs::write(folder.path().join("passwords"), PASSWORDS).expect("a file can be made in an own folder");
            config += &format!("auth: {{ htpasswd: {{ realm: registry, path: \"{at}/passwords\" }} }}\n");
        }
        std::fs::write(folder.path().join("config.yml"), config).expect("a file can be made in an own folder");
        let mut registry = Self { process: None, folder, port, is_locked };
        registry.start_again().await;
        registry
    }

    /// Starts it again, with what it had.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        let folder = self.folder.path();
        let mut process = Process::start("registry", &installed("docker-registry"), ["serve", "config.yml"], folder);
        eventually("the registry listens", async || {
            assert!(process.is_running(), "the registry ended: {}", process.stderr());
            tokio::net::TcpStream::connect(self.port.address()).await.ok()
        })
        .await;
        self.process = Some(process);
    }

    /// Stops it: connecting is refused.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Where it listens, as references name it.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Uploads a module under a tag, as tools for Wasm artifacts do, and gives back the digests of manifest and module.
    ///
    /// # Panics
    /// When the registry does not take it.
    pub async fn push(&self, repository: &str, tag: &str, media_type: &str, module: &[u8]) -> (String, String) {
        let config = json!({ "architecture": "wasm", "os": "wasip2", "layerDigests": [digest(module)] }).to_string();
        let layer = self.upload(repository, module).await;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json",
                "digest": self.upload(repository, config.as_bytes()).await,
                "size": config.len(),
            },
            "layers": [{ "mediaType": media_type, "digest": layer, "size": module.len() }],
        });
        (self.push_manifest(repository, tag, &manifest).await, layer)
    }

    /// Uploads a manifest under a tag, and gives back its digest.
    ///
    /// # Panics
    /// When the registry does not take it.
    pub async fn push_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> String {
        let text = manifest.to_string();
        let kind = manifest["mediaType"].as_str().expect("manifests say what they are");
        let answer =
            self.ask("PUT", &format!("/v2/{repository}/manifests/{tag}"), kind, text.clone().into_bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        digest(text.as_bytes())
    }

    async fn upload(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let begun =
            self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "application/octet-stream", Vec::new()).await;
        assert_eq!(begun.status, 202, "{begun:?}");
        let place: Uri = begun.header("location").parse().expect("a URL to go on at");
        let place = place.path_and_query().expect("a URL with a path");
        let target = format!("{place}&digest={digest}");
        let answer = self.ask("PUT", &target, "application/octet-stream", bytes.to_vec()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        digest
    }

    async fn ask(&self, method: &str, target: &str, kind: &str, body: Vec<u8>) -> Answer {
        let host = self.address().to_string();
        let mut request = request_with_body(method, &host, target, stock::full(Bytes::from(body)));
        request.headers_mut().insert("content-type", kind.parse().expect("a media type"));
        if self.is_locked {
            let basic = format!("Basic {LOGIN}");
            request.headers_mut().insert("authorization", basic.parse().expect("base64"));
        }
        Connection::h1(self.address()).await.fetch(request).await
    }
}

/// What bytes are called in a registry.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
