// SPDX-License-Identifier: Apache-2.0
//! The ipvsadm-save command: `ipvsadm --save`.
#![forbid(unsafe_code)]

use cli::exit::{Exit, complain};
use ipvsadm_rs::tool;

fn main() -> Exit {
    let words = match tool::words() {
        Ok(words) => words,
        Err(exit) => return exit,
    };
    let mut line = vec!["--save".to_owned()];
    // Words without a dash mean nothing, as they always did.
    for word in words.iter().filter(|word| word.starts_with('-')) {
        match word.as_str() {
            "-n" => line.push("--numeric".to_owned()),
            other => {
                complain(
                    "ipvsadm-save",
                    format_args!("unknown option `{other}`: only -n (numbers instead of names)"),
                );
                return Exit::Refused;
            }
        }
    }
    tool::run(&line)
}
