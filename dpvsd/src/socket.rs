// SPDX-License-Identifier: Apache-2.0
//! The name in the file system that tools connect to: ours, somebody else's, or left behind by the dead.

use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::ConnectWaitMode;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ListenerOptions};
use interprocess::os::unix::local_socket::ListenerOptionsExt;

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// Why nothing can listen at a path.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody does already.
    #[error("a daemon already listens at {}: stop it, or give this one another --ipc PATH", .0.display())]
    Live(PathBuf),
    /// Something else has that name.
    #[error("{} is there already and is no socket: remove it, or choose another --ipc PATH", .0.display())]
    NotSocket(PathBuf),
    /// The system refuses.
    #[error("cannot listen at {}: {reason}", .path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// What it says.
        reason: io::Error,
    },
}

/// Makes sure that a daemon could listen at `path`, and leaves everything as it is.
///
/// # Errors
/// [`ListenError`].
pub fn check(path: &Path) -> Result<(), ListenError> {
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if !found.file_type().is_socket() => Err(ListenError::NotSocket(path.to_path_buf())),
        Ok(_) if answers(path) => Err(ListenError::Live(path.to_path_buf())),
        Ok(_) => Ok(()),
    }
}

/// Listens at `path`. A socket that a dead daemon left there is replaced.
///
/// # Errors
/// [`ListenError`].
pub fn bind(path: &Path) -> Result<(LocalSocketListener, SocketFile), ListenError> {
    let system = |reason| ListenError::System { path: path.to_path_buf(), reason };
    check(path)?;
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(system)?;
    }
    // Nobody answers at a socket that is there: its daemon is dead.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(system(error)),
        _ => {}
    }
    let name = path.to_fs_name::<GenericFilePath>().map_err(system)?;
    let options = ListenerOptions::new().name(name).mode(MODE).reclaim_name(false);
    let socket = options.create_sync().map_err(system)?;
    // The kernel takes away what the umask forbids, even from a mode that was set.
    std::fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(system)?;
    let file = SocketFile::of(path).map_err(system)?;
    Ok((socket, file))
}

/// Whether somebody accepts connections at `path`, or is too busy to.
fn answers(path: &Path) -> bool {
    let Ok(name) = path.to_fs_name::<GenericFilePath>() else { return false };
    let wait = ConnectWaitMode::Timeout(Duration::from_secs(1));
    match ConnectOptions::new().name(name).wait_mode(wait).connect_sync() {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
    }
}

/// The name of our socket, as long as it is ours. It goes when this is dropped.
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile { path: path.to_path_buf(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another daemon may have taken the name since.
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run").join("s");
        (dir, path)
    }

    #[test]
    fn owner_and_group_may_connect_and_the_file_goes_with_the_listener() {
        let (_dir, path) = fresh();
        let bound = bind(&path).expect("a fresh directory");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_daemon_is_respected_and_a_dead_ones_socket_replaced() {
        let (_dir, path) = fresh();
        let first = bind(&path).expect("a fresh directory");
        assert!(matches!(bind(&path), Err(ListenError::Live(_))));
        assert!(path.exists());
        drop(first);
        // The socket of a process that died: nobody listens behind the name.
        drop(UnixListener::bind(&path).expect("the name is free"));
        let _second = bind(&path).expect("nobody answers there");
        assert!(answers(&path));
    }

    #[test]
    fn a_file_is_never_removed() {
        let (_dir, path) = fresh();
        std::fs::create_dir(path.parent().expect("run")).expect("a fresh directory");
        std::fs::write(&path, "precious").expect("a fresh file");
        assert!(matches!(bind(&path), Err(ListenError::NotSocket(_))));
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "precious");
    }

    #[test]
    fn a_socket_that_another_daemon_took_over_is_left_to_it() {
        let (_dir, path) = fresh();
        let first = bind(&path).expect("a fresh directory");
        std::fs::remove_file(&path).expect("it is there");
        let _other = UnixListener::bind(&path).expect("the name is free");
        drop(first);
        assert!(path.exists());
    }
}
