// SPDX-License-Identifier: Apache-2.0
//! The director itself: bytes, time and a snapshot in; packets, verdicts and events out.
//!
//! Pure: no DPDK, no socket, no clock, no lock and no allocation per packet. The same input gives the same
//! output, always: randomness comes from a seed handed in.
#![forbid(unsafe_code)]

pub mod conn;
pub mod counters;
pub mod icmp;
pub mod ids;
pub mod l3;
pub mod laddr;
pub mod link;
pub mod neigh;
pub mod proto;
pub mod route;
pub mod sched;
pub mod snapshot;
pub mod steer;
pub mod tick;
pub mod verdict;
