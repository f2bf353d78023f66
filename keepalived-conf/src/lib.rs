// SPDX-License-Identifier: Apache-2.0
//! The block language of keepalived.conf and dpvs.conf.
//!
//! [`tree`] reads dpvs.conf: strict, the first thing wrong is an error.
#![forbid(unsafe_code)]

pub mod include;
pub mod lex;
pub mod print;
pub mod span;
pub mod tree;

pub use span::{Error, Span};
pub use tree::{Block, Tree, Word};
