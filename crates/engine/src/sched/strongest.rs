// SPDX-License-Identifier: Apache-2.0
//! The server with the greatest weight: fo and ovf. Ties keep the one added first.

use super::table::Table;
use super::{Ask, Load, usable};
use crate::snapshot::{Dest, Service, Snapshot};

/// Failover: whichever usable one has the greatest weight.
pub(super) fn fo<'s>(svc: &Service, snap: &'s Snapshot) -> Option<&'s Dest> {
    in_order(svc, snap).next()
}

/// Overflow: a server is full with as many established connections as its weight; `None` when all are.
pub(super) fn ovf<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    ask: &Ask,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    in_order(svc, snap).find(|dest| load(dest).active < ask.part(dest.weight))
}

/// Those that take new connections, the greatest weight first.
fn in_order<'s>(svc: &Service, snap: &'s Snapshot) -> impl Iterator<Item = &'s Dest> {
    let order = match svc.hashing.table.as_deref() {
        Some(Table::Order(order)) => &order[..],
        _ => &[],
    };
    order.iter().filter_map(|&at| usable(svc, snap, at as usize))
}

/// Positions by weight, the greatest first.
pub(super) fn order(weights: impl Iterator<Item = u32>) -> Box<[u32]> {
    let mut order: Vec<(u32, u32)> = (0..).zip(weights).collect();
    // Stable: of equals the one added first stays first.
    order.sort_by_key(|&(_, weight)| std::cmp::Reverse(weight));
    order.into_iter().map(|(at, _)| at).collect()
}
