// SPDX-License-Identifier: Apache-2.0
//! The director's daemon: puts the parts together and drives them.
#![forbid(unsafe_code)]

mod args;
mod clock;
mod config;
mod controller;
mod cookie;
mod crew;
mod daemon;
mod effects;
mod file;
mod health;
mod idle;
mod keepalived;
mod kernel;
mod listener;
mod log;
mod mailbox;
#[cfg(test)]
mod manual;
mod notify;
mod outbox;
mod publish;
mod reload;
mod socket;
mod view;
mod worker;

use std::process::ExitCode;

/// Connection tables on huge pages.
#[global_allocator]
static ALLOCATOR: dpdk::HugePages = dpdk::HugePages;

fn main() -> ExitCode {
    let args = args::parse();
    log::start();
    match daemon::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("dpvsd: {failure}");
            ExitCode::FAILURE
        }
    }
}
