//! Leaves shared by the command-line tools.
#![forbid(unsafe_code)]
