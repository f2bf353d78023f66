// SPDX-License-Identifier: Apache-2.0
//! Generic UDP encapsulation, version 0 without options (draft-ietf-intarea-gue 3.2).
//!
//! ```text
//!    0        1        2        3
//!   |Ver C Hlen| proto |      flags      |   then the packet of that protocol
//! ```

/// Bytes of the header.
pub const LEN: usize = 4;

/// Writes the header in front of a packet of IP protocol `proto`; `None` when `bytes` is shorter than 4.
pub fn write(bytes: &mut [u8], proto: u8) -> Option<()> {
    *bytes.first_chunk_mut::<LEN>()? = [0, proto, 0, 0];
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_options_is_its_protocol() {
        let mut bytes = [0xee; 5];
        write(&mut bytes, 41).expect("4 bytes");
        assert_eq!(bytes, [0, 41, 0, 0, 0xee]);
        assert_eq!(write(&mut bytes[..3], 41), None);
    }
}
