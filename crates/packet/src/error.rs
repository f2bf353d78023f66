// SPDX-License-Identifier: Apache-2.0
//! What an ICMP error reports, beside the packet it quotes; and what that is in the other family (RFC 7915 4.2, 5.2).
//!
//! ```text
//!           0        1        2        3
//!   IPv4   | type   | code   | checksum        |
//!          | pointer| length | MTU             |   length: 32-bit words of quote, if extensions follow (RFC 4884)
//!   IPv6   | type   | code   | checksum        |
//!          | length |  MTU, pointer            |   length: 64-bit words
//! ```

use crate::icmp::{self, v4, v6};
use crate::{ipv4, ipv6};

/// Bytes of quote at least, where extensions follow it (RFC 4884 4).
pub const LEAST_BEFORE_EXTENSIONS: usize = 128;

/// What an error says about the packet it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// What else its header says.
    pub detail: Detail,
}

/// What the second word of an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Nothing,
    /// Bytes the next link takes; 0 where an old router does not say (RFC 1191 5).
    Mtu(u32),
    /// The byte of the packet that is wrong.
    Pointer(u32),
}

impl Report {
    /// Reads an error about a packet on its way; `None` when the message is too short or something else. Redirects are none: they are
    /// for the link they are heard on.
    pub fn parse(message: &[u8], six: bool) -> Option<Report> {
        let &[kind, code, _, _, a, b, c, d] = message.first_chunk::<{ icmp::LEN }>()?;
        let detail = match (six, kind, code) {
            (false, v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) => {
                Detail::Mtu(u16::from_be_bytes([c, d]).into())
            }
            (false, v4::UNREACHABLE | v4::SOURCE_QUENCH | v4::TIME_EXCEEDED, _) => Detail::Nothing,
            (false, v4::PARAMETER_PROBLEM, _) => Detail::Pointer(a.into()),
            (true, v6::UNREACHABLE | v6::TIME_EXCEEDED, _) => Detail::Nothing,
            (true, v6::PACKET_TOO_BIG, _) => Detail::Mtu(u32::from_be_bytes([a, b, c, d])),
            (true, v6::PARAMETER_PROBLEM, _) => Detail::Pointer(u32::from_be_bytes([a, b, c, d])),
            _ => return None,
        };
        Some(Report { kind, code, detail })
    }

    /// The header of an error of this family that says so, its checksum 0; `length` as [`length_field`] makes it.
    pub fn header(&self, six: bool, length: u8) -> [u8; icmp::LEN] {
        let mut h = [self.kind, self.code, 0, 0, 0, 0, 0, 0];
        match (self.detail, six) {
            (Detail::Mtu(mtu), true) | (Detail::Pointer(mtu), true) => {
                h[4..].copy_from_slice(&mtu.to_be_bytes());
            }
            (Detail::Mtu(mtu), false) => {
                h[6..].copy_from_slice(&(mtu.min(0xffff) as u16).to_be_bytes());
            }
            (Detail::Pointer(at), false) => h[4] = at as u8,
            (Detail::Nothing, _) => {}
        }
        match (has_length(self.kind, six), six) {
            (true, true) => h[4] = length,
            (true, false) => h[5] = length,
            (false, _) => {}
        }
        h
    }

    /// The same in the other family, an MTU as it was; `None` for what the other family has no word for. `six` is the family of this one.
    pub fn across(&self, six: bool) -> Option<Report> {
        if six { self.into_ipv4() } else { self.into_ipv6() }
    }

    /// RFC 7915 4.2.
    fn into_ipv6(self) -> Option<Report> {
        let say = |kind, code, detail| Some(Report { kind, code, detail });
        match (self.kind, self.code, self.detail) {
            (v4::UNREACHABLE, 0 | 1 | 5..=8 | 11 | 12, _) => say(v6::UNREACHABLE, 0, Detail::Nothing),
            (v4::UNREACHABLE, 2, _) => {
                say(v6::PARAMETER_PROBLEM, v6::UNKNOWN_NEXT_HEADER, Detail::Pointer(6))
            }
            (v4::UNREACHABLE, 3, _) => say(v6::UNREACHABLE, v6::PORT_UNREACHABLE, Detail::Nothing),
            (v4::UNREACHABLE, 4, mtu) => say(v6::PACKET_TOO_BIG, 0, mtu),
            (v4::UNREACHABLE, 9 | 10 | 13 | 15, _) => say(v6::UNREACHABLE, v6::PROHIBITED, Detail::Nothing),
            (v4::TIME_EXCEEDED, code, _) => say(v6::TIME_EXCEEDED, code, Detail::Nothing),
            (v4::PARAMETER_PROBLEM, 0 | 2, Detail::Pointer(at)) => {
                let at = match at {
                    0 | 1 => at,
                    2 | 3 => 4,
                    8 => 7,
                    9 => 6,
                    12..=15 => 8,
                    16..=19 => 24,
                    _ => return None,
                };
                say(v6::PARAMETER_PROBLEM, 0, Detail::Pointer(at))
            }
            _ => None,
        }
    }

    /// RFC 7915 5.2.
    fn into_ipv4(self) -> Option<Report> {
        let say = |kind, code, detail| Some(Report { kind, code, detail });
        match (self.kind, self.code, self.detail) {
            (v6::UNREACHABLE, 0 | 2 | 3, _) => say(v4::UNREACHABLE, v4::HOST_UNREACHABLE, Detail::Nothing),
            (v6::UNREACHABLE, v6::PROHIBITED, _) => say(v4::UNREACHABLE, 10, Detail::Nothing),
            (v6::UNREACHABLE, v6::PORT_UNREACHABLE, _) => say(v4::UNREACHABLE, 3, Detail::Nothing),
            (v6::PACKET_TOO_BIG, _, mtu) => say(v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, mtu),
            (v6::TIME_EXCEEDED, code, _) => say(v4::TIME_EXCEEDED, code, Detail::Nothing),
            (v6::PARAMETER_PROBLEM, 0, Detail::Pointer(at)) => {
                let at = match at {
                    0 | 1 => at,
                    4 | 5 => 2,
                    6 => 9,
                    7 => 8,
                    8..=23 => 12,
                    24..=39 => 16,
                    _ => return None,
                };
                say(v4::PARAMETER_PROBLEM, 0, Detail::Pointer(at))
            }
            (v6::PARAMETER_PROBLEM, v6::UNKNOWN_NEXT_HEADER, _) => say(v4::UNREACHABLE, 2, Detail::Nothing),
            _ => None,
        }
    }

    /// What an error about a tunnel's packet, of the family `outer_six`, says to the sender of what is inside, of the family `inner_six`
    /// (RFC 2003 4, RFC 2473 8); an MTU as it was. `None` for what is no concern of theirs, such as a wrong outer header.
    ///
    /// An outer header takes over the hops that are left, so one that has none left means the inner packet.
    pub fn out_of_tunnel(&self, outer_six: bool, inner_six: bool) -> Option<Report> {
        let say = |four: (u8, u8), six: (u8, u8), detail| {
            let (kind, code) = if inner_six { six } else { four };
            Some(Report { kind, code, detail })
        };
        let unreachable = |prohibited| match prohibited {
            true => say((v4::UNREACHABLE, 13), (v6::UNREACHABLE, v6::PROHIBITED), Detail::Nothing),
            false => say(
                (v4::UNREACHABLE, v4::HOST_UNREACHABLE),
                (v6::UNREACHABLE, v6::ADDRESS_UNREACHABLE),
                Detail::Nothing,
            ),
        };
        let too_big = |mtu| say((v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED), (v6::PACKET_TOO_BIG, 0), mtu);
        match (outer_six, self.kind, self.code) {
            (false, v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) | (true, v6::PACKET_TOO_BIG, _) => {
                too_big(self.detail)
            }
            (false, v4::UNREACHABLE, code) => unreachable(matches!(code, 9 | 10 | 13)),
            (true, v6::UNREACHABLE, code) => unreachable(code == v6::PROHIBITED),
            // The server knows no such tunnel.
            (true, v6::PARAMETER_PROBLEM, v6::UNKNOWN_NEXT_HEADER) => unreachable(false),
            (false, v4::TIME_EXCEEDED, 0) | (true, v6::TIME_EXCEEDED, 0) => {
                say((v4::TIME_EXCEEDED, 0), (v6::TIME_EXCEEDED, 0), Detail::Nothing)
            }
            _ => None,
        }
    }
}

/// Whether errors of this type tell how long their quote is.
fn has_length(kind: u8, six: bool) -> bool {
    match six {
        false => matches!(kind, v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM),
        true => matches!(kind, v6::UNREACHABLE | v6::TIME_EXCEEDED),
    }
}

/// Bytes that the length of a quote is told in.
pub fn unit(six: bool) -> usize {
    if six { 8 } else { 4 }
}

/// What an error of this family says about a quote of `len` bytes with extensions behind it; `None` when that cannot be said.
pub fn length_field(kind: u8, six: bool, len: usize) -> Option<u8> {
    let tells = has_length(kind, six) && len >= LEAST_BEFORE_EXTENSIONS && len.is_multiple_of(unit(six));
    u8::try_from(len / unit(six)).ok().filter(|_| tells)
}

/// Bytes of the packet that an error quotes; extensions follow them, if anything does.
pub fn quoted_len(message: &[u8], six: bool) -> usize {
    let all = message.len().saturating_sub(icmp::LEN);
    let Some(h) = message.first_chunk::<{ icmp::LEN }>() else { return 0 };
    let told = usize::from(if six { h[4] } else { h[5] }) * unit(six);
    // Old senders leave anything there.
    let sound = has_length(h[0], six) && (LEAST_BEFORE_EXTENSIONS..=all).contains(&told);
    if sound { told } else { all }
}

/// What links before the one that did not take a packet of `len` bytes are likely to take, where an old router does not say (RFC 1191 7.1).
pub fn plateau(len: u16) -> u16 {
    let known = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296];
    known.into_iter().find(|&mtu| mtu < len).unwrap_or(68)
}

/// The MTU for packets of the other family where `mtu` was told for those of the family `six`.
pub fn mtu_across(mtu: u32, six: bool) -> u32 {
    let more = (ipv6::LEN - ipv4::LEN) as u32;
    let new = if six { mtu.saturating_sub(more) } else { mtu.saturating_add(more) };
    new.max(least(!six).min(if six { mtu } else { u32::MAX }))
}

/// The MTU for packets of the family `six` where `mtu` was told for them with `front` bytes added. What every link of the family takes is not
/// gone below.
pub fn mtu_before(mtu: u32, six: bool, front: u32) -> u32 {
    if front == 0 {
        return mtu;
    }
    let new = mtu.saturating_sub(front);
    // Every link of IPv6 takes so much, every host of IPv4 does.
    if six { new.max(least(six)) } else { new.max(least(six).min(mtu)) }
}

fn least(six: bool) -> u32 {
    if six { 1280 } else { 576 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type, code, and MTU or pointer where there is one.
    fn report(kind: u8, code: u8, rest: u32, six: bool) -> Report {
        let mut message = [kind, code, 0, 0, 0, 0, 0, 0];
        message[4..].copy_from_slice(&rest.to_be_bytes());
        Report::parse(&message, six).expect("an error")
    }

    /// The table of RFC 7915 4.2, all types and codes it has.
    #[test]
    fn icmp_10_errors_of_ipv4_become_those_of_ipv6() {
        for code in 0..=255 {
            let expected = match code {
                0 | 1 | 5 | 6 | 7 | 8 | 11 | 12 => Some(report(1, 0, 0, true)),
                2 => Some(report(4, 1, 6, true)),
                3 => Some(report(1, 4, 0, true)),
                4 => Some(report(2, 0, 1400, true)),
                9 | 10 | 13 | 15 => Some(report(1, 1, 0, true)),
                _ => None,
            };
            assert_eq!(report(3, code, 1400, false).across(false), expected, "3/{code}");
        }
        assert_eq!(report(4, 0, 0, false).across(false), None, "source quench");
        for code in [0, 1] {
            assert_eq!(report(11, code, 0, false).across(false), Some(report(3, code, 0, true)));
        }
        let pointers = [
            (0, Some(0)),
            (1, Some(1)),
            (2, Some(4)),
            (3, Some(4)),
            (4, None),
            (5, None),
            (6, None),
            (7, None),
            (8, Some(7)),
            (9, Some(6)),
            (10, None),
            (11, None),
            (12, Some(8)),
            (15, Some(8)),
            (16, Some(24)),
            (19, Some(24)),
            (20, None),
        ];
        for (at, expected) in pointers {
            for code in [0, 2] {
                let seen = report(12, code, at << 24, false).across(false);
                assert_eq!(seen, expected.map(|at| report(4, 0, at, true)), "pointer {at}");
            }
        }
        assert_eq!(report(12, 1, 0, false).across(false), None, "an option is missing");
    }

    /// The table of RFC 7915 5.2.
    #[test]
    fn icmp_10_errors_of_ipv6_become_those_of_ipv4() {
        for code in 0..=255 {
            let expected = match code {
                0 | 2 | 3 => Some(report(3, 1, 0, false)),
                1 => Some(report(3, 10, 0, false)),
                4 => Some(report(3, 3, 0, false)),
                _ => None,
            };
            assert_eq!(report(1, code, 0, true).across(true), expected, "1/{code}");
        }
        assert_eq!(report(2, 0, 1400, true).across(true), Some(report(3, 4, 1400, false)));
        for code in [0, 1] {
            assert_eq!(report(3, code, 0, true).across(true), Some(report(11, code, 0, false)));
        }
        let pointers = [
            (0, Some(0)),
            (1, Some(1)),
            (2, None),
            (3, None),
            (4, Some(2)),
            (5, Some(2)),
            (6, Some(9)),
            (7, Some(8)),
            (8, Some(12)),
            (23, Some(12)),
            (24, Some(16)),
            (39, Some(16)),
            (40, None),
        ];
        for (at, expected) in pointers {
            let seen = report(4, 0, at, true).across(true);
            assert_eq!(seen, expected.map(|at| report(12, 0, at << 24, false)), "pointer {at}");
        }
        assert_eq!(report(4, 1, 6, true).across(true), Some(report(3, 2, 0, false)));
        assert_eq!(report(4, 2, 40, true).across(true), None);
    }

    #[test]
    fn what_happens_in_a_tunnel_is_told_in_the_words_of_what_is_inside() {
        let cases = [
            (report(3, 4, 1400, false), false, Some((3, 4)), Some((2, 0))),
            (report(3, 1, 0, false), false, Some((3, 1)), Some((1, 3))),
            (report(3, 2, 0, false), false, Some((3, 1)), Some((1, 3))),
            (report(3, 13, 0, false), false, Some((3, 13)), Some((1, 1))),
            (report(11, 0, 0, false), false, Some((11, 0)), Some((3, 0))),
            (report(11, 1, 0, false), false, None, None),
            (report(12, 0, 0, false), false, None, None),
            (report(2, 0, 1400, true), true, Some((3, 4)), Some((2, 0))),
            (report(1, 0, 0, true), true, Some((3, 1)), Some((1, 3))),
            (report(1, 1, 0, true), true, Some((3, 13)), Some((1, 1))),
            (report(3, 0, 0, true), true, Some((11, 0)), Some((3, 0))),
            (report(4, 1, 40, true), true, Some((3, 1)), Some((1, 3))),
            (report(4, 0, 4, true), true, None, None),
        ];
        for (report, outer_six, four, six) in cases {
            for (inner_six, expected) in [(false, four), (true, six)] {
                let said = report.out_of_tunnel(outer_six, inner_six);
                assert_eq!(said.map(|said| (said.kind, said.code)), expected, "{report:?}");
            }
        }
        assert_eq!(
            report(3, 4, 1400, false).out_of_tunnel(false, true).map(|r| r.detail),
            Some(Detail::Mtu(1400))
        );
    }

    #[test]
    fn headers_are_written_as_they_are_read() {
        for (kind, code, rest, six) in [
            (3, 1, 0, false),
            (3, 4, 1400, false),
            (11, 0, 0, false),
            (12, 0, 9 << 24, false),
            (1, 4, 0, true),
            (2, 0, 70_000, true),
            (4, 0, 40, true),
        ] {
            let said = report(kind, code, rest, six);
            let header = said.header(six, 0);
            assert_eq!((&header[..2], &header[4..]), (&[kind, code][..], &rest.to_be_bytes()[..]));
            assert_eq!(Report::parse(&header, six), Some(said));
        }
        assert_eq!(report(3, 4, 1400, false).header(false, 32)[4..], [0, 32, 0x05, 0x78]);
        assert_eq!(report(1, 4, 0, true).header(true, 16)[4..], [16, 0, 0, 0]);
        assert_eq!(report(2, 0, 1400, true).header(true, 16)[4..], [0, 0, 0x05, 0x78], "it tells no length");
        for (kind, six) in [(5, false), (8, false), (128, true), (137, true)] {
            assert_eq!(Report::parse(&[kind, 0, 0, 0, 0, 0, 0, 0], six), None);
        }
        assert_eq!(Report::parse(&[3, 1, 0, 0, 0, 0, 0], false), None);
    }

    #[test]
    fn a_quote_ends_where_its_length_says_if_that_can_be() {
        let message = |kind, length: [u8; 2], len| {
            [vec![kind, 0, 0, 0, length[0], length[1], 0, 0], vec![0; len]].concat()
        };
        assert_eq!(quoted_len(&message(3, [0, 32], 200), false), 128);
        assert_eq!(quoted_len(&message(3, [0, 0], 200), false), 200);
        assert_eq!(quoted_len(&message(3, [0, 31], 200), false), 200, "less than 128");
        assert_eq!(quoted_len(&message(3, [0, 51], 200), false), 200, "more than there is");
        assert_eq!(quoted_len(&message(4, [0, 32], 200), false), 200, "source quench has none");
        assert_eq!(quoted_len(&message(1, [16, 0], 200), true), 128);
        assert_eq!(quoted_len(&message(2, [16, 0], 200), true), 200, "an MTU");
        assert_eq!(quoted_len(&[3, 1, 0, 0], false), 0);
        assert_eq!((length_field(3, false, 128), length_field(1, true, 128)), (Some(32), Some(16)));
        assert_eq!(
            (length_field(3, false, 130), length_field(3, false, 124), length_field(2, true, 128)),
            (None, None, None)
        );
    }

    #[test]
    fn an_mtu_counts_what_is_added_and_keeps_to_what_every_link_takes() {
        assert_eq!([1500, 1300, 1000].map(|mtu| mtu_across(mtu, false)), [1520, 1320, 1280]);
        assert_eq!([1500, 1300, 590, 300].map(|mtu| mtu_across(mtu, true)), [1480, 1280, 576, 300]);
        assert_eq!([1300, 600, 500].map(|mtu| mtu_before(mtu, false, 0)), [1300, 600, 500]);
        assert_eq!([1300, 580, 300].map(|mtu| mtu_before(mtu, false, 20)), [1280, 576, 300]);
        assert_eq!([1400, 1300, 1280].map(|mtu| mtu_before(mtu, true, 40)), [1360, 1280, 1280]);
        assert_eq!([1500, 1492, 600, 508, 100, 68].map(plateau), [1492, 1006, 508, 296, 68, 68]);
    }
}
