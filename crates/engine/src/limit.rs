// SPDX-License-Identifier: Apache-2.0
//! Connection thresholds of a server: at the upper one it takes no new connections until it has fewer than the lower one.
//!
//! The rule is that of LVS. All workers count together: each adds its own connections to one number, when a connection
//! opens or closes and never for a packet in between. Workers that open at the same instant may together go past the
//! threshold, by less than one a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Connections of a server on all workers, and whether it is full. Clones are the same number.
#[derive(Clone, Debug, Default)]
pub struct Occupancy(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    conns: AtomicU32,
    full: AtomicBool,
}

impl Occupancy {
    /// Whether the upper threshold was reached and connections are not below the lower one again.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.0.full.load(Ordering::Relaxed)
    }
}

impl PartialEq for Occupancy {
    /// Whether it is the same number, not whether it is equal now.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The thresholds of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Connections, established or not, with which it is full; not 0.
    pub upper: u32,
    /// Connections below which it takes new ones again; 0 for three quarters of `upper`.
    pub lower: u32,
    /// What it has.
    pub occupancy: Occupancy,
}

impl Limit {
    /// This worker has `conns` more connections with it.
    pub(crate) fn add(&self, conns: u32) {
        self.judge(self.occupancy.0.conns.fetch_add(conns, Ordering::Relaxed).wrapping_add(conns));
    }

    /// This worker has a connection less with it.
    pub(crate) fn sub(&self) {
        self.judge(self.occupancy.0.conns.fetch_sub(1, Ordering::Relaxed).wrapping_sub(1));
    }

    /// Judges anew under other thresholds: a server that was full is not, if the new ones have room.
    pub(crate) fn reset(&self) {
        let conns = self.occupancy.0.conns.load(Ordering::Relaxed);
        self.occupancy.0.full.store(conns >= self.upper, Ordering::Relaxed);
    }

    fn judge(&self, conns: u32) {
        let room = match self.lower {
            0 => u64::from(conns) * 4 < u64::from(self.upper) * 3,
            lower => conns < lower,
        };
        if conns >= self.upper {
            self.occupancy.0.full.store(true, Ordering::Relaxed);
        } else if room {
            self.occupancy.0.full.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(upper: u32, lower: u32) -> Limit {
        Limit { upper, lower, occupancy: Occupancy::default() }
    }

    #[test]
    fn a_full_server_has_room_again_below_the_lower_threshold() {
        let limit = limit(4, 2);
        let mut seen = Vec::new();
        for _ in 0..4 {
            limit.add(1);
            seen.push(limit.occupancy.is_full());
        }
        for _ in 0..3 {
            limit.sub();
            seen.push(limit.occupancy.is_full());
        }
        assert_eq!(seen, [false, false, false, true, true, true, false]);
    }

    #[test]
    fn without_a_lower_threshold_three_quarters_count() {
        let limit = limit(8, 0);
        limit.add(8);
        limit.sub();
        limit.sub();
        assert!(limit.occupancy.is_full(), "6 of 8 are three quarters");
        limit.sub();
        assert!(!limit.occupancy.is_full());
    }

    #[test]
    fn other_thresholds_are_judged_at_once() {
        let few = limit(4, 2);
        few.add(5);
        let more = Limit { upper: 6, ..few.clone() };
        more.reset();
        assert!(!more.occupancy.is_full());
        few.reset();
        assert!(more.occupancy.is_full(), "it is one number");
    }
}
