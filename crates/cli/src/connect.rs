// SPDX-License-Identifier: Apache-2.0
//! The way to the daemon.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use sockopt::{ClientError, Reply, Request};

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

/// The daemon at the other end of a socket. Connects when it is first asked, and again after the daemon was restarted.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    connection: Option<sockopt::Client>,
}

impl Client {
    /// A client of the daemon that listens at `path`, not connected yet.
    pub fn new(path: PathBuf) -> Self {
        Client { path, connection: None }
    }

    fn connection(&mut self) -> Result<sockopt::Client, AskError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => sockopt::Client::connect(&self.path).map_err(|reason| self.error(reason)),
        }
    }

    fn error(&self, reason: ClientError) -> AskError {
        let path = self.path.clone();
        match reason {
            ClientError::Connect(reason) => AskError::Unreachable { path, reason },
            reason => AskError::NoReply { path, reason: reason.to_string() },
        }
    }
}

impl Ask for Client {
    fn ask(&mut self, request: &Request) -> Result<Reply, AskError> {
        let again = self.connection.is_some() && !request.continues();
        let mut connection = self.connection()?;
        let mut answer = connection.call(request);
        if again && matches!(answer, Err(ClientError::Closed)) {
            // The daemon was restarted since the last request: the new one has not seen this request.
            connection = self.connection()?;
            answer = connection.call(request);
        }
        let reply = answer.map_err(|reason| self.error(reason))?;
        self.connection = Some(connection);
        Ok(reply)
    }
}

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens, or not to us.
    #[error("cannot reach the daemon at {}: {}", .path.display(), advice(.reason))]
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

fn advice(reason: &io::Error) -> String {
    match reason.kind() {
        io::ErrorKind::PermissionDenied => format!("{reason}; become root or join the socket's group"),
        _ => format!("{reason}; is dpvsd running?"),
    }
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
