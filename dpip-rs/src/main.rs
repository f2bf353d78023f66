// SPDX-License-Identifier: Apache-2.0
//! `dpip`: addresses, routes, neighbours, links and VLANs of a running daemon.
//!
//! [`args`] turns the command line into a [`args::Call`], [`object`] the call into requests and their replies into
//! text, [`run`] asks the daemon in between. Only `run`, `prompt` and this file do I/O.
#![forbid(unsafe_code)]

mod args;
mod complete;
mod failure;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod manual;
mod object;
mod prompt;
#[cfg(test)]
mod replay;
mod run;
mod words;

use std::io;

use cli::Exit;
use cli::connect::{Client, socket_path};

use crate::args::Start;
use crate::failure::Failure;

/// What stands in front of complaints.
const TOOL: &str = "dpip";

fn main() -> Exit {
    start().unwrap_or_else(|failure| failure.report())
}

fn start() -> Result<Exit, Failure> {
    let mut out = io::stdout();
    match args::parse(std::env::args_os())? {
        Start::Print(text) => run::print(&mut out, &text)?,
        Start::Call(call, ipc) => {
            let mut daemon = Client::new(socket_path(ipc.as_deref()));
            run::run(&mut daemon, &call, &mut out)?;
        }
        Start::Shell(ipc) => {
            let daemon = Client::new(socket_path(ipc.as_deref()));
            return Ok(cli::shell::run(TOOL, &mut prompt::Prompt::new(daemon)));
        }
        Start::Complete(words) => {
            run::print(&mut out, &prompt::completion(&words))?;
        }
    }
    Ok(Exit::Done)
}
