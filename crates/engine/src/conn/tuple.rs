// SPDX-License-Identifier: Apache-2.0
//! The addresses and ports of one direction of a flow: what the connection table is searched with.

use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use foldhash::quality::FixedState;

/// Source and destination of an IPv4 packet, host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple4 {
    /// Source address.
    pub src: u32,
    /// Destination address.
    pub dst: u32,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
}

/// Source and destination of an IPv6 packet, host byte order. Packed to words: it is copied for every packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed(8))]
pub struct Tuple6 {
    /// Source address.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
}

/// One direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuple {
    /// IPv4.
    V4(Tuple4),
    /// IPv6.
    V6(Tuple6),
}

impl Tuple {
    /// The tuple from `src` to `dst`; `None` when their families differ.
    pub fn new(src: SocketAddr, dst: SocketAddr) -> Option<Tuple> {
        let (sport, dport) = (src.port(), dst.port());
        match (src.ip(), dst.ip()) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                Some(Tuple::V4(Tuple4 { src: s.to_bits(), dst: d.to_bits(), sport, dport }))
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                Some(Tuple::V6(Tuple6 { src: s.to_bits(), dst: d.to_bits(), sport, dport }))
            }
            _ => None,
        }
    }

    /// The tuple from `src` to `dst`, which may be of different families: IPv4 addresses are mapped then (RFC 4291 2.5.5.2).
    pub fn of_any(src: SocketAddr, dst: SocketAddr) -> Tuple {
        let wide = |addr: IpAddr| match addr {
            IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
            IpAddr::V6(addr) => addr.to_bits(),
        };
        let mapped =
            Tuple6 { src: wide(src.ip()), dst: wide(dst.ip()), sport: src.port(), dport: dst.port() };
        Tuple::new(src, dst).unwrap_or(Tuple::V6(mapped))
    }

    /// Where the packet comes from.
    #[inline(always)]
    pub fn source(&self) -> SocketAddr {
        match self {
            Tuple::V4(t) => SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(t.src)), t.sport),
            Tuple::V6(t) => SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(t.src)), t.sport),
        }
    }

    /// Where the packet goes to.
    pub fn target(&self) -> SocketAddr {
        match self {
            Tuple::V4(t) => SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(t.dst)), t.dport),
            Tuple::V6(t) => SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(t.dst)), t.dport),
        }
    }

    /// The address the packet goes to.
    #[inline(always)]
    pub fn target_ip(&self) -> IpAddr {
        match self {
            Tuple::V4(t) => IpAddr::V4(Ipv4Addr::from_bits(t.dst)),
            Tuple::V6(t) => IpAddr::V6(Ipv6Addr::from_bits(t.dst)),
        }
    }

    /// The port the packet goes to.
    #[inline(always)]
    pub fn target_port(&self) -> u16 {
        match self {
            Tuple::V4(t) => t.dport,
            Tuple::V6(t) => t.dport,
        }
    }

    /// Source and destination port.
    #[inline(always)]
    pub fn ports(&self) -> (u16, u16) {
        match self {
            Tuple::V4(t) => (t.sport, t.dport),
            Tuple::V6(t) => (t.sport, t.dport),
        }
    }

    /// The same flow seen from the other side.
    #[inline(always)]
    pub fn reversed(&self) -> Tuple {
        match *self {
            Tuple::V4(t) => Tuple::V4(Tuple4 { src: t.dst, dst: t.src, sport: t.dport, dport: t.sport }),
            Tuple::V6(t) => Tuple::V6(Tuple6 { src: t.dst, dst: t.src, sport: t.dport, dport: t.sport }),
        }
    }

    /// Its place in the index of connections: where to look by the low bits, how to tell it from others there by the top sixteen.
    ///
    /// Four destination ports in a row share a place, and the next four have the one beside it. Local ports are leased in a row, so
    /// a new connection finds its outbound place warm from the last one; clients do not choose destination ports.
    #[inline(always)]
    pub fn place(&self, proto: u8, seed: &FixedState) -> u64 {
        let dport = u64::from(self.target_port());
        let tag = dport.wrapping_mul(0x9e37_79b9) << 48;
        self.digest(proto, 0, seed).wrapping_add(dport >> 2) ^ tag
    }

    /// A hash that outsiders cannot steer without knowing the seed.
    #[inline(always)]
    pub fn hash(&self, proto: u8, seed: &FixedState) -> u64 {
        self.digest(proto, self.target_port(), seed)
    }

    /// A hash of everything but the destination port, for which `dport` stands in.
    #[inline(always)]
    fn digest(&self, proto: u8, dport: u16, seed: &FixedState) -> u64 {
        let mut hasher = seed.build_hasher();
        match self {
            Tuple::V4(t) => {
                hasher.write_u64(u64::from(t.src) << 32 | u64::from(t.dst));
                hasher.write_u64(u64::from(proto) << 32 | u64::from(t.sport) << 16 | u64::from(dport));
            }
            Tuple::V6(t) => {
                hasher.write_u128(t.src);
                hasher.write_u128(t.dst);
                hasher.write_u64(u64::from(proto) << 32 | u64::from(t.sport) << 16 | u64::from(dport));
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(src: &str, dst: &str) -> Tuple {
        Tuple::new(src.parse().unwrap(), dst.parse().unwrap()).expect("one family")
    }

    #[test]
    fn addresses_survive_and_reverse() {
        for (src, dst) in [("10.0.0.1:1024", "10.0.0.2:80"), ("[fd00::1]:1024", "[fd00::2]:80")] {
            let t = tuple(src, dst);
            assert_eq!((t.source().to_string(), t.target().to_string()), (src.to_owned(), dst.to_owned()));
            assert_eq!(t.reversed(), tuple(dst, src));
        }
    }

    #[test]
    fn families_do_not_mix() {
        assert!(Tuple::new("10.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap()).is_none());
    }

    #[test]
    fn ports_in_a_row_lie_side_by_side_and_are_told_apart() {
        let seed = FixedState::with_seed(1);
        for local in ["10.0.0.2", "[fd00::2]"] {
            let server = if local.starts_with('[') { "[fd00::1]:80" } else { "10.0.0.1:80" };
            let place = |port: u16| tuple(server, &format!("{local}:{port}")).place(6, &seed);
            let low = |port| place(port) as u32 & 0xffff;
            assert_eq!((low(2000), low(2003)), (low(2001), low(2002)));
            assert_eq!(low(2004), (low(2000) + 1) & 0xffff);
            let tags: std::collections::HashSet<u64> = (2000..2064).map(|port| place(port) >> 48).collect();
            assert_eq!(tags.len(), 64);
        }
    }

    #[test]
    fn the_hash_depends_on_seed_protocol_and_every_field() {
        let seed = FixedState::with_seed(1);
        let base = tuple("10.0.0.1:1024", "10.0.0.2:80");
        let hash = base.hash(6, &seed);
        assert_ne!(hash, base.hash(17, &seed));
        assert_ne!(hash, base.hash(6, &FixedState::with_seed(2)));
        assert_ne!(hash, base.reversed().hash(6, &seed));
        assert_ne!(hash, tuple("10.0.0.1:1025", "10.0.0.2:80").hash(6, &seed));
    }
}
