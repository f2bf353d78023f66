// SPDX-License-Identifier: Apache-2.0
//! `--shell`: many lines over one connection.

use std::io::ErrorKind;

use cli::shell::Commands;
use cli::{Exit, shell};

use crate::options::Command;
use crate::session::Session;
use crate::{args, complete, describe};

/// Reads and runs lines until `exit`, `quit` or the end of the input.
pub fn run(session: &mut Session<'_>) -> Exit {
    shell::run("ipvsadm", &mut Prompt { session })
}

struct Prompt<'s, 'a> {
    session: &'s mut Session<'a>,
}

impl Commands for Prompt<'_, '_> {
    fn run(&mut self, words: &[String]) -> Exit {
        let exit = self.line(words);
        match self.session.out.flush() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.session.complain(format_args!("cannot write to standard output: {error}"));
                Exit::Refused
            }
            _ => exit,
        }
    }

    fn complete(&mut self, before: &[String], _word: &str) -> Vec<String> {
        if before.is_empty() {
            let mut words = complete::candidates(before, self.session.ask);
            words.push("help".to_owned());
            return words;
        }
        let before = before.strip_prefix(&["help".to_owned()]).unwrap_or(before);
        complete::candidates(before, self.session.ask)
    }
}

impl Prompt<'_, '_> {
    fn line(&mut self, words: &[String]) -> Exit {
        if let [first, rest @ ..] = words
            && first == "help"
        {
            return self.help(rest);
        }
        match args::read(words, self.session.names) {
            Ok(line) if matches!(line.command, Command::Shell | Command::Restore | Command::Top) => {
                self.session
                    .complain(format_args!("--{} is no command of the prompt", line.command.def().long));
                Exit::Usage
            }
            Ok(line) => self.session.run(&line),
            Err(misuse) => {
                self.session.complain(&misuse);
                Exit::Status(misuse.status)
            }
        }
    }

    fn help(&mut self, words: &[String]) -> Exit {
        let text = match words {
            [] => Some(describe::help()),
            [word, ..] => describe::help_for(word),
        };
        match text {
            Some(text) => {
                // What cannot be written is noticed when the line is done.
                let _ = self.session.out.write_all(text.as_bytes());
                Exit::Done
            }
            None => {
                self.session.complain(format_args!("`{}` is no command: help lists them", words[0]));
                Exit::Usage
            }
        }
    }
}
