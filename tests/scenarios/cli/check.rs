use portcullis_tests::{
    certificates::{Authority, authority, leaf},
    nameserver::Nameserver,
    origin::Origin,
    port::Port,
    scenario::scenario,
};

use super::Desk;

const GOOD: &str = r#"[[listener]]
name = "http"
address = "127.0.0.1:8080"

[[route]]
backend = "app"

[backend.app]
endpoints = ["http://127.0.0.1:9"]
"#;

#[test]
fn a_sound_file_is_summed_up_with_status_0() {
    scenario(async {
        let desk = Desk::new();
        desk.write("portcullis.toml", GOOD);
        for arguments in [&["check"][..], &["check", "portcullis.toml"], &["check", "."]] {
            let finished = desk.run(arguments).await;
            assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
            assert!(finished.stdout.contains("sound: 1 listener, 0 certificates, 1 route, 1 backend"), "{finished:?}");
            assert!(finished.stderr.is_empty(), "{finished:?}");
        }
        let (code, value) = desk.json(&["check", "--json"]).await;
        assert_eq!((code, &value["ok"]), (Some(0), &true.into()), "{value}");
    });
}

#[test]
fn every_mistake_has_its_place_a_caret_and_a_way_out() {
    scenario(async {
        let desk = Desk::new();
        let text = "[[listener]]\nadress = \"127.0.0.1:80\"\n\n[[route]]\nbackend = \"ap\"\npath = \"api\"\n\n[backend.api]\n\
                    endpoints = [\"http://10.0.0.1\"]\nbalance = \"round-robbin\"\ntime = { conect = \"5s\" }\n\n[log]\nlevel = 5\n";
        desk.write("wrong.toml", text);
        let finished = desk.run(&["check", "wrong.toml"]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stdout.is_empty(), "{finished:?}");
        for part in [
            "wrong.toml:2:1",
            "did you mean `address`",
            "wrong.toml:5:",
            "did you mean `api`",
            "wrong.toml:6:",
            "wrong.toml:10:",
            "round-robin",
            "wrong.toml:11:",
            "did you mean `connect`",
            "wrong.toml:14:",
            "^^^^",
            "errors in wrong.toml",
        ] {
            assert!(finished.stderr.contains(part), "{part} in:\n{}", finished.stderr);
        }
        assert!(!finished.stderr.contains('\u{1b}'), "no colours where nobody looks");

        let (code, value) = desk.json(&["check", "--json", "wrong.toml"]).await;
        assert_eq!((code, &value["ok"]), (Some(1), &false.into()));
        let diagnostics = value["diagnostics"].as_array().unwrap();
        assert!(diagnostics.len() >= 6, "{value}");
        for diagnostic in diagnostics {
            let text = diagnostic.to_string();
            assert!(text.contains("wrong.toml") && text.contains("\"message\""), "{text}");
        }
    });
}

#[test]
fn warnings_are_told_and_are_no_failure() {
    scenario(async {
        let desk = Desk::new();
        desk.write("portcullis.toml", format!("{GOOD}\n[backend.unused]\nendpoints = [\"http://127.0.0.1:9\"]\n"));
        let finished = desk.run(&["check"]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stderr.contains("warning") && finished.stderr.contains("unused"), "{finished:?}");
        let (code, value) = desk.json(&["check", "--json"]).await;
        assert_eq!((code, &value["ok"]), (Some(0), &true.into()));
        assert!(value["diagnostics"].to_string().contains("unused"), "{value}");
    });
}

#[test]
fn files_that_the_configuration_names_are_looked_at() {
    scenario(async {
        let desk = Desk::new();
        let text =
            GOOD.replace(":8080\"", ":8443\"\ntls = {}") + "[[certificate]]\ncert = \"leaf.pem\"\nkey = \"leaf.key\"\n";
        desk.write("portcullis.toml", text);
        let finished = desk.run(&["check"]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("leaf.pem"), "{finished:?}");
        let (one, other) = (leaf(&["a.example"]), leaf(&["a.example"]));
        desk.write("leaf.pem", &one.cert);
        desk.write("leaf.key", &other.key);
        let finished = desk.run(&["check"]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("leaf.pem") && finished.stderr.contains("leaf.key"), "both: {finished:?}");
        desk.write("leaf.key", &one.key);
        assert_eq!(desk.run(&["check"]).await.code, Some(0));
        let (code, value) = desk.json(&["check", "--json"]).await;
        assert_eq!((code, &value["ok"]), (Some(0), &true.into()), "{value}");
    });
}

#[test]
fn a_missing_or_odd_file_is_a_clear_sentence() {
    scenario(async {
        let desk = Desk::new();
        desk.write("empty.toml", "");
        desk.write("binary.toml", [0xff, 0xfe, 0]);
        desk.write("folder/other.txt", "");
        for (path, part) in
            [("gone.toml", "gone.toml"), ("empty.toml", "listener"), ("binary.toml", "UTF-8"), ("folder", "toml")]
        {
            let finished = desk.run(&["check", path]).await;
            assert_eq!(finished.code, Some(1), "{path}: {finished:?}");
            assert!(finished.stderr.contains(part), "{path}: {finished:?}");
        }
    });
}

#[test]
fn online_also_resolves_names_and_shakes_hands() {
    scenario(async {
        let (nameserver, dead) = (Nameserver::start().await, Port::reserve());
        nameserver.set("good.private.internal", &["127.0.0.1".parse().unwrap()]);
        let trusted = Origin::plan("tls").tls(leaf(&["good.private.internal"]).server(&["http/1.1"])).start().await;
        let stranger = Authority::new("somebody else")
            .issue(&["good.private.internal"], portcullis_tests::certificates::KeyType::Ecdsa)
            .server(&["http/1.1"]);
        let stranger = Origin::plan("stranger").tls(stranger).start().await;
        let desk = Desk::new();
        desk.write("ca.pem", authority().pem());
        let text = |endpoint: &str| {
            format!(
                "[[listener]]\naddress = \"127.0.0.1:8080\"\n[[route]]\nbackend = \"app\"\n[backend.app]\n\
                 endpoints = [\"{endpoint}\"]\ntls = {{ ca = \"ca.pem\" }}\n[dns]\ntime = \"500ms\"\n[[dns.zone]]\nsuffix = \"private.internal\"\n\
                 nameservers = [\"{}\"]\n",
                nameserver.address()
            )
        };
        let cases = [
            (format!("https://good.private.internal:{}", trusted.address().port()), None),
            (format!("https://good.private.internal:{}", stranger.address().port()), Some("certificate")),
            (format!("https://good.private.internal:{}", dead.number()), Some("refused")),
            ("https://gone.private.internal".to_owned(), Some("gone.private.internal")),
        ];
        for (endpoint, problem) in cases {
            desk.write("portcullis.toml", text(&endpoint));
            assert_eq!(desk.run(&["check"]).await.code, Some(0), "without --online nobody is asked");
            let finished = desk.run(&["check", "--online"]).await;
            let (code, value) = desk.json(&["check", "--online", "--json"]).await;
            assert_eq!(finished.code, code);
            match problem {
                None => assert_eq!((code, &value["ok"]), (Some(0), &true.into()), "{endpoint}: {finished:?}"),
                Some(part) => {
                    assert_eq!((code, &value["ok"]), (Some(1), &false.into()), "{endpoint}: {finished:?}");
                    assert!(finished.stderr.to_lowercase().contains(part), "{endpoint}: {finished:?}");
                    assert!(value["findings"].to_string().to_lowercase().contains(part), "{endpoint}: {value}");
                    assert!(value["findings"][0]["subject"].as_str().unwrap().contains("app"), "{value}");
                }
            }
        }
    });
}
