// SPDX-License-Identifier: Apache-2.0
//! SCTP packets (RFC 9260): the common header, the chunks in front, the checksum.

use crate::{get16, get32};

/// Bytes of the common header.
pub const LEN: usize = 12;

/// Offset of the checksum.
pub const CHECKSUM: usize = 8;

/// Bytes of a chunk before its value: type, flags, length.
const CHUNK: usize = 4;

/// Chunk types (RFC 9260 3.2).
pub mod chunk {
    /// User data.
    pub const DATA: u8 = 0;
    /// Opens an association.
    pub const INIT: u8 = 1;
    /// Answers INIT.
    pub const INIT_ACK: u8 = 2;
    /// Selective acknowledgement.
    pub const SACK: u8 = 3;
    /// Asks whether the peer is there.
    pub const HEARTBEAT: u8 = 4;
    /// Ends an association at once.
    pub const ABORT: u8 = 6;
    /// No more data follows.
    pub const SHUTDOWN: u8 = 7;
    /// Answers SHUTDOWN.
    pub const SHUTDOWN_ACK: u8 = 8;
    /// Tells an error.
    pub const ERROR: u8 = 9;
    /// Brings the cookie back.
    pub const COOKIE_ECHO: u8 = 10;
    /// Answers COOKIE ECHO.
    pub const COOKIE_ACK: u8 = 11;
    /// Ends an association in order.
    pub const SHUTDOWN_COMPLETE: u8 = 14;
}

/// The common header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; LEN]);

impl<'a> Header<'a> {
    /// The header; `None` when there are fewer than 12 bytes. Nothing else is checked.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Header)
    }

    /// Source port.
    #[inline(always)]
    pub fn sport(&self) -> u16 {
        get16(self.0, 0)
    }

    /// Destination port.
    #[inline(always)]
    pub fn dport(&self) -> u16 {
        get16(self.0, 2)
    }

    /// Verification tag.
    pub fn tag(&self) -> u32 {
        get32(self.0, 4)
    }

    /// Checksum, in the byte order in which it was computed: that of RFC 9260 appendix A.
    pub fn checksum(&self) -> u32 {
        get32(self.0, CHECKSUM).swap_bytes()
    }
}

/// The types of the first chunk, and of the one behind it, of a packet that begins with its common header; `None` where there is none.
pub fn chunks(packet: &[u8]) -> (Option<u8>, Option<u8>) {
    let Some(chunks) = packet.get(LEN..).filter(|chunks| chunks.len() >= CHUNK) else { return (None, None) };
    let len = usize::from(u16::from_be_bytes([chunks[2], chunks[3]]));
    // Chunks fill whole words; a length below that of its own head has nothing behind it.
    let second = chunks.get(len.next_multiple_of(4)..).filter(|rest| len >= CHUNK && rest.len() >= CHUNK);
    (Some(chunks[0]), second.map(|rest| rest[0]))
}

/// The CRC32c over a packet, as if its checksum were zero (RFC 9260 6.8).
pub fn checksum(packet: &[u8]) -> u32 {
    let (head, rest) = packet.split_at(packet.len().min(CHECKSUM));
    let crc = crc32c::crc32c_append(crc32c::crc32c(head), &[0; 4][..rest.len().min(4)]);
    crc32c::crc32c_append(crc, rest.get(4..).unwrap_or_default())
}

/// Writes the checksum of a packet into it. Packets without a whole header stay as they are.
pub fn sum_up(packet: &mut [u8]) {
    let sum = checksum(packet);
    if let Some(field) = packet.get_mut(CHECKSUM..CHECKSUM + 4) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}

/// The checksum of a packet of `len` bytes whose checksum was `sum`, with other ports: it is linear, so that the rest of the packet need not
/// be there.
pub fn checksum_with_ports(sum: u32, old: [u8; 4], new: [u8; 4], len: usize) -> u32 {
    let moved = |ports: [u8; 4]| crc32c::crc32c_combine(crc32c::crc32c(&ports), 0, len.saturating_sub(4));
    sum ^ moved(old) ^ moved(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with scapy, which has a CRC of its own: `SCTP(sport=40000, dport=2905) / SCTPChunkInit(init_tag=1, a_rwnd=1, n_out_streams=1,
    /// n_in_streams=1, init_tsn=1)`.
    const INIT: [u8; 32] = [
        0x9c, 0x40, 0x0b, 0x59, 0, 0, 0, 0, 0xb8, 0xdc, 0xc8, 0xdd, 1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0,
        1, 0, 1, 0, 0, 0, 1,
    ];

    #[test]
    fn fields_are_where_the_rfc_says() {
        let h = Header::parse(&INIT).expect("long enough");
        assert_eq!((h.sport(), h.dport(), h.tag()), (40_000, 2905, 0));
        assert!(Header::parse(&INIT[..11]).is_none());
    }

    #[test]
    fn the_checksum_is_that_of_an_independent_maker() {
        let h = Header::parse(&INIT).expect("long enough");
        assert_eq!(checksum(&INIT), h.checksum());
        let mut broken = INIT;
        broken[8..12].fill(0x55);
        sum_up(&mut broken);
        assert_eq!(broken, INIT);
        for bit in 0..INIT.len() * 8 {
            let mut broken = INIT;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(
                checksum(&broken),
                Header::parse(&broken).expect("long enough").checksum(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn other_ports_change_the_checksum_without_the_rest_of_the_packet() {
        let mut other = INIT;
        other[..4].copy_from_slice(&[0x12, 0x34, 0, 80]);
        let ports = |packet: &[u8; 32]| packet[..4].try_into().expect("four");
        assert_eq!(checksum_with_ports(checksum(&INIT), ports(&INIT), ports(&other), 32), checksum(&other));
    }

    #[test]
    fn short_packets_are_summed_up_without_harm() {
        for len in 0..16 {
            let mut packet = vec![7; len];
            sum_up(&mut packet);
            assert_eq!(packet.len(), len);
        }
    }

    #[test]
    fn two_chunks_are_told_however_they_are_padded() {
        let packet = |rest: &[u8]| [&[0; 12][..], rest].concat();
        assert_eq!(chunks(&packet(&[10, 0, 0, 5, 9, 0, 0, 0, 6, 0, 0, 4])), (Some(10), Some(6)));
        assert_eq!(chunks(&packet(&[10, 0, 0, 4])), (Some(10), None));
        assert_eq!(chunks(&packet(&[10, 0, 0, 3, 6, 0, 0, 4])), (Some(10), None));
        assert_eq!(chunks(&packet(&[10, 0, 255, 255, 6, 0, 0, 4])), (Some(10), None));
        assert_eq!(chunks(&packet(&[10, 0, 0])), (None, None));
    }
}
