// SPDX-License-Identifier: Apache-2.0
//! Extensions behind the quote (RFC 4884): whatever becomes of the quote, they stay whole, and where the length says.

use engine::forward::Forwarding;
use engine::sim::world::{DIRECTOR, Names, PORT, V4, V6, ip};
use packet::build;

use super::matrix::{Case, exchange, is_v4};
use super::{error_seen, hop_older};

/// An extension header, its checksum right, and one object: MPLS label 1048575 (RFC 4950 2).
const EXTENSIONS: [u8; 12] = [0x20, 0, 0xe0, 0x07, 0, 8, 1, 1, 0xff, 0xff, 0xf1, 0x01];

/// An error about `about` that quotes `quoted` bytes of it, filled up with zeros, and has extensions.
fn extended(router: &str, told: &str, kind: [u8; 2], about: &[u8], quoted: usize) -> Vec<u8> {
    let mut quote = about[..about.len().min(quoted)].to_vec();
    quote.resize(quoted, 0);
    let words = if ip(told).is_ipv4() { [0, (quoted / 4) as u8] } else { [(quoted / 8) as u8, 0] };
    let message = [&[kind[0], kind[1], 0, 0, words[0], words[1], 0, 0][..], &quote, &EXTENSIONS].concat();
    let proto = if ip(told).is_ipv4() { 1 } else { 58 };
    build::ip((DIRECTOR, [2; 6]), ip(router), ip(told), proto, message, Some(2))
}

/// Quote and extensions of an error that was seen, parted by its own length.
fn parted(six: bool, rest: u32, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let len = if six { (rest >> 24) * 8 } else { (rest >> 16 & 0xff) * 4 };
    let (quote, extensions) = body.split_at(len as usize);
    (quote.to_vec(), extensions.to_vec())
}

/// What the near side hears of an error with extensions about a packet of its own: quote and extensions, and what it had sent, one hop older.
fn heard(
    near: Names,
    far: Names,
    payload: usize,
    quoted: usize,
    kind: [u8; 2],
) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let case = Case::simple(Forwarding::FullNat, near, far);
    let mut sim = case.sim();
    let payload: Vec<u8> = (1..=payload).map(|n| n as u8).collect();
    let [request, forwarded, ..] = exchange(&mut sim, &case, 0, &payload);
    let router = if is_v4(far) { "10.2.0.77" } else { "fd02::77" };
    let frame = extended(router, far.laddr, kind, &forwarded, quoted);
    sim.receive(0, PORT, &case.side(false, frame));
    let (_, _, _, rest, body) = error_seen(&sim.sent_one());
    let (quote, extensions) = parted(!is_v4(near), rest, &body);
    (quote, extensions, hop_older(request))
}

fn kind(names: Names) -> [u8; 2] {
    if is_v4(names) { [11, 0] } else { [3, 0] }
}

#[test]
fn icmp_04_extensions_stay_where_the_family_does() {
    for names in [V4, V6] {
        for quoted in [128, 136, 200] {
            let (quote, extensions, sent) = heard(names, names, 300, quoted, kind(names));
            assert_eq!((quote, &extensions[..]), (sent[..quoted].to_vec(), &EXTENSIONS[..]));
        }
    }
}

#[test]
fn what_fills_up_a_short_quote_stays_zero() {
    for names in [V4, V6] {
        let (quote, extensions, sent) = heard(names, names, 0, 128, kind(names));
        assert_eq!((&quote[..sent.len()], &extensions[..]), (&sent[..], &EXTENSIONS[..]));
        assert!(quote.len() == 128 && quote[sent.len()..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn icmp_04_extensions_cross_to_the_other_family_and_stay_aligned() {
    for (near, far, quoted, expected) in [
        // 20 bytes more: 148, and then the last multiple of eight.
        (V6, V4, 128, 144),
        (V6, V4, 132, 152),
        (V6, V4, 200, 216),
        // 20 bytes less: 108 are filled up.
        (V4, V6, 128, 128),
        (V4, V6, 152, 132),
        (V4, V6, 200, 180),
    ] {
        let (quote, extensions, sent) = heard(near, far, 300, quoted, kind(far));
        assert_eq!((quote.len(), &extensions[..]), (expected, &EXTENSIONS[..]), "{quoted}");
        let known = if is_v4(near) { quoted - 20 } else { quoted + 20 }.min(expected);
        assert_eq!(quote[..known], sent[..known]);
        assert!(quote[known..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn where_the_other_familys_type_tells_no_length_extensions_end() {
    let case = Case::simple(Forwarding::FullNat, V6, V4);
    let mut sim = case.sim();
    let [request, forwarded, ..] = exchange(&mut sim, &case, 0, &[7; 300]);
    let frame = extended("10.2.0.77", V4.laddr, [3, 4], &forwarded, 128);
    let mut frame = frame;
    // An MTU beside the length, and the checksum for it.
    frame[14 + 26..14 + 28].copy_from_slice(&1400u16.to_be_bytes());
    let old = u16::from_be_bytes([frame[36], frame[37]]);
    let sum = packet::checksum::Delta::default().word(0, 1400).apply(old);
    frame[36..38].copy_from_slice(&sum.to_be_bytes());
    sim.receive(0, PORT, &case.side(false, frame));
    let (_, _, kind, rest, quote) = error_seen(&sim.sent_one());
    assert_eq!((kind, rest, quote), ([2, 0], 1420, hop_older(request)[..148].to_vec()));
}

#[test]
fn an_error_that_would_be_too_long_in_the_other_family_is_cut() {
    for (near, far, quoted, most) in [(V6, V4, 1300, 1280), (V4, V6, 1232, 576)] {
        let case = Case::simple(Forwarding::FullNat, near, far);
        let mut sim = case.sim();
        let [request, forwarded, ..] = exchange(&mut sim, &case, 0, &[7; 1350]);
        let router = if is_v4(far) { "10.2.0.77" } else { "fd02::77" };
        let frame =
            super::error((DIRECTOR, [2; 6]), ip(router), ip(far.laddr), kind(far), 0, &forwarded, quoted);
        sim.receive(0, PORT, &case.side(false, frame));
        let sent = sim.sent_one();
        assert_eq!(sent.len(), 14 + most);
        let quote = error_seen(&sent).4;
        assert_eq!(quote, hop_older(request)[..quote.len()]);
    }
}
