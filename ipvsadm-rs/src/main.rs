//! The ipvsadm command.
#![forbid(unsafe_code)]

fn main() {}
