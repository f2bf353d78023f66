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

/// What a range of ports belongs to: addresses in one form for both families, so that they hash fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    laddr: u128,
    server: u128,
    port_and_proto: u64,
}

struct Range {
    key: Key,
    taken: Box<[u64; WORDS]>,
    used: u32,
    next: u16,
}

/// A leased port, and the range it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The port.
    pub port: u16,
    /// Names the range until the lease is given back.
    pub range: u32,
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
    ranges: Vec<Option<Range>>,
    free: Vec<u32>,
    by_key: HashMap<Key, u32, RandomState>,
    missed: HashMap<IpAddr, u64, RandomState>,
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
    ) -> Option<Lease> {
        let at = self.range_of(Key::new(laddr, server, proto));
        let port = self.ranges.get_mut(at as usize)?.as_mut()?.take(mine);
        if port.is_none() {
            *self.missed.entry(laddr).or_default() += 1;
        }
        port.map(|port| Lease { port, range: at })
    }

    /// Gives a port back. What was not leased changes nothing.
    pub fn release(&mut self, lease: Lease) {
        if let Some(range) = self.ranges.get_mut(lease.range as usize).and_then(Option::as_mut) {
            range.give(lease.port);
        }
    }

    /// Numbers about a local address.
    pub fn usage(&self, laddr: IpAddr) -> Usage {
        let key = wide(laddr);
        let of_it = self.ranges.iter().flatten().filter(|range| range.key.laddr == key);
        Usage {
            used: of_it.map(|range| u64::from(range.used)).sum(),
            missed: self.missed.get(&laddr).copied().unwrap_or(0),
        }
    }

    /// Gives back the memory of ranges without a lease.
    pub fn sweep(&mut self) {
        for (at, range) in (0u32..).zip(&mut self.ranges) {
            if let Some(unused) = range.take_if(|range| range.used == 0) {
                self.by_key.remove(&unused.key);
                self.free.push(at);
            }
        }
    }

    /// The range of a key, made if need be.
    fn range_of(&mut self, key: Key) -> u32 {
        if let Some(&at) = self.by_key.get(&key) {
            return at;
        }
        let at = self.free.pop().unwrap_or(self.ranges.len() as u32);
        if at as usize == self.ranges.len() {
            self.ranges.push(None);
        }
        self.ranges[at as usize] = Some(Range::new(key));
        self.by_key.insert(key, at);
        at
    }
}

impl Key {
    fn new(laddr: IpAddr, server: SocketAddr, proto: u8) -> Key {
        let port_and_proto = u64::from(server.port()) << 8 | u64::from(proto);
        Key { laddr: wide(laddr), server: wide(server.ip()), port_and_proto }
    }
}

/// An address as IPv6 writes it; IPv4 addresses are mapped (RFC 4291 2.5.5.2).
fn wide(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

impl Range {
    fn new(key: Key) -> Self {
        let mut taken = Box::new([0; WORDS]);
        taken[..usize::from(FIRST_PORT) / 64].fill(u64::MAX);
        taken[usize::from(FIRST_PORT) / 64] = (1 << (FIRST_PORT % 64)) - 1;
        Range { key, taken, used: 0, next: FIRST_PORT }
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

    fn give(&mut self, port: u16) {
        let (word, bit) = (usize::from(port) / 64, 1 << (port % 64));
        if port >= FIRST_PORT && self.taken[word] & bit != 0 {
            self.taken[word] &= !bit;
            self.used -= 1;
        }
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

    /// The port leased towards a server, if any.
    fn lease(leases: &mut Leases, to: u16) -> Option<Lease> {
        leases.lease(laddr(), server(to), 6, |_| true)
    }

    #[test]
    fn every_port_is_leased_once_to_each_server() {
        let mut leases = Leases::default();
        for to in [80, 81] {
            let ports: HashSet<u16> =
                std::iter::from_fn(|| lease(&mut leases, to)).map(|lease| lease.port).collect();
            assert_eq!(ports.len(), 64_511);
            assert_eq!(ports.iter().min(), Some(&1025));
        }
        assert_eq!(leases.usage(laddr()), Usage { used: 129_022, missed: 2 });
    }

    #[test]
    fn row079_a_port_given_back_comes_last() {
        let mut leases = Leases::default();
        let first = lease(&mut leases, 80).expect("all free");
        leases.release(first);
        assert_eq!(lease(&mut leases, 80).map(|lease| lease.port), Some(first.port + 1));
        let rest: Vec<Lease> = std::iter::from_fn(|| lease(&mut leases, 80)).collect();
        assert_eq!(rest.last(), Some(&first));
    }

    #[test]
    fn only_ports_of_this_worker_are_leased() {
        let mut leases = Leases::default();
        let mine = |port: u16| port % 3 == 1;
        let ports: Vec<u16> = std::iter::from_fn(|| leases.lease(laddr(), server(80), 6, mine))
            .map(|lease| lease.port)
            .collect();
        assert_eq!(ports.len(), (1025..=65535).filter(|&port| mine(port)).count());
        assert!(ports.into_iter().all(mine));
    }

    #[test]
    fn giving_back_what_was_not_leased_changes_nothing() {
        let mut leases = Leases::default();
        let held = lease(&mut leases, 80).expect("all free");
        for wrong in
            [Lease { port: 5, ..held }, Lease { port: held.port + 1, ..held }, Lease { range: 9, ..held }]
        {
            leases.release(wrong);
        }
        assert_eq!(leases.usage(laddr()).used, 1);
        leases.release(held);
        leases.release(held);
        assert_eq!(leases.usage(laddr()).used, 0);
    }

    #[test]
    fn a_sweep_takes_unused_ranges_and_keeps_the_others_in_place() {
        let mut leases = Leases::default();
        let (unused, used) = (lease(&mut leases, 80), lease(&mut leases, 81));
        leases.release(unused.expect("all free"));
        leases.sweep();
        assert_eq!((leases.by_key.len(), leases.usage(laddr()).used), (1, 1));
        let again = lease(&mut leases, 82).expect("all free");
        assert_ne!(Some(again.range), used.map(|lease| lease.range));
        leases.release(used.expect("all free"));
        assert_eq!(leases.usage(laddr()).used, 1);
    }
}
