// SPDX-License-Identifier: Apache-2.0
//! What a table of services shall be: said by commands or by a keepalived.conf, compared with the table that runs.
//!
//! [`table`] takes the least change from one to the other; [`keepalived`] makes a keepalived.conf a table and knows where each
//! part of it was written; [`tunnels`] does the same for tunnels, [`vips`] for virtual addresses; [`remarks`] is what a file asks for in vain. No I/O.
#![forbid(unsafe_code)]

pub mod keepalived;
pub mod remarks;
pub mod table;
pub mod tunnels;
pub mod vips;

pub use keepalived::{Import, import};
pub use table::{Desired, Rest, Running};
