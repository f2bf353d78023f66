// SPDX-License-Identifier: Apache-2.0
//! `--restore`: commands from standard input.
//!
//! Without options it does what ipvsadm always did: a line that the daemon refuses is reported and skipped, one that
//! makes no sense ends the run, and the last line gives the exit status.

use std::io::BufRead;

use cli::Exit;

use crate::args::{self, Line, Misuse};
use crate::options::{Command, Opt};
use crate::session::{Session, Stop};

/// Runs the commands on standard input.
///
/// # Errors
///
/// [`Stop`] when standard input cannot be read.
pub fn run(session: &mut Session<'_>, line: &Line) -> Result<Exit, Stop> {
    let notes = line.notes;
    let mut last = Exit::Done;
    let mut number = 0;
    while let Some(text) = next_line(session.input)? {
        number += 1;
        if notes && text.starts_with('#') {
            continue;
        }
        let line = match read(&text, session) {
            Ok(None) => continue,
            Ok(Some(line)) => line,
            Err(misuse) => {
                session.complain(format_args!("line {number}: {misuse}"));
                return Ok(Exit::Status(misuse.status));
            }
        };
        last = session.run(&line);
        if matches!(line.command, Command::Help | Command::Version) || last == Exit::NoDaemon {
            break;
        }
    }
    Ok(last)
}

fn next_line(input: &mut dyn BufRead) -> Result<Option<String>, Stop> {
    let mut bytes = Vec::new();
    match input.read_until(b'\n', &mut bytes) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) => Err(Stop::Misuse(Misuse::line(format!("cannot read standard input: {error}")))),
    }
}

/// Words at blanks, without quotes; the name of the tool may stand before the command.
fn read(text: &str, session: &Session<'_>) -> Result<Option<Line>, Misuse> {
    let words: Vec<String> =
        text.split_ascii_whitespace().skip_while(|word| *word == "ipvsadm").map(str::to_owned).collect();
    if words.is_empty() {
        return Ok(None);
    }
    let line = args::read(&words, session.names)?;
    if line.command == Command::Restore {
        return Err(Misuse::words("--restore within --restore"));
    }
    if line.has(Opt::Ipc) {
        return Err(Misuse::line("--ipc belongs to the command line of --restore"));
    }
    Ok(Some(line))
}
