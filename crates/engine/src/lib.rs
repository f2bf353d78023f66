// SPDX-License-Identifier: Apache-2.0
//! The director itself: bytes, time and a snapshot in; packets, verdicts and events out.
//!
//! Pure: no DPDK, no socket, no clock, no lock and no allocation per packet. The same input gives the same
//! output, always: randomness comes from a seed handed in.
#![forbid(unsafe_code)]

pub mod access;
mod arp;
mod association;
mod balance;
mod choice;
pub mod conn;
pub mod counters;
mod drain;
mod flat;
pub mod flow;
pub mod forward;
mod frag;
pub mod health;
pub mod icmp;
pub mod identity;
pub mod ids;
pub mod l3;
pub mod l4;
pub mod laddr;
pub mod lcore;
pub mod limit;
pub mod link;
pub mod lookup;
mod mss;
mod nd;
pub mod neigh;
mod once;
mod open;
mod output;
pub mod persist;
pub mod pipeline;
pub mod preface;
pub mod proto;
mod query;
pub mod quic;
mod relay;
pub mod route;
pub mod sched;
pub mod set;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod sink;
mod sip;
pub mod snapshot;
mod stack;
pub mod steer;
pub mod synproxy;
pub mod throttle;
pub mod tick;
pub mod tunnel;
mod uoa;
pub mod verdict;
