//! Where the control socket is.

use std::path::{Path, PathBuf};

use portcullis_config::server::Server;

/// The socket of a process that runs with this configuration.
pub fn path(server: &Server) -> PathBuf {
    server.control.clone().unwrap_or_else(default_path)
}

/// The socket where the configuration names none: `/run/portcullis/control.sock` for root, else
/// `$XDG_RUNTIME_DIR/portcullis.sock`, else `portcullis-UID.sock` in the folder for temporary files.
pub fn default_path() -> PathBuf {
    choose(
        rustix::process::geteuid().as_raw(),
        std::env::var_os("XDG_RUNTIME_DIR").as_deref().map(Path::new),
        &std::env::temp_dir(),
    )
}

fn choose(uid: u32, runtime: Option<&Path>, temporary: &Path) -> PathBuf {
    match runtime {
        _ if uid == 0 => PathBuf::from("/run/portcullis/control.sock"),
        // The XDG base directory specification: paths must be absolute, others are to be ignored.
        Some(runtime) if runtime.is_absolute() => runtime.join("portcullis.sock"),
        _ => temporary.join(format!("portcullis-{uid}.sock")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_user_session_and_bare_user_have_their_places() {
        let (runtime, temporary) = (Path::new("/run/user/7"), Path::new("/tmp"));
        assert_eq!(choose(0, Some(runtime), temporary), Path::new("/run/portcullis/control.sock"));
        assert_eq!(choose(7, Some(runtime), temporary), Path::new("/run/user/7/portcullis.sock"));
        assert_eq!(choose(7, Some(Path::new("relative")), temporary), Path::new("/tmp/portcullis-7.sock"));
        assert_eq!(choose(7, None, temporary), Path::new("/tmp/portcullis-7.sock"));
    }
}
