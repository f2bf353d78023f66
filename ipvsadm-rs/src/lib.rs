// SPDX-License-Identifier: Apache-2.0
//! The `ipvsadm` command: stock ipvsadm 1.31 and DPVS's additions to it, in one grammar.
//!
//! A line goes through pure stages: [`popt`] makes words into options, [`args`] reads their values by the table in
//! [`options`], [`grammar`] checks which may stand together, [`request`] makes the request, [`render`] the text. Only
//! [`fetch`] talks to the daemon, and [`session`] ties the stages together.
#![forbid(unsafe_code)]

pub mod address;
pub mod args;
pub mod complete;
pub mod describe;
pub mod fetch;
pub mod flags;
pub mod grammar;
pub mod import;
pub mod input;
#[cfg(test)]
mod manual;
pub mod names;
pub mod options;
pub mod popt;
pub mod render;
pub mod request;
pub mod restore;
pub mod session;
pub mod shell;
pub mod sort;
pub mod tool;
pub mod top;
mod values;
pub mod wrap;
