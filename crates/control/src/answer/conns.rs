// SPDX-License-Identifier: Apache-2.0
//! Connections, a page of one worker at a time.

use engine::ids::LcoreId;
use model::ConnEntry;
use sockopt::reply::Page;

use crate::observed::Observed;

/// Bits of a cursor that are the slot; the worker is above.
const SLOT_BITS: u32 = 48;

/// The worker and slot a cursor means. Any number is a cursor; what is not there is the end.
pub(super) fn position(cursor: u64) -> (LcoreId, usize) {
    let slot = cursor & ((1 << SLOT_BITS) - 1);
    (LcoreId((cursor >> SLOT_BITS) as u16), usize::try_from(slot).unwrap_or(usize::MAX))
}

fn cursor(worker: u16, slot: usize) -> u64 {
    u64::from(worker) << SLOT_BITS | slot as u64
}

pub(super) fn page(seen: &Observed<'_>, at: u64) -> Page<ConnEntry> {
    let (LcoreId(worker), _) = position(at);
    let next = match seen.conns_next {
        Some(slot) => Some(cursor(worker, slot)),
        None => (usize::from(worker) + 1 < seen.workers.len()).then(|| cursor(worker + 1, 0)),
    };
    Page { entries: seen.conns.clone(), next }
}

pub(super) fn found(seen: &Observed<'_>) -> Page<ConnEntry> {
    Page { entries: seen.conns.clone(), next: None }
}
