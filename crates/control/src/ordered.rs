// SPDX-License-Identifier: Apache-2.0
//! A table with unique keys that remembers the order its rows were added in, and can put a row back where it was.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Rows by key, listed in the order they were added.
#[derive(Clone, Debug)]
pub struct Ordered<K, V> {
    places: HashMap<K, u64>,
    rows: BTreeMap<u64, (K, V)>,
    next: u64,
}

/// A row and its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<V> {
    /// The place; lower comes first.
    pub place: u64,
    /// The row.
    pub row: V,
}

impl<K, V> Default for Ordered<K, V> {
    fn default() -> Self {
        Ordered { places: HashMap::new(), rows: BTreeMap::new(), next: 0 }
    }
}

impl<K: Eq + Hash + Clone, V> Ordered<K, V> {
    /// A row for the end of the table.
    pub fn last(&self, row: V) -> Placed<V> {
        Placed { place: self.next, row }
    }

    /// A row instead of the one under `key`, else for the end of the table.
    pub fn instead(&self, key: &K, row: V) -> Placed<V> {
        Placed { place: self.places.get(key).copied().unwrap_or(self.next), row }
    }

    /// Puts a row under a key, or removes it. What was there.
    pub fn replace(&mut self, key: K, row: Option<Placed<V>>) -> Option<Placed<V>> {
        let old = self.places.remove(&key).and_then(|place| {
            let (_, row) = self.rows.remove(&place)?;
            Some(Placed { place, row })
        });
        if let Some(Placed { place, row }) = row {
            self.places.insert(key.clone(), place);
            self.rows.insert(place, (key, row));
            self.next = self.next.max(place + 1);
        }
        old
    }

    /// The row under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(self.places.get(key)?).map(|(_, row)| row)
    }

    /// The row under a key, to be changed in its place.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.rows.get_mut(self.places.get(key)?).map(|(_, row)| row)
    }

    /// Every place with its key and row, in order.
    pub fn placed(&self) -> impl Iterator<Item = (u64, (&K, &V))> {
        self.rows.iter().map(|(&place, (key, row))| (place, (key, row)))
    }

    /// Every key and row, in order.
    pub fn rows(&self) -> impl Iterator<Item = (&K, &V)> {
        self.rows.values().map(|(key, row)| (key, row))
    }

    /// Every row, in order.
    pub fn iter(&self) -> impl Iterator<Item = &V> {
        self.rows.values().map(|(_, row)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(table: &Ordered<&'static str, u8>) -> Vec<u8> {
        table.iter().copied().collect()
    }

    #[test]
    fn rows_keep_their_place_when_replaced_and_when_put_back() {
        let mut table = Ordered::default();
        for (key, row) in [("a", 1), ("b", 2), ("c", 3)] {
            assert_eq!(table.replace(key, Some(table.last(row))), None);
        }
        table.replace("b", Some(table.instead(&"b", 20)));
        assert_eq!(order(&table), [1, 20, 3]);
        let old = table.replace("a", None);
        assert_eq!((old.clone(), order(&table)), (Some(Placed { place: 0, row: 1 }), vec![20, 3]));
        table.replace("a", old);
        assert_eq!(order(&table), [1, 20, 3]);
        table.replace("d", Some(table.instead(&"d", 4)));
        assert_eq!((order(&table), table.get(&"d")), (vec![1, 20, 3, 4], Some(&4)));
    }
}
