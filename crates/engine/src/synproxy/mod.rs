// SPDX-License-Identifier: Apache-2.0
//! The SYN proxy: a real server hears of a client only once the client has proved that it receives our answers.
//!
//! ```text
//!   1  client -> vip     SYN       seq C
//!   2  vip -> client     SYN,ACK   seq K, ack C+1    K is a cookie: nothing is remembered, packet 1's buffer is used
//!   3  client -> vip     ACK       seq C+1, ack K+1  the cookie is checked; only now there is a connection
//!   4  laddr -> server   SYN       seq F             with what the client had offered
//!   5  server -> laddr   SYN,ACK   seq R, ack F+1    not passed on; from now on sequence numbers are shifted by K - R
//!   6  laddr -> server   ACK       seq F+1, ack R+1  packet 3, and whatever the client sent since
//! ```

pub mod config;
pub mod cookie;
pub mod limit;
pub mod offer;
pub mod segment;
pub mod session;
pub mod translate;
