// SPDX-License-Identifier: Apache-2.0
//! The ipvsadm command.
#![forbid(unsafe_code)]

use cli::Exit;
use ipvsadm_rs::tool;

fn main() -> Exit {
    match tool::words() {
        Ok(words) => tool::run(&words),
        Err(exit) => exit,
    }
}
