// SPDX-License-Identifier: Apache-2.0
//! The hash index of the connection table: from a hash to candidates.
//!
//! Buckets of one cache line hold ten entries: a 16-bit tag of the hash beside a 32-bit reference, so that
//! a search touches one line of the index and, nearly always, only the connection it is after. An entry lives in
//! its first bucket or, when that is full, in a second one that follows from the tag; the first then counts it,
//! so that searches look there only when they must.

/// A reference to one direction of a connection: its slot times two, plus the direction.
pub type Reference = u32;

/// What a look at one line of the index tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// Nearly always the one.
    Perhaps(Reference),
    /// There is none.
    Absent,
    /// It may live in its second bucket.
    Unknown,
}

const SLOTS: usize = 10;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    references: [u32; SLOTS],
    tags: [u16; SLOTS],
    /// Entries at home here that live with their partner.
    away: u16,
    /// Slots whose entry is at home with its partner, by bit.
    guests: u16,
}

const EMPTY: Bucket = Bucket { references: [0; SLOTS], tags: [0; SLOTS], away: 0, guests: 0 };

/// The index.
pub struct Index {
    buckets: Box<[Bucket]>,
    mask: usize,
}

impl Index {
    /// An index for `entries` entries that stays at most 60 % full.
    pub fn new(entries: usize) -> Self {
        let buckets = (entries.div_ceil(6)).next_power_of_two().max(64);
        Index { buckets: vec![EMPTY; buckets].into_boxed_slice(), mask: buckets - 1 }
    }

    /// Bytes it occupies.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(&*self.buckets)
    }

    #[inline(always)]
    fn places(&self, hash: u64) -> (usize, u16) {
        // The tag comes from bits the bucket number does not use; 0 marks an empty slot.
        let tag = (hash >> 48) as u16;
        (hash as usize & self.mask, if tag == 0 { 1 } else { tag })
    }

    #[inline(always)]
    fn partner(&self, bucket: usize, tag: u16) -> usize {
        // Its own inverse, and never the same bucket: the offset is odd.
        let offset = (usize::from(tag).wrapping_mul(0x5bd1_e995) & self.mask) | 1;
        bucket ^ offset
    }

    /// Touches the line a search for `hash` will need first, so that it is on its way. The value means nothing.
    #[inline(always)]
    pub fn warm(&self, hash: u64) -> u16 {
        self.buckets[hash as usize & self.mask].tags[0]
    }

    /// What the first line says about `hash`, without looking further.
    #[inline(always)]
    pub fn guess(&self, hash: u64) -> Guess {
        let (first, tag) = self.places(hash);
        let bucket = &self.buckets[first];
        match Hits::of(bucket, tag).next() {
            Some(slot) => Guess::Perhaps(bucket.references[slot]),
            None if bucket.away == 0 => Guess::Absent,
            None => Guess::Unknown,
        }
    }

    /// The reference under `hash` for which `is_it` holds.
    #[inline(always)]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(Reference) -> bool) -> Option<Reference> {
        let (first, tag) = self.places(hash);
        let bucket = &self.buckets[first];
        for slot in Hits::of(bucket, tag) {
            if is_it(bucket.references[slot]) {
                return Some(bucket.references[slot]);
            }
        }
        if bucket.away == 0 {
            return None;
        }
        let bucket = &self.buckets[self.partner(first, tag)];
        Hits::of(bucket, tag).map(|slot| bucket.references[slot]).find(|&r| is_it(r))
    }

    /// Adds `reference` under `hash`; `false`, and nothing changed, when there is no room for it.
    #[must_use]
    pub fn insert(&mut self, hash: u64, reference: Reference) -> bool {
        let (home, tag) = self.places(hash);
        let partner = self.partner(home, tag);
        let has_room = |bucket: &Bucket| Hits::of(bucket, 0).next().is_some();
        if !has_room(&self.buckets[home]) && !has_room(&self.buckets[partner]) {
            // Only now, and rarely: somebody has to move.
            let moved = self.make_room(home) || self.make_room(partner);
            if !moved {
                return false;
            }
        }
        if has_room(&self.buckets[home]) {
            put(&mut self.buckets[home], tag, reference, false);
        } else {
            put(&mut self.buckets[partner], tag, reference, true);
            self.buckets[home].away += 1;
        }
        true
    }

    /// Moves one entry of a full bucket to its partner, if one of the partners has room.
    fn make_room(&mut self, at: usize) -> bool {
        let Bucket { tags, references, guests, .. } = self.buckets[at];
        for slot in 0..SLOTS {
            let to = self.partner(at, tags[slot]);
            if !self.buckets[to].tags.contains(&0) {
                continue;
            }
            let was_guest = guests >> slot & 1 == 1;
            put(&mut self.buckets[to], tags[slot], references[slot], !was_guest);
            clear(&mut self.buckets[at], slot);
            if was_guest {
                self.buckets[to].away -= 1;
            } else {
                self.buckets[at].away += 1;
            }
            return true;
        }
        false
    }

    /// Removes `reference` from under `hash`; `false` when it was not there.
    pub fn remove(&mut self, hash: u64, reference: Reference) -> bool {
        let (home, tag) = self.places(hash);
        if take(&mut self.buckets[home], tag, reference) {
            return true;
        }
        let partner = self.partner(home, tag);
        let done = take(&mut self.buckets[partner], tag, reference);
        self.buckets[home].away -= u16::from(done);
        done
    }
}

/// Slots of a bucket with a tag: the top bits of their lanes, eight compared at once and two beside them.
#[derive(Clone, Copy)]
struct Hits {
    eight: u128,
    two: u32,
}

/// The lower fifteen bits of every lane, and the lowest.
const LOW: u128 = ONES * 0x7fff;
const ONES: u128 = u128::MAX / 0xffff;

impl Hits {
    #[inline(always)]
    fn of(bucket: &Bucket, tag: u16) -> Hits {
        let [a, b, c, d, e, f, g, h, i, j] = bucket.tags;
        let lanes = |a, b, c, d| u64::from(a) | u64::from(b) << 16 | u64::from(c) << 32 | u64::from(d) << 48;
        let all = u128::from(lanes(a, b, c, d)) | u128::from(lanes(e, f, g, h)) << 64;
        // A lane is zero when adding 0x7fff to its lower bits carries nothing into the top bit, and that was not set either.
        let differs = all ^ (ONES * u128::from(tag));
        let eight = !(((differs & LOW) + LOW) | differs | LOW);
        Hits { eight, two: u32::from(i == tag) | u32::from(j == tag) << 1 }
    }
}

impl Iterator for Hits {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.eight != 0 {
            let slot = self.eight.trailing_zeros() as usize / 16;
            self.eight &= self.eight - 1;
            return Some(slot);
        }
        let slot = 8 + self.two.trailing_zeros() as usize;
        self.two &= self.two.wrapping_sub(1);
        (slot < SLOTS).then_some(slot)
    }
}

/// Puts an entry into a bucket with room.
fn put(bucket: &mut Bucket, tag: u16, reference: Reference, guest: bool) {
    let slot = Hits::of(bucket, 0).next().expect("the caller saw a free slot");
    bucket.tags[slot] = tag;
    bucket.references[slot] = reference;
    bucket.guests |= u16::from(guest) << slot;
}

fn take(bucket: &mut Bucket, tag: u16, reference: Reference) -> bool {
    let at = Hits::of(bucket, tag).find(|&slot| bucket.references[slot] == reference);
    if let Some(slot) = at {
        clear(bucket, slot);
    }
    at.is_some()
}

fn clear(bucket: &mut Bucket, slot: usize) {
    bucket.tags[slot] = 0;
    bucket.guests &= !(1 << slot);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!(std::mem::size_of::<Bucket>(), 64);
        assert_eq!(std::mem::align_of::<Bucket>(), 64);
    }

    #[test]
    fn equal_hashes_fill_two_buckets_and_then_are_refused() {
        let mut index = Index::new(1000);
        let hash = 0x1234_0000_0000_0007;
        for reference in 0..2 * SLOTS as u32 {
            assert!(index.insert(hash, reference));
        }
        assert!(!index.insert(hash, 99));
        for reference in 0..2 * SLOTS as u32 {
            assert_eq!(index.find(hash, |r| r == reference), Some(reference));
        }
        assert!(index.remove(hash, 15));
        assert_eq!(index.find(hash, |r| r == 15), None);
        assert!(index.insert(hash, 99));
    }

    proptest! {
        #[test]
        fn tags_compared_together_are_those_compared_one_by_one(tags: [u16; SLOTS], at in 0..SLOTS, other in 0..SLOTS) {
            let mut bucket = Bucket { tags, ..EMPTY };
            bucket.tags[other] = tags[at];
            for tag in [tags[at], !tags[at], 0, 1] {
                let one_by_one: Vec<usize> = (0..SLOTS).filter(|&slot| bucket.tags[slot] == tag).collect();
                prop_assert_eq!(Hits::of(&bucket, tag).collect::<Vec<_>>(), one_by_one);
            }
        }

        #[test]
        fn it_agrees_with_a_map(ops in proptest::collection::vec((any::<bool>(), 0u64..64, 0u32..8), 1..400)) {
            let mut index = Index::new(64);
            let mut map: HashMap<(u64, u32), ()> = HashMap::new();
            for (add, low, reference) in ops {
                let hash = low.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                // A reference is in the index once, as a connection has each direction once.
                let own = |r: u32| low as u32 * 8 + r;
                let reference = own(reference);
                if add {
                    if !map.contains_key(&(hash, reference)) && index.insert(hash, reference) {
                        map.insert((hash, reference), ());
                    }
                } else {
                    prop_assert_eq!(index.remove(hash, reference), map.remove(&(hash, reference)).is_some());
                }
                for r in (0..8).map(own) {
                    prop_assert!(index.guess(hash) != Guess::Absent || !map.contains_key(&(hash, r)));
                    prop_assert_eq!(index.find(hash, |x| x == r).is_some(), map.contains_key(&(hash, r)));
                }
            }
        }
    }
}
