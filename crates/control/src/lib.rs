//! Decisions without I/O: decide, commit, compile, answer.
#![forbid(unsafe_code)]
