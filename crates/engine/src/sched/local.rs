// SPDX-License-Identifier: Apache-2.0
//! By locality: lblc and lblcr. What clients ask of one address stays with one server, or a few, whose caches are warm.
//!
//! A service has one address, so what is remembered is one list a service and worker. All workers begin with the same server.

use arrayvec::ArrayVec;

use super::{Ask, Load, least};
use crate::ids::DestId;
use crate::snapshot::{Dest, Service, Snapshot};
use crate::tick::Tick;

/// Servers a target is spread over at most. When one more is needed, the most loaded makes room.
const MOST: usize = 16;

/// After this long without change a list of several servers loses the most loaded: a day.
const SETTLED_MS: u64 = 24 * 60 * 60 * 1000;

/// The servers that have a service's address, with their generations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Near {
    dests: ArrayVec<(DestId, u32), MOST>,
    /// When the list changed last.
    changed: Tick,
}

/// Locality-based least connections: one server has the address until it is overloaded.
pub(super) fn lblc<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    near: &mut Near,
    ask: &Ask,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    let kept = near.usable(svc, snap).next().filter(|dest| !is_overloaded(dest, svc, snap, ask, &load));
    kept.or_else(|| {
        let dest = least::wlc(svc, snap, before_first(svc), &load)?;
        near.dests.clear();
        near.add(dest, ask.now, &load, svc, snap);
        Some(dest)
    })
}

/// Locality-based least connections with replication: the least loaded of those that have the address; one more gets it
/// while that one is overloaded.
pub(super) fn lblcr<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    near: &mut Near,
    ask: &Ask,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    let kept = least::least(near.usable(svc, snap), |dest| least::overhead(load(dest)));
    if near.dests.len() > 1 && ask.now.since(near.changed) > SETTLED_MS {
        near.drop_most_loaded(svc, snap, &load);
        near.changed = ask.now;
    }
    kept.filter(|dest| !is_overloaded(dest, svc, snap, ask, &load)).or_else(|| {
        let dest = least::wlc(svc, snap, before_first(svc), &load)?;
        near.add(dest, ask.now, &load, svc, snap);
        Some(dest)
    })
}

/// More established connections than its weight, while another has less than half of its own.
fn is_overloaded(
    dest: &Dest,
    svc: &Service,
    snap: &Snapshot,
    ask: &Ask,
    load: impl Fn(&Dest) -> Load,
) -> bool {
    load(dest).active > ask.part(dest.weight)
        && super::usable_after(svc, snap, before_first(svc))
            .any(|other| u64::from(load(other).active) * 2 < u64::from(ask.part(other.weight)))
}

fn before_first(svc: &Service) -> usize {
    svc.dests.len().saturating_sub(1)
}

impl Near {
    /// Those still there that take new connections.
    fn usable<'s>(&self, svc: &Service, snap: &'s Snapshot) -> impl Iterator<Item = &'s Dest> {
        self.dests
            .iter()
            .filter_map(|&(id, generation)| snap.dest(id, generation))
            .filter(|dest| dest.service == svc.id && dest.is_open())
    }

    fn add(&mut self, dest: &Dest, now: Tick, load: impl Fn(&Dest) -> Load, svc: &Service, snap: &Snapshot) {
        // Those that are gone or take none make room; they are chosen anew if they come back.
        self.dests.retain(|&mut (id, generation)| {
            snap.dest(id, generation).is_some_and(|dest| dest.service == svc.id && dest.is_open())
        });
        if self.dests.contains(&(dest.id, dest.generation)) {
            return;
        }
        if self.dests.is_full() {
            self.drop_most_loaded(svc, snap, load);
        }
        self.dests.push((dest.id, dest.generation));
        self.changed = now;
    }

    fn drop_most_loaded(&mut self, svc: &Service, snap: &Snapshot, load: impl Fn(&Dest) -> Load) {
        let weighed = self.usable(svc, snap).map(|dest| (dest, least::overhead(load(dest))));
        let most = weighed.reduce(|most, next| if least::dearer(next, most) { next } else { most });
        if let Some((dest, _)) = most {
            let dropped = (dest.id, dest.generation);
            self.dests.retain(|kept| *kept != dropped);
        }
    }
}
