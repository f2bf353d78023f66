// SPDX-License-Identifier: Apache-2.0
//! The way to the daemon.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use sockopt::{Reply, Request};

use crate::exit::Exit;

/// Where the daemon listens if nobody says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/dpvs/dpvs.sock";

/// The environment variable that says otherwise.
pub const SOCKET_VARIABLE: &str = "DPVS_IPC_FILE";

/// Where to look for the daemon: what `--ipc` says, else [`SOCKET_VARIABLE`], else [`DEFAULT_SOCKET`].
pub fn socket_path(option: Option<&Path>) -> PathBuf {
    choose(option, std::env::var_os(SOCKET_VARIABLE))
}

fn choose(option: Option<&Path>, variable: Option<OsString>) -> PathBuf {
    let variable = variable.filter(|path| !path.is_empty()).map(PathBuf::from);
    option.map(Path::to_path_buf).or(variable).unwrap_or_else(|| DEFAULT_SOCKET.into())
}

/// Somebody who answers requests: the daemon at the other end of a socket, or one in memory.
pub trait Ask {
    /// Sends one request and waits for its reply. A refusal is a reply, not an error.
    ///
    /// # Errors
    ///
    /// [`AskError`] when there is no reply.
    fn ask(&mut self, request: &Request) -> Result<Reply, AskError>;
}

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens, or not to us.
    #[error("cannot reach the daemon at {}: {reason}; is dpvsd running?", .path.display())]
    Unreachable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The connection broke, or what came back is no reply.
    #[error("the daemon at {} did not answer: {reason}", .path.display())]
    NoReply {
        /// Where it listens.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

impl AskError {
    /// How a tool ends that cannot do without the reply.
    pub fn exit(&self) -> Exit {
        Exit::NoDaemon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_the_environment_and_that_over_the_default() {
        let option = Path::new("/tmp/option");
        assert_eq!(choose(Some(option), Some("/tmp/variable".into())), option);
        assert_eq!(choose(None, Some("/tmp/variable".into())), Path::new("/tmp/variable"));
        assert_eq!(choose(None, Some("".into())), Path::new("/run/dpvs/dpvs.sock"));
        assert_eq!(choose(None, None), Path::new("/run/dpvs/dpvs.sock"));
    }

    #[test]
    fn nobody_listening_is_said_in_one_line_with_the_path() {
        let error =
            AskError::Unreachable { path: "/run/x.sock".into(), reason: io::ErrorKind::NotFound.into() };
        assert_eq!(
            error.to_string(),
            "cannot reach the daemon at /run/x.sock: entity not found; is dpvsd running?"
        );
        assert_eq!(error.exit().status(), 3);
    }
}
