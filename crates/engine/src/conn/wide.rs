// SPDX-License-Identifier: Apache-2.0
//! The IPv6 addresses of connections: one cache line beside each slot of the table.
//!
//! The memory is asked for zeroed and at once, so that the system hands out pages only where IPv6 connections live.

use super::entry::{ConnId, Dir};

/// Words of a slot: source and destination of both directions.
const WORDS: usize = 8;

/// Lines of addresses, by slot.
pub(super) struct Wide {
    words: Vec<u64>,
    /// Where the first whole cache line begins.
    start: usize,
}

impl Wide {
    /// Room for `slots` connections.
    pub(super) fn new(slots: usize) -> Self {
        let words = vec![0; slots * WORDS + WORDS - 1];
        let start = words.as_ptr().align_offset(64).min(WORDS - 1);
        Wide { words, start }
    }

    /// Bytes it occupies when all connections are of IPv6.
    pub(super) fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// Source and destination of a direction.
    #[inline(always)]
    pub(super) fn get(&self, id: ConnId, dir: Dir) -> (u128, u128) {
        let at = self.at(id, dir);
        let [a, b, c, d] = *self.words[at..].first_chunk::<4>().expect("slots are within the capacity");
        (u128::from(a) << 64 | u128::from(b), u128::from(c) << 64 | u128::from(d))
    }

    /// Sets source and destination of a direction.
    pub(super) fn set(&mut self, id: ConnId, dir: Dir, (src, dst): (u128, u128)) {
        let at = self.at(id, dir);
        let words = [(src >> 64) as u64, src as u64, (dst >> 64) as u64, dst as u64];
        self.words[at..at + 4].copy_from_slice(&words);
    }

    /// Touches the line of a slot, so that it is on its way. The value means nothing.
    #[inline(always)]
    pub(super) fn warm(&self, id: ConnId) -> u64 {
        self.words[self.at(id, Dir::Inbound)]
    }

    #[inline(always)]
    fn at(&self, id: ConnId, dir: Dir) -> usize {
        self.start + id.0 as usize * WORDS + dir as usize * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_directions_do_not_touch_each_other() {
        let mut wide = Wide::new(3);
        let value = |slot: u32, dir: Dir| {
            let n = u128::from(slot * 2) + dir as u128;
            (n << 100 | 1, n << 64 | n)
        };
        let all = || (0..3).flat_map(|slot| [(slot, Dir::Inbound), (slot, Dir::Outbound)]);
        all().for_each(|(slot, dir)| wide.set(ConnId(slot), dir, value(slot, dir)));
        all().for_each(|(slot, dir)| assert_eq!(wide.get(ConnId(slot), dir), value(slot, dir)));
        assert_eq!(wide.words[wide.start..].as_ptr().align_offset(64), 0, "a slot is one cache line");
    }
}
