// SPDX-License-Identifier: Apache-2.0
//! Round robin: the next usable server after the last one.

use super::{Cursor, usable};
use crate::snapshot::{Dest, Service, Snapshot};

pub(super) fn pick<'s>(svc: &Service, snap: &'s Snapshot, cursor: &mut Cursor) -> Option<&'s Dest> {
    let (n, last) = (svc.dests.len(), cursor.at);
    (1..=n).map(|step| (last + step) % n).find_map(|at| {
        let dest = usable(svc, snap, at)?;
        cursor.at = at;
        Some(dest)
    })
}
