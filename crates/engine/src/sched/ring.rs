// SPDX-License-Identifier: Apache-2.0
//! Consistent hashing on a ring: conhash. Every server has points on the ring by its weight, a client belongs to the next point after
//! its own. Points and hash are those of DPVS, except where weights would make more than a quarter of a million points: there they are
//! scaled down.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayString;
use md5::{Digest, Md5};

use super::table::{Table, gcd};
use super::{Ask, inhibited, usable};
use crate::snapshot::{Dest, Service, Snapshot};

/// Points of the smallest weight.
const POINTS: u64 = 160;
/// Most points on a ring, unless there are so many servers that one share each is more.
const MOST: u64 = 1 << 18;

pub(super) fn pick<'s>(svc: &Service, snap: &'s Snapshot, ask: &Ask) -> Option<&'s Dest> {
    let Some(Table::Ring(points)) = svc.hashing.table.as_deref() else { return None };
    let place = ask.quic_id.map_or_else(|| client(ask.tuple.source().ip()), connection);
    let after = points.partition_point(|&(point, _)| point < place);
    let mut round = points[after..].iter().chain(&points[..after]).map(|&(_, at)| at as usize);
    let at = round.next()?;
    // The points of a server that was found dead are, meanwhile, those of the next.
    let at = if inhibited(svc, snap, at) { round.find(|&at| !inhibited(svc, snap, at))? } else { at };
    usable(svc, snap, at)
}

/// The points of all servers with their positions in `servers`, ascending.
pub(super) fn points(servers: &[(SocketAddr, u32)]) -> Box<[(i64, u32)]> {
    let mut order: Vec<(usize, u64)> = (0..).zip(shares(servers)).collect();
    // A point that two servers share is the lower address's.
    order.sort_unstable_by_key(|&(at, _)| (servers[at].0, at));
    let mut points: Vec<(i64, u32)> = Vec::new();
    for (at, share) in order {
        let name = name(servers[at].0);
        points.extend((0..share * POINTS).map(|n| (point(&name, n), at as u32)));
    }
    points.sort_by_key(|&(point, _)| point);
    points.dedup_by_key(|&mut (point, _)| point);
    points.into_boxed_slice()
}

/// Weights in the smallest numbers, scaled down by powers of two to what a ring holds.
fn shares(servers: &[(SocketAddr, u32)]) -> Vec<u64> {
    let divisor = servers.iter().fold(0, |divisor, &(_, weight)| gcd(divisor, weight)).max(1);
    let of = |shift: u32| {
        move |&(_, weight): &(SocketAddr, u32)| match u64::from(weight / divisor) {
            0 => 0,
            share => (share >> shift).max(1),
        }
    };
    let fits = |shift: &u32| servers.iter().map(of(*shift)).sum::<u64>() * POINTS <= MOST;
    let shift = (0..u32::BITS).find(fits).unwrap_or(u32::BITS);
    servers.iter().map(of(shift)).collect()
}

/// A server's name on the ring: its address and its port with the bytes swapped, as DPVS prints it.
fn name(addr: SocketAddr) -> ArrayString<64> {
    let mut name = ArrayString::new();
    write!(name, "{}{}", addr.ip(), addr.port().swap_bytes())
        .expect("an address and a port have 50 characters at most");
    name
}

fn point(name: &str, n: u64) -> i64 {
    let mut text = ArrayString::<80>::new();
    write!(text, "{name}-{n:03}").expect("a name and a number fit");
    hash(text.as_bytes())
}

/// A client's place: the hash of its address as a decimal number, the bytes of each word swapped.
fn client(addr: IpAddr) -> i64 {
    let mut text = ArrayString::<16>::new();
    write!(text, "{}", super::hash::fold(addr).swap_bytes()).expect("32 bits have ten digits at most");
    hash(text.as_bytes())
}

/// A QUIC connection's place: the hash of its identifier as a decimal number.
fn connection(id: u64) -> i64 {
    let mut text = ArrayString::<20>::new();
    write!(text, "{id}").expect("64 bits have twenty digits at most");
    hash(text.as_bytes())
}

/// The words of the MD5 digest added up, then mixed; signed, as it is compared.
fn hash(text: &[u8]) -> i64 {
    let digest = Md5::digest(text);
    let (words, _) = digest.as_chunks::<4>();
    let a: u64 = words.iter().map(|&word| u64::from(u32::from_le_bytes(word))).sum();
    let a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    let a = (a ^ 0xc761_c23c) ^ (a >> 19);
    let a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    let a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    let a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    let a = (a ^ 0xb55a_4f09) ^ (a >> 16);
    a.wrapping_mul(3_221_225_473) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_dpvs() {
        assert_eq!(hash(b"10.0.0.120480-000") as u64, 0x7b00_21b2_6fc8_132a);
        assert_eq!(hash(b"10.0.0.120480-159") as u64, 0xbb2a_3edb_a42e_aedb);
        assert_eq!(hash(b"167903424") as u64, 0x84ad_b659_e3f2_68a4);
        assert_eq!(&*name("10.0.0.1:80".parse().expect("an address")), "10.0.0.120480");
        assert_eq!(client("192.0.2.10".parse().expect("an address")), hash(b"167903424"));
    }

    #[test]
    fn points_follow_weights_up_to_what_a_ring_holds() {
        let of = |weights: &[u32]| {
            let addr: SocketAddr = "10.0.0.1:80".parse().expect("a literal address");
            shares(&weights.iter().map(|&weight| (addr, weight)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[10, 30, 0]), [1, 3, 0]);
        assert_eq!(of(&[65_535, 1]), [1023, 1]);
        assert_eq!(points(&[("10.0.0.1:80".parse().expect("an address"), 7)]).len(), 160);
    }
}
