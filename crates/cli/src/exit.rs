// SPDX-License-Identifier: Apache-2.0
//! How a tool ends: its exit status, and what it says while it ends.

use std::io::{self, ErrorKind, Write};
use std::process::{ExitCode, Termination};

/// The exit status of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done: 0.
    Done,
    /// Refused by the daemon: 1.
    Refused,
    /// The command line makes no sense: 2.
    Usage,
    /// No daemon answers: 3.
    NoDaemon,
    /// A status that scripts know from an older tool.
    Status(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub fn status(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::NoDaemon => 3,
            Exit::Status(status) => status,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.status())
    }
}

/// Writes a whole output. A reader that has gone away (`ipvsadm -L | head`) is no error: it has seen enough.
///
/// # Errors
///
/// Whatever else the writer fails with, such as a full disk.
pub fn print(mut out: impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints `text` on standard output and ends as `exit` says; with status 1 where it cannot be written.
pub fn finish(tool: &str, text: &str, exit: Exit) -> Exit {
    match print(io::stdout().lock(), text) {
        Ok(()) => exit,
        Err(error) => {
            complain(tool, format_args!("cannot write to standard output: {error}"));
            Exit::Refused
        }
    }
}

/// Says what is wrong, in one line on standard error: `ipvsadm: REASON`.
pub fn complain(tool: &str, reason: impl std::fmt::Display) {
    // Nobody is left to be told when standard error itself is closed.
    let _ = writeln!(io::stderr().lock(), "{tool}: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_success() {
        assert!(print(Failing(ErrorKind::BrokenPipe), "x").is_ok());
    }

    #[test]
    fn a_full_disk_is_a_failure() {
        assert_eq!(
            print(Failing(ErrorKind::StorageFull), "x").map_err(|e| e.kind()),
            Err(ErrorKind::StorageFull)
        );
    }

    #[test]
    fn statuses_are_those_that_scripts_see() {
        let all = [Exit::Done, Exit::Refused, Exit::Usage, Exit::NoDaemon, Exit::Status(255)];
        assert_eq!(all.map(Exit::status), [0, 1, 2, 3, 255]);
    }
}
