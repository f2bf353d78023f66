// SPDX-License-Identifier: Apache-2.0
//! Why a command did not do what it was asked for.

use std::fmt;
use std::io;

use cli::exit::complain;
use cli::value::ValueError;
use cli::{AskError, Exit};
use model::addr::AddrError;
use sockopt::Status;

use crate::TOOL;

/// Why a command failed; decides the exit status.
#[derive(Debug)]
pub enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// The daemon refuses, or does not have what was asked for.
    Refused(String),
    /// No reply.
    Daemon(AskError),
    /// The output cannot be written.
    Output(io::Error),
    /// The answer to a question is no; it was printed.
    No,
}

impl Failure {
    /// A misuse of the command line.
    pub fn usage(text: impl Into<String>) -> Self {
        Failure::Usage(text.into())
    }

    /// A reply that answers another question.
    pub fn unexpected() -> Self {
        Failure::Refused("the daemon answered another question: are dpip and dpvsd of one version?".into())
    }

    /// Complains, unless everything was said, and tells how the tool ends.
    pub fn report(&self) -> Exit {
        if !matches!(self, Failure::No) {
            complain(TOOL, self);
        }
        self.exit()
    }

    /// How the tool ends.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Usage(_) => Exit::Usage,
            Failure::Refused(_) | Failure::Output(_) | Failure::No => Exit::Refused,
            Failure::Daemon(error) => error.exit(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Refused(text) => f.write_str(text),
            Failure::Daemon(error) => error.fmt(f),
            Failure::No => f.write_str("no"),
            Failure::Output(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

impl From<ValueError> for Failure {
    fn from(error: ValueError) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<AddrError> for Failure {
    fn from(error: AddrError) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::Refused(status.to_string())
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Failure::Daemon(error)
    }
}
