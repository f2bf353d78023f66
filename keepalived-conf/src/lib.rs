// SPDX-License-Identifier: Apache-2.0
//! The block language of keepalived.conf and dpvs.conf.
//!
//! [`tree`] reads dpvs.conf: strict, the first thing wrong is an error. [`keepalived`] reads keepalived.conf: lenient,
//! as its own test mode is, into typed objects with everything that was found on the way. Both share [`lex`],
//! [`include`] and [`span`].
#![forbid(unsafe_code)]

pub mod dump;
pub mod include;
pub mod keepalived;
pub mod lex;
pub mod print;
pub mod span;
pub mod tree;

pub use span::{Error, Span};
pub use tree::{Block, Tree, Word};
