// SPDX-License-Identifier: Apache-2.0
//! By address: dh and sh. A server that takes no new connections keeps its place, so that the clients of the others stay.

use super::table::Table;
use super::{Ask, hash, usable, usable_after};
use crate::snapshot::{Dest, Service, Snapshot};

/// How often another place is tried for a client whose server takes none, before the list is gone through.
pub(super) const TRIES: u32 = 256;

/// Destination hashing: all servers have the same share of addresses.
pub(super) fn dh<'s>(svc: &Service, snap: &'s Snapshot, ask: &Ask) -> Option<&'s Dest> {
    let hash = hash::whole(0, ask.tuple.target_ip(), 0);
    usable(svc, snap, hash.checked_rem(svc.dests.len() as u64)? as usize)
}

/// Source hashing: servers have shares of clients by their weight, at least 1.
pub(super) fn sh<'s>(svc: &Service, snap: &'s Snapshot, ask: &Ask) -> Option<&'s Dest> {
    let Some(Table::Shares(shares)) = svc.hashing.table.as_deref() else { return None };
    let (addr, port) = hash::client(ask.tuple.source(), svc.hashing.port);
    let place = |offset| shares.at(hash::whole(offset, addr, port));
    let at = place(0)?;
    usable(svc, snap, at).or_else(|| {
        if !svc.hashing.fallback {
            return None;
        }
        (1..=TRIES)
            .find_map(|offset| usable(svc, snap, place(offset)?))
            .or_else(|| usable_after(svc, snap, at).next())
    })
}
