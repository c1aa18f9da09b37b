//! pebble, the small authority for tests, with its nameserver.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    certificates::{self, Leaf},
    port::Port,
    scenario::eventually,
    tool::{Tool, installed},
};

/// What of pebble's settings tests choose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Where http-01 is asked; by default a port where nobody listens.
    pub http: Option<u16>,
    /// Where tls-alpn-01 is asked.
    pub tls: Option<u16>,
    /// Accounts must be bound: key id, and the key in base64url.
    pub binding: Option<(String, String)>,
    /// Seconds that certificates live; pebble's default is five years.
    pub validity: Option<u64>,
    /// Of a hundred nonces, so many are refused.
    pub bad_nonces: u8,
    /// Where names are looked up; by default at a nameserver of its own.
    pub nameserver: Option<SocketAddr>,
    /// Names that it refuses.
    pub blocked: Vec<String>,
}

/// pebble with pebble-challtestsrv, which answers every name with 127.0.0.1 unless told otherwise. Both end when dropped.
#[derive(Debug)]
pub struct Pebble {
    choice: Choice,
    folder: TempDir,
    leaf: Leaf,
    port: Port,
    management: Port,
    dns: Port,
    dns_management: Port,
    pebble: Option<Child>,
    names: Option<Child>,
}

impl Pebble {
    /// Starts both.
    ///
    /// # Panics
    /// When they are not installed or do not start.
    pub async fn start(choice: Choice) -> Self {
        let mut pebble = Self {
            choice,
            folder: tempfile::Builder::new().prefix("pebble-").tempdir().expect("a folder can be made"),
            leaf: certificates::leaf(&["localhost", "127.0.0.1"]),
            port: Port::reserve(),
            management: Port::reserve(),
            dns: Port::reserve(),
            dns_management: Port::reserve(),
            pebble: None,
            names: None,
        };
        let names = Command::new(installed("pebble-challtestsrv"))
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-defaultIPv6", ""])
            .arg("-dns01")
            .arg(pebble.dns.address().to_string())
            .arg("-management")
            .arg(pebble.dns_management.address().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv can be started");
        pebble.names = Some(names);
        pebble.start_again().await;
        pebble
    }

    /// Its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port.number())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where its nameserver listens.
    pub fn nameserver(&self) -> SocketAddr {
        self.dns.address()
    }

    /// The root that its certificates end at (made anew at each start), PEM.
    pub async fn root(&self) -> String {
        let url = format!("https://localhost:{}/roots/0", self.management.number());
        Tool::new("curl").args(["-sSk", &url]).output().await
    }

    /// The URL of the nameserver's management.
    pub fn management_of_names(&self) -> String {
        format!("http://{}", self.dns_management.address())
    }

    /// Tells the nameserver something: `set-txt`, `add-a`, `add-caa`, `set-servfail`, with its JSON.
    ///
    /// # Panics
    /// When it does not take it.
    pub async fn tell(&self, what: &str, json: &str) {
        let url = format!("http://{}/{what}", self.dns_management.address());
        Tool::new("curl").args(["-sSf", "-d", json, &url]).output().await;
    }

    /// Stops the authority; names are still answered.
    pub fn stop(&mut self) {
        end(&mut self.pebble);
    }

    /// Starts the authority again where it was: with other accounts, orders and roots, for it keeps nothing.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        end(&mut self.pebble);
        let folder = self.folder.path();
        std::fs::write(folder.join("cert.pem"), &self.leaf.cert).expect("a file can be made in an own folder");
        std::fs::write(folder.join("key.pem"), &self.leaf.key).expect("a file can be made in an own folder");
        let mut settings = serde_json::json!({
            "listenAddress": self.port.address().to_string(),
            "managementListenAddress": self.management.address().to_string(),
            "certificate": folder.join("cert.pem"),
            "privateKey": folder.join("key.pem"),
            "httpPort": self.choice.http.unwrap_or(1),
            "tlsPort": self.choice.tls.unwrap_or(1),
            "ocspResponderURL": "",
            "domainBlocklist": self.choice.blocked,
        });
        if let Some((id, key)) = &self.choice.binding {
            settings["externalAccountBindingRequired"] = true.into();
            settings["externalAccountMACKeys"] = serde_json::json!({ id: key });
        }
        if let Some(validity) = self.choice.validity {
            settings["certificateValidityPeriod"] = validity.into();
        }
        std::fs::write(folder.join("config.json"), serde_json::json!({ "pebble": settings }).to_string())
            .expect("a file can be made in an own folder");
        let log = std::fs::File::create(folder.join("log")).expect("a file can be made in an own folder");
        let child = Command::new(installed("pebble"))
            .arg("-config")
            .arg(folder.join("config.json"))
            .arg("-dnsserver")
            .arg(self.choice.nameserver.unwrap_or_else(|| self.dns.address()).to_string())
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", self.choice.bad_nonces.to_string())
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log)
            .spawn()
            .expect("pebble can be started");
        self.pebble = Some(child);
        eventually("pebble answers", async || {
            if let Some(Ok(Some(status))) = self.pebble.as_mut().map(Child::try_wait) {
                panic!("pebble ended with {status}: {}", self.log());
            }
            let directory = self.directory();
            let said = Tool::new("curl").args(["-sSkf", &directory]).run().await;
            (said.code == Some(0)).then_some(())
        })
        .await;
    }

    /// What it has said since it was started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many orders were made since it was started.
    pub fn orders(&self) -> usize {
        self.log().lines().filter(|line| line.contains("There are now") && line.contains("order")).count()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        end(&mut self.pebble);
        end(&mut self.names);
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        drop(child.kill());
        drop(child.wait());
    }
}
