//! The director's daemon.
#![forbid(unsafe_code)]

fn main() {}
