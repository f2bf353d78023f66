// SPDX-License-Identifier: Apache-2.0
//! Leases of local ports, for FULLNAT.
//!
//! A port is leased for one server at a time: `(local address, server address and port, protocol)` has its own range, so that one
//! address carries 64 511 connections to each server. The port that was free longest comes next: a server that still remembers
//! the last connection from a port gets as much time as possible.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::RandomState;

/// The first port that is leased; the last is 65535.
pub const FIRST_PORT: u16 = 1025;

const WORDS: usize = 1024;

/// What a range of ports belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    laddr: IpAddr,
    server: SocketAddr,
    proto: u8,
}

struct Range {
    taken: Box<[u64; WORDS]>,
    used: u32,
    next: u16,
}

/// Numbers about one local address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Leases in use.
    pub used: u64,
    /// Leases asked for when every port was taken.
    pub missed: u64,
}

/// All leases of one worker.
#[derive(Default)]
pub struct Leases {
    ranges: HashMap<Key, Range, RandomState>,
    usage: HashMap<IpAddr, Usage, RandomState>,
}

impl Leases {
    /// Leases a port of `laddr` towards `server` for which `mine` holds; `None` when every such port is taken.
    ///
    /// Memory is set aside when an address meets a server for the first time, and given back by [`Leases::sweep`].
    pub fn lease(
        &mut self,
        laddr: IpAddr,
        server: SocketAddr,
        proto: u8,
        mine: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let range = self.ranges.entry(Key { laddr, server, proto }).or_insert_with(Range::new);
        let port = range.take(mine);
        let usage = self.usage.entry(laddr).or_default();
        usage.used += u64::from(port.is_some());
        usage.missed += u64::from(port.is_none());
        port
    }

    /// Gives a port back.
    pub fn release(&mut self, laddr: IpAddr, server: SocketAddr, proto: u8, port: u16) {
        let Some(range) = self.ranges.get_mut(&Key { laddr, server, proto }) else { return };
        if range.give(port)
            && let Some(usage) = self.usage.get_mut(&laddr)
        {
            usage.used -= 1;
        }
    }

    /// Numbers about a local address.
    pub fn usage(&self, laddr: IpAddr) -> Usage {
        self.usage.get(&laddr).copied().unwrap_or_default()
    }

    /// Gives back the memory of ranges without a lease.
    pub fn sweep(&mut self) {
        self.ranges.retain(|_, range| range.used > 0);
    }
}

impl Range {
    fn new() -> Self {
        let mut taken = Box::new([0; WORDS]);
        taken[..usize::from(FIRST_PORT) / 64].fill(u64::MAX);
        taken[usize::from(FIRST_PORT) / 64] = (1 << (FIRST_PORT % 64)) - 1;
        Range { taken, used: 0, next: FIRST_PORT }
    }

    fn take(&mut self, mine: impl Fn(u16) -> bool) -> Option<u16> {
        let (word, bit) = (usize::from(self.next) / 64, self.next % 64);
        // The word the search begins in is looked at twice: its upper part first, its lower part last.
        let upper = self.find_in(word, u64::MAX << bit, &mine);
        let port = upper
            .or_else(|| (1..WORDS).find_map(|step| self.find_in((word + step) % WORDS, u64::MAX, &mine)))
            .or_else(|| self.find_in(word, !(u64::MAX << bit), &mine))?;
        self.taken[usize::from(port) / 64] |= 1 << (port % 64);
        self.used += 1;
        self.next = port.checked_add(1).unwrap_or(FIRST_PORT);
        Some(port)
    }

    fn find_in(&self, word: usize, mask: u64, mine: &impl Fn(u16) -> bool) -> Option<u16> {
        let mut free = !self.taken[word] & mask;
        while free != 0 {
            let port = (word * 64) as u16 + free.trailing_zeros() as u16;
            if mine(port) {
                return Some(port);
            }
            free &= free - 1;
        }
        None
    }

    fn give(&mut self, port: u16) -> bool {
        let (word, bit) = (usize::from(port) / 64, 1 << (port % 64));
        let leased = port >= FIRST_PORT && self.taken[word] & bit != 0;
        if leased {
            self.taken[word] &= !bit;
            self.used -= 1;
        }
        leased
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn laddr() -> IpAddr {
        "10.1.0.1".parse().expect("a literal address")
    }

    fn server(port: u16) -> SocketAddr {
        SocketAddr::new("10.1.0.9".parse().expect("a literal address"), port)
    }

    #[test]
    fn every_port_is_leased_once_to_each_server() {
        let mut leases = Leases::default();
        for to in [80, 81] {
            let ports: HashSet<u16> =
                std::iter::from_fn(|| leases.lease(laddr(), server(to), 6, |_| true)).collect();
            assert_eq!(ports.len(), 64_511);
            assert_eq!(ports.iter().min(), Some(&1025));
        }
        assert_eq!(leases.usage(laddr()), Usage { used: 129_022, missed: 2 });
    }

    #[test]
    fn a_port_given_back_comes_last() {
        let mut leases = Leases::default();
        let first = leases.lease(laddr(), server(80), 6, |_| true).expect("all free");
        leases.release(laddr(), server(80), 6, first);
        assert_eq!(leases.lease(laddr(), server(80), 6, |_| true), Some(first + 1));
        let rest: Vec<u16> = std::iter::from_fn(|| leases.lease(laddr(), server(80), 6, |_| true)).collect();
        assert_eq!(rest.last(), Some(&first));
    }

    #[test]
    fn only_ports_of_this_worker_are_leased() {
        let mut leases = Leases::default();
        let mine = |port: u16| port % 3 == 1;
        let ports: Vec<u16> = std::iter::from_fn(|| leases.lease(laddr(), server(80), 6, mine)).collect();
        assert_eq!(ports.len(), (1025..=65535).filter(|&port| mine(port)).count());
        assert!(ports.into_iter().all(mine));
    }

    #[test]
    fn giving_back_what_was_not_leased_changes_nothing() {
        let mut leases = Leases::default();
        let port = leases.lease(laddr(), server(80), 6, |_| true).expect("all free");
        leases.release(laddr(), server(80), 6, 5);
        leases.release(laddr(), server(80), 6, port + 1);
        leases.release(laddr(), server(81), 6, port);
        leases.release(laddr(), server(80), 17, port);
        assert_eq!(leases.usage(laddr()).used, 1);
        leases.release(laddr(), server(80), 6, port);
        assert_eq!(leases.usage(laddr()).used, 0);
        leases.sweep();
        assert!(leases.ranges.is_empty());
    }
}
