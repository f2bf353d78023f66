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

    /// Where the packet comes from.
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

    /// The same flow seen from the other side.
    pub fn reversed(&self) -> Tuple {
        match *self {
            Tuple::V4(t) => Tuple::V4(Tuple4 { src: t.dst, dst: t.src, sport: t.dport, dport: t.sport }),
            Tuple::V6(t) => Tuple::V6(Tuple6 { src: t.dst, dst: t.src, sport: t.dport, dport: t.sport }),
        }
    }

    /// A hash that outsiders cannot steer without knowing the seed.
    #[inline(always)]
    pub fn hash(&self, proto: u8, seed: &FixedState) -> u64 {
        let mut hasher = seed.build_hasher();
        match self {
            Tuple::V4(t) => {
                hasher.write_u64(u64::from(t.src) << 32 | u64::from(t.dst));
                hasher.write_u64(u64::from(proto) << 32 | u64::from(t.sport) << 16 | u64::from(t.dport));
            }
            Tuple::V6(t) => {
                hasher.write_u128(t.src);
                hasher.write_u128(t.dst);
                hasher.write_u64(u64::from(proto) << 32 | u64::from(t.sport) << 16 | u64::from(t.dport));
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
