// SPDX-License-Identifier: Apache-2.0
//! Numbered slots: numbers stay dense because they are reused, and a generation tells the old owner from the new one.

use std::collections::BTreeSet;

/// Values by small number.
#[derive(Clone, Debug)]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: BTreeSet<u32>,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    /// Of the present value, or of the last one.
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slots: Vec::new(), free: BTreeSet::new() }
    }
}

impl<T> Slots<T> {
    /// The number the next value gets, and its generation, from 1.
    pub fn vacant(&self) -> (u32, u32) {
        match self.free.first() {
            Some(&at) => (at, self.slots[at as usize].generation.wrapping_add(1).max(1)),
            None => (self.slots.len() as u32, 1),
        }
    }

    /// Puts a value (with its generation) into slot `at`, or empties it. What was there.
    ///
    /// # Panics
    /// When `at` is beyond the number that [`Slots::vacant`] tells.
    pub fn replace(&mut self, at: u32, value: Option<(u32, T)>) -> Option<(u32, T)> {
        if at as usize == self.slots.len() {
            self.slots.push(Slot { generation: 0, value: None });
        }
        match value {
            Some(_) => self.free.remove(&at),
            None => self.free.insert(at),
        };
        let slot = &mut self.slots[at as usize];
        let old = slot.value.take().map(|old| (slot.generation, old));
        if let Some((generation, value)) = value {
            (slot.generation, slot.value) = (generation, Some(value));
        }
        old
    }

    /// The value in a slot.
    pub fn get(&self, at: u32) -> Option<&T> {
        self.slots.get(at as usize)?.value.as_ref()
    }

    /// The generation of a slot's value, or of its last one.
    pub fn generation(&self, at: u32) -> u32 {
        self.slots.get(at as usize).map_or(0, |slot| slot.generation)
    }

    /// Slots, filled and empty: every number is below.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Every value by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.slots).filter_map(|(at, slot)| Some((at, slot.value.as_ref()?)))
    }

    /// Every slot by ascending number, empty ones too.
    pub fn all(&self) -> impl Iterator<Item = Option<&T>> {
        self.slots.iter().map(|slot| slot.value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reused_lowest_first_with_a_new_generation() {
        let mut slots = Slots::default();
        for name in ["a", "b", "c"] {
            let (at, generation) = slots.vacant();
            assert_eq!(slots.replace(at, Some((generation, name))), None);
        }
        assert_eq!(slots.replace(1, None), Some((1, "b")));
        assert_eq!(slots.replace(0, None), Some((1, "a")));
        assert_eq!(slots.vacant(), (0, 2));
        assert_eq!(slots.replace(0, Some((2, "d"))), None);
        assert_eq!(slots.iter().collect::<Vec<_>>(), [(0, &"d"), (2, &"c")]);
        assert_eq!((slots.len(), slots.vacant()), (3, (1, 2)));
    }

    #[test]
    fn putting_back_what_was_there_restores_value_and_generation() {
        let mut slots = Slots::default();
        slots.replace(0, Some((1, "a")));
        let old = slots.replace(0, None);
        slots.replace(0, Some((2, "b")));
        slots.replace(0, None);
        slots.replace(0, old);
        assert_eq!((slots.get(0), slots.generation(0)), (Some(&"a"), 1));
        assert_eq!(slots.vacant(), (1, 1));
    }
}
