// SPDX-License-Identifier: Apache-2.0
//! Choosing a server for a new connection.
//!
//! A closed set: a new scheduler breaks every `match` that has to think about it. What a scheduler remembers
//! is a [`Cursor`] per service and worker; a server is usable when it takes new connections (weight above 0).

mod rr;
mod wlc;
mod wrr;

use crate::ids::DestId;
use crate::snapshot::{Dest, Service, Snapshot};

/// How a service chooses servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduler {
    /// In turn.
    Rr,
    /// In turn, each as often as its weight says.
    Wrr,
    /// The one with the fewest connections for its weight.
    #[default]
    Wlc,
}

impl Scheduler {
    /// Every scheduler.
    pub const ALL: [Scheduler; 3] = [Scheduler::Rr, Scheduler::Wrr, Scheduler::Wlc];

    /// The name operators write.
    pub fn name(self) -> &'static str {
        match self {
            Scheduler::Rr => "rr",
            Scheduler::Wrr => "wrr",
            Scheduler::Wlc => "wlc",
        }
    }

    /// The scheduler of that name.
    pub fn from_name(name: &str) -> Option<Scheduler> {
        Scheduler::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// What a scheduler remembers about one service on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The service's generation and revision it belongs to; another one starts anew.
    stamp: (u32, u32),
    /// Position of the server chosen last, in the service's list.
    at: usize,
    /// Weighted round robin: servers of at least this weight are taken in this round.
    weight: u32,
}

/// Connections of a destination on this worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// In state established.
    pub active: u32,
    /// All others.
    pub inactive: u32,
}

/// Chooses a server of `svc`; `None` when none is usable.
///
/// `lcore` is this worker's number: each starts its first round at another server, so that workers do not run in
/// lock-step. `load` tells the connections of a server.
pub fn pick<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    cursor: &mut Cursor,
    lcore: usize,
    load: impl Fn(DestId) -> Load,
) -> Option<&'s Dest> {
    let stamp = (svc.generation, svc.revision);
    if cursor.stamp != stamp {
        *cursor = Cursor { stamp, at: first(svc.dests.len(), lcore), weight: 0 };
    }
    match svc.scheduler {
        Scheduler::Rr => rr::pick(svc, snap, cursor),
        Scheduler::Wrr => wrr::pick(svc, snap, cursor),
        Scheduler::Wlc => wlc::pick(svc, snap, cursor, load),
    }
}

/// The position before the one worker `lcore` begins with.
fn first(dests: usize, lcore: usize) -> usize {
    if dests == 0 { 0 } else { (dests - 1 + lcore) % dests }
}

/// The server at position `at` of `svc`, if it takes new connections.
fn usable<'s>(svc: &Service, snap: &'s Snapshot, at: usize) -> Option<&'s Dest> {
    let id = *svc.dests.get(at)?;
    snap.dests.get(id.index())?.as_ref().filter(|dest| dest.weight > 0)
}

#[cfg(test)]
mod tests;
