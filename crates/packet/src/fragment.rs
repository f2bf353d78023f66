// SPDX-License-Identifier: Apache-2.0
//! Fragments of IPv4 (RFC 791 3.2) and IPv6 (RFC 8200 4.5): where each lies in its datagram, and which datagram that is.

use crate::checksum::Delta;
use crate::{get16, get32, ipv4, ipv6};

/// Bytes of the IPv6 fragment header.
pub const LEN6: usize = 8;

/// What a fragment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Tells its datagram from others between the same two hosts; sixteen bits in IPv4.
    pub id: u32,
    /// Where it lies in its datagram, in bytes: a multiple of eight.
    pub offset: u32,
    /// It is not the last one.
    pub more: bool,
    /// Where the fragment header lies in an IPv6 packet; 0 in IPv4.
    pub at: usize,
}

impl Fragment {
    /// Reads the header of an IPv4 packet; `None` when it is too short.
    pub fn parse4(packet: &[u8]) -> Option<Fragment> {
        let h = packet.first_chunk::<{ ipv4::LEN }>()?;
        let word = get16(h, 6);
        let (offset, more) = (u32::from(word & 0x1fff) * 8, word & ipv4::MF != 0);
        Some(Fragment { id: u32::from(get16(h, 4)), offset, more, at: 0 })
    }

    /// Searches the fragment header of an IPv6 packet; `None` when it has none, or more than one.
    pub fn parse6(packet: &[u8]) -> Option<Fragment> {
        let mut found = None;
        let (mut kind, mut at) = (ipv6::Header::parse(packet)?.next_header(), ipv6::LEN);
        for _ in 0..=ipv6::MAX_EXTENSIONS {
            let head = packet.get(at..).and_then(|rest| rest.first_chunk::<LEN6>());
            match (kind, head, found) {
                (ipv6::extension::FRAGMENT, _, Some(_)) => return None,
                (ipv6::extension::FRAGMENT, head, None) => {
                    let (h, word) = (head?, get16(head?, 2));
                    let (offset, more) = (u32::from(word & !7), word & 1 != 0);
                    found = Some(Fragment { id: get32(h, 4), offset, more, at });
                    (kind, at) = (h[0], at + LEN6);
                    if offset != 0 {
                        return found;
                    }
                }
                (
                    ipv6::extension::HOP_BY_HOP | ipv6::extension::ROUTING | ipv6::extension::DESTINATION,
                    Some(h),
                    _,
                ) => (kind, at) = (h[0], at + (usize::from(h[1]) + 1) * 8),
                _ => return found,
            }
        }
        found
    }

    /// Whether it begins the datagram, so that the upper layer's header is in it.
    pub fn is_first(&self) -> bool {
        self.offset == 0
    }

    /// The flags and offset word of IPv4, with "do not fragment" off.
    pub fn word4(&self) -> u16 {
        (self.offset / 8) as u16 | if self.more { ipv4::MF } else { 0 }
    }

    /// Writes an IPv6 fragment header before an upper layer of protocol `next`; `None` when there is no room.
    pub fn emit6(&self, bytes: &mut [u8], next: u8) -> Option<()> {
        let h = bytes.first_chunk_mut::<LEN6>()?;
        let word = self.offset as u16 & !7 | u16::from(self.more);
        (h[0], h[1]) = (next, 0);
        h[2..4].copy_from_slice(&word.to_be_bytes());
        h[4..].copy_from_slice(&self.id.to_be_bytes());
        Some(())
    }

    /// Gives the fragment another identification; `packet` is the one this was read from.
    pub fn renumber(&self, packet: &mut [u8], id: u32) {
        if self.at > 0 {
            if let Some(field) = packet.get_mut(self.at + 4..self.at + LEN6) {
                field.copy_from_slice(&id.to_be_bytes());
            }
            return;
        }
        let Some(h) = packet.first_chunk_mut::<{ ipv4::LEN }>() else { return };
        let (old, new, sum) = (get16(h, 4), id as u16, get16(h, ipv4::at::CHECKSUM));
        h[4..6].copy_from_slice(&new.to_be_bytes());
        let sum = Delta::default().word(old, new).apply(sum);
        h[ipv4::at::CHECKSUM..ipv4::at::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet4() -> Vec<u8> {
        let repr = ipv4::Repr {
            src: 1,
            dst: 2,
            proto: 17,
            ttl: 64,
            tos: 0,
            id: 0xbeef,
            flags: ipv4::MF | 185,
            payload_len: 8,
        };
        let mut bytes = vec![0; 28];
        repr.emit(&mut bytes).expect("room");
        bytes
    }

    fn packet6(chain: &[u8], next_header: u8) -> Vec<u8> {
        let mut bytes = vec![0; ipv6::LEN];
        let repr = ipv6::Repr { src: 1, dst: 2, next_header, hop_limit: 64, payload_len: chain.len() };
        repr.emit(&mut bytes).expect("room");
        [&bytes, chain].concat()
    }

    #[test]
    fn ipv4_fragments_are_read_and_renumbered() {
        let mut bytes = packet4();
        let fragment = Fragment::parse4(&bytes).expect("a header");
        assert_eq!(fragment, Fragment { id: 0xbeef, offset: 1480, more: true, at: 0 });
        assert_eq!((fragment.word4(), fragment.is_first()), (ipv4::MF | 185, false));
        fragment.renumber(&mut bytes, 0x1234);
        assert_eq!(Fragment::parse4(&bytes).map(|f| f.id), Some(0x1234));
        assert!(ipv4::Header::parse(&bytes).is_some_and(|h| h.checksum_ok()));
        assert_eq!(Fragment::parse4(&bytes[..19]), None);
    }

    #[test]
    fn ipv6_fragment_headers_are_found_behind_options_and_written_as_they_were() {
        let header = [17, 0, 5, 0xa9, 1, 2, 3, 4];
        let options = [44, 0, 0, 0, 0, 0, 0, 0];
        let mut bytes = packet6(&[&options[..], &header].concat(), ipv6::extension::HOP_BY_HOP);
        let fragment = Fragment::parse6(&bytes).expect("a fragment header");
        assert_eq!(fragment, Fragment { id: 0x0102_0304, offset: 1448, more: true, at: 48 });
        let mut written = [0xff; LEN6];
        fragment.emit6(&mut written, 17).expect("room");
        assert_eq!(written, header);
        fragment.renumber(&mut bytes, 7);
        assert_eq!(bytes[48..56], [17, 0, 5, 0xa9, 0, 0, 0, 7]);
    }

    #[test]
    fn a_packet_without_a_fragment_header_or_with_two_is_no_fragment() {
        assert_eq!(Fragment::parse6(&packet6(&[0; 8], 17)), None);
        let first = [44, 0, 0, 1, 0, 0, 0, 1];
        let second = [17, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(Fragment::parse6(&packet6(&[first, second].concat(), 44)), None);
        assert_eq!(Fragment::parse6(&packet6(&[17, 0, 0], 44)), None);
    }
}
