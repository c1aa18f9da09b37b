use std::fs;

use super::*;
use crate::module::{Source, load};

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let store = Store::new(Some(&path.join("store")), Path::new("p.toml"), &path.join("portcullis.lock"));
        Self { folder, store }
    }

    /// Stores a module and its manifest, and locks the reference `a.example/b:1`.
    fn fill(&self) -> Locked {
        let module = self.store.put(b"code").unwrap();
        let manifest = format!(r#"{{"layers":[{{"mediaType":"application/wasm","digest":"{module}","size":4}}]}}"#);
        let locked = Locked { manifest: self.store.put(manifest.as_bytes()).unwrap(), module };
        let mut lock = Lock::default();
        lock.modules.insert("a.example/b:1".to_owned(), locked.clone());
        self.store.write_lock(&lock).unwrap();
        locked
    }

    fn load(&self, digest: Option<&str>) -> Result<Bytes, BuildError> {
        load(Source::Oci { reference: "a.example/b:1", digest }, None, &self.store)
    }

    fn file(&self, digest: &str) -> PathBuf {
        self.folder.path().join("store/sha256").join(digest.strip_prefix("sha256:").unwrap())
    }
}

#[test]
fn what_was_fetched_is_loaded_by_tag_and_by_digest() {
    let place = Place::new();
    let locked = place.fill();
    assert_eq!(place.load(None).unwrap(), "code");
    assert_eq!(place.load(Some(&locked.manifest)).unwrap(), "code");
    fs::remove_file(place.store.lock_path()).unwrap();
    assert_eq!(place.load(Some(&locked.manifest)).unwrap(), "code", "a digest needs no lock");
    let error = place.load(None).unwrap_err().0;
    assert!(error.contains("run: portcullis plugin pull --config p.toml"), "{error}");
}

#[test]
fn what_is_missing_or_changed_is_not_loaded() {
    let place = Place::new();
    let locked = place.fill();
    for digest in [&locked.module, &locked.manifest] {
        let file = place.file(digest);
        let right = fs::read(&file).unwrap();
        fs::write(&file, "other").unwrap();
        let error = place.load(None).unwrap_err().0;
        assert!(error.contains("was changed") && error.contains(digest.as_str()), "{error}");
        fs::remove_file(&file).unwrap();
        let error = place.load(None).unwrap_err().0;
        assert!(error.contains("is not in") && error.contains("plugin pull"), "{error}");
        fs::write(&file, right).unwrap();
    }
    assert!(place.load(None).is_ok());
}

#[test]
fn a_lock_that_does_not_fit_is_not_followed() {
    let place = Place::new();
    let locked = place.fill();
    let text = fs::read_to_string(place.store.lock_path()).unwrap();
    let with = |text: &str| {
        fs::write(place.store.lock_path(), text).unwrap();
        place.load(None).unwrap_err().0
    };
    let other = name(b"other");
    assert!(with(&text.replace(&locked.module, &other)).contains("changed by hand"));
    assert!(with(&text.replace(&locked.manifest, &other)).contains("is not in"));
    assert!(with(&text.replace(&locked.manifest, "sha256:../../x")).contains("64 hexadecimal digits"));
    assert!(with(&text.replace("version = 1", "version = 2")).contains("version 2"));
    assert!(with("version = 1\nmodules = 1\n").contains("unknown field"));
    assert!(with("\u{0}").contains("cannot be used"));
}

#[test]
fn a_lock_is_read_as_it_was_written() {
    let place = Place::new();
    let locked = place.fill();
    let text = fs::read_to_string(place.store.lock_path()).unwrap();
    let expected = format!(
        "# Written by `portcullis plugin pull`. Keep it with the configuration.\nversion = 1\n\n[module.\"a.example/b:1\"]\nmanifest = \"{}\"\nmodule = \"{}\"\n",
        locked.manifest, locked.module
    );
    assert_eq!(text, expected);
    assert_eq!(place.store.lock().unwrap().modules["a.example/b:1"], locked);
}

#[test]
fn nothing_is_left_beside_a_file_that_cannot_be_written() {
    let place = Place::new();
    fs::create_dir(place.store.lock_path()).unwrap();
    fs::write(place.store.lock_path().join("x"), "").unwrap();
    assert!(place.store.write_lock(&Lock::default()).is_err());
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 1);
}
