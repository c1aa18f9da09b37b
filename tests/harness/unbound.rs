//! unbound as the nameserver of a private zone.

use std::{
    net::{IpAddr, SocketAddr},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    port::Port,
    scenario::eventually,
    tool::{Tool, installed},
};

/// A running unbound with one zone, whose records change while it runs. Ends when dropped.
#[derive(Debug)]
pub struct Unbound {
    child: Child,
    folder: TempDir,
    port: Port,
}

impl Unbound {
    /// Starts one that knows `zone` and nothing else.
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
             logfile: \"{at}/log\"\n  module-config: \"iterator\"\n  num-threads: 1\n  \
             local-zone: \"{zone}.\" static\n  local-data: '{zone}. 5 IN SOA {zone}. {zone}. 1 3600 600 86400 1'\n\
             remote-control:\n  control-enable: yes\n  control-interface: \"{at}/control\"\n  control-use-cert: no\n\
             forward-zone:\n  name: \".\"\n  forward-addr: 127.0.0.1@1\n",
            port.number(),
        );
        std::fs::write(folder.path().join("unbound.conf"), config).expect("a file can be made in an own folder");
        let child = Command::new(installed("unbound"))
            .arg("-d")
            .arg("-c")
            .arg(folder.path().join("unbound.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unbound can be started");
        let mut unbound = Self { child, folder, port };
        eventually("unbound takes orders", async || {
            if let Ok(Some(status)) = unbound.child.try_wait() {
                panic!("unbound ended with {status}: {}", unbound.log());
            }
            let status = unbound.control(["status"]).run().await;
            (status.code == Some(0)).then_some(())
        })
        .await;
        unbound
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Gives `name` these addresses, instead of those it had. TTL 1 second.
    ///
    /// # Panics
    /// When unbound does not take them.
    pub async fn set(&self, name: &str, addresses: &[IpAddr]) {
        // Between the two commands the name does not exist, as in a deploy that stops before it starts.
        let mut input = String::new();
        for address in addresses {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            input.push_str(&format!("{name}. 1 IN {kind} {address}\n"));
        }
        self.control(["local_data_remove", name]).output().await;
        self.control(["local_datas"]).input(input).output().await;
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
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("---- unbound\n{}----", self.log());
        }
    }
}
