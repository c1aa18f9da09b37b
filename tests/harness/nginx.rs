//! nginx as an origin.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{port::Port, scenario::eventually, tool::installed};

/// A running nginx that serves a folder. Ends when dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    folder: TempDir,
    port: Port,
}

impl Nginx {
    /// Starts one. `locations` goes into its `server` block.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start(locations: &str) -> Self {
        let port = Port::reserve();
        let folder = tempfile::Builder::new().prefix("nginx-").tempdir().expect("a folder can be made");
        let at = folder.path().display();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n  access_log {at}/access.log;\n  client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  \
             fastcgi_temp_path {at}/fastcgi;\n  uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n  \
             server {{\n    listen {};\n    root {at}/files;\n    {locations}\n  }}\n}}\n",
            port.address(),
        );
        std::fs::create_dir(folder.path().join("files")).expect("a folder can be made in an own folder");
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config).expect("a file can be made in an own folder");
        let child = Command::new(installed("nginx"))
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx can be started");
        let mut nginx = Self { child, folder, port };
        eventually("nginx listens", async || {
            if let Ok(Some(status)) = nginx.child.try_wait() {
                panic!("nginx ended with {status}: {}", nginx.error_log());
            }
            TcpStream::connect(nginx.port.address()).await.ok()
        })
        .await;
        nginx
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The folder it serves.
    pub fn files(&self) -> std::path::PathBuf {
        self.folder.path().join("files")
    }

    fn error_log(&self) -> String {
        read(&self.folder.path().join("error.log"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("---- nginx\n{}----", self.error_log());
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
