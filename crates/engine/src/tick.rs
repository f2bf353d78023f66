// SPDX-License-Identifier: Apache-2.0
//! Engine time: coarse, monotonic, always handed in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Milliseconds since an arbitrary start. Never read inside the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// `self` moved on by `ms` milliseconds.
    #[inline(always)]
    pub fn plus_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms))
    }

    /// `self` moved on by `secs` seconds.
    #[inline(always)]
    pub fn plus_secs(self, secs: u32) -> Tick {
        self.plus_ms(u64::from(secs) * 1000)
    }

    /// Milliseconds from `earlier` to `self`, 0 when `earlier` is later.
    #[inline(always)]
    pub fn since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<Duration> for Tick {
    fn from(d: Duration) -> Self {
        Tick(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The latest time that any worker told. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// What was told last.
    #[inline(always)]
    pub fn now(&self) -> Tick {
        Tick(self.0.load(Ordering::Relaxed))
    }

    /// Tells the time.
    pub fn tell(&self, now: Tick) {
        self.0.fetch_max(now.0, Ordering::Relaxed);
    }
}
