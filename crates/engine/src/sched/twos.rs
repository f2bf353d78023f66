// SPDX-License-Identifier: Apache-2.0
//! The power of two choices: lots choose two servers, each by its weight; the less loaded one for its weight is taken.

use super::table::Table;
use super::{Ask, Load, least, usable, usable_after};
use crate::snapshot::{Dest, Service, Snapshot};

pub(super) fn pick<'s>(
    svc: &Service,
    snap: &'s Snapshot,
    ask: &Ask,
    load: impl Fn(&Dest) -> Load,
) -> Option<&'s Dest> {
    let Some(Table::Shares(shares)) = svc.hashing.table.as_deref() else { return None };
    let lots = [ask.dice, ask.dice.rotate_left(32)];
    let drawn = lots.into_iter().filter_map(|lot| usable(svc, snap, shares.at(lot)?));
    // Weights of 0 draw no lot; one that lost its weight after that leaves the choice to the other.
    least::least(drawn, |dest| least::overhead(load(dest)))
        .or_else(|| usable_after(svc, snap, svc.dests.len().saturating_sub(1)).next())
}
