// SPDX-License-Identifier: Apache-2.0
//! GRE headers (RFC 2784) without key and sequence number.

use crate::checksum;

/// Bytes of a header without checksum.
pub const LEN: usize = 4;
/// Bytes of a header with checksum.
pub const LEN_CSUM: usize = 8;

/// First byte of a header with checksum and nothing else that is optional.
pub const CHECKSUM_PRESENT: u8 = 0x80;

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

#[cfg(test)]
mod tests {
    use super::*;

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
