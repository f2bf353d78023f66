// SPDX-License-Identifier: Apache-2.0
//! Numbers of one worker: where every packet went, and what each destination carries.
//!
//! Received, made here and taken over from other workers together are always: sent, dropped by reason, ended inside, handed to the
//! kernel, handed to other workers, or held. [`Traffic::missing`] says so.

use crate::conn::Dir;
use crate::ids::DestId;
use crate::limit::Limit;
use crate::snapshot::Snapshot;
use crate::verdict::{DROP_REASONS, DropReason};

/// Where every packet of one worker went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Taken from devices.
    pub rx: u64,
    /// Bytes of them.
    pub rx_bytes: u64,
    /// Taken over from other workers.
    pub ring_in: u64,
    /// Made here.
    pub generated: u64,
    /// Given to devices.
    pub tx: u64,
    /// Bytes of them.
    pub tx_bytes: u64,
    /// Handed to other workers.
    pub ring_out: u64,
    /// Handed to the host's own stack.
    pub kernel: u64,
    /// Ended inside: neighbour answers learned from.
    pub consumed: u64,
    /// Dropped, by reason.
    pub drops: [u64; DROP_REASONS],
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            rx: 0,
            rx_bytes: 0,
            ring_in: 0,
            generated: 0,
            tx: 0,
            tx_bytes: 0,
            ring_out: 0,
            kernel: 0,
            consumed: 0,
            drops: [0; DROP_REASONS],
        }
    }
}

impl Traffic {
    /// Packets dropped.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Packets dropped for a reason.
    pub fn drops_for(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// Packets that went nowhere while `held` are waiting. Anything but 0 is a defect.
    pub fn missing(&self, held: usize) -> i64 {
        let entered = self.rx + self.ring_in + self.generated;
        let left = self.tx + self.dropped() + self.consumed + self.kernel + self.ring_out + held as u64;
        entered as i64 - left as i64
    }
}

/// What a link carried on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets received.
    pub ipackets: u64,
    /// Bytes of them.
    pub ibytes: u64,
    /// Packets given to the device.
    pub opackets: u64,
    /// Bytes of them.
    pub obytes: u64,
}

/// What a destination carries on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct DestCounters {
    /// Connections scheduled.
    pub conns: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// IP bytes from clients.
    pub in_bytes: u64,
    /// IP bytes to clients.
    pub out_bytes: u64,
    /// Connections in state established.
    pub active: u32,
    /// All others.
    pub inactive: u32,
    /// The destination these numbers are about.
    pub generation: u32,
}

/// Numbers of all destinations, by [`DestId`].
#[derive(Debug, Default)]
pub struct DestTable {
    counters: Vec<DestCounters>,
    /// Thresholds, by the same number. This worker's connections are part of each one's occupancy.
    limits: Vec<Option<Limit>>,
}

impl DestTable {
    /// Makes room for the destinations of a new snapshot and starts at 0 where a slot has another one now.
    pub fn adopt(&mut self, snap: &Snapshot) {
        if self.counters.len() < snap.dests.len() {
            self.counters.resize(snap.dests.len(), DestCounters::default());
            self.limits.resize(snap.dests.len(), None);
        }
        for ((counters, limit), dest) in self.counters.iter_mut().zip(&mut self.limits).zip(&snap.dests) {
            let Some(dest) = dest else { continue };
            if dest.generation != counters.generation {
                *counters = DestCounters { generation: dest.generation, ..DestCounters::default() };
            }
            if *limit != dest.limit {
                let known = limit.take().is_some_and(|old| Some(&old.occupancy) == dest.occupancy());
                limit.clone_from(&dest.limit);
                match limit {
                    Some(limit) if known => limit.reset(),
                    Some(limit) => limit.add(counters.active + counters.inactive),
                    None => {}
                }
            }
        }
    }

    /// A connection was opened towards a destination.
    pub fn opened(&mut self, id: DestId, generation: u32) {
        let Some(counters) = self.get_mut(id, generation) else { return };
        counters.conns += 1;
        counters.inactive += 1;
        if let Some(Some(limit)) = self.limits.get(id.index()) {
            limit.add(1);
        }
    }

    /// A packet was scheduled to a destination over a connection that is there.
    pub fn scheduled(&mut self, id: DestId, generation: u32) {
        if let Some(counters) = self.get_mut(id, generation) {
            counters.conns += 1;
        }
    }

    /// A packet of `len` bytes to or from a destination goes on.
    #[inline(always)]
    pub fn carried(&mut self, id: DestId, generation: u32, dir: Dir, len: u16) {
        let Some(counters) = self.get_mut(id, generation) else { return };
        let bytes = u64::from(len);
        match dir {
            Dir::Inbound => {
                (counters.in_packets, counters.in_bytes) =
                    (counters.in_packets + 1, counters.in_bytes + bytes)
            }
            Dir::Outbound => {
                (counters.out_packets, counters.out_bytes) =
                    (counters.out_packets + 1, counters.out_bytes + bytes);
            }
        }
    }

    /// A connection with a destination is over.
    pub fn closed(&mut self, id: DestId, generation: u32, active: bool) {
        let Some(counters) = self.get_mut(id, generation) else { return };
        let count = if active { &mut counters.active } else { &mut counters.inactive };
        debug_assert!(*count > 0, "it was counted when it was opened");
        *count = count.saturating_sub(1);
        if let Some(Some(limit)) = self.limits.get(id.index()) {
            limit.sub();
        }
    }

    /// The numbers of a destination, unless another one has taken its slot.
    #[inline(always)]
    pub fn get_mut(&mut self, id: DestId, generation: u32) -> Option<&mut DestCounters> {
        self.counters.get_mut(id.index()).filter(|counters| counters.generation == generation)
    }

    /// The numbers in a slot.
    #[inline(always)]
    pub fn get(&self, id: DestId) -> Option<&DestCounters> {
        self.counters.get(id.index())
    }

    /// All slots.
    pub fn all(&self) -> &[DestCounters] {
        &self.counters
    }

    /// Zeroes what a destination has carried; its present connections stay counted.
    pub fn zero(&mut self, id: DestId) {
        if let Some(c) = self.counters.get_mut(id.index()) {
            *c = DestCounters {
                active: c.active,
                inactive: c.inactive,
                generation: c.generation,
                ..DestCounters::default()
            };
        }
    }
}
