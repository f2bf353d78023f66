// SPDX-License-Identifier: Apache-2.0
//! TCP headers (RFC 9293) and their options.

use crate::{get16, get32};

/// Bytes of a header without options.
pub const LEN: usize = 20;

/// Offsets of fields the director rewrites.
pub mod at {
    /// Sequence number.
    pub const SEQ: usize = 4;
    /// Acknowledgement number.
    pub const ACK: usize = 8;
    /// Checksum.
    pub const CHECKSUM: usize = 16;
}

/// Flag bits.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// Congestion was seen; in a SYN: congestion notification is understood (RFC 3168).
    pub const ECE: u8 = 0x40;
    /// The window was reduced; in a SYN together with [`ECE`].
    pub const CWR: u8 = 0x80;
}

/// Option kinds.
pub mod option {
    /// End of the list.
    pub const END: u8 = 0;
    /// Padding.
    pub const NOP: u8 = 1;
    /// Maximum segment size, length 4.
    pub const MSS: u8 = 2;
    /// Window scale, length 3.
    pub const WSCALE: u8 = 3;
    /// Selective acknowledgements are understood, length 2.
    pub const SACK_PERMITTED: u8 = 4;
    /// Selective acknowledgement blocks.
    pub const SACK: u8 = 5;
    /// Timestamps, length 10.
    pub const TIMESTAMPS: u8 = 8;
    /// MD5 signature (RFC 2385).
    pub const MD5: u8 = 19;
    /// Authentication (RFC 5925).
    pub const AUTHENTICATION: u8 = 29;
}

/// The fixed part of a header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; LEN]);

impl<'a> Header<'a> {
    /// The fixed part; `None` when the segment is shorter than 20 bytes or than its header says.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = Header(bytes.first_chunk()?);
        (LEN..=bytes.len()).contains(&header.header_len()).then_some(header)
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

    /// Sequence number.
    #[inline(always)]
    pub fn seq(&self) -> u32 {
        get32(self.0, 4)
    }

    /// Acknowledgement number.
    #[inline(always)]
    pub fn ack(&self) -> u32 {
        get32(self.0, 8)
    }

    /// Bytes of the header, options included.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.0[12] >> 4) * 4
    }

    /// The window, as in the packet.
    #[inline(always)]
    pub fn window(&self) -> u16 {
        get16(self.0, 14)
    }

    /// The bit that a client sets beside ECE and CWR when it wants accurate ECN (RFC 9768 3.1.1).
    #[inline(always)]
    pub fn accurate_ecn(&self) -> bool {
        self.0[12] & 1 == 1
    }

    /// The flags of [`flag`].
    #[inline(always)]
    pub fn flags(&self) -> u8 {
        self.0[13]
    }
}

/// Kinds and values of the options in `list`, padding left out; ends at the first malformed one.
#[inline(always)]
pub fn options(list: &[u8]) -> Options<'_> {
    Options { list, rest: list }
}

/// A walk over options: see [`options`].
#[derive(Clone, Debug)]
pub struct Options<'a> {
    list: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// The options with their places in the list, kind and length included, instead of their values.
    #[inline(always)]
    pub fn places(mut self) -> impl Iterator<Item = (u8, std::ops::Range<usize>)> {
        std::iter::from_fn(move || {
            let (kind, value) = self.next()?;
            let end = self.list.len() - self.rest.len();
            Some((kind, end - value.len() - 2..end))
        })
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    #[inline(always)]
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            match *self.rest {
                [option::NOP, ref rest @ ..] => self.rest = rest,
                [option::END, ..] => return None,
                [kind, len, ref rest @ ..] => {
                    let (value, rest) = rest.split_at_checked(usize::from(len).checked_sub(2)?)?;
                    self.rest = rest;
                    return Some((kind, value));
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_walked_and_padding_is_skipped() {
        let list = [2, 4, 5, 0xb4, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9];
        let seen: Vec<_> = options(&list).places().collect();
        assert_eq!(seen, [(option::MSS, 0..4), (option::TIMESTAMPS, 6..16)]);
        let values: Vec<_> = options(&list).collect();
        assert_eq!(values, [(option::MSS, &[5, 0xb4][..]), (option::TIMESTAMPS, &[0, 0, 0, 1, 0, 0, 0, 2])]);
    }

    #[test]
    fn malformed_options_end_the_walk() {
        for list in [&[2u8][..], &[2, 0], &[2, 1], &[2, 5, 0, 0], &[1, 8, 200]] {
            assert_eq!(options(list).count(), 0, "{list:?}");
        }
    }

    #[test]
    fn a_header_longer_than_the_segment_is_none() {
        let mut segment = [0; 24];
        for (words, fine) in [(4, false), (5, true), (6, true), (7, false)] {
            segment[12] = words << 4;
            assert_eq!(Header::parse(&segment).is_some(), fine, "{words} words");
        }
    }
}
