// SPDX-License-Identifier: Apache-2.0
//! IPv6 headers (RFC 8200) and the walk along extension headers.

use crate::{get16, get128};

/// Bytes of the fixed header.
pub const LEN: usize = 40;
/// Extension headers looked at before a packet is given up: more than any sane sender uses.
pub const MAX_EXTENSIONS: usize = 8;

/// Offsets of fields the director rewrites.
pub mod at {
    /// Hop limit.
    pub const HOP_LIMIT: usize = 7;
    /// Source address.
    pub const SRC: usize = 8;
    /// Destination address.
    pub const DST: usize = 24;
}

/// Next-header numbers of extension headers.
pub mod extension {
    /// Hop-by-hop options, only directly after the fixed header.
    pub const HOP_BY_HOP: u8 = 0;
    /// Routing.
    pub const ROUTING: u8 = 43;
    /// Fragment.
    pub const FRAGMENT: u8 = 44;
    /// Nothing follows.
    pub const NONE: u8 = 59;
    /// Destination options.
    pub const DESTINATION: u8 = 60;
}

/// The fixed header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; LEN]);

impl<'a> Header<'a> {
    /// The fixed header; `None` when there are fewer than 40 bytes. Nothing else is checked.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Header)
    }

    /// Version, 6.
    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// Bytes after the fixed header.
    #[inline(always)]
    pub fn payload_len(&self) -> usize {
        usize::from(get16(self.0, 4))
    }

    /// What follows the fixed header.
    #[inline(always)]
    pub fn next_header(&self) -> u8 {
        self.0[6]
    }

    /// Hop limit.
    #[inline(always)]
    pub fn hop_limit(&self) -> u8 {
        self.0[7]
    }

    /// Source address.
    #[inline(always)]
    pub fn src(&self) -> u128 {
        get128(self.0, at::SRC)
    }

    /// Destination address.
    #[inline(always)]
    pub fn dst(&self) -> u128 {
        get128(self.0, at::DST)
    }
}

/// Where the upper layer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// Its protocol.
    pub proto: u8,
    /// Its offset from the fixed header, at least 40.
    pub offset: usize,
    /// The packet is one of several fragments.
    pub fragment: bool,
    /// It is a fragment other than the first: what stands at `offset` is not a header.
    pub later_fragment: bool,
}

/// Walks the extension headers of a packet; `None` when one is truncated or there are too many of them.
pub fn upper(packet: &[u8], next_header: u8) -> Option<Upper> {
    let mut upper = Upper { proto: next_header, offset: LEN, fragment: false, later_fragment: false };
    for _ in 0..=MAX_EXTENSIONS {
        let here = packet.get(upper.offset..);
        match upper.proto {
            extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION => {
                let head = here?.first_chunk::<2>()?;
                upper.proto = head[0];
                upper.offset += (usize::from(head[1]) + 1) * 8;
            }
            extension::FRAGMENT => {
                let head = here?.first_chunk::<8>()?;
                let word = get16(head, 2);
                upper.proto = head[0];
                upper.offset += 8;
                // An offset of 0 and nothing to follow is a whole packet (RFC 6946).
                upper.fragment |= word & !6 != 0;
                upper.later_fragment |= word >> 3 != 0;
                if upper.later_fragment {
                    return Some(upper);
                }
            }
            _ => return (upper.offset <= packet.len()).then_some(upper),
        }
    }
    None
}

/// The type of the first routing header that names stops still to be visited (RFC 8200 4.4), if any.
#[cold]
pub fn unfinished_route(packet: &[u8], next_header: u8) -> Option<u8> {
    let (mut kind, mut at) = (next_header, LEN);
    for _ in 0..=MAX_EXTENSIONS {
        let head = packet.get(at..)?.first_chunk::<8>()?;
        at += match kind {
            extension::ROUTING if head[3] != 0 => return Some(head[2]),
            extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION => {
                (usize::from(head[1]) + 1) * 8
            }
            extension::FRAGMENT if get16(head, 2) >> 3 == 0 => 8,
            _ => return None,
        };
        kind = head[0];
    }
    None
}

/// Values of a fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Bytes after the header, at most 65535.
    pub payload_len: usize,
}

impl Repr {
    /// Writes the header with traffic class and flow label zero; `None` when `bytes` is too short or the payload too long.
    #[inline(always)]
    pub fn emit(&self, bytes: &mut [u8]) -> Option<()> {
        let h = bytes.first_chunk_mut::<LEN>()?;
        let len = u16::try_from(self.payload_len).ok()?;
        h[..4].copy_from_slice(&[0x60, 0, 0, 0]);
        h[4..6].copy_from_slice(&len.to_be_bytes());
        h[6] = self.next_header;
        h[7] = self.hop_limit;
        h[8..24].copy_from_slice(&self.src.to_be_bytes());
        h[24..40].copy_from_slice(&self.dst.to_be_bytes());
        Some(())
    }
}

/// The group a neighbour listens to for questions about `addr` (RFC 4291 2.7.1).
pub fn solicited_node(addr: u128) -> u128 {
    0xff02_0000_0000_0000_0000_0001_ff00_0000 | addr & 0x00ff_ffff
}

/// The Ethernet address of a multicast group (RFC 2464 7).
pub fn multicast_mac(group: u128) -> [u8; 6] {
    let [a, b, c, d] = (group as u32).to_be_bytes();
    [0x33, 0x33, a, b, c, d]
}

/// Whether an address names a group.
#[inline(always)]
pub fn is_multicast(addr: u128) -> bool {
    addr >> 120 == 0xff
}

/// Whether an address is valid on one link only.
#[inline(always)]
pub fn is_link_local(addr: u128) -> bool {
    addr >> 118 == 0xfe80 >> 6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chain: &[u8]) -> Vec<u8> {
        [&[0; LEN][..], chain].concat()
    }

    #[test]
    fn without_extensions_the_upper_layer_follows_the_fixed_header() {
        let expected = Upper { proto: 6, offset: 40, fragment: false, later_fragment: false };
        assert_eq!(upper(&packet(&[]), 6), Some(expected));
    }

    #[test]
    fn routes_with_stops_left_are_told_behind_other_headers_too() {
        let hop = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
        let routing = |kind: u8, left: u8| [17, 0, kind, left, 0, 0, 0, 0];
        assert_eq!(unfinished_route(&packet(&routing(0, 1)), extension::ROUTING), Some(0));
        assert_eq!(unfinished_route(&packet(&routing(4, 2)), extension::ROUTING), Some(4));
        assert_eq!(unfinished_route(&packet(&routing(0, 0)), extension::ROUTING), None);
        for before in [extension::HOP_BY_HOP, extension::DESTINATION] {
            let chain = [hop(extension::ROUTING), routing(0, 1)].concat();
            assert_eq!(unfinished_route(&packet(&chain), before), Some(0));
        }
        let part = |offset: u8| [extension::ROUTING, 0, 0, offset | 1, 0, 0, 0, 7];
        let first = [part(0), routing(0, 1)].concat();
        assert_eq!(unfinished_route(&packet(&first), extension::FRAGMENT), Some(0));
        // What follows in a later fragment is no header; nor is there one beyond the packet's end.
        let later = [part(8), routing(0, 1)].concat();
        assert_eq!(unfinished_route(&packet(&later), extension::FRAGMENT), None);
        assert_eq!(unfinished_route(&packet(&routing(0, 1)[..7]), extension::ROUTING), None);
        assert_eq!(unfinished_route(&packet(&hop(0).repeat(20)), 0), None, "a chain without end");
    }

    #[test]
    fn options_are_walked_by_their_length() {
        let chain = [60, 0, 0, 0, 0, 0, 0, 0, 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2];
        let expected = Upper { proto: 17, offset: 64, fragment: false, later_fragment: false };
        assert_eq!(upper(&packet(&chain), extension::HOP_BY_HOP), Some(expected));
    }

    #[test]
    fn fragments_are_told_and_atomic_ones_are_none() {
        let fragment = |word: u16| packet(&[17, 0, (word >> 8) as u8, word as u8, 0, 0, 0, 1]);
        let flags =
            |word| upper(&fragment(word), extension::FRAGMENT).map(|u| (u.fragment, u.later_fragment));
        assert_eq!(flags(0), Some((false, false)));
        assert_eq!(flags(1), Some((true, false)));
        assert_eq!(flags(185 << 3), Some((true, true)));
    }

    #[test]
    fn truncated_and_endless_chains_are_given_up() {
        assert_eq!(upper(&packet(&[60]), extension::HOP_BY_HOP), None);
        assert_eq!(upper(&packet(&[6, 3, 0, 0, 0, 0, 0, 0]), extension::HOP_BY_HOP), None);
        let endless: Vec<u8> = [60, 0, 0, 0, 0, 0, 0, 0].repeat(40);
        assert_eq!(upper(&packet(&endless), extension::DESTINATION), None);
    }

    #[test]
    fn groups_of_a_neighbour() {
        let addr = 0x2001_0db8_0000_0000_0000_0000_00aa_bbcc;
        let group = solicited_node(addr);
        assert_eq!(group, 0xff02_0000_0000_0000_0000_0001_ffaa_bbcc);
        assert_eq!(multicast_mac(group), [0x33, 0x33, 0xff, 0xaa, 0xbb, 0xcc]);
        assert!(is_multicast(group) && !is_multicast(addr));
        assert!(is_link_local(0xfe80 << 112 | 1) && !is_link_local(addr));
    }
}
