use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use super::*;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn seen(folder: &TempDir, granted: &[&str]) -> Seen {
    Seen::new(Granted::new(folder.path(), granted.iter().map(Path::new)))
}

fn denied<T: std::fmt::Debug>(found: Result<T, Refused>) -> String {
    match found {
        Err(Refused::Denied(why)) => why,
        other => panic!("it is not denied: {other:?}"),
    }
}

#[test]
fn what_is_granted_is_read_and_nothing_else() {
    let folder = folder(&[("rules/a.conf", "a"), ("rules/deep/b.data", "b"), ("secret.key", "s")]);
    let mut seen = seen(&folder, &["rules/"]);
    assert_eq!(seen.read("rules/a.conf"), Ok(b"a".to_vec()));
    let absolute = folder.path().join("rules/deep/b.data");
    assert_eq!(seen.read(absolute.to_str().unwrap()), Ok(b"b".to_vec()));
    assert_eq!(seen.read("rules/./deep/../a.conf"), Ok(b"a".to_vec()));
    assert_eq!(seen.read("rules/none"), Err(Refused::Missing));
    for path in ["secret.key", "rules/../secret.key", "none", "rules2", "/etc/passwd", ""] {
        let why = denied(seen.read(path));
        assert!(why.contains("grants = { files = ["), "{path}: {why}");
    }
    assert!(matches!(seen.read("rules"), Err(Refused::Unreadable(_))), "a folder is no file");
}

#[test]
fn links_are_followed_where_their_end_is_granted() {
    let folder = folder(&[("rules/a.conf", "a"), ("other/b.conf", "b")]);
    let root = folder.path();
    symlink(root.join("rules/a.conf"), root.join("rules/inside.conf")).unwrap();
    symlink(root.join("other/b.conf"), root.join("rules/outside.conf")).unwrap();
    symlink(root.join("rules"), root.join("linked")).unwrap();
    let mut few = seen(&folder, &["rules/"]);
    assert_eq!(few.read("rules/inside.conf"), Ok(b"a".to_vec()));
    let why = denied(few.read("rules/outside.conf"));
    let wanted = format!("files = [\"{}/\"]", root.join("other").canonicalize().unwrap().display());
    assert!(why.contains("is a link to") && why.contains(&wanted), "{why}");
    assert_eq!(seen(&folder, &["rules/", "other/b.conf"]).read("rules/outside.conf"), Ok(b"b".to_vec()));
    assert_eq!(seen(&folder, &["linked/"]).read("linked/a.conf"), Ok(b"a".to_vec()));
}

#[test]
fn patterns_match_within_names_and_inside_of_what_is_granted() {
    let folder = folder(&[("r/b.conf", ""), ("r/a.conf", ""), ("r/.c.conf", ""), ("r/x/d.conf", ""), ("s/e.conf", "")]);
    let mut seen = seen(&folder, &["r/"]);
    let names = |paths: Vec<String>| -> Vec<String> {
        let root = folder.path().to_str().unwrap();
        paths.iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
    };
    assert_eq!(names(seen.glob("r/*.conf").unwrap()), ["/r/a.conf", "/r/b.conf"]);
    assert_eq!(names(seen.glob("r/?/[a-e].conf").unwrap()), ["/r/x/d.conf"]);
    assert_eq!(seen.glob("r/*.none"), Ok(vec![]));
    denied(seen.glob("*/e.conf"));
    denied(seen.glob("r/../s/*.conf"));
    for pattern in ["r/**", "r/[a"] {
        assert!(matches!(seen.glob(pattern), Err(Refused::Unreadable(_))), "{pattern}");
    }
}

#[test]
fn a_change_is_found_wherever_it_is() {
    let folder = folder(&[("r/a.conf", "a"), ("r/b.conf", "b")]);
    let mut seen = seen(&folder, &["r/"]);
    seen.glob("r/*.conf").unwrap();
    seen.read("r/a.conf").unwrap();
    assert_eq!(seen.read("r/none"), Err(Refused::Missing));
    assert!(seen.is_unchanged());
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    let remove = |name: &str| fs::remove_file(folder.path().join(name)).unwrap();
    // Neither its time nor a file that nobody read matters.
    write("r/a.conf", "a");
    write("r/b.conf", "other");
    write("r/unrelated", "x");
    assert!(seen.is_unchanged());
    write("r/a.conf", "c");
    assert!(!seen.is_unchanged());
    write("r/a.conf", "a");
    write("r/c.conf", "");
    assert!(!seen.is_unchanged(), "a new one matches");
    remove("r/c.conf");
    write("r/none", "");
    assert!(!seen.is_unchanged(), "what was missing is there");
    remove("r/none");
    assert!(seen.is_unchanged());
    let paths = seen.paths();
    for watched in ["r", "r/a.conf", "r/none"] {
        assert!(paths.contains(&folder.path().join(watched)), "{watched}: {paths:?}");
    }
}

#[test]
fn sizes_and_numbers_are_bounded() {
    let folder = folder(&[]);
    let root = folder.path();
    let sparse = |name: &str, length: u64| fs::File::create(root.join(name)).unwrap().set_len(length).unwrap();
    sparse("large", FILE_MAX + 1);
    (0..5).for_each(|at| sparse(&at.to_string(), FILE_MAX));
    let mut seen = seen(&folder, &["."]);
    assert_eq!(seen.read("large"), Err(Refused::Size));
    (0..4).for_each(|at| assert!(seen.read(&at.to_string()).is_ok(), "{at}"));
    assert!(matches!(seen.read("4"), Err(Refused::Unreadable(why)) if why.contains("64 MiB")));
    (0..QUESTIONS_MAX).for_each(|at| drop(seen.read(&format!("none{at}"))));
    assert!(matches!(seen.read("one more"), Err(Refused::Unreadable(why)) if why.contains("4096")));
}

#[test]
fn a_second_configuring_is_told_the_same() {
    let folder = folder(&[("a", "1")]);
    let mut first = Files::Reading(Box::new(seen(&folder, &["."])));
    assert_eq!(first.read("a"), Some(Ok(b"1".to_vec())));
    fs::write(folder.path().join("a"), "2").unwrap();
    let kept = Arc::new(first.end());
    assert_eq!(first.read("a"), None, "nothing is read afterwards");
    let mut again = Files::Again(kept);
    assert_eq!(again.read("a"), Some(Ok(b"1".to_vec())));
    assert!(matches!(again.read("b"), Some(Err(Refused::Unreadable(_)))));
}

#[test]
fn tables_grant_the_folders_of_what_they_name() {
    let config = json!({
        "rules": ["/etc/crs/crs-setup.conf", "/usr/share/crs/rules/*.conf", "builtin:baseline", { "inline": "/x/y" }, "own/a.conf"],
        "deep": { "file": "/srv/d/e" },
        "root": ["/only.conf", "/*.conf", "/"],
    });
    let keys = |keys: &[&str]| from_table(&config, &keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
    assert_eq!(keys(&["rules"]), ["/etc/crs", "/usr/share/crs/rules", "own"].map(PathBuf::from));
    assert_eq!(keys(&["deep.file", "none", "deep"]), [PathBuf::from("/srv/d")]);
    assert_eq!(keys(&["root"]), [PathBuf::from("/only.conf")], "never everything");
}
