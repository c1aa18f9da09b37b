//! What files mean.

use std::{path::Path, time::Duration};

use portcullis_config::{
    backend::{Balance, OriginHost, Scheme},
    listener::{Protocol, TlsVersion, UnknownSni},
    load::{Source, parse},
    names::BackendName,
    plugin::{Isolation, Module, OnFailure, Plugin, lock_path},
    route::{Action, HostPattern, PathPattern, ValueMatch},
    units::Size,
};

use super::{check, good};

const BASE: &str = r#"
[[listener]]
name = "http"
address = ":80"
[backend.api]
endpoints = "http://my-api:3000"
"#;

fn route(text: &str) -> portcullis_config::route::Route {
    good(&format!("{BASE}\n[[route]]\n{text}\n")).config.routes.remove(0)
}

#[test]
fn the_smallest_file_has_every_default() {
    let loaded = good(&format!("{BASE}[[route]]\nbackend = \"api\"\n"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let config = loaded.config;
    assert_eq!(config.server.drain, Duration::from_secs(30));
    assert_eq!(config.server.recent, 256);
    let listener = &config.listeners[0];
    assert_eq!(listener.addresses.len(), 2);
    assert_eq!(listener.connections, 16384);
    assert_eq!(listener.limits.header_bytes, Size(65536));
    assert_eq!(listener.limits.body_size, Size(4 << 30));
    assert_eq!(listener.limits.tunnel_idle_time, Duration::from_secs(3600));
    let backend = &config.backends["api"];
    assert_eq!(backend.balance, Balance::RoundRobin);
    assert_eq!(backend.endpoints[0].host, OriginHost::Name("my-api".into()));
    assert_eq!(backend.endpoints[0].port, 3000);
    assert_eq!((backend.retries, backend.pool.idle, backend.health.errors), (2, 256, 3));
    assert_eq!(backend.time.total, None);
    assert_eq!(config.dns.stale, Duration::from_secs(3 * 86400));
    assert_eq!(config.routes[0].matches.hosts, [HostPattern::Any]);
    assert_eq!(config.routes[0].name.as_str(), "*");
}

#[test]
fn limits_are_overridden_key_by_key() {
    let text = r#"
[limits]
header_time = "5s"
header_count = 50
[[listener]]
address = "127.0.0.1:80"
limits = { header_count = 20 }
[[listener]]
address = "127.0.0.1:81"
"#;
    let config = good(text).config;
    let of = |index: usize| {
        (config.listeners[index].limits.header_time.as_secs(), config.listeners[index].limits.header_count)
    };
    assert_eq!((of(0), of(1)), ((5, 20), (5, 50)));
    assert_eq!(config.listeners[0].name.as_str(), "127.0.0.1:80");
}

#[test]
fn tls_has_its_keys() {
    let text = r#"
[[listener]]
address = "[::1]:443"
tls = { min_version = "1.3", unknown_sni = { certificate = "shop" }, handshake_time = "3s", h2 = false }
[[certificate]]
name = "shop"
cert = "conf/shop.pem"
key = "shop.key"
"#;
    let config = good(text).config;
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.min_version, TlsVersion::Tls13);
    assert!(matches!(&tls.unknown_sni, UnknownSni::Certificate(name) if name.as_str() == "shop"));
    assert!(!tls.h2);
}

#[test]
fn a_tcp_listener_has_its_backend() {
    let text = "[[listener]]\naddress = \"10.0.0.1:5432\"\nprotocol = \"tcp\"\nbackend = \"db\"\nprivate = true\n[backend.db]\nendpoints = \"tls://db.internal:5432\"\n";
    let loaded = good(text);
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.config.listeners[0].protocol, Protocol::Tcp { backend: BackendName::new("db") });
    assert_eq!(loaded.config.backends["db"].endpoints[0].scheme, Scheme::Tls);
}

#[test]
fn paths_have_three_kinds() {
    assert_eq!(route("path = \"/api/\"\nbackend = \"api\"").matches.path, PathPattern::Prefix("/api".into()));
    assert_eq!(route("path = \"/\"\nbackend = \"api\"").matches.path, PathPattern::Any);
    assert_eq!(route("path_exact = \"/x/\"\nbackend = \"api\"").matches.path, PathPattern::Exact("/x/".into()));
    assert!(matches!(route("path_regex = '^/u/\\d+$'\nbackend = \"api\"").matches.path, PathPattern::Regex(_)));
}

#[test]
fn values_are_matched_in_three_ways() {
    let route = route(
        "header = { X-Env = \"blue\", x-debug = true, x-y = { regex = \"^b\" } }\nquery = { Page = \"2\" }\nbackend = \"api\"",
    );
    let headers = &route.matches.headers;
    assert_eq!(headers[0].name, "x-env");
    assert!(matches!(headers[0].value, ValueMatch::Exact(_)));
    assert!(matches!(headers[1].value, ValueMatch::Present));
    assert!(matches!(headers[2].value, ValueMatch::Regex(_)));
    assert_eq!(route.matches.query[0].name, "Page");
}

#[test]
fn redirects_are_written_in_four_ways() {
    let redirect = |text: &str| match route(&format!("redirect = {text}")).action {
        Action::Redirect(redirect) => (redirect.status, redirect.scheme, redirect.host, redirect.port, redirect.path),
        action => panic!("{action:?}"),
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(redirect("\"https\""), (308, text("https"), None, None, None));
    assert_eq!(redirect("\"https://WWW.example.com\""), (308, text("https"), text("www.example.com"), None, None));
    assert_eq!(
        redirect("\"http://www.example.com:8080/new?a=b\""),
        (308, text("http"), text("www.example.com"), Some(8080), text("/new?a=b"))
    );
    assert_eq!(redirect("\"/new\""), (308, None, None, None, text("/new")));
    assert_eq!(redirect("{ status = 301, host = \"[::1]\" }"), (301, None, text("[::1]"), None, None));
}

#[test]
fn responses_have_a_type_when_they_have_a_body() {
    let respond = |text: &str| match route(&format!("respond = {text}")).action {
        Action::Respond(respond) => respond.content_type,
        action => panic!("{action:?}"),
    };
    assert_eq!(respond("{ status = 404 }"), None);
    assert_eq!(respond("{ status = 200, body = \"ok\" }").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(
        respond("{ status = 200, body = \"{}\", content_type = \"application/json\" }").as_deref(),
        Some("application/json")
    );
}

#[test]
fn edits_are_kept_in_comparable_form() {
    let edits = route(
        "backend = \"api\"\nreplace_prefix = { from = \"/api/\", to = \"/\" }\nrewrite = { regex = '^/u/(\\d+)$', to = '/user?id=$1' }\nhost_header = \"Internal.Example:8080\"\nrequest_headers = { set = { X-A = \"b\" }, add = { x-c = \"d\" }, remove = \"X-E\" }",
    )
    .edits;
    let prefix = edits.prefix.unwrap();
    assert_eq!((&*prefix.from, &*prefix.to), ("/api", ""));
    assert_eq!(edits.host.as_deref(), Some("internal.example:8080"));
    assert_eq!(edits.request_headers.remove, ["x-e"]);
    assert_eq!(edits.request_headers.set, [("x-a".to_owned(), "b".to_owned())]);
}

#[test]
fn shares_have_weights() {
    let config = good(&format!(
        "{BASE}[backend.next]\nendpoints = [\"https://10.0.0.1\", {{ url = \"https+srv://_https._tcp.next.example\", weight = 3 }}]\n[[route]]\nbackends = [{{ backend = \"api\", weight = 9 }}, {{ backend = \"next\" }}]\n"
    ))
    .config;
    let Action::Forward(shares) = &config.routes[0].action else { panic!("not forwarded") };
    assert_eq!(shares.iter().map(|share| share.weight).collect::<Vec<_>>(), [9, 1]);
    let next = &config.backends["next"];
    assert_eq!((next.endpoints[0].port, next.endpoints[1].port, next.endpoints[1].weight), (443, 0, 3));
}

#[test]
fn routes_without_names_get_different_ones() {
    let config = good(&format!(
        "{BASE}[[route]]\nhost = [\"a.example\", \"b.example\"]\npath = \"/x/\"\nbackend = \"api\"\n[[route]]\nhost = \"a.example\"\npath = \"/x/\"\nmethod = \"GET\"\nbackend = \"api\"\n[[route]]\nname = \"*\"\nhost = \"*\"\nbackend = \"api\"\n[[route]]\nmethod = \"GET\"\nbackend = \"api\"\n"
    ))
    .config;
    let names: Vec<_> = config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["a.example/x/", "a.example/x/#2", "*", "*#2"]);
}

#[test]
fn dns_has_zones_and_hosts() {
    let dns = good(&format!(
        "{BASE}[dns]\nnameservers = \"10.0.0.53:5353\"\nstale = \"0s\"\n[dns.hosts]\n\"DB.internal.\" = [\"10.0.0.1\", \"fd00::1\"]\n[[dns.zone]]\nsuffix = \".Private-Network.internal\"\nnameservers = [\"10.240.0.53\", \"[fd00::53]:53\"]\n[[route]]\nbackend = \"api\"\n"
    ))
    .config
    .dns;
    assert_eq!(dns.nameservers, ["10.0.0.53:5353".parse().unwrap()]);
    assert_eq!(dns.hosts["db.internal"].len(), 2);
    assert_eq!(dns.zones[0].suffix, "private-network.internal");
    assert_eq!(dns.zones[0].nameservers, ["10.240.0.53:53".parse().unwrap(), "[fd00::53]:53".parse().unwrap()]);
    assert_eq!(dns.stale, Duration::ZERO);
}

fn plugin(text: &str) -> Plugin {
    good(&format!("{BASE}[[route]]\nbackend = \"api\"\nplugins = \"a\"\n[plugin.a]\n{text}\n")).config.plugins["a"]
        .clone()
}

#[test]
fn the_smallest_plugin_has_every_default() {
    let plugin = plugin("module = \"plugins/a.wasm\"");
    assert_eq!(plugin.module, Module::File("plugins/a.wasm".into()));
    assert_eq!((plugin.isolation, plugin.on_failure, plugin.sha256), (Isolation::Worker, OnFailure::Refuse, None));
    let limits = plugin.limits;
    assert_eq!((limits.memory, limits.key_value, limits.instances), (Size(64 << 20), Size(1 << 20), 1000));
    assert_eq!((limits.time, limits.wait), (Duration::from_millis(50), Duration::from_secs(5)));
    assert_eq!(plugin.grants, Default::default());
    assert!(plugin.config.is_empty());
}

#[test]
fn a_plugin_has_its_keys() {
    let hex = "9F".repeat(32);
    let plugin = plugin(&format!(
        "module = \"oci://ghcr.io/team/a:1\"\nsha256 = \"{hex}\"\nisolation = \"exchange\"\non_failure = \"continue\"\nlimits = {{ memory = \"100KiB\", time = \"8s\" }}\ngrants = {{ log = true, http = [] }}"
    ));
    assert!(matches!(&plugin.module, Module::Oci(reference) if reference.to_string() == "ghcr.io/team/a:1"));
    assert_eq!(plugin.sha256, Some([0x9f; 32]));
    assert_eq!((plugin.isolation, plugin.on_failure), (Isolation::Exchange, OnFailure::Continue));
    assert_eq!(plugin.limits.memory, Size(128 << 10), "whole pages");
    assert_eq!(plugin.limits.wait, Duration::from_secs(8), "never shorter than `time`");
    assert!(plugin.grants.log && !plugin.grants.clock);
    assert_eq!(plugin.grants.http, Some(Vec::new()));
}

#[test]
fn a_plugins_table_becomes_json() {
    let plugin = plugin(
        "module = \"builtin:a\"\n[plugin.a.config]\ntext = \"b\"\nnumber = -9223372036854775808\nhalf = 1_0.5\nyes = true\nday = 2026-11-21\ntime = 2026-11-21T10:00:00Z\nlist = [1, { deep = [] }]\n[plugin.a.config.more]\n\"a key\" = {}",
    );
    let json = r#"{"text":"b","number":-9223372036854775808,"half":10.5,"yes":true,"day":"2026-11-21","time":"2026-11-21T10:00:00Z","list":[1,{"deep":[]}],"more":{"a key":{}}}"#;
    assert_eq!(serde_json::Value::Object(plugin.config).to_string(), json);
}

#[test]
fn a_route_replaces_top_level_keys_of_its_plugins_table() {
    let config = good(&format!(
        "{BASE}[plugin.a]\nmodule = \"a.wasm\"\nconfig = {{ kept = 1, table = {{ x = 1, y = 2 }} }}\n[plugin.b]\nmodule = \"b.wasm\"\n[[route]]\nbackend = \"api\"\nplugins = [\"b\", {{ name = \"a\", config = {{ table = {{ x = 3 }}, more = true }} }}]\n"
    ))
    .config;
    let chain = &config.routes[0].plugins;
    assert_eq!(chain.iter().map(|used| used.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    let table = config.plugins["a"].config_for(&chain[1]);
    assert_eq!(serde_json::Value::Object(table).to_string(), r#"{"kept":1,"table":{"x":3},"more":true}"#);
    assert!(config.plugins["b"].config_for(&chain[0]).is_empty());
}

#[test]
fn files_and_folders_of_plugins_are_seen_from_the_file_that_names_them() {
    let text = "[server]\nplugin_cache = \"cache\"\nplugin_store = \"/srv/plugins\"\n[[listener]]\naddress = \":80\"\n[[route]]\nrespond = { status = 200 }\nplugins = \"a\"\n[plugin.a]\nmodule = \"../a.wasm\"\n";
    let config = parse(&[Source { name: "/etc/portcullis/main.toml".into(), text: text.into() }]).unwrap().config;
    assert_eq!(config.plugins["a"].module, Module::File("/etc/portcullis/../a.wasm".into()));
    assert_eq!(config.server.plugin_cache.as_deref(), Some(Path::new("/etc/portcullis/cache")));
    assert_eq!(config.server.plugin_store.as_deref(), Some(Path::new("/srv/plugins")));
    assert_eq!(lock_path(Path::new("/etc/portcullis/main.toml")), Path::new("/etc/portcullis/portcullis.lock"));
    assert_eq!(lock_path(Path::new("main.toml")), Path::new("portcullis.lock"));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(lock_path(folder.path()), folder.path().join("portcullis.lock"));
}

#[test]
fn configurations_are_equal_when_they_ask_for_the_same() {
    let text = format!("{BASE}[[route]]\nbackend = \"api\"\npath_regex = \"^/a\"\n");
    let moved = format!("# moved\n\n{text}");
    assert_eq!(good(&text).config, good(&moved).config);
    assert_ne!(good(&text).config, good(&text.replace("^/a", "^/b")).config);
}

#[test]
fn routes_that_cannot_meet_are_not_ambiguous() {
    let pairs = [
        ("method = \"GET\"", "method = [\"POST\", \"PUT\"]"),
        ("header = { x-env = \"a\" }", "header = { x-env = \"b\" }"),
        ("query = { v = { regex = \"^1\" } }", "query = { v = { regex = \"^2\" } }"),
        ("client = \"10.0.0.0/8\"", "client = [\"192.168.0.0/16\", \"fd00::/8\"]"),
        ("path_regex = \"^/a/\"", "path_regex = \"^/b/\""),
        ("sni = \"a.example\"", "sni = [\"b.example\", \"*.c.example\"]"),
        ("listener = \"http\"", "listener = \"other\""),
        ("priority = 1", ""),
        ("host = \"a.example\"", "host = \"*.example\""),
        ("path = \"/a\"", "path_exact = \"/a\""),
        ("method = \"GET\"", "method = \"GET\"\nheader = { x = true }"),
    ];
    for (one, two) in pairs {
        let text = format!(
            "{BASE}[[listener]]\nname = \"other\"\naddress = \":8080\"\n[[route]]\n{one}\nbackend = \"api\"\n[[route]]\n{two}\nbackend = \"api\"\n"
        );
        if let Err(report) = check(&text) {
            panic!("{one} and {two}: {report}");
        }
    }
}

#[test]
fn routes_that_can_meet_are_ambiguous() {
    let pairs = [
        ("method = \"GET\"", "method = [\"POST\", \"GET\"]"),
        ("header = { x-env = \"a\" }", "header = { x-other = \"b\" }"),
        ("client = \"10.0.0.0/8\"", "client = \"10.1.0.0/16\""),
        ("path_regex = \"^/a/\"", "path_regex = \"^/a/b\""),
        ("path_regex = \"a\"", "path_regex = \"^/b\""),
        ("sni = \"a.example\"", "sni = \"*.example\""),
        ("listener = \"http\"", "method = \"GET\""),
        ("path = \"/a/\"", "path = \"/a\""),
        ("host = [\"a.example\", \"b.example\"]", "host = [\"c.example\", \"b.example\"]"),
        ("", "path = \"/\""),
    ];
    for (one, two) in pairs {
        let text = format!("{BASE}[[route]]\n{one}\nbackend = \"api\"\n[[route]]\n{two}\nbackend = \"api\"\n");
        let report = check(&text).expect_err(one);
        assert!(report.to_string().contains("nothing decides between"), "{one} and {two}: {report}");
    }
}

#[test]
fn the_waf_is_told_what_is_different_on_its_routes() {
    let text = "[plugin.waf]
module = 'builtin:waf'
config = { rules = ['a.conf'] }
[plugin.other]
module = 'builtin:headers'
[[route]]
host = 'a.example.com'
path = '/api'
backend = 'api'
plugins = ['other', 'waf']
[route.waf]
mode = 'detect'
sample = '2.5%'
[[route.waf.except]]
rules = [942100, '941100-941999']
tags = 'attack-sqli'
target = 'args:q'
path = '/search/*'
[[route]]
name = 'plain'
host = 'b.example.com'
backend = 'api'
plugins = ['waf']
[[route]]
name = 'off'
host = 'c.example.com'
backend = 'api'
plugins = ['waf']
waf.mode = 'off'
";
    let config = good(&format!("{BASE}{text}")).config;
    let used =
        |at: usize, name: &str| config.routes[at].plugins.iter().find(|used| used.name.as_str() == name).unwrap();
    let table = config.plugin_table(&config.plugins["waf"], used(0, "waf"));
    assert_eq!(
        serde_json::Value::Object(table.clone()),
        serde_json::json!({
            "rules": ["a.conf"],
            "routes": {
                "a.example.com/api": {
                    "mode": "detect",
                    "sample": 2.5,
                    "except": [{
                        "rules": ["942100", "941100-941999"],
                        "tags": ["attack-sqli"],
                        "target": "ARGS:q",
                        "path": "/search/*",
                    }],
                },
                "off": { "mode": "off" },
            },
        })
    );
    assert_eq!(config.plugin_table(&config.plugins["waf"], used(1, "waf")), table, "one plugin for all routes");
    assert!(config.plugin_table(&config.plugins["other"], used(0, "other")).is_empty());
}

#[test]
fn certificates_are_ordered_from_let_s_encrypt_unless_said_otherwise() {
    use portcullis_config::acme::{Challenge, KeyKind, Secret};
    let base =
        "[[listener]]\naddress = \":443\"\ntls = {}\n[[route]]\nhost = \"a.example.com\"\nrespond = { status = 204 }\n";
    let acme = |text: &str| good(&format!("{base}[acme]\n{text}\n")).config.acme.unwrap();
    let plain = acme("");
    assert_eq!(plain.authorities.len(), 1);
    assert_eq!(plain.authorities[0].directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert!(plain.authorities[0].public && plain.email.is_empty() && plain.state.is_none());
    assert_eq!((plain.keys, plain.challenges), (vec![KeyKind::P256], vec![Challenge::TlsAlpn01, Challenge::Http01]));
    let full = acme(
        r#"
        email = "mailto:ops@example.com"
        directory = ["letsencrypt-staging", { directory = "https://ca.example.com:14000/dir", ca = "/ca.pem", profile = "short", eab = { id = "i", key_file = "/k" } }]
        key = ["p384", "rsa4096"]
        challenge = "http-01"
        state = "/var/lib/x"
        "#,
    );
    assert_eq!(full.email, ["ops@example.com"]);
    assert_eq!((full.keys, full.challenges), (vec![KeyKind::P384, KeyKind::Rsa4096], vec![Challenge::Http01]));
    let own = &full.authorities[1];
    assert_eq!((own.name.as_str(), own.public), ("ca.example.com:14000", false));
    assert_eq!((own.ca.as_deref(), own.profile.as_deref()), (Some(Path::new("/ca.pem")), Some("short")));
    assert_eq!(own.binding.as_ref().unwrap().key, Secret::File("/k".into()));
    assert_eq!(good("[[listener]]\naddress = \":80\"\n[[route]]\nrespond = { status = 204 }\n").config.acme, None);
}
