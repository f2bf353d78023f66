// SPDX-License-Identifier: Apache-2.0
//! Ethernet II frames and 802.1Q tags.
//!
//! ```text
//!  0        6        12   14                 12     14   16   18
//!  | dst    | src    | type | payload   or   | 8100 | tci | type | payload
//! ```

use crate::get16;

/// Bytes of an untagged header.
pub const LEN: usize = 14;
/// Bytes of an 802.1Q tag.
pub const TAG_LEN: usize = 4;
/// Type of IPv4.
pub const IPV4: u16 = 0x0800;
/// Type of ARP.
pub const ARP: u16 = 0x0806;
/// Type of an 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// Type of IPv6.
pub const IPV6: u16 = 0x86dd;
/// Everybody.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// A checked header, tag included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Destination.
    pub dst: [u8; 6],
    /// Source.
    pub src: [u8; 6],
    /// 802.1Q identifier, if tagged; 0 for a priority tag.
    pub vlan: Option<u16>,
    /// Type of the payload.
    pub kind: u16,
    /// Bytes before the payload: 14 or 18.
    pub len: usize,
}

impl Header {
    /// The header of a frame; `None` when it is too short.
    #[inline(always)]
    pub fn parse(frame: &[u8]) -> Option<Header> {
        let h = frame.first_chunk::<LEN>()?;
        let (mut dst, mut src) = ([0; 6], [0; 6]);
        dst.copy_from_slice(&h[..6]);
        src.copy_from_slice(&h[6..12]);
        let kind = get16(h, 12);
        if kind != VLAN {
            return Some(Header { dst, src, vlan: None, kind, len: LEN });
        }
        let tag = frame.get(LEN..)?.first_chunk::<TAG_LEN>()?;
        let vlan = Some(get16(tag, 0) & 0x0fff);
        Some(Header { dst, src, vlan, kind: get16(tag, 2), len: LEN + TAG_LEN })
    }
}

/// Bytes of the header with or without a tag.
#[inline(always)]
pub fn header_len(vlan: Option<u16>) -> usize {
    if vlan.is_some() { LEN + TAG_LEN } else { LEN }
}

/// Writes a header into the first [`header_len`] bytes of `frame`; `false` when it is too short.
#[inline(always)]
pub fn write(frame: &mut [u8], dst: [u8; 6], src: [u8; 6], vlan: Option<u16>, kind: u16) -> bool {
    let Some(h) = frame.first_chunk_mut::<LEN>() else { return false };
    h[..6].copy_from_slice(&dst);
    h[6..12].copy_from_slice(&src);
    let Some(id) = vlan else {
        h[12..].copy_from_slice(&kind.to_be_bytes());
        return true;
    };
    h[12..].copy_from_slice(&VLAN.to_be_bytes());
    let Some(tag) = frame[LEN..].first_chunk_mut::<TAG_LEN>() else { return false };
    tag[..2].copy_from_slice(&id.to_be_bytes());
    tag[2..].copy_from_slice(&kind.to_be_bytes());
    true
}

/// Whether an address means a group of stations, broadcast included.
#[inline(always)]
pub fn is_group(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip_with_and_without_tag() {
        for vlan in [None, Some(102)] {
            let mut frame = [0; 20];
            assert!(write(&mut frame, [1; 6], [2; 6], vlan, IPV6));
            let expected = Header { dst: [1; 6], src: [2; 6], vlan, kind: IPV6, len: header_len(vlan) };
            assert_eq!(Header::parse(&frame), Some(expected));
            assert_eq!(Header::parse(&frame[..expected.len - 1]), None);
        }
    }

    #[test]
    fn priority_bits_are_not_part_of_the_identifier() {
        let mut frame = [0; 18];
        assert!(write(&mut frame, [1; 6], [2; 6], Some(0xe000 | 5), IPV4));
        assert_eq!(Header::parse(&frame).expect("18 bytes").vlan, Some(5));
    }
}
