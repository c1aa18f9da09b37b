//! The lines that `portcullis demo` prints to try.

use std::path::Path;

use super::{Files, PRIVATE_NAME};

/// What to try, ready to paste.
pub(crate) fn tour(files: &Files) -> String {
    let [config, authority, control] = [&files.config, &files.authority, &files.control].map(|path| short(path));
    // Not on the path where it has just been built.
    let portcullis = std::env::current_exe().map_or_else(|_| "portcullis".into(), |path| short(&path));
    let state = if files.kept { "kept as you left it" } else { "new" };
    let plugins = if crate::plugin::is_there("rate-limit") && crate::plugin::is_there("headers") {
        format!(
            "A chain of plugins in WebAssembly before a part of the shop: at most three requests in ten seconds, and security headers:
  for i in 1 2 3 4 5; do curl -s -o /dev/null -w '%{{http_code}}\\n' http://shop.localhost:8080/api/; done
  curl -si http://shop.localhost:8080/api/
  {portcullis} plugin inspect builtin:rate-limit
"
        )
    } else {
        "(This executable was built before its plugins, so that the demo has none: `make plugins`, then build again.)\n"
            .into()
    };
    let waf = if crate::plugin::is_there("waf") {
        format!(
            "
A web application firewall before the blog refuses an attack, and this is why:
  curl -si -H 'x-request-id: attack-1' 'http://blog.localhost:8080/?q=%3Cscript%3Ealert(1)%3C/script%3E'
  {portcullis} explain attack-1 --control {control}
"
        )
    } else {
        String::new()
    };
    format!(
        "\
portcullis demo: HTTP on 127.0.0.1:8080, HTTPS on 127.0.0.1:8443. Ctrl-C ends it.
Configuration: {config} ({state}; remove it to start afresh)

Two hosts, plain and over TLS:
  curl http://shop.localhost:8080/
  curl http://blog.localhost:8080/
  curl --cacert {authority} https://shop.localhost:8443/

Balancing over the shop's three instances:
  for i in 1 2 3 4 5 6; do curl http://shop.localhost:8080/cart; done

A backend with a private name, re-created at other addresses while you watch (no request fails):
  curl http://app.localhost:8080/redeploy
  for i in $(seq 30); do curl -s http://app.localhost:8080/; sleep 0.3; done
  {portcullis} dns {PRIVATE_NAME} --control {control}

{plugins}{waf}
Edit the file while it runs: say balance = \"least-requests\", send blog.localhost to the shop, or make a mistake:
  sed -i 's/blog.localhost/news.localhost/' {config}
  curl http://news.localhost:8080/

Ask why:
  {portcullis} explain https://shop.localhost:8443/ --control {control}
  {portcullis} status --control {control}

"
    )
}

/// Relative to where the reader stands, if it is below; quoted for a shell where it must be.
fn short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let text = path.strip_prefix(&here).unwrap_or(path).display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_be_pasted() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(short(&here.join("target/demo/ca.pem")), "target/demo/ca.pem");
        assert_eq!(short(Path::new("/nowhere/it's here")), r"'/nowhere/it'\''s here'");
    }
}
