//! The demo's folder: configuration, certificate, control socket.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{BLOG, NAMESERVER, PRIVATE, PRIVATE_NAME, SHOP, ZONE, certificate};

/// Where everything is, with absolute paths.
#[derive(Debug)]
pub(crate) struct Files {
    /// The configuration.
    pub(crate) config: PathBuf,
    /// Whether it was there already.
    pub(crate) kept: bool,
    /// The certificate of the authority that clients must trust.
    pub(crate) authority: PathBuf,
    /// The control socket.
    pub(crate) control: PathBuf,
}

impl Files {
    /// Makes the folder and what is missing in it. What is there stays: it may have been edited.
    pub(crate) fn prepare(dir: &Path) -> anyhow::Result<Self> {
        let dir = fs::create_dir_all(dir)
            .and_then(|()| dir.canonicalize())
            .with_context(|| format!("cannot make the demo's folder {}", dir.display()))?;
        let files = Self {
            config: dir.join("portcullis.toml"),
            kept: dir.join("portcullis.toml").exists(),
            authority: dir.join("ca.pem"),
            control: dir.join("control.sock"),
        };
        certificate::ensure(&dir)?;
        if !files.kept {
            fs::write(&files.config, config(&files.control))
                .with_context(|| format!("cannot write {}", files.config.display()))?;
        }
        Ok(files)
    }
}

fn config(control: &Path) -> String {
    let shop = SHOP.map(|port| format!("\"http://127.0.0.1:{port}\"")).join(", ");
    // A TOML string and a JSON string are written the same way, apart from escapes that no path is likely to need.
    let control = serde_json::Value::from(control.to_string_lossy());
    let (shop_plugins, plugins) = if crate::plugin::is_there("rate-limit") && crate::plugin::is_there("headers") {
        (CHAIN, PLUGINS)
    } else {
        // An executable that was built before its plugins.
        ("", "")
    };
    let (blog_plugins, waf) = if crate::plugin::is_there("waf") { ("plugins = [\"waf\"]\n", WAF) } else { ("", "") };
    format!(
        r#"# The configuration of `portcullis demo`. Edit it while the demo runs: a sound edit is taken over at once, with
# nothing dropped; one with mistakes changes nothing and is reported.

[server]
control = {control}

[log]
access = "human"

[[listener]]
name = "http"
address = "127.0.0.1:8080"

[[listener]]
name = "https"
address = "127.0.0.1:8443"
tls = {{}}

[[certificate]]
cert = "server.pem"
key = "server.key"

# Two hosts.
[[route]]
host = "shop.localhost"
backend = "shop"
{shop_plugins}
[[route]]
host = "blog.localhost"
backend = "blog"
{blog_plugins}
# A backend without a public face: its name is in a private zone, its address changes with every deploy.
[[route]]
host = "app.localhost"
backend = "private"

# Everything else.
[[route]]
respond = {{ status = 404, body = "The demo has shop.localhost, blog.localhost and app.localhost.\n" }}

[backend.shop]
endpoints = [{shop}]
balance = "round-robin"

[backend.blog]
endpoints = ["http://127.0.0.1:{BLOG}"]

[backend.private]
endpoints = ["http://{PRIVATE_NAME}:{PRIVATE}"]

[[dns.zone]]
suffix = "{ZONE}"
nameservers = ["127.0.0.1:{NAMESERVER}"]
{plugins}{waf}"#
    )
}

/// A chain of two plugins, on a part of the shop.
const CHAIN: &str = r#"
# The same shop behind a chain of plugins: requests pass them in this order, responses the other way round.
[[route]]
host = "shop.localhost"
path = "/api/"
backend = "shop"
plugins = ["security", "limit"]
"#;

/// What the chain's names mean.
const PLUGINS: &str = r#"
# Three requests in ten seconds from each client.
[plugin.limit]
module = "builtin:rate-limit"

[[plugin.limit.config.limits]]
requests = 3
window = "10s"

# The header fields that browsers honour.
[plugin.security]
module = "builtin:headers"
config = { preset = "strict" }
"#;

/// What stands before the blog.
const WAF: &str = r#"
# A web application firewall. The Core Rule Set, where it is installed, takes the place of the rules that come with portcullis:
# rules = ["/etc/modsecurity/crs/crs-setup.conf", "/usr/share/modsecurity-crs/rules/*.conf"]
[plugin.waf]
module = "builtin:waf"
limits = { memory = "128MiB" }

[plugin.waf.config]
rules = ["builtin:baseline"]
"#;
