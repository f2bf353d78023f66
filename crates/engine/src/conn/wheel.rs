// SPDX-License-Identifier: Apache-2.0
//! The timer wheel of the connection table.
//!
//! Packets only stamp `last_seen`. When the wheel reaches a connection that was used since, it is moved to where
//! it would expire now; so a packet costs one store, and a connection is looked at once per idle time at most.
//! Lists are threaded through the connections themselves.

use crate::tick::Tick;

/// Milliseconds in a wheel tick.
pub const GRAIN_MS: u64 = 64;

/// Ticks round the wheel: 4.4 minutes. What lies further ahead is looked at once a round.
const SLOTS: u32 = 4096;

/// Engine time in wheel ticks; wraps after 8.7 years.
#[inline(always)]
pub fn ticks(now: Tick) -> u32 {
    (now.0 / GRAIN_MS) as u32
}

/// Seconds in wheel ticks, rounded up; at most half the range, so that differences stay unambiguous.
#[inline(always)]
pub fn secs(seconds: u32) -> u32 {
    (u64::from(seconds) * 1000).div_ceil(GRAIN_MS).min(u64::from(u32::MAX / 2)) as u32
}

/// Wheel ticks in whole seconds, rounded up.
pub fn in_secs(ticks: u32) -> u32 {
    (u64::from(ticks) * GRAIN_MS).div_ceil(1000) as u32
}

/// Heads of the lists, and how far time has come.
pub(super) struct Wheel {
    pub(super) heads: Box<[u32]>,
    /// The next tick to look at.
    pub(super) at: u32,
}

impl Wheel {
    pub(super) fn new(nil: u32) -> Self {
        Wheel { heads: vec![nil; SLOTS as usize].into_boxed_slice(), at: 0 }
    }

    /// The list for something due at `due`, seen from now.
    pub(super) fn slot(&self, due: u32) -> u16 {
        let ahead = (due.wrapping_sub(self.at) as i32).max(0) as u32;
        (self.at.wrapping_add(ahead.min(SLOTS - 1)) % SLOTS) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_up_and_saturate() {
        assert_eq!(secs(0), 0);
        assert_eq!(secs(1), 16);
        assert_eq!(secs(u32::MAX), u32::MAX / 2);
        assert_eq!(in_secs(secs(90)), 91);
        assert_eq!(in_secs(0), 0);
    }

    #[test]
    fn far_and_past_times_stay_on_the_wheel() {
        let mut wheel = Wheel::new(u32::MAX);
        wheel.at = 10;
        assert_eq!(wheel.slot(9), 10);
        assert_eq!(wheel.slot(12), 12);
        assert_eq!(wheel.slot(1_000_000), (10 + 4095) % 4096);
    }
}
