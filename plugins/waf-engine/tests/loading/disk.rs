//! Files of this machine, for tests: patterns only in the last part of a path.

use std::path::Path;

use waf_engine::{seclang::Loaded, seclang::Loader, world::Files};

pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (folder, name) = pattern.rsplit_once('/').ok_or("no folder")?;
        let (before, after) = name.split_once('*').ok_or("no *")?;
        let mut paths = Vec::new();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(_) => return Ok(paths),
        };
        for entry in entries {
            let name = entry.map_err(|error| error.to_string())?.file_name().to_string_lossy().into_owned();
            if name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after) {
                paths.push(format!("{folder}/{name}"));
            }
        }
        paths.sort();
        Ok(paths)
    }
}

/// The shared test data, beside the repository.
pub fn shared() -> Option<String> {
    let root = match std::env::var("PORTCULLIS_SHARED") {
        Ok(path) => path,
        Err(_) => format!("{}/../../../shared", env!("CARGO_MANIFEST_DIR")),
    };
    let waf = format!("{root}/waf");
    Path::new(&waf).is_dir().then_some(waf)
}

/// Loads what `fill` asks for; panics with all mistakes.
pub fn load(fill: impl FnOnce(&mut Loader<'_>)) -> Loaded {
    let mut loader = Loader::new(&Disk);
    fill(&mut loader);
    match loader.finish() {
        Ok(loaded) => loaded,
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{} mistakes:\n{}", lines.len(), lines.join("\n"));
        }
    }
}
