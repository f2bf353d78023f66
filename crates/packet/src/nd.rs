// SPDX-License-Identifier: Apache-2.0
//! IPv6 neighbour solicitations and advertisements (RFC 4861 4.3, 4.4).

use crate::icmp::v6;
use crate::{checksum, get128};

/// Bytes of a message with one link-layer address option, ICMPv6 header included.
pub const LEN: usize = 32;
const FIXED: usize = 24;
/// Hop limit a message must arrive with: it crossed no router.
pub const HOP_LIMIT: u8 = 255;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Solicitation or advertisement.
    pub kind: Kind,
    /// The address it is about.
    pub target: u128,
    /// The Ethernet address it names: the sender's in solicitations, the target's in advertisements.
    pub mac: Option<[u8; 6]>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who has the target address?
    Solicitation,
    /// Here it is.
    Advertisement {
        /// Answers a solicitation.
        solicited: bool,
        /// Replaces what was known.
        overrides: bool,
    },
}

impl Message {
    /// The message in an ICMPv6 packet whose checksum was verified; `None` when it breaks a rule of RFC 4861 7.1.
    pub fn parse(icmp: &[u8]) -> Option<Message> {
        let fixed = icmp.first_chunk::<FIXED>()?;
        let (kind, wanted) = match (fixed[0], fixed[1]) {
            (v6::NEIGHBOUR_SOLICITATION, 0) => (Kind::Solicitation, 1),
            (v6::NEIGHBOUR_ADVERTISEMENT, 0) => {
                let (solicited, overrides) = (fixed[4] & 0x40 != 0, fixed[4] & 0x20 != 0);
                (Kind::Advertisement { solicited, overrides }, 2)
            }
            _ => return None,
        };
        let target = get128(fixed, 8);
        if target >> 120 == 0xff {
            return None;
        }
        Some(Message { kind, target, mac: link_address(&icmp[FIXED..], wanted)? })
    }

    /// Writes the message with its checksum; `None` when `icmp` is shorter than 32 bytes.
    pub fn emit(&self, icmp: &mut [u8], src: u128, dst: u128) -> Option<()> {
        let m = icmp.first_chunk_mut::<LEN>()?;
        m.fill(0);
        match self.kind {
            Kind::Solicitation => (m[0], m[24]) = (v6::NEIGHBOUR_SOLICITATION, 1),
            Kind::Advertisement { solicited, overrides } => {
                (m[0], m[24]) = (v6::NEIGHBOUR_ADVERTISEMENT, 2);
                m[4] = u8::from(solicited) << 6 | u8::from(overrides) << 5;
            }
        }
        m[8..24].copy_from_slice(&self.target.to_be_bytes());
        m[25] = 1;
        m[26..32].copy_from_slice(&self.mac.unwrap_or_default());
        let sum = checksum::pseudo6(src, dst, crate::proto::ICMPV6, LEN) + checksum::sum(m);
        m[2..4].copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
        Some(())
    }
}

/// The link-layer address option of a kind, if any; the outer `None` when an option is malformed.
#[allow(clippy::option_option)]
fn link_address(mut options: &[u8], wanted: u8) -> Option<Option<[u8; 6]>> {
    let mut found = None;
    while !options.is_empty() {
        let [kind, units] = *options.first_chunk::<2>()?;
        let len = usize::from(units) * 8;
        if len == 0 || len > options.len() {
            return None;
        }
        if kind == wanted && len == 8 {
            found = options[2..].first_chunk().copied();
        }
        options = &options[len..];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_with_a_right_checksum() {
        let (src, dst) = (0xfd00 << 112 | 1, 0xfd00 << 112 | 2);
        for kind in [Kind::Solicitation, Kind::Advertisement { solicited: true, overrides: false }] {
            let message = Message { kind, target: dst, mac: Some([2, 0, 0, 0, 0, 9]) };
            let mut bytes = [0xee; LEN];
            message.emit(&mut bytes, src, dst).expect("32 bytes");
            assert_eq!(Message::parse(&bytes), Some(message));
            assert_eq!(checksum::fold(checksum::pseudo6(src, dst, 58, LEN) + checksum::sum(&bytes)), 0xffff);
        }
    }

    #[test]
    fn rule_breakers_are_none() {
        let message = Message { kind: Kind::Solicitation, target: 7, mac: Some([2; 6]) };
        let mut bytes = [0; LEN];
        message.emit(&mut bytes, 1, 2).expect("32 bytes");
        assert_eq!(Message::parse(&bytes[..23]), None, "truncated");
        assert_eq!(Message::parse(&bytes[..30]), None, "option truncated");
        let mut code = bytes;
        code[1] = 1;
        assert_eq!(Message::parse(&code), None, "code other than 0");
        let mut group = bytes;
        group[8] = 0xff;
        assert_eq!(Message::parse(&group), None, "target is a group");
        let mut endless = bytes;
        endless[25] = 0;
        assert_eq!(Message::parse(&endless), None, "option of length 0");
        assert_eq!(Message::parse(&bytes[..24]).map(|m| m.mac), Some(None), "an option is not required");
    }
}
