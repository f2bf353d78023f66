// SPDX-License-Identifier: Apache-2.0
//! The least loaded server: lc, wlc, sed and nq. An established connection counts as 256 others; ties keep the earlier server.

use super::{Load, usable_after};
use crate::snapshot::{Dest, Service, Snapshot};

/// Least connections, whatever the weights.
pub(super) fn lc<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    at: usize,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    usable_after(svc, snap, at).min_by_key(|dest| overhead(load(dest)))
}

/// Weighted least connections.
pub(super) fn wlc<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    at: usize,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    least(usable_after(svc, snap, at), |dest| overhead(load(dest)))
}

/// Shortest expected delay. Connections that are not established count a little, so that a burst of new ones spreads.
pub(super) fn sed<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    at: usize,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    least(usable_after(svc, snap, at), |dest| overhead(load(dest)) + ESTABLISHED)
}

/// Never queue: servers without established connections come first, those with the fewest others for their weight before all.
pub(super) fn nq<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    at: usize,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    let idle = usable_after(svc, snap, at).filter(|dest| load(dest).active == 0);
    least(idle, |dest| overhead(load(dest))).or_else(|| sed(svc, snap, at, load))
}

/// The one with the least cost for its weight.
pub(super) fn least<'s>(
    candidates: impl Iterator<Item = &'s Dest>,
    cost: impl Fn(&Dest) -> u64,
) -> Option<&'s Dest> {
    candidates
        .map(|dest| (dest, cost(dest)))
        // 64-bit products: 2^32 connections times a weight of 2^16 still fit.
        .reduce(|best, next| if dearer(best, next) { next } else { best })
        .map(|(dest, _)| dest)
}

/// Whether `a` costs more for its weight than `b`.
pub(super) fn dearer(a: (&Dest, u64), b: (&Dest, u64)) -> bool {
    a.1 * u64::from(b.0.weight) > b.1 * u64::from(a.0.weight)
}

pub(super) fn overhead(load: Load) -> u64 {
    u64::from(load.active) * ESTABLISHED + u64::from(load.inactive)
}

/// What an established connection counts.
const ESTABLISHED: u64 = 256;
