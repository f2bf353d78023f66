// SPDX-License-Identifier: Apache-2.0
//! Which parts of a datagram have been seen. Parts that overlap are how filters are deceived (RFC 1858, RFC 3128, RFC 5722).

use arrayvec::ArrayVec;

/// Separate parts that are kept apart. Fragments that arrive in or against their order are one part, a random order of the fragments of
/// the longest datagram makes about fourteen at a time.
const PARTS: usize = 32;

/// What is wrong with a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// All of it was seen before: a copy made on the way, or a part replaced. Nothing of it may go on, the rest may (RFC 8200 4.5).
    Again,
    /// It overlaps others, or the end of the datagram: nothing of the datagram may go on.
    Overlap,
    /// More separate parts than are kept apart.
    Scattered,
}

/// Parts of a datagram.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    /// In units of eight bytes, first and one behind the last; sorted, none touching another.
    parts: ArrayVec<(u16, u16), PARTS>,
    /// Bytes of the datagram, once its last fragment was seen.
    total: Option<u32>,
}

impl Ranges {
    /// Nothing yet.
    pub(crate) const NONE: Ranges = Ranges { parts: ArrayVec::new_const(), total: None };

    /// Notes a fragment of `len` bytes at `offset`, the last one unless there are `more`.
    ///
    /// # Errors
    /// What is wrong with it; nothing changed then.
    pub(crate) fn add(&mut self, offset: u32, len: u32, more: bool) -> Result<(), Fault> {
        let (start, end) = ((offset / 8) as u16, (offset + len).div_ceil(8) as u16);
        let at = self.parts.iter().position(|part| part.1 >= start).unwrap_or(self.parts.len());
        if let Some(&(s, e)) = self.parts.get(at)
            && s < end
            && e > start
        {
            return Err(if s <= start && end <= e { Fault::Again } else { Fault::Overlap });
        }
        let left = self.parts.get(at).is_some_and(|part| part.1 == start);
        let next = at + usize::from(left);
        let after = self.parts.get(next).copied();
        if after.is_some_and(|part| part.0 < end) {
            return Err(Fault::Overlap);
        }
        let known = self.parts.last().map_or(0, |part| part.1);
        let total = offset + len;
        match (self.total, more) {
            (Some(_), false) => return Err(Fault::Overlap),
            (Some(all), true) if total > all => return Err(Fault::Overlap),
            (None, false) if known > start => return Err(Fault::Overlap),
            _ => {}
        }
        match (left, after.is_some_and(|part| part.0 == end)) {
            (true, true) => {
                self.parts[at].1 = self.parts[next].1;
                self.parts.remove(next);
            }
            (true, false) => self.parts[at].1 = end,
            (false, true) => self.parts[next].0 = start,
            (false, false) => self.parts.try_insert(at, (start, end)).map_err(|_| Fault::Scattered)?,
        }
        if !more {
            self.total = Some(total);
        }
        Ok(())
    }

    /// Whether all of the datagram has been seen.
    pub(crate) fn is_whole(&self) -> bool {
        match (self.total, &self.parts[..]) {
            (Some(total), [(0, end)]) => u32::from(*end) == total.div_ceil(8),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(parts: &[(u32, u32, bool)]) -> Ranges {
        let mut ranges = Ranges::default();
        for &(offset, len, more) in parts {
            ranges.add(offset, len, more).expect("no part overlaps");
        }
        ranges
    }

    #[test]
    fn a_datagram_is_whole_when_nothing_is_missing_whatever_the_order() {
        assert!(of(&[(0, 1480, true), (1480, 1480, true), (2960, 3, false)]).is_whole());
        assert!(of(&[(2960, 3, false), (1480, 1480, true), (0, 1480, true)]).is_whole());
        assert!(of(&[(1480, 1480, true), (0, 1480, true), (2960, 3, false)]).is_whole());
        assert!(!of(&[(0, 1480, true), (2960, 3, false)]).is_whole());
        assert!(!of(&[(0, 1480, true), (1480, 1480, true)]).is_whole());
        assert!(!of(&[(1480, 3, false)]).is_whole());
    }

    #[test]
    fn overlaps_are_told_from_copies() {
        let seen = || of(&[(0, 1480, true), (2960, 1480, true)]);
        for (part, fault) in [
            ((0, 1480, true), Fault::Again),
            ((8, 16, true), Fault::Again),
            ((8, 16, false), Fault::Again),
            ((2960, 1480, true), Fault::Again),
            ((1472, 16, true), Fault::Overlap),
            ((1480, 1488, true), Fault::Overlap),
            ((2952, 8000, true), Fault::Overlap),
            ((1480, 3000, false), Fault::Overlap),
            ((4432, 16, true), Fault::Overlap),
            // The end lies before what was seen.
            ((1480, 8, false), Fault::Overlap),
        ] {
            assert_eq!(seen().add(part.0, part.1, part.2), Err(fault), "{part:?}");
        }
        let mut ended = of(&[(0, 8, true), (80, 3, false)]);
        assert_eq!(ended.add(88, 8, true), Err(Fault::Overlap), "behind the end");
        assert_eq!(ended.add(16, 8, false), Err(Fault::Overlap), "another end");
        assert_eq!(ended.add(8, 72, true), Ok(()));
        assert!(ended.is_whole());
    }

    #[test]
    fn parts_kept_apart_are_bounded() {
        let mut ranges = Ranges::default();
        for n in 0..PARTS as u32 {
            ranges.add(16 * n, 8, true).expect("room");
        }
        assert_eq!(ranges.add(16 * PARTS as u32, 8, true), Err(Fault::Scattered));
        assert_eq!(ranges.add(8, 8, true), Ok(()));
    }

    proptest! {
        #[test]
        fn every_accepted_part_is_new(parts in proptest::collection::vec((0u32..40, 1u32..6, any::<bool>()), 0..40)) {
            let (mut ranges, mut seen) = (Ranges::default(), [false; 64]);
            let mut end = None;
            for (start, len, last) in parts {
                let fresh = !seen[start as usize..(start + len) as usize].iter().any(|&taken| taken);
                let inside = end.is_none_or(|end| start + len <= end);
                match ranges.add(start * 8, len * 8, !last) {
                    Ok(()) => {
                        prop_assert!(fresh && inside);
                        seen[start as usize..(start + len) as usize].fill(true);
                        end = if last { Some(start + len) } else { end };
                    }
                    Err(Fault::Again) => prop_assert!(!fresh),
                    Err(_) => prop_assert!(!fresh || !inside || last),
                }
                let whole = end.is_some_and(|end| seen[..end as usize].iter().all(|&taken| taken));
                prop_assert_eq!(ranges.is_whole(), whole);
            }
        }
    }
}
