// SPDX-License-Identifier: Apache-2.0
//! `dpip`: addresses, routes, neighbours, links and VLANs of a running daemon.
//!
//! [`args`] turns the command line into a [`args::Call`], [`object`] the call into requests and their replies into
//! text, [`run`] asks the daemon in between. Only `run` and this file do I/O.
#![forbid(unsafe_code)]

mod args;
mod failure;
#[cfg(test)]
mod golden;
mod object;
mod run;
mod words;

use std::io;

use cli::Exit;
use cli::connect::{Client, socket_path};
use cli::exit::complain;

use crate::args::Start;
use crate::failure::Failure;

/// What stands in front of complaints.
const TOOL: &str = "dpip";

fn main() -> Exit {
    match start() {
        Ok(()) => Exit::Done,
        Err(failure) => {
            complain(TOOL, &failure);
            failure.exit()
        }
    }
}

fn start() -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match args::parse(std::env::args_os())? {
        Start::Print(text) => cli::exit::print(&mut out, &text).map_err(Failure::Output),
        Start::Call(call, ipc) => {
            let mut daemon = Client::new(socket_path(ipc.as_deref()));
            run::run(&mut daemon, &call, &mut out)
        }
    }
}
