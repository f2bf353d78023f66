// SPDX-License-Identifier: Apache-2.0
//! The timer wheel of the connection table.
//!
//! Packets only stamp `last_seen`. When the wheel reaches a connection that was used since, it is moved to where
//! it would expire now; so a packet costs one store, and a connection is looked at once per idle time at most.
//! Lists are threaded through the connections themselves. A tick has several: the next connection of a list is known only when
//! the one before it has come from memory, so one list alone would wait for memory at every connection.

use crate::tick::Tick;

/// Milliseconds in a wheel tick.
pub const GRAIN_MS: u64 = 64;

/// Ticks round the wheel: 4.4 minutes. What lies further ahead is looked at once a round.
const SLOTS: u32 = 4096;

/// Lists of a tick.
const LANES: u32 = 8;

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
    /// Where in that tick the next list is looked for.
    lane: u32,
}

impl Wheel {
    pub(super) fn new(nil: u32) -> Self {
        Wheel { heads: vec![nil; (SLOTS * LANES) as usize].into_boxed_slice(), at: 0, lane: 0 }
    }

    /// The list for connection `id` due at `due`, seen from now.
    pub(super) fn slot(&self, due: u32, id: u32) -> u16 {
        let ahead = (due.wrapping_sub(self.at) as i32).max(0) as u32;
        (self.at.wrapping_add(ahead.min(SLOTS - 1)) % SLOTS * LANES + id % LANES) as u16
    }

    /// The first connection of a list of the present tick, the lists taking turns; `nil` when all are empty.
    pub(super) fn head(&mut self, nil: u32) -> u32 {
        let first = (self.at % SLOTS * LANES) as usize;
        let lists = &self.heads[first..first + LANES as usize];
        let turns = (0..LANES).map(|turn| (self.lane + turn) % LANES);
        match turns.map(|lane| (lane, lists[lane as usize])).find(|&(_, head)| head != nil) {
            Some((lane, head)) => {
                self.lane = lane + 1;
                head
            }
            None => nil,
        }
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
    fn lists_of_a_tick_take_turns() {
        let mut wheel = Wheel::new(u32::MAX);
        wheel.at = 5000;
        for id in [1, 2, 7] {
            wheel.heads[usize::from(wheel.slot(0, id))] = id;
        }
        let heads: Vec<u32> = (0..4).map(|_| wheel.head(u32::MAX)).collect();
        assert_eq!(heads, [1, 2, 7, 1]);
        wheel.at = 5001;
        assert_eq!(wheel.head(u32::MAX), u32::MAX);
    }

    #[test]
    fn far_and_past_times_stay_on_the_wheel() {
        let mut wheel = Wheel::new(u32::MAX);
        wheel.at = 10;
        assert_eq!(wheel.slot(9, 0), 10 * 8);
        assert_eq!(wheel.slot(12, 3), 12 * 8 + 3);
        assert_eq!(wheel.slot(1_000_000, 8), (10 + 4095) % 4096 * 8);
    }
}
