//! JA4 of hellos that openssl sends, against what openssl itself says that it sent.

use bytes::BytesMut;
use portcullis_server::net::hello;
use portcullis_tests::{scenario::scenario, tool::Tool};
use tokio::{net::TcpListener, time::Instant};

/// JA4 of the ClientHello of `openssl s_client` with `arguments`, and what openssl wrote of it (`-trace`).
async fn hello_of(arguments: &[&str]) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client =
        Tool::new("openssl").args(["s_client", "-connect", &address, "-trace"]).args(arguments).input("").run();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = BytesMut::new();
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        hello::read(&mut stream, &mut buffer, deadline).await.unwrap();
        hello::ja4(&buffer).expect("a hello that can be parsed has a fingerprint").to_string()
    };
    let (finished, fingerprint) = tokio::join!(client, server);
    (fingerprint, finished.stdout)
}

/// The lists in openssl's words, as JA4 writes them: cipher suites in order of their numbers, extensions likewise without server name
/// and protocols, signature algorithms as they come.
fn lists(trace: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (mut ciphers, mut extensions, mut algorithms) = (Vec::new(), Vec::new(), Vec::new());
    let mut in_algorithms = false;
    // The first message ends with an empty line.
    for line in trace.lines().map(str::trim).take_while(|line| !line.is_empty()) {
        if let Some((high, low)) = line.strip_prefix("{0x").and_then(|rest| rest.split_once(", 0x")) {
            ciphers.push(format!("{high}{}", &low[..2]).to_lowercase());
        } else if let Some(rest) = line.strip_prefix("extension_type=") {
            in_algorithms = rest.starts_with("signature_algorithms(");
            let number = &rest[rest.find('(').unwrap() + 1..rest.find(')').unwrap()];
            extensions.push(format!("{:04x}", number.parse::<u16>().unwrap()));
        } else if let (true, Some(at)) = (in_algorithms, line.find("(0x")) {
            algorithms.push(line[at + 3..at + 7].to_owned());
        }
    }
    ciphers.sort();
    extensions.sort();
    (ciphers, extensions, algorithms)
}

/// The first twelve digits of the SHA-256 of `text`, by another program.
async fn hash(text: &str) -> String {
    Tool::new("sha256sum").input(text).run().await.stdout[..12].to_owned()
}

#[test]
fn is_what_openssl_says_that_it_offers() {
    scenario(async {
        let cases: [(&[&str], &str); 4] = [
            (&["-servername", "a.example", "-alpn", "h2,http/1.1"], "t13dh2"),
            (&["-noservername", "-alpn", "http/1.1"], "t13ih1"),
            (&["-servername", "a.example", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "t12d00"),
            (&["-noservername", "-tls1_3", "-sigalgs", "RSA-PSS+SHA256:ECDSA+SHA256"], "t13i00"),
        ];
        for (arguments, kind) in cases {
            let (fingerprint, trace) = hello_of(arguments).await;
            let (ciphers, mut extensions, algorithms) = lists(&trace);
            let counts = format!("{:02}{:02}", ciphers.len(), extensions.len());
            extensions.retain(|number| number != "0000" && number != "0010");
            let rest = format!("{}_{}", extensions.join(","), algorithms.join(","));
            let (ciphers, rest) = (hash(&ciphers.join(",")).await, hash(&rest).await);
            let expected = format!("{}{counts}{}_{ciphers}_{rest}", &kind[..4], &kind[4..]);
            assert_eq!(fingerprint, expected, "{arguments:?}: {trace}");
        }
    });
}
