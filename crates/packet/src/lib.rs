// SPDX-License-Identifier: Apache-2.0
//! Header views, builders and checksums.
//!
//! What a packet looks like on the wire, and nothing about what to do with it.
#![forbid(unsafe_code)]

pub mod buffer;

pub use buffer::{Buffer, Csum, Frame, RxMeta};
