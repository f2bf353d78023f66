// SPDX-License-Identifier: Apache-2.0
//! Weighted round robin, as LVS does it: rounds over the list with a falling bar; a server takes part while its
//! weight reaches the bar. The bar falls by the greatest common divisor of all weights and starts at the greatest.

use super::{Cursor, usable};
use crate::snapshot::{Dest, Service, Snapshot};

pub(super) fn pick<'s>(svc: &Service, snap: &'s Snapshot, cursor: &mut Cursor) -> Option<&'s Dest> {
    let n = svc.dests.len();
    let (max, step) = svc.weights;
    if n == 0 || max == 0 {
        return None;
    }
    // A whole cycle: the bar falls from the greatest weight to the step, once round the list for each height.
    let heights = max.div_ceil(step) as usize;
    for _ in 0..n.saturating_mul(heights.saturating_add(1)) {
        cursor.at = (cursor.at + 1) % n;
        if cursor.at == 0 {
            cursor.weight = if cursor.weight > step { cursor.weight - step } else { max };
        } else if cursor.weight == 0 {
            cursor.weight = max;
        }
        if let Some(dest) = usable(svc, snap, cursor.at).filter(|dest| dest.weight >= cursor.weight) {
            return Some(dest);
        }
    }
    None
}
