// SPDX-License-Identifier: Apache-2.0
//! Weighted least connections: an established connection counts as 256 others.

use super::{Cursor, Load, usable};
use crate::ids::DestId;
use crate::snapshot::{Dest, Service, Snapshot};

pub(super) fn pick<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    cursor: &Cursor,
    load: impl Fn(DestId) -> Load,
) -> Option<&'s Dest> {
    let n = svc.dests.len();
    let candidates = (1..=n).filter_map(|step| usable(svc, snap, (cursor.at + step) % n));
    let weighed = candidates.map(|dest| (dest, overhead(load(dest.id))));
    // 64-bit products: 2^32 connections times a weight of 2^16 still fit. Ties keep the earlier one.
    weighed
        .reduce(|best, next| {
            if best.1 * u64::from(next.0.weight) > next.1 * u64::from(best.0.weight) { next } else { best }
        })
        .map(|(dest, _)| dest)
}

fn overhead(load: Load) -> u64 {
    u64::from(load.active) * 256 + u64::from(load.inactive)
}
