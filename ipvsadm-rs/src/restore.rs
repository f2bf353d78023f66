// SPDX-License-Identifier: Apache-2.0
//! `--restore`: commands from standard input.
//!
//! Without options it does what ipvsadm always did: a line that the daemon refuses is reported and skipped, one that
//! makes no sense ends the run, and the last line gives the exit status. `--atomic` runs all lines or none; `--replace`
//! makes the table equal to the lines with the least change, at once. Both accept notes: `#` to the end of a line.

use cli::Exit;
use desired::{Desired, Rest, Running};
use sockopt::Set;

use crate::args::{self, Line, Misuse, Style};
use crate::fetch::{self, Failure};
use crate::options::{Command, Opt};
use crate::request::{self, Action, Services};
use crate::session::{Session, Stop, exit};

/// Runs the commands on standard input.
///
/// # Errors
///
/// [`Stop`] when standard input cannot be read, or when the lines together cannot be applied.
pub fn run(session: &mut Session<'_>, line: &Line) -> Result<Exit, Stop> {
    if line.has(Opt::Atomic) {
        atomic(session, line.has(Opt::DryRun))
    } else if line.has(Opt::Replace) {
        replace(session, line.has(Opt::DryRun))
    } else {
        Sequence { last: Exit::Done, waiting: Vec::new() }.run(session, line.notes)
    }
}

/// Lines one after the other. Changes whose lines are here already go to the daemon together: the outcome is the same,
/// and a table of thousands of services takes seconds.
struct Sequence {
    last: Exit,
    waiting: Vec<Change>,
}

/// A change and where it was written.
struct Change {
    number: usize,
    command: Command,
    set: Set,
}

impl Sequence {
    fn run(mut self, session: &mut Session<'_>, notes: bool) -> Result<Exit, Stop> {
        let mut number = 0;
        while let Some(text) = next_line(session)? {
            number += 1;
            if notes && text.starts_with('#') {
                continue;
            }
            match read(&text, session) {
                Ok(None) => {}
                Ok(Some((line, action))) => {
                    if self.take(number, &line, action, session) {
                        return Ok(self.last);
                    }
                }
                Err(misuse) => {
                    self.flush(session);
                    session.complain(format_args!("line {number}: {misuse}"));
                    return Ok(Exit::Status(misuse.status));
                }
            }
            if !session.input.has_line() || self.waiting.len() >= TOGETHER {
                self.flush(session);
            }
            if self.last == Exit::NoDaemon {
                return Ok(self.last);
            }
        }
        self.flush(session);
        Ok(self.last)
    }

    /// Runs a line, now or with those that follow. Says whether it is the last one.
    fn take(&mut self, number: usize, line: &Line, action: Action, session: &mut Session<'_>) -> bool {
        let set = match action {
            Action::Change(set) => set,
            Action::EditService(edit) if session.style_of(line) == Style::Stock => edit.replacing(),
            _ => {
                self.flush(session);
                if self.last != Exit::NoDaemon {
                    self.last = session.run(line);
                }
                return matches!(line.command, Command::Help | Command::Version);
            }
        };
        self.waiting.push(Change { number, command: line.command, set });
        false
    }

    fn flush(&mut self, session: &mut Session<'_>) {
        let mut rest = std::mem::take(&mut self.waiting);
        while !rest.is_empty() {
            let steps = rest.iter().map(|change| change.set.clone()).collect();
            let Err(failure) = fetch::transaction(session.ask, steps, false) else {
                self.last = Exit::Done;
                return;
            };
            let refused = match &failure {
                Failure::Refused(status) => status.step.unwrap_or(0) as usize,
                _ => 0,
            };
            let refused = refused.min(rest.len() - 1);
            // What stands before the refused line is good by itself.
            let before = rest.drain(..refused).map(|change| change.set).collect::<Vec<_>>();
            if !before.is_empty() && fetch::transaction(session.ask, before, false).is_err() {
                session.complain("the daemon refused together what it accepts one by one");
            }
            let Change { number, command, .. } = rest.remove(0);
            session.complain(format_args!("line {number}: {failure}"));
            self.last = exit(command, &Stop::Failure(failure));
            if self.last == Exit::NoDaemon {
                return;
            }
        }
    }
}

fn atomic(session: &mut Session<'_>, dry_run: bool) -> Result<Exit, Stop> {
    let changes = changes(session, "--atomic")?;
    let (numbers, steps): (Vec<usize>, Vec<Set>) = changes.into_iter().unzip();
    match fetch::transaction(session.ask, steps, dry_run) {
        Ok(plan) => print(session, &plan),
        Err(Failure::Refused(status)) => {
            let number = status.step.and_then(|step| numbers.get(step as usize));
            let place = number.map_or(String::new(), |number| format!("line {number}: "));
            session.complain(format_args!("{place}{status}; nothing was changed"));
            Ok(Exit::Refused)
        }
        Err(failure) => Err(failure.into()),
    }
}

fn replace(session: &mut Session<'_>, dry_run: bool) -> Result<Exit, Stop> {
    let mut desired = Desired::default();
    for (number, set) in changes(session, "--replace")? {
        desired
            .apply(&set)
            .map_err(|reason| Misuse::line(format!("line {number}: {reason}; nothing was changed")))?;
    }
    let services = fetch::services(session.ask, &Services { key: None, worker: None })?;
    let running = Running { services: &services, timeouts: fetch::timeouts(session.ask)? };
    make(session, desired.changes(running, Rest::Remove), dry_run)
}

fn make(session: &mut Session<'_>, steps: Vec<Set>, dry_run: bool) -> Result<Exit, Stop> {
    if steps.is_empty() {
        return Ok(Exit::Done);
    }
    match fetch::transaction(session.ask, steps, dry_run) {
        Ok(plan) => print(session, &plan),
        Err(Failure::Refused(status)) => {
            session.complain(format_args!("{status}; nothing was changed"));
            Ok(Exit::Refused)
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Prints a plan.
///
/// # Errors
///
/// [`Stop`] when it cannot be written.
pub fn print(session: &mut Session<'_>, plan: &[String]) -> Result<Exit, Stop> {
    for step in plan {
        writeln!(session.out, "{step}")?;
    }
    Ok(Exit::Done)
}

/// All changes with the numbers of their lines, or the first line that is none.
fn changes(session: &mut Session<'_>, mode: &str) -> Result<Vec<(usize, Set)>, Stop> {
    let mut changes = Vec::new();
    let mut number = 0;
    while let Some(text) = next_line(session)? {
        number += 1;
        let wrong = |reason: &str| Misuse::line(format!("line {number}: {reason}; nothing was changed"));
        let read = read(without_note(&text), session).map_err(|misuse| wrong(&misuse.text))?;
        let set = match read {
            None => continue,
            Some((_, Action::Change(set))) => set,
            Some((_, Action::EditService(edit))) => edit.replacing(),
            Some((line, _)) => {
                let word = line.command.def().long;
                return Err(wrong(&format!("--{word} is no change: {mode} runs only changes")).into());
            }
        };
        changes.push((number, set));
    }
    Ok(changes)
}

/// The part of a line before a `#` that begins a word.
fn without_note(text: &str) -> &str {
    let begins_word = |at: &usize| text[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let note = text.match_indices('#').map(|(at, _)| at).find(begins_word);
    note.map_or(text, |at| &text[..at])
}

fn next_line(session: &mut Session<'_>) -> Result<Option<String>, Stop> {
    session
        .input
        .line()
        .map_err(|error| Stop::Misuse(Misuse::line(format!("cannot read standard input: {error}"))))
}

/// Words at blanks, without quotes; the name of the tool may stand before the command.
fn read(text: &str, session: &Session<'_>) -> Result<Option<(Line, Action)>, Misuse> {
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
    let action = request::action(&line)?;
    Ok(Some((line, action)))
}

const TOGETHER: usize = 2_000;
