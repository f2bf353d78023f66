// SPDX-License-Identifier: Apache-2.0
//! The fragmented datagrams that pass a worker, and the fragments that overtook their first one. Fixed in size.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;

use crate::conn::{Dir, Egress, Tuple};
use crate::forward::{Forwarding, Plan};
use crate::ids::{DestId, LcoreId, PortId};
use crate::tick::Tick;
use crate::verdict::DropReason;

use super::ranges::{Fault, Ranges};

/// Datagrams a worker knows at a time.
const DATAGRAMS: usize = 4096;
/// Places where a datagram may be found. When all are taken, the oldest goes.
const WAYS: usize = 8;
/// Fragments of one datagram that may wait: as many as the longest has.
const WAITING: u8 = 64;

/// What the fragments of a datagram have in common: RFC 791 3.2 has the protocol among it, RFC 8200 4.5 has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) src: u128,
    pub(crate) dst: u128,
    pub(crate) id: u32,
    /// 0 for IPv6.
    pub(crate) proto: u8,
    pub(crate) six: bool,
}

/// What the first fragment had become of it, for those that follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    /// What is done.
    pub(crate) plan: Plan,
    /// How packets reach the server.
    pub(crate) forwarding: Forwarding,
    /// Protocol of the upper layer.
    pub(crate) proto: u8,
    /// The direction.
    pub(crate) dir: Dir,
    /// The addresses they get.
    pub(crate) new: Tuple,
    /// The identification they get.
    pub(crate) id: u32,
    /// Where they leave.
    pub(crate) hop: Egress,
    /// The snapshot's routing number that was looked up under.
    pub(crate) routing: u32,
    /// Tells flows apart outside of a tunnel.
    pub(crate) flow: u16,
    /// Whose packets they are.
    pub(crate) dest: DestId,
    /// Tells the server from a later one in the same slot.
    pub(crate) dest_generation: u32,
}

/// Which way the fragments of a datagram go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// The first one, which tells, has not come.
    Unknown,
    /// To another worker.
    Worker(LcoreId),
    /// They are no service's.
    Pass,
    /// As the first one went.
    Course(Course),
    /// Nowhere.
    Lost(DropReason),
}

/// A place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(u32);

struct Slot {
    key: Key,
    /// When it is forgotten.
    until: Tick,
    way: Way,
    seen: Ranges,
    /// First and last of the fragments that wait, and their number.
    head: u32,
    tail: u32,
    waiting: u8,
}

struct Held<P> {
    packet: Option<(PortId, P)>,
    next: u32,
}

/// Fragmented datagrams of one worker.
pub(crate) struct Fragments<P> {
    slots: Vec<Slot>,
    held: Vec<Held<P>>,
    free: Vec<u32>,
    seed: FixedState,
    /// Where the next look for ended waits begins.
    sweep: usize,
    /// What the next identification is made of.
    counter: u32,
    scramble: u64,
}

const NIL: u32 = u32::MAX;

const VACANT: Slot = Slot {
    key: Key { src: 0, dst: 0, id: 0, proto: 0, six: false },
    until: Tick(0),
    way: Way::Unknown,
    seen: Ranges::NONE,
    head: NIL,
    tail: NIL,
    waiting: 0,
};

impl<P> Fragments<P> {
    /// A table in which `held` fragments may wait; `seed` makes its hash and its identifications unpredictable.
    pub(crate) fn new(held: usize, seed: u64) -> Self {
        Fragments {
            slots: (0..DATAGRAMS).map(|_| VACANT).collect(),
            held: (0..held).map(|_| Held { packet: None, next: NIL }).collect(),
            free: (0..held as u32).rev().collect(),
            seed: FixedState::with_seed(seed),
            sweep: 0,
            counter: 0,
            scramble: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// Fragments that wait.
    pub(crate) fn held(&self) -> usize {
        self.held.len() - self.free.len()
    }

    /// The place of a datagram, found or made; it is kept for `secs`. A datagram that has to go for it loses what waits.
    pub(crate) fn enter(&mut self, key: Key, secs: u32, now: Tick, lost: impl FnMut(P)) -> At {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u128(key.src);
        hasher.write_u128(key.dst);
        hasher.write_u64(u64::from(key.id) << 16 | u64::from(key.proto) << 8 | u64::from(key.six));
        let first = hasher.finish() as usize % (DATAGRAMS / WAYS) * WAYS;
        let places = &self.slots[first..first + WAYS];
        if let Some(at) = places.iter().position(|slot| slot.until > now && slot.key == key) {
            return At((first + at) as u32);
        }
        let oldest = (0..WAYS).min_by_key(|&at| places[at].until).unwrap_or(0);
        let at = At((first + oldest) as u32);
        self.forget(at, lost);
        let slot = self.slot(at);
        (slot.key, slot.until) = (key, now.plus_secs(secs));
        at
    }

    /// Notes that a fragment of a datagram was seen.
    pub(crate) fn see(&mut self, at: At, offset: u32, len: u32, more: bool) -> Result<(), Fault> {
        self.slot(at).seen.add(offset, len, more)
    }

    /// Whether all fragments of a datagram were seen.
    pub(crate) fn is_whole(&self, at: At) -> bool {
        self.slots[at.0 as usize].seen.is_whole()
    }

    /// Which way the fragments of a datagram go.
    pub(crate) fn way(&self, at: At) -> Way {
        self.slots[at.0 as usize].way
    }

    /// Decides which way they go.
    pub(crate) fn lead(&mut self, at: At, way: Way) {
        self.slot(at).way = way;
    }

    /// Lets a fragment wait for the first one.
    ///
    /// # Errors
    /// The fragment, when too many wait.
    pub(crate) fn hold(&mut self, at: At, port: PortId, packet: P) -> Result<(), P> {
        let slot = &mut self.slots[at.0 as usize];
        let Some(place) = self.free.pop_if(|_| slot.waiting < WAITING) else { return Err(packet) };
        self.held[place as usize] = Held { packet: Some((port, packet)), next: NIL };
        match std::mem::replace(&mut slot.tail, place) {
            NIL => slot.head = place,
            last => self.held[last as usize].next = place,
        }
        slot.waiting += 1;
        Ok(())
    }

    /// The next of the fragments that wait, in the order they came.
    pub(crate) fn take(&mut self, at: At) -> Option<(PortId, P)> {
        let slot = &mut self.slots[at.0 as usize];
        let place = slot.head;
        let held = self.held.get_mut(place as usize)?;
        slot.head = held.next;
        if slot.head == NIL {
            slot.tail = NIL;
        }
        slot.waiting -= 1;
        self.free.push(place);
        held.packet.take()
    }

    /// Forgets a datagram and what waits of it.
    pub(crate) fn forget(&mut self, at: At, mut lost: impl FnMut(P)) {
        while let Some((_, packet)) = self.take(at) {
            lost(packet);
        }
        *self.slot(at) = VACANT;
    }

    /// Gives up what has waited too long, looking at `budget` places.
    pub(crate) fn expire(&mut self, now: Tick, budget: usize, mut lost: impl FnMut(P)) {
        for _ in 0..budget {
            if self.held() == 0 {
                return;
            }
            let at = At(self.sweep as u32);
            self.sweep = (self.sweep + 1) % DATAGRAMS;
            if self.slot(at).waiting > 0 && self.slot(at).until <= now {
                self.forget(at, &mut lost);
            }
        }
    }

    /// An identification that no other datagram of late has, on any of `workers` workers of which this is number `me`, and that nobody
    /// guesses (RFC 6864 4.3, RFC 7739): of 32 bits, or of 16 for IPv4.
    pub(crate) fn fresh_id(&mut self, six: bool, me: LcoreId, workers: u16) -> u32 {
        let own = u16::BITS - workers.saturating_sub(1).leading_zeros();
        let bits = if six { u32::BITS } else { u16::BITS } - own;
        self.counter = self.counter.wrapping_add(1);
        permute(self.counter, bits, self.scramble) << own | u32::from(me.0)
    }

    fn slot(&mut self, at: At) -> &mut Slot {
        &mut self.slots[at.0 as usize]
    }
}

/// Another number of `bits` bits for each number of as many.
fn permute(number: u32, bits: u32, key: u64) -> u32 {
    let mask = u32::MAX >> (u32::BITS - bits);
    let half = bits.div_ceil(2);
    let (first, second) = (key as u32, (key >> 32) as u32);
    // Odd factors, sums and a fold of the upper half onto the lower lose nothing modulo a power of two.
    let mut n = number.wrapping_mul(first | 1).wrapping_add(second) & mask;
    n ^= n >> half;
    n = n.wrapping_mul(second << 1 | 1) & mask;
    n ^= n >> half;
    n.wrapping_mul(0x9e37_79b1).wrapping_add(first) & mask
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key(id: u32) -> Key {
        Key { src: 1, dst: 2, id, proto: 17, six: false }
    }

    #[test]
    fn identifications_differ_for_as_long_as_there_are_any_and_among_workers() {
        for (workers, each) in [(1, 65_536), (2, 32_768), (3, 16_384), (4, 16_384)] {
            let mut seen = HashSet::new();
            for me in 0..workers {
                let mut table: Fragments<()> = Fragments::new(1, 7 + u64::from(me));
                let ids = (0..each).map(|_| table.fresh_id(false, LcoreId(me), workers));
                seen.extend(ids.inspect(|id| assert!(*id <= 0xffff)));
            }
            assert_eq!(seen.len(), each * usize::from(workers), "{workers} workers");
        }
        let mut table: Fragments<()> = Fragments::new(1, 7);
        let ids: HashSet<u32> = (0..100_000).map(|_| table.fresh_id(true, LcoreId(1), 2)).collect();
        assert_eq!(ids.len(), 100_000);
        let steps: HashSet<u32> =
            (0..1000).map(|_| table.fresh_id(true, LcoreId(1), 2).wrapping_sub(table.counter)).collect();
        assert!(steps.len() > 900, "no row that could be guessed");
    }

    #[test]
    fn the_oldest_datagram_goes_when_all_its_places_are_taken() {
        let mut table = Fragments::new(2, 1);
        let first = table.enter(key(0), 10, Tick(0), |_: u8| panic!("nothing waits"));
        table.hold(first, PortId(0), 1).expect("room");
        let mut lost = Vec::new();
        for id in 1..100_000 {
            table.enter(key(id), 10, Tick(u64::from(id)), |packet| lost.push(packet));
        }
        assert_eq!((lost, table.held()), (vec![1], 0));
    }

    #[test]
    fn what_waits_is_bounded_and_given_back_in_order() {
        let mut table = Fragments::new(100, 1);
        let at = table.enter(key(1), 10, Tick(0), |_: u32| {});
        let kept = (0..100).filter(|&n| table.hold(at, PortId(3), n).is_ok()).count();
        assert_eq!((kept, table.held()), (64, 64));
        let order: Vec<u32> = std::iter::from_fn(|| table.take(at)).map(|(_, n)| n).collect();
        assert_eq!((order, table.held()), ((0..64).collect(), 0));
    }

    #[test]
    fn a_datagram_is_forgotten_when_its_time_is_up() {
        let mut table = Fragments::new(4, 1);
        let at = table.enter(key(1), 10, Tick(0), |_: u8| {});
        table.lead(at, Way::Pass);
        let again = table.enter(key(1), 10, Tick(9_999), |_| {});
        assert!(matches!(table.way(again), Way::Pass));
        let anew = table.enter(key(1), 10, Tick(10_000), |_| {});
        assert!(matches!(table.way(anew), Way::Unknown));
        let at = table.enter(key(2), 10, Tick(0), |_| {});
        table.hold(at, PortId(0), 9).expect("room");
        let mut lost = 0;
        table.expire(Tick(9_999), DATAGRAMS, |_| lost += 1);
        assert_eq!(lost, 0);
        table.expire(Tick(10_000), DATAGRAMS, |_| lost += 1);
        assert_eq!((lost, table.held()), (1, 0));
    }
}
