// SPDX-License-Identifier: Apache-2.0
//! What a proxied connection changes in every segment as long as it lives, beside what its forwarding mode does.
//!
//! ```text
//!                 client -> server                            server -> client
//!   sequence      (forwarding mode)                           + seq_delta
//!   acknowledged  - seq_delta                                 (forwarding mode)
//!   SACK blocks   - seq_delta                                 (forwarding mode)
//!   timestamps    value + stamp_delta[0], echo - [1]          value + stamp_delta[1], echo - [0]
//!   window        << window_shift[0]                          << window_shift[1]
//! ```

use packet::tcp::{self, option};

use super::session::{Session, Stamps};
use crate::conn::Dir;
use crate::forward::rewrite::replace;

/// Rewrites a segment going `dir`; `l4` begins with its TCP header. Its checksum stays as right or wrong as it was.
pub fn shift(l4: &mut [u8], session: &Session, dir: Dir) {
    let Some(header) = tcp::Header::parse(l4) else { return };
    let (end, flags) = (header.header_len(), header.flags());
    let acknowledges = flags & tcp::flag::ACK != 0;
    match dir {
        Dir::Outbound => add(l4, tcp::at::SEQ, session.seq_delta),
        Dir::Inbound if acknowledges => add(l4, tcp::at::ACK, session.seq_delta.wrapping_neg()),
        Dir::Inbound => {}
    }
    // The window of a SYN is never scaled (RFC 7323 2.2).
    let by = session.window_shift[dir as usize];
    if by != 0 && flags & tcp::flag::SYN == 0 {
        let old = u16::from_be_bytes([l4[WINDOW], l4[WINDOW + 1]]);
        replace(l4, WINDOW, &scaled(old, by).to_be_bytes());
    }
    if end > tcp::LEN {
        options(l4, end, session, dir, acknowledges);
    }
}

fn options(l4: &mut [u8], end: usize, session: &Session, dir: Dir, acknowledges: bool) {
    let mut at = tcp::LEN;
    // The list is walked again from behind each option, as what was found is changed in place.
    while let Some((kind, found)) = l4.get(at..end).and_then(|list| tcp::options(list).places().next()) {
        let range = at + found.start..at + found.end;
        at = range.end;
        match kind {
            option::SACK if dir == Dir::Inbound => {
                for edge in (range.start + 2..range.end.saturating_sub(3)).step_by(4) {
                    add(l4, edge, session.seq_delta.wrapping_neg());
                }
            }
            option::TIMESTAMPS if range.len() == 10 => match session.stamps {
                Stamps::Shifted => {
                    let (own, other) = (dir as usize, dir.opposite() as usize);
                    add(l4, range.start + 2, session.stamp_delta[own]);
                    if acknowledges {
                        add(l4, range.start + 6, session.stamp_delta[other].wrapping_neg());
                    }
                }
                Stamps::Removed if dir == Dir::Inbound => replace(l4, range.start, &[option::NOP; 10]),
                Stamps::Removed | Stamps::None => {}
            },
            _ => {}
        }
    }
}

/// A window as its receiver has to read it: bounded by the field, and never closed by rounding.
fn scaled(window: u16, by: i8) -> u16 {
    let window = u32::from(window);
    let shifted = if by >= 0 { window << by.min(14) } else { (window >> -by.max(-14)).max(window.min(1)) };
    shifted.min(u32::from(u16::MAX)) as u16
}

/// Adds `by` to the 32-bit number at `at`.
fn add(l4: &mut [u8], at: usize, by: u32) {
    let Some(&[a, b, c, d]) = l4.get(at..).and_then(|rest| rest.first_chunk()) else { return };
    replace(l4, at, &u32::from_be_bytes([a, b, c, d]).wrapping_add(by).to_be_bytes());
}

/// Offset of the window field.
const WINDOW: usize = 14;

#[cfg(test)]
mod tests {
    use packet::build;

    use super::*;
    use crate::synproxy::offer::Offer;

    fn session() -> Session {
        Session {
            seq_delta: 1000,
            stamp_delta: [5, 70],
            stamps: Stamps::Shifted,
            window_shift: [0, 2],
            ..Session::pending(1, 2, Offer::default())
        }
    }

    /// NOP NOP timestamps, NOP NOP SACK with one block: at even offsets, and at odd ones.
    const OPTIONS: [[u8; 24]; 2] = [
        [1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0, 1, 1, 5, 10, 0, 0, 0x20, 0, 0, 0, 0x30, 0],
        [1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0, 5, 10, 0, 0, 0x20, 0, 0, 0, 0x30, 0, 1, 1, 1],
    ];

    fn segment(options: &[u8]) -> Vec<u8> {
        let segment =
            build::Segment { seq: 0x10_0000, ack: 0x20_0000, flags: 0x10, options, payload: b"odd" };
        build::tcp(([2; 6], [4; 6]), "10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap(), segment)
    }

    fn shifted(options: &[u8], session: &Session, dir: Dir) -> etherparse::TcpHeader {
        let mut frame = segment(options);
        shift(&mut frame[34..], session, dir);
        let (header, payload) = etherparse::TcpHeader::from_slice(&frame[34..]).expect("a sound header");
        let sum = header.calc_checksum_ipv4_raw([10, 0, 0, 1], [10, 0, 0, 2], payload).expect("it fits");
        assert_eq!(sum, header.checksum);
        header
    }

    type Pair = Option<(u32, u32)>;

    fn option_words(header: &etherparse::TcpHeader) -> (Pair, Pair) {
        let (mut stamps, mut sack) = (None, None);
        for element in header.options_iterator().flatten() {
            match element {
                etherparse::TcpOptionElement::Timestamp(value, echo) => stamps = Some((value, echo)),
                etherparse::TcpOptionElement::SelectiveAcknowledgement(block, _) => sack = Some(block),
                _ => {}
            }
        }
        (stamps, sack)
    }

    #[test]
    fn towards_the_server_acknowledgements_and_blocks_go_back() {
        for options in OPTIONS {
            let header = shifted(&options, &session(), Dir::Inbound);
            assert_eq!((header.sequence_number, header.acknowledgment_number), (0x10_0000, 0x20_0000 - 1000));
            assert_eq!(header.window_size, 0xfaf0);
            assert_eq!(
                option_words(&header),
                (Some((0x105, 0x200 - 70)), Some((0x2000 - 1000, 0x3000 - 1000)))
            );
        }
    }

    #[test]
    fn towards_the_client_sequence_numbers_go_on_and_windows_scale() {
        for options in OPTIONS {
            let session = Session { window_shift: [0, -2], ..session() };
            let header = shifted(&options, &session, Dir::Outbound);
            assert_eq!((header.sequence_number, header.acknowledgment_number), (0x10_0000 + 1000, 0x20_0000));
            assert_eq!(header.window_size, 0xfaf0 >> 2);
            assert_eq!(option_words(&header), (Some((0x100 + 70, 0x200 - 5)), Some((0x2000, 0x3000))));
        }
    }

    #[test]
    fn timestamps_the_server_did_not_agree_to_are_taken_out() {
        let session = Session { stamps: Stamps::Removed, ..session() };
        for options in OPTIONS {
            assert_eq!(option_words(&shifted(&options, &session, Dir::Inbound)).0, None);
        }
    }

    #[test]
    fn windows_are_bounded_and_never_closed_by_rounding() {
        assert_eq!(
            [scaled(100, 2), scaled(40_000, 2), scaled(3, -2), scaled(0, -2), scaled(7, 0)],
            [400, 65_535, 1, 0, 7]
        );
    }
}
