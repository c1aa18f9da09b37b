//! BIND's named as a primary nameserver that takes signed updates.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{port::Port, scenario::eventually, tool::installed};

/// named with one zone. Ends when dropped.
#[derive(Debug)]
pub struct Named {
    child: Child,
    _folder: TempDir,
    port: Port,
}

impl Named {
    /// The name of the key that may update the zone.
    pub const KEY: &'static str = "acme.example";
    /// Its secret, base64.
    pub const SECRET: &'static str = "cG9ydGN1bGxpcyB0ZXN0cywgbm90IGEgc2VjcmV0ISE=";

    /// Starts one that is the primary of `zone`, in which every name has the address 127.0.0.1.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start(zone: &str) -> Self {
        let port = Port::reserve();
        let folder = tempfile::Builder::new().prefix("named-").tempdir().expect("a folder can be made");
        let at = folder.path().display();
        let (key, secret) = (Self::KEY, Self::SECRET);
        let config = format!(
            "options {{ directory \"{at}\"; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file \"{at}/pid\";\n\
             session-keyfile \"{at}/session.key\"; recursion no; dnssec-validation no; allow-query {{ any; }}; }};\n\
             controls {{ }};\n\
             key \"{key}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n\
             zone \"{zone}\" {{ type primary; file \"{at}/zone\"; allow-update {{ key \"{key}\"; }}; }};\n",
            port.number(),
        );
        let records = "$TTL 60\n@ SOA ns root 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n@ A 127.0.0.1\n* A 127.0.0.1\n";
        for (name, text) in [("named.conf", config.as_str()), ("zone", records)] {
            std::fs::write(folder.path().join(name), text).expect("a file can be made in an own folder");
        }
        let log = std::fs::File::create(folder.path().join("log")).expect("a file can be made in an own folder");
        let mut child = Command::new(installed("named"))
            .args(["-g", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("named can be started");
        eventually("named answers", async || {
            if let Ok(Some(status)) = child.try_wait() {
                let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                panic!("named ended with {status}: {log}");
            }
            tokio::net::TcpStream::connect(port.address()).await.ok().map(drop)
        })
        .await;
        Self { child, _folder: folder, port }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
