// SPDX-License-Identifier: Apache-2.0
//! What the daemon gathered from workers and devices for an answer. [`crate::wants`] says what a question needs; the rest may be left
//! empty.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::counters::{LinkCounters, Traffic};
use engine::laddr::Usage;
use engine::neigh::Listed;
use engine::tick::Tick;
use model::ConnEntry;
use model::link::CpuCounters;
use model::stats::PortCounters;

use crate::meter::Meter;

/// Everything an answer may draw on besides the state.
#[derive(Clone, Debug)]
pub struct Observed<'m> {
    /// Counters and rates of services and servers, fed just now.
    pub meter: &'m Meter,
    /// What each worker told, by [`engine::ids::LcoreId`]; always one for each, if empty.
    pub workers: Vec<WorkerReport>,
    /// What each device told, by [`engine::ids::PortId`].
    pub ports: Vec<PortReport>,
    /// Connections that were asked for: a page of one worker's, or the one found.
    pub conns: Vec<ConnEntry>,
    /// The slot that worker goes on with; `None` at its end.
    pub conns_next: Option<usize>,
    /// When the daemon started.
    pub started: Tick,
    /// NUMA node of the control thread.
    pub socket: u16,
}

impl<'m> Observed<'m> {
    /// Nothing but a meter and what was there at start; the rest is for the daemon to fill in.
    pub fn new(meter: &'m Meter, started: Tick) -> Self {
        Observed {
            meter,
            workers: Vec::new(),
            ports: Vec::new(),
            conns: Vec::new(),
            conns_next: None,
            started,
            socket: 0,
        }
    }
}

/// What one worker told.
#[derive(Clone, Debug, Default)]
pub struct WorkerReport {
    /// NUMA node it runs on.
    pub socket: u16,
    /// Connections its table can hold.
    pub conn_capacity: u64,
    /// Connections in its table.
    pub conn_count: u64,
    /// Where its packets went.
    pub traffic: Traffic,
    /// Packets waiting for neighbours.
    pub held: u64,
    /// What its loop counted.
    pub cpu: CpuCounters,
    /// What links carried, by [`engine::ids::LinkId`].
    pub links: Vec<LinkCounters>,
    /// Leases by local address.
    pub laddrs: HashMap<IpAddr, Usage>,
    /// Its neighbours.
    pub neighs: Vec<Listed>,
    /// What its SYN proxy did.
    pub syn_proxy: engine::synproxy::Report,
}

/// What one device told.
#[derive(Clone, Debug, Default)]
pub struct PortReport {
    /// What it counts.
    pub counters: PortCounters,
    /// Its driver's own counters.
    pub xstats: Vec<(String, u64)>,
    /// Free packet buffers of its pool.
    pub mbuf_avail: u32,
    /// Packet buffers of its pool in use.
    pub mbuf_inuse: u32,
}
