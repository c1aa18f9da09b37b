//! Several files as one.

use std::fs;

use portcullis_config::load::load;
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const LISTENER: &str = "[[listener]]\naddress = \":80\"\n";
const ROUTE: &str = "[[route]]\nbackend = \"api\"\n[backend.api]\nendpoints = \"http://a\"\n";

#[test]
fn a_folder_is_merged_in_the_order_of_names() {
    let folder = folder(&[("20-b.toml", ROUTE), ("10-a.toml", LISTENER), ("notes.md", "x")]);
    let loaded = load(folder.path()).unwrap();
    let names: Vec<_> = loaded.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["10-a.toml", "20-b.toml"]);
    assert_eq!(loaded.config.backends.len(), 1);
    assert!(loaded.config.routes[0].at.file.ends_with("20-b.toml"));
}

#[test]
fn hidden_files_and_leftovers_do_not_count() {
    let folder = folder(&[
        ("a.toml", LISTENER),
        ("b.toml", ROUTE),
        (".hidden.toml", "nonsense"),
        (".#a.toml", "nonsense"),
        ("#a.toml#", "nonsense"),
        ("#a.toml", "nonsense"),
        ("a.toml~", "nonsense"),
        ("a.toml.swp", "nonsense"),
    ]);
    fs::create_dir(folder.path().join("sub.toml")).unwrap();
    assert_eq!(load(folder.path()).unwrap().files.len(), 2);
}

#[test]
fn relative_paths_start_at_the_folder() {
    let folder = folder(&[(
        "a.toml",
        "[[listener]]\naddress = \":443\"\ntls = {}\n[[certificate]]\ncert = \"shop.pem\"\nkey = \"/etc/shop.key\"\n",
    )]);
    let config = load(folder.path()).unwrap().config;
    assert_eq!(config.certificates[0].cert, folder.path().join("shop.pem"));
    assert_eq!(config.certificates[0].key.to_str(), Some("/etc/shop.key"));
    assert_eq!(config.certificates[0].name.as_str(), "shop.pem");
}

#[test]
fn what_cannot_be_read_is_reported() {
    let here = folder(&[]);
    let report = load(&here.path().join("missing.toml")).unwrap_err();
    assert!(report.to_string().contains("error: there is no such file or folder\n --> "), "{report}");
    let report = load(here.path()).unwrap_err();
    assert!(report.to_string().contains("no `*.toml` file"), "{report}");

    let path = here.path().join("a.toml");
    fs::write(&path, b"[server]\n# caf\xe9\n").unwrap();
    let report = load(&path).unwrap_err();
    assert!(report.to_string().contains("a.toml:2:6"), "{report}");
    assert!(report.to_string().contains("byte 0xe9 is not UTF-8"), "{report}");

    fs::write(&path, vec![b'\n'; (16 << 20) + 1]).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("larger than 16 MiB"));

    fs::write(&path, "").unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("there is nothing in this configuration"));
}

#[test]
fn a_mistake_in_each_file_is_in_one_report() {
    let folder =
        folder(&[("a.toml", "lisener = 1\n"), ("b.toml", "[[route]]\nbakend = \"x\"\n"), ("c.toml", "x = [\n")]);
    let report = load(folder.path()).unwrap_err();
    let text = report.to_string();
    for part in ["a.toml:1:1", "b.toml:2:1", "c.toml:", "did you mean `listener`?", "did you mean `backend`?"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.ends_with("(3 files)\n"), "{text}");
}
