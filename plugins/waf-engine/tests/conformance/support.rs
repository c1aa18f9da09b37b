//! The engine's surroundings in these tests: files on a disk, a world, and loading.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use waf_engine::{
    transaction::Start,
    trial::Memory,
    world::{Ends, Files},
};

/// The WAF's part of the shared test data: beside the repository, or where `PORTCULLIS_SHARED` says.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("PORTCULLIS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from)
        .join("waf");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: the shared test data is not there ({})", folder.display());
    None
}

/// Files of this machine, names relative to a folder.
pub(crate) struct Disk(pub(crate) PathBuf);

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        fs::read(self.0.join(path)).map_err(|error| format!("{path}: {error}"))
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (folder, name) = pattern.rsplit_once('/').unwrap_or((".", pattern));
        let (before, after) = name.split_once('*').unwrap_or((name, ""));
        let mut found = Vec::new();
        for entry in fs::read_dir(self.0.join(folder)).map_err(|error| format!("{folder}: {error}"))? {
            let name = entry.map_err(|error| error.to_string())?.file_name().into_string().unwrap();
            let long_enough = name.len() >= before.len() + after.len();
            if long_enough && name.starts_with(before) && name.ends_with(after) {
                found.push(format!("{folder}/{name}"));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// A world with nothing in it, and this machine's clock.
pub(crate) fn world() -> Memory {
    Memory::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(now.as_nanos()).unwrap()
    })
}

/// How a transaction on this machine begins.
pub(crate) fn local() -> Start<'static> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    start(Ends { client: loopback, client_port: 40000, server: loopback, server_port: 80 })
}

/// How a transaction between these ends begins.
pub(crate) fn start(ends: Ends) -> Start<'static> {
    Start { ends, id: "1763745600.000001", mode: None, route: "" }
}

/// Loads texts, in order, or gives what is wrong with them, a line each.
pub(crate) fn load(folder: &Path, sources: &[Source<'_>]) -> Result<waf_engine::model::RuleSet, String> {
    let disk = Disk(folder.to_owned());
    let mut loader = waf_engine::seclang::Loader::new(&disk);
    for source in sources {
        match source {
            Source::File(pattern) => loader.file(pattern),
            Source::Text(name, text) => loader.text(name, text.as_bytes()),
        };
    }
    match loader.finish() {
        Ok(loaded) => Ok(loaded.rules),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// Where rules come from.
pub(crate) enum Source<'a> {
    /// Files of a folder.
    File(&'a str),
    /// Under a name.
    Text(&'a str, &'a str),
}
