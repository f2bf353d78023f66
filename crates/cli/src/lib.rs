// SPDX-License-Identifier: Apache-2.0
//! Leaves shared by the command-line tools: values, columns, scaled numbers, the way to the daemon, the prompt,
//! exit statuses.
//!
//! Knows no object of the director: what a tool lists or changes is the tool's own business, and so is its command line.
#![forbid(unsafe_code)]

pub mod columns;
pub mod connect;
pub mod exit;
pub mod json;
pub mod shell;
pub mod units;
pub mod value;

pub use connect::{Ask, AskError, Client};
pub use exit::Exit;
