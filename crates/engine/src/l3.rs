// SPDX-License-Identifier: Apache-2.0
//! What an IP packet must be before anything else looks at it, rule by rule.

use packet::{Csum, ipv4, ipv6};

use crate::link::RxCsum;
use crate::verdict::DropReason;

/// What the rest needs to know of an accepted IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// IPv6, else IPv4.
    pub six: bool,
    /// Upper protocol; behind all extension headers.
    pub proto: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// One of several fragments.
    pub fragment: bool,
    /// "Do not fragment", always so for IPv6.
    pub df: bool,
    /// Bytes before the upper layer: options and extension headers included.
    pub header_len: u16,
    /// Bytes of the packet: what follows is padding.
    pub total_len: u16,
}

impl Ip {
    /// Before a packet was looked at.
    pub const NOTHING: Ip =
        Ip { six: false, proto: 0, ttl: 0, fragment: false, df: false, header_len: 0, total_len: 0 };

    /// Type of service or traffic class; `bytes` begin with this header.
    pub fn class(&self, bytes: &[u8]) -> u8 {
        match bytes.first_chunk::<2>() {
            Some([a, b]) if self.six => a << 4 | b >> 4,
            Some([_, tos]) => *tos,
            None => 0,
        }
    }
}

/// Checks an IPv4 packet (RFC 1812 5.2.2).
#[inline(always)]
pub fn accept4(bytes: &[u8], device: Csum, policy: RxCsum) -> Result<Ip, DropReason> {
    // (1) long enough for a header; (3) version 4; (4) header length at least 5 words
    let header = ipv4::Header::parse(bytes).ok_or(DropReason::Truncated)?;
    let header_len = header.header_len();
    if header.version() != 4 || header_len < ipv4::LEN {
        return Err(DropReason::IpHeader);
    }
    // (5) total length at least the header's; and all of it there
    let total_len = header.total_len();
    if total_len < header_len {
        return Err(DropReason::IpHeader);
    }
    if total_len > bytes.len() {
        return Err(DropReason::Truncated);
    }
    // (2) checksum
    let right = match device {
        Csum::Good => true,
        Csum::Bad => false,
        Csum::Unknown if policy == RxCsum::Trust => true,
        Csum::Unknown if header_len == ipv4::LEN => header.checksum_ok(),
        Csum::Unknown => packet::checksum::checksum(&bytes[..header_len]) == 0,
    };
    if !right {
        return Err(DropReason::IpChecksum);
    }
    if header_len != ipv4::LEN && ipv4::source_routed(&bytes[ipv4::LEN..header_len]) {
        return Err(DropReason::SourceRoute);
    }
    if martian_source4(header.src()) || header.dst() >> 24 == 127 || header.dst() == 0 {
        return Err(DropReason::Martian);
    }
    Ok(Ip {
        six: false,
        proto: header.proto(),
        ttl: header.ttl(),
        fragment: header.is_fragment(),
        df: header.flags() & ipv4::DF != 0,
        header_len: header_len as u16,
        total_len: total_len as u16,
    })
}

/// Sources nobody may have on the wire (RFC 1812 5.3.7): this network, loopback, groups and what is reserved.
fn martian_source4(src: u32) -> bool {
    matches!(src >> 24, 0 | 127 | 224..)
}

/// Checks an IPv6 packet (RFC 8200 3).
#[inline(always)]
pub fn accept6(bytes: &[u8]) -> Result<Ip, DropReason> {
    let header = ipv6::Header::parse(bytes).ok_or(DropReason::Truncated)?;
    if header.version() != 6 {
        return Err(DropReason::IpHeader);
    }
    let total_len = ipv6::LEN + header.payload_len();
    if total_len > bytes.len() {
        return Err(DropReason::Truncated);
    }
    // RFC 4291 2.5.3 and 2.7: loopback stays inside, groups are never a source, scopes 0 and 1 never leave.
    let (src, dst) = (header.src(), header.dst());
    let scope = dst >> 112 & 15;
    if src == 1 || dst <= 1 || ipv6::is_multicast(src) || ipv6::is_multicast(dst) && scope <= 1 {
        return Err(DropReason::Martian);
    }
    let total = u16::try_from(total_len).map_err(|_| DropReason::IpHeader)?;
    let upper = ipv6::upper(&bytes[..total_len], header.next_header()).ok_or(DropReason::ExtensionHeader)?;
    // RFC 5095: this type is not to be followed any more; others may pass through.
    if upper.offset != ipv6::LEN
        && ipv6::unfinished_route(&bytes[..total_len], header.next_header()) == Some(0)
    {
        return Err(DropReason::SourceRoute);
    }
    Ok(Ip {
        six: true,
        proto: upper.proto,
        ttl: header.hop_limit(),
        fragment: upper.fragment,
        df: true,
        header_len: upper.offset as u16,
        total_len: total,
    })
}

#[cfg(test)]
mod tests {
    use packet::build;

    use super::*;

    fn ipv4_packet() -> Vec<u8> {
        let frame = build::udp(
            ([2; 6], [4; 6]),
            "10.0.0.1:5".parse().unwrap(),
            "10.0.0.2:6".parse().unwrap(),
            b"payload",
        );
        frame[14..].to_vec()
    }

    fn ipv6_packet() -> Vec<u8> {
        let frame = build::udp(
            ([2; 6], [4; 6]),
            "[fd00::1]:5".parse().unwrap(),
            "[fd00::2]:6".parse().unwrap(),
            b"payload",
        );
        frame[14..].to_vec()
    }

    /// The verdict after bytes were overwritten and the header checksum put right again.
    fn verdict4(change: impl Fn(&mut Vec<u8>)) -> Result<Ip, DropReason> {
        let mut bytes = ipv4_packet();
        change(&mut bytes);
        if bytes.len() >= 20 {
            bytes[10..12].fill(0);
            let sum = packet::checksum::checksum(&bytes[..20]);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        accept4(&bytes, Csum::Unknown, RxCsum::Verify)
    }

    #[test]
    fn good_packets_are_described() {
        let ip =
            Ip { six: false, proto: 17, ttl: 64, fragment: false, df: true, header_len: 20, total_len: 35 };
        assert_eq!(verdict4(|_| ()), Ok(ip));
        assert_eq!(verdict4(|b| b.extend([0; 11])), Ok(ip), "padding is not counted");
        let ip =
            Ip { six: true, proto: 17, ttl: 64, fragment: false, df: true, header_len: 40, total_len: 55 };
        assert_eq!(accept6(&ipv6_packet()), Ok(ip));
    }

    #[test]
    fn rfc_1812_5_2_2_header_rules() {
        assert_eq!(verdict4(|b| b.truncate(19)), Err(DropReason::Truncated));
        assert_eq!(verdict4(|b| b[0] = 0x65), Err(DropReason::IpHeader));
        assert_eq!(verdict4(|b| b[0] = 0x44), Err(DropReason::IpHeader));
        assert_eq!(verdict4(|b| b[3] = 19), Err(DropReason::IpHeader));
        assert_eq!(verdict4(|b| b.truncate(34)), Err(DropReason::Truncated));
    }

    #[test]
    fn a_wrong_header_checksum_is_dropped_unless_the_device_vouches() {
        let mut bytes = ipv4_packet();
        bytes[10] ^= 1;
        assert_eq!(accept4(&bytes, Csum::Unknown, RxCsum::Verify), Err(DropReason::IpChecksum));
        assert!(accept4(&bytes, Csum::Good, RxCsum::Verify).is_ok());
        assert!(accept4(&bytes, Csum::Unknown, RxCsum::Trust).is_ok());
        assert_eq!(accept4(&ipv4_packet(), Csum::Bad, RxCsum::Trust), Err(DropReason::IpChecksum));
    }

    #[test]
    fn martians_are_dropped() {
        for first in [0, 127, 224, 240, 255] {
            assert_eq!(verdict4(|b| b[12] = first), Err(DropReason::Martian), "source {first}");
        }
        assert_eq!(verdict4(|b| b[16] = 127), Err(DropReason::Martian));
        let six = |at: usize, with: [u8; 2]| {
            let mut bytes = ipv6_packet();
            bytes[at..at + 2].copy_from_slice(&with);
            accept6(&bytes)
        };
        assert_eq!(six(8, [0xff, 2]), Err(DropReason::Martian));
        assert_eq!(six(24, [0xff, 1]), Err(DropReason::Martian));
        assert_eq!(six(8, [0, 0]), Err(DropReason::Martian), "the source is ::1 now");
    }

    #[test]
    fn every_truncation_is_refused() {
        for len in 0..35 {
            assert!(accept4(&ipv4_packet()[..len], Csum::Unknown, RxCsum::Verify).is_err());
        }
        for len in 0..55 {
            assert!(accept6(&ipv6_packet()[..len]).is_err());
        }
    }
}
