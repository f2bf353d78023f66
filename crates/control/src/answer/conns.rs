// SPDX-License-Identifier: Apache-2.0
//! Connections, a page of one worker at a time, and then the templates of persistent services.

use engine::ids::LcoreId;
use engine::tick::Tick;
use model::ConnEntry;
use sockopt::reply::Page;

use crate::observed::Observed;
use crate::state::State;

/// Templates in a page, about.
const TEMPLATES: usize = 2048;

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

pub(super) fn page(state: &State, seen: &Observed<'_>, at: u64, now: Tick) -> Page<ConnEntry> {
    let (LcoreId(worker), from) = position(at);
    // The templates have the number after the last worker's.
    if usize::from(worker) >= seen.workers.len() {
        let (entries, next) = state.templates.list(from, TEMPLATES, now);
        return Page { entries, next: next.map(|next| cursor(worker, next)) };
    }
    let next = match seen.conns_next {
        Some(slot) => cursor(worker, slot),
        None => cursor(worker + 1, 0),
    };
    let last = seen.conns_next.is_none() && usize::from(worker) + 1 == seen.workers.len();
    let next = (!last || !state.templates.is_empty()).then_some(next);
    Page { entries: seen.conns.clone(), next }
}

pub(super) fn found(seen: &Observed<'_>) -> Page<ConnEntry> {
    Page { entries: seen.conns.clone(), next: None }
}
