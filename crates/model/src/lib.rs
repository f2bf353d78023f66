// SPDX-License-Identifier: Apache-2.0
//! The nouns of the director: services, destinations, addresses, routes, links.
//!
//! What operators configure and see, without how it crosses the control socket, how it looks on the wire or
//! how a worker finds it. Types derive bincode's and serde's traits and have the logic of neither.
#![forbid(unsafe_code)]

pub mod addr;
pub mod conn;
pub mod dest;
pub mod ipset;
pub mod link;
pub mod net;
pub mod options;
pub mod rule;
pub mod service;
pub mod stats;
pub mod tunnel;

pub use addr::{Family, MacAddr, Prefix};
pub use conn::{ConnEntry, ConnState, EngineData};
pub use dest::{DestSpec, Forwarding, TunnelKind};
pub use options::{ServiceOptions, ServiceOptionsPatch};
pub use rule::MatchRule;
pub use service::{Granularity, Persistence, Scheduling, ServiceKey, ServiceSpec, Timeouts, Transport};
pub use stats::{Counters, Rates};
