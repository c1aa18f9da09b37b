//! unbound as the nameserver of a private zone.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    port::Port,
    scenario::eventually,
    tool::{Tool, installed},
};

/// unbound with one zone, whose records change while it runs. Ends when dropped.
#[derive(Debug)]
pub struct Unbound {
    zone: String,
    records: BTreeMap<String, Vec<String>>,
    serial: u32,
    child: Option<Child>,
    folder: TempDir,
    port: Port,
}

impl Unbound {
    /// Starts one that is authoritative for `zone` and knows nothing else.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start(zone: &str) -> Self {
        let port = Port::reserve();
        let folder = tempfile::Builder::new().prefix("unbound-").tempdir().expect("a folder can be made");
        let at = folder.path().display();
        let config = format!(
            "server:\n  interface: 127.0.0.1@{}\n  access-control: 127.0.0.0/8 allow\n  do-daemonize: no\n  \
             username: \"\"\n  chroot: \"\"\n  directory: \"{at}\"\n  pidfile: \"{at}/pid\"\n  use-syslog: no\n  \
             logfile: \"{at}/log\"\n  module-config: \"iterator\"\n  num-threads: 1\n\
             remote-control:\n  control-enable: yes\n  control-interface: \"{at}/control\"\n  control-use-cert: no\n\
             auth-zone:\n  name: \"{zone}.\"\n  zonefile: \"{at}/zone\"\n  for-downstream: yes\n  for-upstream: no\n\
             forward-zone:\n  name: \".\"\n  forward-addr: 127.0.0.1@1\n",
            port.number(),
        );
        std::fs::write(folder.path().join("unbound.conf"), config).expect("a file can be made in an own folder");
        let records = BTreeMap::new();
        let mut unbound = Self { zone: zone.to_owned(), records, serial: 0, child: None, folder, port };
        unbound.start_again().await;
        unbound
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Gives `name` these addresses, instead of those it had, in one step; without any there is no such name. TTL 1 second.
    ///
    /// # Panics
    /// When unbound does not take them.
    pub async fn set(&mut self, name: &str, addresses: &[IpAddr]) {
        let records = addresses.iter().map(|address| {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            format!("{name}. 1 IN {kind} {address}")
        });
        self.set_records(name, records.collect()).await;
    }

    /// Gives `name` services: port and target, in one step. TTL 1 second.
    ///
    /// # Panics
    /// When unbound does not take them.
    pub async fn set_services(&mut self, name: &str, services: &[(u16, &str)]) {
        let records = services.iter().map(|(port, target)| format!("{name}. 1 IN SRV 0 1 {port} {target}."));
        self.set_records(name, records.collect()).await;
    }

    /// Stops it: questions to it are answered by nobody.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Starts it again where it was, with the records it had.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        self.write();
        let child = Command::new(installed("unbound"))
            .arg("-d")
            .arg("-c")
            .arg(self.folder.path().join("unbound.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unbound can be started");
        self.child = Some(child);
        eventually("unbound takes orders", async || {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                panic!("unbound ended with {status}: {}", self.log());
            }
            let status = self.control(["status"]).run().await;
            (status.code == Some(0)).then_some(())
        })
        .await;
    }

    async fn set_records(&mut self, name: &str, records: Vec<String>) {
        self.records.insert(name.to_owned(), records);
        self.write();
        if self.child.is_some() {
            self.control(["auth_zone_reload", &self.zone]).output().await;
        }
    }

    fn write(&mut self) {
        let zone = &self.zone;
        self.serial += 1;
        // The last number is how long "no such name" may be believed.
        let mut text = format!("{zone}. 1 IN SOA {zone}. {zone}. {} 3600 600 86400 1\n", self.serial);
        text.push_str(&format!("{zone}. 1 IN NS ns.{zone}.\nns.{zone}. 1 IN A 127.0.0.1\n"));
        for record in self.records.values().flatten() {
            text.push_str(record);
            text.push('\n');
        }
        std::fs::write(self.folder.path().join("zone"), text).expect("a file can be made in an own folder");
    }

    fn control<const N: usize>(&self, arguments: [&str; N]) -> Tool {
        Tool::new("unbound-control").args(["-c".into(), self.folder.path().join("unbound.conf")]).args(arguments)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("---- unbound\n{}----", self.log());
        }
    }
}
