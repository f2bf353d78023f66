// SPDX-License-Identifier: Apache-2.0
//! A map from addresses to small numbers that every packet may ask: built once, never changed, one line of memory for nearly every
//! question. Its keys come from the operator, so a plain multiplicative hash is enough.

/// What a [`FlatMap`] can be asked for.
pub trait Key: Copy + Eq + Default {
    /// Spreads keys over the upper bits.
    fn spread(self) -> u64;
}

/// 2^64 divided by the golden ratio: consecutive keys fall far apart.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Key for u32 {
    #[inline(always)]
    fn spread(self) -> u64 {
        u64::from(self).wrapping_mul(GOLDEN)
    }
}

impl Key for u64 {
    #[inline(always)]
    fn spread(self) -> u64 {
        self.wrapping_mul(GOLDEN)
    }
}

impl Key for u128 {
    #[inline(always)]
    fn spread(self) -> u64 {
        let high = ((self >> 64) as u64).wrapping_mul(GOLDEN);
        (high.rotate_left(32) ^ self as u64).wrapping_mul(GOLDEN)
    }
}

/// The map. Values are below `u32::MAX`.
#[derive(Clone, Debug)]
pub struct FlatMap<K> {
    slots: Vec<(K, u32)>,
    shift: u32,
}

const EMPTY: u32 = u32::MAX;

impl<K: Key> Default for FlatMap<K> {
    fn default() -> Self {
        FlatMap { slots: vec![(K::default(), EMPTY)], shift: 63 }
    }
}

impl<K: Key> FromIterator<(K, u32)> for FlatMap<K> {
    /// Of equal keys the first counts.
    fn from_iter<I: IntoIterator<Item = (K, u32)>>(pairs: I) -> Self {
        let pairs: Vec<(K, u32)> = pairs.into_iter().collect();
        // At most half full: a search looks at one or two slots.
        let len = (pairs.len() * 2).next_power_of_two().max(2);
        let mut map = FlatMap { slots: vec![(K::default(), EMPTY); len], shift: 64 - len.trailing_zeros() };
        for (key, value) in pairs {
            debug_assert!(value != EMPTY, "values are below u32::MAX");
            let at = map.search(key);
            if map.slots[at].1 == EMPTY {
                map.slots[at] = (key, value);
            }
        }
        map
    }
}

impl<K: Key> FlatMap<K> {
    /// The value of a key.
    #[inline(always)]
    pub fn get(&self, key: K) -> Option<u32> {
        let (_, value) = self.slots[self.search(key)];
        (value != EMPTY).then_some(value)
    }

    /// The slot of a key, or the one it would go to.
    #[inline(always)]
    fn search(&self, key: K) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (key.spread() >> self.shift) as usize & mask;
        while self.slots[at].1 != EMPTY && self.slots[at].0 != key {
            at = (at + 1) & mask;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_map_has_nothing() {
        assert_eq!(FlatMap::<u32>::default().get(0), None);
        assert_eq!(FlatMap::<u128>::from_iter([]).get(7), None);
    }

    #[test]
    fn of_equal_keys_the_first_counts() {
        let map = FlatMap::from_iter([(5u64, 1), (5, 2), (0, 3)]);
        assert_eq!((map.get(5), map.get(0), map.get(1)), (Some(1), Some(3), None));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map(pairs in proptest::collection::vec((0u128..64, 0u32..1000), 0..100), shift in 0u32..120) {
            let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| (key << shift, value)).collect();
            let flat = FlatMap::from_iter(pairs.iter().copied());
            let map: HashMap<_, _> = pairs.into_iter().rev().collect();
            for key in 0..64 {
                prop_assert_eq!(flat.get(key << shift), map.get(&(key << shift)).copied());
            }
        }
    }
}
