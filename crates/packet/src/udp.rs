// SPDX-License-Identifier: Apache-2.0
//! UDP headers (RFC 768).

use crate::get16;

/// Bytes of the header.
pub const LEN: usize = 8;

/// Offset of the checksum.
pub const CHECKSUM: usize = 6;

/// The header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; LEN]);

impl<'a> Header<'a> {
    /// The header; `None` when there are fewer than 8 bytes. Nothing else is checked.
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

    /// Bytes of header and payload.
    #[inline(always)]
    pub fn len(&self) -> usize {
        usize::from(get16(self.0, 4))
    }

    /// Whether it says it has no payload.
    pub fn is_empty(&self) -> bool {
        self.len() <= LEN
    }

    /// Checksum; 0 for none.
    pub fn checksum(&self) -> u16 {
        get16(self.0, 6)
    }
}
