//! Where things are kept when nobody says where.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Where compiled plugins are kept by default: `/var/cache/portcullis` for root, else `portcullis` in `$XDG_CACHE_HOME` or `~/.cache`;
/// `None` when there is neither.
pub fn cache_folder() -> Option<PathBuf> {
    choose("/var/cache/portcullis", "XDG_CACHE_HOME", ".cache", "portcullis")
}

/// Where fetched modules are kept by default: `/var/lib/portcullis/plugins` for root, else `portcullis/plugins` in `$XDG_DATA_HOME` or
/// `~/.local/share`; `None` when there is neither.
pub fn store_folder() -> Option<PathBuf> {
    choose("/var/lib/portcullis/plugins", "XDG_DATA_HOME", ".local/share", "portcullis/plugins")
}

/// Where certificates that are ordered are kept by default: `/var/lib/portcullis/acme` for root, else `portcullis/acme` in
/// `$XDG_DATA_HOME` or `~/.local/share`; `None` when there is neither.
pub fn state_folder() -> Option<PathBuf> {
    choose("/var/lib/portcullis/acme", "XDG_DATA_HOME", ".local/share", "portcullis/acme")
}

fn choose(root: &str, variable: &str, home: &str, below: &str) -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    place(uid, std::env::var_os(variable), std::env::var_os("HOME"), root, home, below)
}

fn place(
    uid: u32,
    xdg: Option<OsString>,
    home: Option<OsString>,
    root: &str,
    in_home: &str,
    below: &str,
) -> Option<PathBuf> {
    if uid == 0 {
        return Some(root.into());
    }
    // The XDG base directory specification: paths must be absolute, others are to be ignored.
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let folder = xdg.and_then(absolute).or_else(|| Some(absolute(home?)?.join(in_home)))?;
    Some(folder.join(Path::new(below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_user_and_nobody_have_their_places() {
        let place = |uid, xdg: Option<&str>, home: Option<&str>| {
            place(uid, xdg.map(OsString::from), home.map(OsString::from), "/var/x", ".local", "p/q")
        };
        assert_eq!(place(0, Some("/xdg"), Some("/home/a")).as_deref(), Some(Path::new("/var/x")));
        assert_eq!(place(7, Some("/xdg"), Some("/home/a")).as_deref(), Some(Path::new("/xdg/p/q")));
        assert_eq!(place(7, Some("relative"), Some("/home/a")).as_deref(), Some(Path::new("/home/a/.local/p/q")));
        assert_eq!(place(7, None, Some("")), None);
        assert_eq!(place(7, None, None), None);
    }
}
