// SPDX-License-Identifier: Apache-2.0
//! IPv4 headers (RFC 791).

use crate::{checksum, get16, get32};

/// Bytes of a header without options.
pub const LEN: usize = 20;
/// "Do not fragment" in the flags and offset word.
pub const DF: u16 = 0x4000;
/// "More fragments" in the flags and offset word.
pub const MF: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// Offsets of fields the director rewrites.
pub mod at {
    /// Time to live.
    pub const TTL: usize = 8;
    /// Header checksum.
    pub const CHECKSUM: usize = 10;
    /// Source address.
    pub const SRC: usize = 12;
    /// Destination address.
    pub const DST: usize = 16;
}

/// The fixed part of a header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; LEN]);

impl<'a> Header<'a> {
    /// The fixed part; `None` when there are fewer than 20 bytes. Nothing else is checked.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Header)
    }

    /// Version, 4.
    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// Bytes of the header, options included.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.0[0] & 15) * 4
    }

    /// Type of service.
    pub fn tos(&self) -> u8 {
        self.0[1]
    }

    /// Bytes of the packet.
    #[inline(always)]
    pub fn total_len(&self) -> usize {
        usize::from(get16(self.0, 2))
    }

    /// Flags and fragment offset.
    #[inline(always)]
    pub fn flags(&self) -> u16 {
        get16(self.0, 6)
    }

    /// Whether it is one of several fragments.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        self.flags() & (MF | OFFSET) != 0
    }

    /// Whether it is a fragment other than the first.
    pub fn is_later_fragment(&self) -> bool {
        self.flags() & OFFSET != 0
    }

    /// Time to live.
    #[inline(always)]
    pub fn ttl(&self) -> u8 {
        self.0[8]
    }

    /// Protocol.
    #[inline(always)]
    pub fn proto(&self) -> u8 {
        self.0[9]
    }

    /// Source address.
    #[inline(always)]
    pub fn src(&self) -> u32 {
        get32(self.0, 12)
    }

    /// Destination address.
    #[inline(always)]
    pub fn dst(&self) -> u32 {
        get32(self.0, 16)
    }

    /// Whether the checksum of a header without options is right.
    #[inline(always)]
    pub fn checksum_ok(&self) -> bool {
        checksum::fold(checksum::sum(self.0)) == 0xffff
    }
}

/// Whether the options of a header, what follows its fixed part, tell routers where to send the packet: a loose or strict source route (RFC
/// 791 3.1). What comes behind an option that is none is not looked at.
#[cold]
pub fn source_routed(mut options: &[u8]) -> bool {
    const LOOSE: u8 = 131;
    const STRICT: u8 = 137;
    loop {
        options = match *options {
            [LOOSE | STRICT, ..] => return true,
            [1, ref rest @ ..] => rest,
            [0, ..] | [] | [_] => return false,
            [_, len, ..] => match options.get(usize::from(len.max(2))..) {
                Some(rest) if len >= 2 => rest,
                _ => return false,
            },
        };
    }
}

/// Values of a header without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub src: u32,
    /// Destination address.
    pub dst: u32,
    /// Protocol.
    pub proto: u8,
    /// Time to live.
    pub ttl: u8,
    /// Type of service.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset.
    pub flags: u16,
    /// Bytes after the header.
    pub payload_len: usize,
}

impl Repr {
    /// Writes the header, checksum included; `None` when `bytes` is shorter than 20 or the packet longer than 65535.
    #[inline(always)]
    pub fn emit(&self, bytes: &mut [u8]) -> Option<()> {
        let h = bytes.first_chunk_mut::<LEN>()?;
        let total = u16::try_from(LEN + self.payload_len).ok()?;
        let words = [
            0x4500_0000 | u32::from(self.tos) << 16 | u32::from(total),
            u32::from(self.id) << 16 | u32::from(self.flags),
            u32::from(self.ttl) << 24 | u32::from(self.proto) << 16,
            self.src,
            self.dst,
        ];
        // Of what is at hand: reading back what was just written would wait for it.
        let sum = !checksum::fold(words.iter().map(|&word| u64::from(word)).sum());
        for (place, word) in h.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        h[10..12].copy_from_slice(&sum.to_be_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_routes_are_told_from_other_options() {
        for (list, routed) in [
            (&[131, 7, 4, 10, 0, 0, 1, 0][..], true),
            (&[137, 7, 4, 10, 0, 0, 1, 0], true),
            (&[1, 1, 7, 3, 4, 131], true),
            // Behind the end of the list, within another option, after a length that is none or too long.
            (&[0, 131, 7, 4], false),
            (&[7, 4, 131, 137], false),
            (&[7, 0, 131, 7], false),
            (&[7, 1, 131, 7], false),
            (&[7, 40, 131, 7], false),
            (&[7], false),
            (&[], false),
        ] {
            assert_eq!(source_routed(list), routed, "{list:?}");
        }
    }
}
