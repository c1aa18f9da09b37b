use std::fs;

use portcullis_tests::{
    client::http::{Connection, request_with_body},
    origin::{Origin, stock},
    scenario::scenario,
};

use super::run;
use crate::plugins::{good, guest, plan};

#[test]
fn exchanges_of_a_running_proxy_become_cases_that_pass() {
    scenario(async {
        let origin = Origin::start().await;
        let proxy = plan(&origin, &good("look", "do = 'looker'"), r#"["look"]"#).start().await;
        let folder = tempfile::tempdir().unwrap();
        let control = proxy.control_path().display().to_string();
        let record = |more: &str| format!("portcullis plugin record --control '{control}' --out taken {more}");

        let finished = run(&record("--route nobody"), folder.path()).await;
        assert!(finished.code == Some(1) && finished.stderr.contains("no route `nobody`"), "{finished:?}");
        let finished = run(&record("--seconds 1"), folder.path()).await;
        assert!(finished.code == Some(1) && finished.stdout.contains("0 of 1 exchanges"), "{finished:?}");

        // Exchanges go on until enough of them were taken: nobody says when recording has begun.
        let line = record("--count 2 --seconds 30 --body-limit 64KiB");
        let recording = run(&line, folder.path());
        let asking = async {
            loop {
                let client = Connection::h1(proxy.address("http")).await;
                let mut ask = request_with_body("POST", "a.example", "/x?y=1", stock::full("a=1&b=2"));
                ask.headers_mut().insert("cookie", "secret=1".parse().unwrap());
                client.fetch(ask).await;
            }
        };
        let finished = tokio::select! {
            finished = recording => finished,
            () = asking => unreachable!("it asks for ever"),
        };
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(finished.stdout.lines().count(), 2, "{finished:?}");
        let case = fs::read_to_string(folder.path().join(finished.stdout.lines().next().unwrap())).unwrap();
        assert!(case.starts_with("### request\nPOST /x?y=1 HTTP/1.1\n") && case.contains("\na=1&b=2\n"), "{case}");
        // The origin answers with what it was sent; a body is kept as it is.
        let request = case.split("### response").next().unwrap();
        assert!(request.contains("cookie: redacted") && !request.contains("secret=1"), "{case}");
        assert!(case.contains("### response\nHTTP/1.1 200"), "{case}");

        fs::write(folder.path().join("look.toml"), "do = 'looker'\n").unwrap();
        for options in ["--update", ""] {
            let line =
                format!("portcullis plugin test taken --module '{}' --config look.toml {options}", guest("good"));
            let finished = run(&line, folder.path()).await;
            assert_eq!(finished.code, Some(0), "{finished:?}");
        }
    });
}
