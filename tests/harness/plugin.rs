//! Plugins in C, JavaScript and Python, built as their authors build them: `portcullis plugin build` in the project's folder.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::Mutex;

use crate::{binary, repository, tool::Tool};

/// How long a build may take. It is seconds where nothing else runs.
const BUILD: Duration = Duration::from_secs(240);

/// A project like the folder `project` of the repository, in which `edits` (file, text, text in its place) are made first; built
/// unless one with the same content was built before. Gives its folder, with the plugin in it as `plugin.wasm`.
///
/// # Panics
/// When it cannot be built.
pub async fn built(project: &str, edits: &[(&str, &str, &str)]) -> PathBuf {
    // One after the other: each of them takes all the memory and processors it can get.
    static BUILDING: Mutex<()> = Mutex::const_new(());
    let _building = BUILDING.lock().await;

    let mut files = files(&repository::root().join(project));
    for (name, text, instead) in edits {
        let (_, content) =
            files.iter_mut().find(|(file, _)| file == name).unwrap_or_else(|| panic!("{project} has no {name}"));
        let before = String::from_utf8(content.clone()).expect("sources are UTF-8");
        assert_eq!(before.matches(text).count(), 1, "{text:?} is not once in {project}/{name}");
        *content = before.replace(text, instead).into_bytes();
    }
    let mut hasher = DefaultHasher::new();
    (&files, self::files(&repository::root().join("wit"))).hash(&mut hasher);
    let target = repository::root().canonicalize().expect("the repository is there").join("target");
    let name = Path::new(project).file_name().expect("it is a folder").display().to_string();
    let folder = target.join(format!("languages/{name}-{:016x}", hasher.finish()));
    let module = folder.join("plugin.wasm");
    if !module.exists() {
        write(&folder, &files, &target.join("tools/js/node_modules"));
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("PATH={}:{path}", target.join("tools/python/bin").display());
        let command = Tool::new("env").args([&path]).args([binary::portcullis()]).args(["plugin", "build", "--out"]);
        command.args([&module, &folder]).within(BUILD).output().await;
    }
    folder
}

/// What lies in a folder, by relative path, but for what a build leaves there.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inside)).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = inside.join(entry.expect("a folder can be listed").file_name());
            let name = path.to_str().expect("names are UTF-8").to_owned();
            if ["target", "node_modules", ".venv", "__pycache__"].contains(&name.as_str()) || name.ends_with(".wasm") {
                continue;
            }
            let full = folder.join(&path);
            if full.is_dir() {
                folders.push(path);
            } else {
                found.push((name, fs::read(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()))));
            }
        }
    }
    found.sort();
    found
}

/// Writes the copy of a project. Node looks for modules in the folder of the file that wants them.
fn write(folder: &Path, files: &[(String, Vec<u8>)], modules: &Path) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    if folder.exists() {
        fs::remove_dir_all(folder).expect("what was left can be removed");
    }
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders can be made");
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if content.starts_with(b"#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an own file can be made executable");
        }
    }
    symlink(modules, folder.join("node_modules")).expect("a link can be made");
}
