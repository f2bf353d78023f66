// SPDX-License-Identifier: Apache-2.0
//! The block language of keepalived.conf and dpvs.conf.
//!
//! [`tree`] reads dpvs.conf: strict, the first thing wrong is an error. [`keepalived`] reads keepalived.conf: lenient,
//! as its own test mode is, into typed objects with everything that was found on the way. Both share [`lex`],
//! [`mod@include`] and [`span`]. What a director makes of it: [`expand`] names the services one by one, [`commands`] says
//! it as ipvsadm commands, [`plan`] tells two configurations apart, [`dump`] is the JSON document.
#![forbid(unsafe_code)]

pub mod commands;
pub mod dump;
pub mod expand;
pub mod include;
pub mod keepalived;
pub mod lex;
pub mod plan;
pub mod print;
pub mod span;
pub mod tree;

pub use span::{Error, Span};
pub use tree::{Block, Tree, Word};
