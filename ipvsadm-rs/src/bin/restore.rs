// SPDX-License-Identifier: Apache-2.0
//! The ipvsadm-restore command: clears the table and runs the commands on standard input.
#![forbid(unsafe_code)]

use cli::Exit;
use ipvsadm_rs::tool;

fn main() -> Exit {
    match tool::words() {
        Ok(words) => tool::restore(&words),
        Err(exit) => exit,
    }
}
