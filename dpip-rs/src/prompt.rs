// SPDX-License-Identifier: Apache-2.0
//! `dpip --shell`: many commands over one connection; and the completion that shells ask for.

use std::io;
use std::path::Path;

use cli::connect::{Ask, Client, socket_path};
use cli::{Exit, shell};
use sockopt::{Get, Reply, Request};

use crate::args::{self, Start};
use crate::complete::candidates;
use crate::failure::Failure;
use crate::{TOOL, run};

/// The commands of the prompt.
pub struct Prompt {
    daemon: Client,
}

impl Prompt {
    /// Commands to this daemon.
    pub fn new(daemon: Client) -> Self {
        Prompt { daemon }
    }

    fn execute(&mut self, words: &[String]) -> Result<(), Failure> {
        let mut out = io::stdout();
        match args::parse(std::iter::once(TOOL.into()).chain(words.iter().map(Into::into)))? {
            Start::Print(text) => run::print(&mut out, &text),
            Start::Call(call, None) => run::run(&mut self.daemon, &call, &mut out),
            Start::Call(call, Some(path)) => run::run(&mut Client::new(path), &call, &mut out),
            Start::Shell(_) | Start::Complete(_) => Err(Failure::usage("this is the prompt already")),
        }
    }
}

impl shell::Commands for Prompt {
    fn run(&mut self, words: &[String]) -> Exit {
        match self.execute(words) {
            Ok(()) => Exit::Done,
            Err(failure) => failure.report(),
        }
    }

    fn complete(&mut self, before: &[String], word: &str) -> Vec<String> {
        candidates(before, word, || links(&mut self.daemon))
    }
}

/// What may stand in place of the last of `words`, one a line.
pub fn completion(words: &[String]) -> String {
    let (word, before) = words.split_last().map_or(("", words), |(word, before)| (word.as_str(), before));
    let ipc = before.windows(2).rfind(|pair| pair[0] == "--ipc").map(|pair| Path::new(&pair[1]));
    let mut daemon = Client::new(socket_path(ipc));
    let mut found = candidates(before, word, || links(&mut daemon));
    found.retain(|candidate| candidate.starts_with(word));
    found.sort();
    found.dedup();
    found.into_iter().map(|word| word + "\n").collect()
}

/// The names of all links; none when the daemon cannot say.
fn links(daemon: &mut Client) -> Vec<String> {
    match daemon.ask(&Request::Get(Get::Links { dev: None })) {
        Ok(Reply::Links(links)) => links.into_iter().map(|link| link.name).collect(),
        _ => Vec::new(),
    }
}
