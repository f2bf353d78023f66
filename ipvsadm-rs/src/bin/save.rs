// SPDX-License-Identifier: Apache-2.0
//! The ipvsadm-save command: `ipvsadm --save`.
#![forbid(unsafe_code)]

use cli::exit::{Exit, complain};
use ipvsadm_rs::{tool, wrap};

fn main() -> Exit {
    let words = match tool::words() {
        Ok(words) => words,
        Err(exit) => return exit,
    };
    match wrap::save(&words) {
        Ok(line) => tool::run(&line),
        Err(reason) => {
            complain("ipvsadm-save", reason);
            Exit::Refused
        }
    }
}
