//! What a plugin reads while it is configured, writes, and says beside its verdicts.

#![allow(clippy::unwrap_used, reason = "it is all a test")]

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use http::HeaderMap;
use portcullis_plugin::{
    BodyMode, BuildError, Failure, FailureKind, Grants, Host, Journal, Phase, Plugin, RequestHead, ResponseHead, Run,
    Settings, Value, Verdict, inspect,
};
use portcullis_tests::plugin_host::{definition, facts, guest, local, on_a_worker, summary};
use tempfile::TempDir;

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Journal for Lines {
    fn append(&self, line: Vec<u8>) {
        self.0.lock().unwrap().push(String::from_utf8(line).unwrap());
    }

    fn dropped(&self) -> u64 {
        7
    }
}

struct Ground {
    folder: TempDir,
    host: Arc<Host>,
    lines: Arc<Lines>,
}

impl Ground {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = Arc::new(Lines::default());
        let journal = lines.clone();
        let settings = Settings {
            folder: folder.path().to_owned(),
            journals: Some(Arc::new(move |path: &Path| match path.ends_with("lines.log") {
                true => Ok(journal.clone() as Arc<dyn Journal>),
                false => Err(std::io::Error::other(format!("cannot open {}", path.display()))),
            })),
            ..Settings::default()
        };
        let ground = Self { folder, host: Host::new(settings).unwrap(), lines };
        files.iter().for_each(|(name, content)| ground.write(name, content));
        ground
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn build(&self, config: &str) -> Result<Arc<Plugin>, BuildError> {
        let mut definition = definition("reader", guest("reader"), config);
        definition.grants = Grants::default();
        Plugin::build(&self.host, definition)
    }

    fn refused(&self, config: &str) -> String {
        self.build(config).map(drop).expect_err("it is refused").0
    }
}

async fn head(run: &mut Run, target: &str) -> Result<Verdict, Failure> {
    let fields = HeaderMap::new();
    let head = RequestHead {
        method: "GET",
        https: false,
        authority: "example.com",
        target,
        version: http::Version::HTTP_11,
        fields: &fields,
    };
    run.request_head(head).await
}

async fn response(run: &mut Run) -> Result<Verdict, Failure> {
    run.response_head(ResponseHead { status: http::StatusCode::OK, fields: &HeaderMap::new() }).await
}

/// What it read, as it says in a field.
fn rules(plugin: &Arc<Plugin>) -> String {
    let mut said = String::new();
    on_a_worker(async {
        let Ok(Verdict::Edit(edits)) = head(&mut local(plugin).begin(facts), "/").await else { panic!("it edits") };
        let mut fields = HeaderMap::new();
        edits.apply(&mut fields);
        said = fields["x-rules"].to_str().unwrap().to_owned();
    });
    said
}

#[test]
fn what_its_table_names_is_read_without_a_further_grant() {
    let ground = Ground::new(&[("r/b.rule", "two\n"), ("r/a.rule", "one"), ("own.rule", "own"), ("secret/key", "key")]);
    let plugin = ground.build(r#"{"rules": ["r/*.rule", "own.rule"]}"#).unwrap();
    assert!(plugin.is_imaged());
    assert_eq!(rules(&plugin), "one+two+own");
    let inspection = inspect(&guest("reader")).unwrap();
    assert_eq!(inspection.imports, ["bodies", "connection", "files", "journal", "notes"]);
    assert_eq!(inspection.grants_line(), None, "its table is the grant");
    assert!(ground.refused(r#"{"rules": ["r/none.rule"]}"#).contains("Missing"));
}

#[test]
fn a_link_that_leads_out_is_refused_until_its_end_is_granted() {
    let ground = Ground::new(&[("etc/a.rule", "a"), ("share/b.rule", "b")]);
    let root = ground.folder.path();
    std::os::unix::fs::symlink(root.join("share/b.rule"), root.join("etc/b.rule")).unwrap();
    let config = r#"{"rules": ["etc/*.rule"]}"#;
    let why = ground.refused(config);
    assert!(why.contains("is a link to") && why.contains("share/"), "{why}");
    let mut definition = definition("reader", guest("reader"), config);
    definition.grants = Grants { files: Some(vec!["share/".into()]), ..Grants::default() };
    assert_eq!(rules(&Plugin::build(&ground.host, definition).unwrap()), "a+b");
}

#[test]
fn changes_are_found_also_of_what_could_not_be_built() {
    let ground = Ground::new(&[("r/a.rule", "one")]);
    let config = r#"{"rules": ["r/*.rule"]}"#;
    let plugin = ground.build(config).unwrap();
    assert!(plugin.files_are_unchanged());
    let watched = plugin.files();
    let at = |name: &str| ground.folder.path().join(name);
    assert!(watched.contains(&at("r")) && watched.contains(&at("r/a.rule")), "{watched:?}");
    ground.write("r/b.rule", "broken");
    assert!(!plugin.files_are_unchanged());
    assert!(ground.host.failed_files().is_empty());
    assert!(ground.refused(config).contains("r/b.rule: `broken` is no rule"));
    assert!(ground.host.failed_files().contains(&at("r/b.rule")));
    ground.host.forget_failed();
    assert!(ground.host.failed_files().is_empty());
    ground.write("r/b.rule", "two");
    assert_eq!(rules(&ground.build(config).unwrap()), "one+two");
}

#[test]
fn lines_go_to_the_journal_one_by_one() {
    let ground = Ground::new(&[]);
    assert!(ground.refused(r#"{"lines": "other"}"#).contains("cannot open"));
    let plugin = ground.build(r#"{"lines": "lines.log"}"#).unwrap();
    on_a_worker(async {
        let local = local(&plugin);
        let mut run = local.begin(facts);
        head(&mut run, "/a").await.unwrap();
        run.log(summary()).await.unwrap();
    });
    assert_eq!(*ground.lines.0.lock().unwrap(), ["GET /a\n", "bodies 0\n"]);
    let figures = ground.host.figures();
    let figure = |name: &str| figures.iter().find(|figure| figure.name == name).map(|figure| figure.value.clone());
    assert_eq!(figure("dropped_journal_lines"), Some(Value::Counter(7)));
    assert_eq!(figure("dropped_notes"), Some(Value::Counter(2)), "no object, and one when the record was closed");
}

#[test]
fn a_grant_names_the_journal_too() {
    let ground = Ground::new(&[]);
    let mut definition = definition("reader", guest("reader"), "{}");
    definition.grants = Grants { journal: Some("lines.log".into()), ..Grants::default() };
    let plugin = Plugin::build(&ground.host, definition).unwrap();
    on_a_worker(async { drop(head(&mut local(&plugin).begin(facts), "/b").await.unwrap()) });
    assert_eq!(*ground.lines.0.lock().unwrap(), ["GET /b\n"]);
}

#[test]
fn the_last_note_counts() {
    let ground = Ground::new(&[]);
    let plugin = ground.build("{}").unwrap();
    on_a_worker(async {
        let mut run = local(&plugin).begin(facts);
        head(&mut run, "/").await.unwrap();
        assert_eq!(run.take_note().as_deref(), Some(r#"{"first":1,"server":"192.0.2.2 80"}"#));
        response(&mut run).await.unwrap();
        assert_eq!(run.take_note().as_deref(), Some(r#"{"bodies":0,"rules":""}"#));
        assert_eq!(run.take_note(), None);
    });
}

#[test]
fn bodies_are_taken_back_for_one_exchange() {
    let ground = Ground::new(&[]);
    let plugin = ground.build("{}").unwrap();
    assert!(matches!(plugin.declaration().request_body, BodyMode::Hold { .. }));
    on_a_worker(async {
        let local = local(&plugin);
        for (target, request, response) in
            [("/request", true, false), ("/response", false, true), ("/both", true, true), ("/", false, false)]
        {
            let mut run = local.begin(facts);
            head(&mut run, target).await.unwrap();
            assert_eq!((run.skips().request, run.skips().response), (request, response), "{target}");
        }
        let mut run = local.begin(facts);
        head(&mut run, "/head").await.unwrap();
        assert!(!run.skips().response);
        response(&mut run).await.unwrap();
        assert!(run.skips().response);
        let mut run = local.begin(facts);
        head(&mut run, "/late").await.unwrap();
        let failure = response(&mut run).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Trap);
        assert!(failure.message.starts_with(Phase::ResponseHead.name()), "{failure}");
    });
}

#[test]
fn without_a_manifest_that_names_keys_a_grant_is_needed() {
    // The same code; nobody knows the section by this name.
    let mut without = guest("reader").to_vec();
    let at = without.windows(19).position(|bytes| bytes == b"portcullis-manifest").unwrap();
    without[at] = b'q';
    let ground = Ground::new(&[]);
    let mut definition = definition("reader", without.into(), "{}");
    definition.grants = Grants::default();
    let why = Plugin::build(&ground.host, definition).map(drop).expect_err("nothing is granted").0;
    assert!(why.contains("files, journal") && why.contains(r#"files = ["/folder/"], journal = "/path""#), "{why}");
}
