// SPDX-License-Identifier: Apache-2.0
//! Maglev hashing: mh. A table of a prime size in which every server has as many slots as its weight says, placed by its address and port
//! alone: machines with the same servers have the same table, in whatever order they were added, and a server that leaves gives up its slots
//! with few of the others changing hands.
//!
//! Hash, keys and size are those of DPVS, and its tables are the same while servers are added there by ascending address.

use std::net::SocketAddr;

use super::table::{Table, gcd};
use super::{Ask, hash, inhibited, source, usable, usable_after};
use crate::snapshot::{Dest, Service, Snapshot};

pub(super) fn pick<'s>(svc: &Service, snap: &'s Snapshot, ask: &Ask) -> Option<&'s Dest> {
    let Some(Table::Slots(slots)) = svc.hashing.table.as_deref() else { return None };
    let (addr, port) = hash::client(ask.tuple.source(), svc.hashing.port);
    let size = u32::try_from(slots.len()).ok().filter(|&size| size > 0)?;
    let slot = |offset| hash::sum(hash::START, offset, addr, port) % size;
    let server = |slot: u32| slots.get(slot as usize).map(|&at| at as usize);
    let first = slot(0);
    let at = server(first)?;
    usable(svc, snap, at).or_else(|| {
        if !svc.hashing.fallback && !inhibited(svc, snap, at) {
            return None;
        }
        (0..source::TRIES)
            .find_map(|offset| usable(svc, snap, server(slot((offset + first) % size))?))
            .or_else(|| usable_after(svc, snap, at).next())
    })
}

/// Sizes of the table. The first is enough for most; a greater one keeps the shares of many servers even.
const SIZES: [u32; 6] = [4093, 8191, 16_381, 65_521, 131_071, 524_287];

/// Slots a turn of all servers has room for at least this often, so that the last, broken round changes shares little.
const ROUNDS: u64 = 8;

/// Which server (position in `servers`) has each slot; empty when no weight is above 0.
pub(super) fn slots(servers: &[(SocketAddr, u32)]) -> Box<[u32]> {
    let turns = turns(servers);
    // From the greatest address down: what is first gets a slot more than the last, on every machine the same one.
    let mut order: Vec<usize> = (0..servers.len()).filter(|&at| turns[at] > 0).collect();
    order.sort_unstable_by_key(|&at| std::cmp::Reverse((servers[at].0, at)));
    if order.is_empty() {
        return Box::default();
    }
    let all: u64 = turns.iter().map(|&turns| u64::from(turns)).sum();
    let largest = SIZES[SIZES.len() - 1];
    let size = SIZES.into_iter().find(|&size| all * ROUNDS <= u64::from(size)).unwrap_or(largest);
    fill(
        &mut order.into_iter().map(|at| Walk::of(at, servers[at].0, turns[at], size)).collect::<Vec<_>>(),
        size,
    )
}

/// Consecutive slots each server takes in a round: its weight in small numbers.
fn turns(servers: &[(SocketAddr, u32)]) -> Vec<u32> {
    let divisor = servers.iter().fold(0, |divisor, &(_, weight)| gcd(divisor, weight)).max(1);
    let greatest = servers.iter().map(|&(_, weight)| weight / divisor).max().unwrap_or(0);
    // At most 63 turns.
    let shift = (u32::BITS - greatest.leading_zeros()).saturating_sub(6);
    let of = |weight: u32| if weight == 0 { 0 } else { ((weight / divisor) >> shift).max(1) };
    servers.iter().map(|&(_, weight)| of(weight)).collect()
}

/// A server on its way through the table.
struct Walk {
    at: u32,
    turns: u32,
    next: u32,
    skip: u32,
}

impl Walk {
    fn of(at: usize, addr: SocketAddr, turns: u32, size: u32) -> Walk {
        let hash = |key| hash::sum(key, 0, addr.ip(), addr.port());
        Walk { at: at as u32, turns, next: hash(hash::START) % size, skip: hash(hash::SKIP) % (size - 1) + 1 }
    }

    /// The next free slot of its permutation; there must be one.
    fn take(&mut self, slots: &mut [u32]) {
        let size = slots.len() as u32;
        while slots[self.next as usize] != FREE {
            self.next = (self.next + self.skip) % size;
        }
        slots[self.next as usize] = self.at;
    }
}

const FREE: u32 = u32::MAX;

fn fill(walks: &mut [Walk], size: u32) -> Box<[u32]> {
    let mut slots = vec![FREE; size as usize].into_boxed_slice();
    let mut left = size;
    while left > 0 {
        for walk in &mut *walks {
            for _ in 0..walk.turns.min(left) {
                walk.take(&mut slots);
                left -= 1;
            }
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(addrs: &[(&str, u32)]) -> Vec<(SocketAddr, u32)> {
        addrs.iter().map(|&(addr, weight)| (addr.parse().expect("a literal address"), weight)).collect()
    }

    #[test]
    fn the_table_is_that_of_dpvs() {
        let three = servers(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 1)]);
        let walks = |at: usize| {
            let walk = Walk::of(at, three[at].0, 1, 4093);
            (walk.next, walk.skip)
        };
        assert_eq!((walks(2), walks(1), walks(0)), ((1631, 3453), (1231, 3544), (3167, 700)));
        let slots = slots(&three);
        let count = |at| slots.iter().filter(|&&slot| slot == at).count();
        assert_eq!((count(2), count(1), count(0)), (1365, 1364, 1364));
        let of = |client: &str, port| {
            let slot = hash::sum(hash::START, 0, client.parse().expect("an address"), port) % 4093;
            (slot, slots[slot as usize])
        };
        assert_eq!(of("192.0.2.10", 0), (403, 1));
        assert_eq!(of("192.0.2.11", 0), (3967, 2));
        assert_eq!(of("198.51.100.7", 0), (924, 0));
        assert_eq!(of("192.0.2.10", 40_000), (3725, 2));
    }

    #[test]
    fn turns_are_weights_in_small_numbers() {
        let of = |weights: &[u32]| {
            let addr: SocketAddr = "10.0.0.1:80".parse().expect("a literal address");
            turns(&weights.iter().map(|&weight| (addr, weight)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[10, 20, 0]), [1, 2, 0]);
        assert_eq!(of(&[63, 1]), [63, 1]);
        assert_eq!(of(&[65_535, 1]), [63, 1]);
        assert_eq!(of(&[0, 0]), [0, 0]);
    }
}
