//! The dpip command.
#![forbid(unsafe_code)]

fn main() {}
