// SPDX-License-Identifier: Apache-2.0
//! Choosing a server for a new connection.
//!
//! A closed set: a new scheduler breaks every `match` that has to think about it. What a scheduler remembers
//! is a [`Cursor`] per service and worker, what it looks up a [`Table`] per service that control compiles; a server is usable
//! when it takes new connections (weight above 0, and below its thresholds).
//!
//! Workers count only their own connections. Where a weight is a number of connections (ovf, lblc, lblcr) each worker
//! has its part of it, rounded up: together they exceed it by less than one a worker.

mod hash;
mod least;
mod local;
mod maglev;
mod ring;
mod rr;
mod source;
mod strongest;
mod table;
mod twos;
mod wrr;

use std::sync::Arc;

use model::Transport;

use crate::conn::Tuple;
use crate::ids::DestId;
use crate::snapshot::{Dest, Service, Snapshot};
use crate::tick::Tick;

pub use table::Table;

/// How a service chooses servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduler {
    /// In turn.
    Rr,
    /// In turn, each as often as its weight says.
    Wrr,
    /// The one with the fewest connections.
    Lc,
    /// The one with the fewest connections for its weight.
    #[default]
    Wlc,
    /// The one that the new connection waits for least: the fewest connections, the new one included, for its weight.
    Sed,
    /// One without established connections if there is any, otherwise as sed.
    Nq,
    /// By the address the client sends to.
    Dh,
    /// By the client's address.
    Sh,
    /// By the client's address: consistent hashing with a table that is the same on every machine (Maglev).
    Mh,
    /// By the client's address: consistent hashing on a ring.
    Conhash,
    /// The one with the greatest weight.
    Fo,
    /// The one with the greatest weight that has fewer established connections than its weight.
    Ovf,
    /// The one that had this target last, unless it is overloaded.
    Lblc,
    /// One of those that had this target, and one more while they are overloaded.
    Lblcr,
    /// The one with fewer connections for its weight of two that lots choose.
    Twos,
    /// None: clients that are remembered keep their server, and others get none.
    None,
}

impl Scheduler {
    /// Every scheduler.
    pub const ALL: [Scheduler; 16] = [
        Scheduler::Rr,
        Scheduler::Wrr,
        Scheduler::Lc,
        Scheduler::Wlc,
        Scheduler::Sed,
        Scheduler::Nq,
        Scheduler::Dh,
        Scheduler::Sh,
        Scheduler::Mh,
        Scheduler::Conhash,
        Scheduler::Fo,
        Scheduler::Ovf,
        Scheduler::Lblc,
        Scheduler::Lblcr,
        Scheduler::Twos,
        Scheduler::None,
    ];

    /// The name operators write.
    pub fn name(self) -> &'static str {
        match self {
            Scheduler::Rr => "rr",
            Scheduler::Wrr => "wrr",
            Scheduler::Lc => "lc",
            Scheduler::Wlc => "wlc",
            Scheduler::Sed => "sed",
            Scheduler::Nq => "nq",
            Scheduler::Dh => "dh",
            Scheduler::Sh => "sh",
            Scheduler::Mh => "mh",
            Scheduler::Conhash => "conhash",
            Scheduler::Fo => "fo",
            Scheduler::Ovf => "ovf",
            Scheduler::Lblc => "lblc",
            Scheduler::Lblcr => "lblcr",
            Scheduler::Twos => "twos",
            Scheduler::None => "none",
        }
    }

    /// The scheduler of that name.
    pub fn from_name(name: &str) -> Option<Scheduler> {
        Scheduler::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// What the schedulers that hash need besides servers and weights.
#[derive(Clone, Debug, Default)]
pub struct Hashing {
    /// A client's port counts too, so that its connections spread (sh-port, mh-port).
    pub port: bool,
    /// The clients of a server that takes none go to others instead of being refused (sh-fallback, mh-fallback).
    pub fallback: bool,
    /// Identifiers of QUIC connections are hashed, where packets have any (conhash).
    pub quic_id: bool,
    /// What is looked up; `None` before [`Snapshot::index`], and for schedulers that look nothing up.
    pub table: Option<Arc<Table>>,
}

/// What a choice depends on besides the service.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// From the client to the service.
    pub tuple: Tuple,
    /// This worker's number.
    pub worker: usize,
    /// How many workers there are.
    pub workers: usize,
    /// Now.
    pub now: Tick,
    /// A random number.
    pub dice: u64,
    /// The identifier of a QUIC connection, where the service hashes that.
    pub quic_id: Option<u64>,
}

impl Ask {
    /// This worker's part of a number of connections, rounded up.
    fn part(&self, conns: u32) -> u32 {
        conns.div_ceil(u32::try_from(self.workers).unwrap_or(u32::MAX).max(1))
    }
}

/// What a scheduler remembers about one service on one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The service's generation and revision it belongs to; another one starts anew.
    stamp: (u32, u32),
    /// Position of the server chosen last, in the service's list.
    at: usize,
    /// Weighted round robin: servers of at least this weight are taken in this round.
    weight: u32,
    /// Servers that have the service's address, by locality; they outlast revisions.
    near: local::Near,
}

/// Connections of a destination on this worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// In state established.
    pub active: u32,
    /// All others.
    pub inactive: u32,
}

/// Chooses a server of `svc`; `None` when none is usable, or the one a client belongs to is not.
///
/// `load` tells the connections of a server. Each worker starts its first round at another server, so that workers do not run
/// in lock-step.
pub fn pick<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    cursor: &mut Cursor,
    ask: &Ask,
    load: impl Fn(DestId) -> Load,
) -> Option<&'s Dest> {
    let stamp = (svc.generation, svc.revision);
    if cursor.stamp != stamp {
        let near =
            if cursor.stamp.0 == stamp.0 { std::mem::take(&mut cursor.near) } else { Default::default() };
        *cursor = Cursor { stamp, at: first(svc.dests.len(), ask.worker), weight: 0, near };
    }
    // Nothing tells when a datagram flow is established: all of them count as if they were.
    let load = |dest: &Dest| match (load(dest.id), svc.transport) {
        (Load { active, inactive }, Transport::Udp) => {
            Load { active: active.saturating_add(inactive), inactive: 0 }
        }
        (load, _) => load,
    };
    match svc.scheduler {
        Scheduler::Rr => rr::pick(svc, snap, cursor),
        Scheduler::Wrr => wrr::pick(svc, snap, cursor),
        Scheduler::Lc => least::lc(svc, snap, cursor.at, load),
        Scheduler::Wlc => least::wlc(svc, snap, cursor.at, load),
        Scheduler::Sed => least::sed(svc, snap, cursor.at, load),
        Scheduler::Nq => least::nq(svc, snap, cursor.at, load),
        Scheduler::Dh => source::dh(svc, snap, ask),
        Scheduler::Sh => source::sh(svc, snap, ask),
        Scheduler::Mh => maglev::pick(svc, snap, ask),
        Scheduler::Conhash => ring::pick(svc, snap, ask),
        Scheduler::Fo => strongest::fo(svc, snap),
        Scheduler::Ovf => strongest::ovf(svc, snap, ask, load),
        Scheduler::Lblc => local::lblc(svc, snap, &mut cursor.near, ask, load),
        Scheduler::Lblcr => local::lblcr(svc, snap, &mut cursor.near, ask, load),
        Scheduler::Twos => twos::pick(svc, snap, ask, load),
        Scheduler::None => None,
    }
}

/// The position before the one worker `worker` begins with.
fn first(dests: usize, worker: usize) -> usize {
    if dests == 0 { 0 } else { (dests - 1 + worker) % dests }
}

/// The server at position `at` of `svc`, if it takes new connections.
fn usable<'s>(svc: &Service, snap: &'s Snapshot, at: usize) -> Option<&'s Dest> {
    let id = *svc.dests.get(at)?;
    snap.dests.get(id.index())?.as_ref().filter(|dest| dest.is_open())
}

/// Whether the server at position `at` was found dead: its clients go to others meanwhile, as if it had weight 0.
fn inhibited(svc: &Service, snap: &Snapshot, at: usize) -> bool {
    let dest = svc.dests.get(at).and_then(|id| snap.dests.get(id.index())?.as_ref());
    dest.is_some_and(Dest::is_inhibited)
}

/// Every server of `svc` that takes new connections, once round from the one after position `at`.
fn usable_after<'s>(svc: &Service, snap: &'s Snapshot, at: usize) -> impl Iterator<Item = &'s Dest> {
    // In two pieces: going round by a remainder would cost a division for each server.
    let (before, after) = svc.dests.split_at(svc.dests.len().min(at + 1));
    after
        .iter()
        .chain(before)
        .filter_map(|id| snap.dests.get(id.index())?.as_ref().filter(|dest| dest.is_open()))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
