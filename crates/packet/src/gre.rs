// SPDX-License-Identifier: Apache-2.0
//! GRE headers (RFC 2784), with key and sequence number (RFC 2890).

use crate::checksum;

/// Bytes of a header without checksum.
pub const LEN: usize = 4;
/// Bytes of a header with checksum.
pub const LEN_CSUM: usize = 8;

/// First byte of a header with checksum and nothing else that is optional.
pub const CHECKSUM_PRESENT: u8 = 0x80;
const KEY_PRESENT: u8 = 0x20;
const SEQUENCE_PRESENT: u8 = 0x10;

/// Writes a header without checksum in front of a payload of Ethernet type `kind`; `None` when `bytes` is shorter than 4.
pub fn write(bytes: &mut [u8], kind: u16) -> Option<()> {
    let h = bytes.first_chunk_mut::<LEN>()?;
    let [high, low] = kind.to_be_bytes();
    *h = [0, 0, high, low];
    Some(())
}

/// Writes a header with the checksum of itself and the payload, which is already there; `None` when `bytes` is shorter than 8.
pub fn write_with_checksum(bytes: &mut [u8], kind: u16) -> Option<()> {
    let h = bytes.first_chunk_mut::<LEN_CSUM>()?;
    let [high, low] = kind.to_be_bytes();
    *h = [CHECKSUM_PRESENT, 0, high, low, 0, 0, 0, 0];
    let sum = checksum::checksum(bytes);
    bytes[4..6].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gre {
    /// Ethernet type of the payload.
    pub kind: u16,
    /// What tells tunnels between the same ends apart (RFC 2890 2.1).
    pub key: Option<u32>,
    /// There is a checksum.
    pub csum: bool,
    /// The number of the packet in its tunnel (RFC 2890 2.2).
    pub seq: Option<u32>,
}

impl Gre {
    /// A header and its length in bytes; `None` for one that is cut short, of another version (PPTP's), or with routing (RFC 1701).
    pub fn parse(bytes: &[u8]) -> Option<(Gre, usize)> {
        let &[flags, version, high, low] = bytes.first_chunk()?;
        // Routing, strict source route and recursion are none of RFC 2784's: reserved bits that a receiver must refuse.
        if flags & 0x4f != 0 || version & 7 != 0 {
            return None;
        }
        let csum = flags & CHECKSUM_PRESENT != 0;
        let at = if csum { LEN_CSUM } else { LEN };
        let keyed = flags & KEY_PRESENT != 0;
        let key = if keyed { Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?)) } else { None };
        let at = at + 4 * usize::from(keyed);
        let numbered = flags & SEQUENCE_PRESENT != 0;
        let seq = if numbered { Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?)) } else { None };
        let len = at + 4 * usize::from(numbered);
        (len <= bytes.len()).then_some((Gre { kind: u16::from_be_bytes([high, low]), key, csum, seq }, len))
    }

    /// Bytes of the header.
    pub fn header_len(&self) -> usize {
        (if self.csum { LEN_CSUM } else { LEN })
            + 4 * (usize::from(self.key.is_some()) + usize::from(self.seq.is_some()))
    }

    /// Writes the header in front of a payload that is already there; `None` when `bytes` is too short.
    pub fn write(&self, bytes: &mut [u8]) -> Option<()> {
        let [high, low] = self.kind.to_be_bytes();
        let present = |there: bool, flag: u8| if there { flag } else { 0 };
        let flags = present(self.csum, CHECKSUM_PRESENT)
            | present(self.key.is_some(), KEY_PRESENT)
            | present(self.seq.is_some(), SEQUENCE_PRESENT);
        let header = bytes.get_mut(..self.header_len())?;
        header.fill(0);
        header[..LEN].copy_from_slice(&[flags, 0, high, low]);
        let optional = [self.key, self.seq].into_iter().flatten();
        let at = if self.csum { LEN_CSUM } else { LEN };
        for (place, value) in header[at..].as_chunks_mut::<4>().0.iter_mut().zip(optional) {
            *place = value.to_be_bytes();
        }
        if self.csum {
            let sum = checksum::checksum(bytes);
            bytes[4..6].copy_from_slice(&sum.to_be_bytes());
        }
        Some(())
    }
}

/// Whether the checksum of a header and its payload is right; one that is `wanted` has to be there.
pub fn checksum_ok(bytes: &[u8], wanted: bool) -> bool {
    match bytes.first() {
        Some(flags) if flags & CHECKSUM_PRESENT != 0 => checksum::checksum(bytes) == 0,
        _ => !wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_was_written() {
        for (key, seq) in
            [(None, None), (Some(0x0102_0304), None), (None, Some(9)), (Some(7), Some(u32::MAX))]
        {
            for csum in [false, true] {
                let header = Gre { kind: 0x0800, key, csum, seq };
                let mut bytes = vec![0xee; header.header_len() + 5];
                header.write(&mut bytes).expect("room");
                assert_eq!(Gre::parse(&bytes), Some((header, header.header_len())));
                assert!(checksum_ok(&bytes, csum) && checksum_ok(&bytes, true) == csum);
                bytes[header.header_len()] ^= 1;
                assert_eq!(checksum_ok(&bytes, false), !csum);
            }
        }
        let all = Gre { kind: 0x86dd, key: Some(7), csum: false, seq: Some(9) };
        let mut bytes = [0xee; 13];
        all.write(&mut bytes).expect("12 bytes");
        assert_eq!(bytes, [0x30, 0, 0x86, 0xdd, 0, 0, 0, 7, 0, 0, 0, 9, 0xee]);
    }

    #[test]
    fn headers_nobody_here_understands_are_none() {
        let sequenced = [0x10, 0, 8, 0, 0, 0, 0, 9];
        assert_eq!(
            Gre::parse(&sequenced),
            Some((Gre { kind: 0x0800, key: None, csum: false, seq: Some(9) }, 8))
        );
        for bytes in [
            &[0x40u8, 0, 8, 0, 0, 0, 0, 0][..],
            &[0, 1, 8, 0],
            &[0, 0, 8],
            &[0x20, 0, 8, 0, 1, 2, 3],
            &[0x10, 0, 8, 0],
        ] {
            assert_eq!(Gre::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn headers_tell_the_type_of_their_payload() {
        let mut bytes = [0xee; 4];
        write(&mut bytes, 0x0800).expect("4 bytes");
        assert_eq!(bytes, [0, 0, 8, 0]);
        assert_eq!(write(&mut bytes[..3], 0x0800), None);
    }

    #[test]
    fn the_checksum_covers_header_and_payload() {
        let mut bytes = *b"xxxxxxxxodd";
        write_with_checksum(&mut bytes, 0x86dd).expect("8 bytes");
        assert_eq!(bytes[..4], [0x80, 0, 0x86, 0xdd]);
        assert_eq!(bytes[6..8], [0, 0], "reserved");
        assert_eq!(checksum::checksum(&bytes), 0);
        assert_eq!(write_with_checksum(&mut bytes[..7], 0x86dd), None);
    }
}
