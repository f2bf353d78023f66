// SPDX-License-Identifier: Apache-2.0
//! The server with the greatest weight: fo and ovf. Ties keep the one added first.

use super::{Ask, Load, usable_after};
use crate::snapshot::{Dest, Service, Snapshot};

/// Failover: whichever usable one has the greatest weight.
pub(super) fn fo<'s>(svc: &Service, snap: &'s Snapshot) -> Option<&'s Dest> {
    strongest(in_order(svc, snap))
}

/// Overflow: a server is full with as many established connections as its weight; `None` when all are.
pub(super) fn ovf<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    ask: &Ask,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    strongest(in_order(svc, snap).filter(|dest| load(dest).active < ask.part(dest.weight)))
}

fn in_order<'s>(svc: &Service, snap: &'s Snapshot) -> impl Iterator<Item = &'s Dest> {
    usable_after(svc, snap, svc.dests.len().saturating_sub(1))
}

fn strongest<'s>(candidates: impl Iterator<Item = &'s Dest>) -> Option<&'s Dest> {
    candidates.reduce(|best, next| if next.weight > best.weight { next } else { best })
}
