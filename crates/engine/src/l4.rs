// SPDX-License-Identifier: Apache-2.0
//! Checksums of whole TCP, UDP and SCTP packets: verified before state is made, computed anew where a port says so.

use packet::{checksum, ipv4, ipv6, proto, sctp, tcp, udp};

use crate::conn::Tuple;
use crate::l3::Ip;

/// Whether the TCP, UDP or SCTP checksum of a packet is right; `bytes` begin with the IP header. A UDP datagram over IPv4 may have none
/// (RFC 768), over IPv6 not (RFC 8200 8.1).
#[inline(always)]
pub fn checksum_ok(bytes: &[u8], ip: &Ip) -> bool {
    let Some(l4) = bytes.get(usize::from(ip.header_len)..usize::from(ip.total_len)) else { return false };
    if ip.proto == proto::SCTP {
        return sctp::Header::parse(l4).is_some_and(|h| h.checksum() == sctp::checksum(l4));
    }
    if ip.proto == proto::UDP && udp::Header::parse(l4).is_some_and(|h| h.checksum() == 0) {
        return !ip.six;
    }
    pseudo(bytes, ip).is_some_and(|pseudo| checksum::fold(pseudo + checksum::sum(covered(l4, ip))) == 0xffff)
}

/// Whether the checksum of a whole TCP segment between these ends is right; what is too short for a header has none that could be.
#[inline(always)]
pub fn tcp_checksum_ok(flow: &Tuple, segment: &[u8]) -> bool {
    let pseudo = match *flow {
        Tuple::V4(t) => checksum::pseudo4(t.src, t.dst, proto::TCP, segment.len()),
        Tuple::V6(t) => checksum::pseudo6(t.src, t.dst, proto::TCP, segment.len()),
    };
    // What every segment has is of one length, and behind it there are often few words or none.
    let word = |word: &[u8; 4]| u64::from(u32::from_be_bytes(*word));
    let (words, odd) = segment.as_chunks::<4>();
    let Some((fixed, rest)) = words.split_first_chunk::<{ tcp::LEN / 4 }>() else { return false };
    let mut sum = pseudo + fixed.iter().map(word).sum::<u64>() + rest.iter().map(word).sum::<u64>();
    if !odd.is_empty() {
        sum += checksum::sum(odd);
    }
    checksum::fold(sum) == 0xffff
}

/// Computes the TCP, UDP or SCTP checksum of a packet anew.
pub fn recompute(bytes: &mut [u8], ip: &Ip) {
    if ip.proto == proto::SCTP {
        let l4 = bytes.get_mut(usize::from(ip.header_len)..usize::from(ip.total_len));
        return sctp::sum_up(l4.unwrap_or_default());
    }
    let Some(pseudo) = pseudo(bytes, ip) else { return };
    let Some(l4) = bytes.get_mut(usize::from(ip.header_len)..usize::from(ip.total_len)) else { return };
    let at = if ip.proto == proto::TCP { tcp::at::CHECKSUM } else { udp::CHECKSUM };
    let Some(field) = l4.get_mut(at..at + 2) else { return };
    if ip.proto == proto::UDP && !ip.six && field == [0, 0] {
        return;
    }
    field.fill(0);
    let sum = !checksum::fold(pseudo + checksum::sum(covered(l4, ip)));
    // All ones says the same as zero, which means "none" in UDP.
    let sum = if sum == 0 && ip.proto == proto::UDP { 0xffff } else { sum };
    l4[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// What the checksum covers: a datagram may be shorter than the packet.
#[inline(always)]
fn covered<'a>(l4: &'a [u8], ip: &Ip) -> &'a [u8] {
    let len = match ip.proto {
        proto::UDP => udp::Header::parse(l4).map_or(l4.len(), |h| h.len().min(l4.len())),
        _ => l4.len(),
    };
    &l4[..len]
}

#[inline(always)]
fn pseudo(bytes: &[u8], ip: &Ip) -> Option<u64> {
    let l4 = bytes.get(usize::from(ip.header_len)..usize::from(ip.total_len))?;
    let len = covered(l4, ip).len();
    Some(if ip.six {
        let h = ipv6::Header::parse(bytes)?;
        checksum::pseudo6(h.src(), h.dst(), ip.proto, len)
    } else {
        let h = ipv4::Header::parse(bytes)?;
        checksum::pseudo4(h.src(), h.dst(), ip.proto, len)
    })
}

#[cfg(test)]
mod tests {
    use packet::{Csum, build};

    use super::*;
    use crate::l3;
    use crate::link::RxCsum;

    fn packets() -> Vec<(Vec<u8>, Ip)> {
        let mut all = Vec::new();
        for (src, dst) in [("10.0.0.1:1024", "10.0.0.2:80"), ("[fd00::1]:1024", "[fd00::2]:80")] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let segment = build::Segment { seq: 7, flags: 2, payload: b"odd", ..Default::default() };
            for frame in [
                build::udp(([2; 6], [4; 6]), src, dst, b"odd"),
                build::tcp(([2; 6], [4; 6]), src, dst, segment),
            ] {
                let bytes = frame[14..].to_vec();
                let six = bytes[0] >> 4 == 6;
                let ip = if six {
                    l3::accept6(&bytes)
                } else {
                    l3::accept4(&bytes, Csum::Unknown, RxCsum::Verify)
                };
                all.push((bytes, ip.expect("a sound packet")));
            }
        }
        all
    }

    /// Options and data of every length, so that words and odd bytes are where they can be; `build` sums by itself.
    #[test]
    fn right_checksums_of_segments_are_accepted_and_one_wrong_bit_is_not() {
        let data: Vec<u8> = (0..=255).map(|n| 255 - n).collect();
        for (src, dst) in [("10.0.0.1:1024", "10.0.0.2:80"), ("[fd00::1]:1024", "[fd00::2]:80")] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let flow = Tuple::new(src, dst).expect("one family");
            let header = 14 + if src.is_ipv6() { 40 } else { 20 };
            for (options, len) in
                [0, 4, 20, 40].into_iter().flat_map(|options| (0..9).map(move |len| (options, len)))
            {
                let segment = build::Segment {
                    seq: 7,
                    flags: 2,
                    options: &[1; 40][..options],
                    payload: &data[..len],
                    ..Default::default()
                };
                let mut segment = build::tcp(([2; 6], [4; 6]), src, dst, segment).split_off(header);
                segment.truncate(20 + options + len);
                assert!(tcp_checksum_ok(&flow, &segment), "{options} bytes of options, {len} of data");
                for at in 0..segment.len() {
                    segment[at] ^= 1;
                    assert!(!tcp_checksum_ok(&flow, &segment), "byte {at} of {}", segment.len());
                    segment[at] ^= 1;
                }
                assert!(!tcp_checksum_ok(&flow, &segment[..19]));
            }
        }
    }

    #[test]
    fn right_checksums_are_accepted_and_one_wrong_bit_is_not() {
        for (bytes, ip) in packets() {
            assert!(checksum_ok(&bytes, &ip));
            for at in usize::from(ip.header_len)..bytes.len() {
                let mut broken = bytes.clone();
                broken[at] ^= 0x10;
                let udp_length = ip.proto == 17 && (4..6).contains(&(at - usize::from(ip.header_len)));
                assert!(udp_length || !checksum_ok(&broken, &ip), "byte {at}");
            }
        }
    }

    #[test]
    fn recomputing_restores_what_the_builder_wrote() {
        for (bytes, ip) in packets() {
            let mut repaired = bytes.clone();
            let at = usize::from(ip.header_len) + if ip.proto == 6 { 16 } else { 6 };
            repaired[at..at + 2].copy_from_slice(&[0x12, 0x34]);
            recompute(&mut repaired, &ip);
            assert_eq!(repaired, bytes);
        }
    }

    #[test]
    fn a_missing_udp_checksum_is_fine_over_ipv4_only() {
        for (mut bytes, ip) in packets().into_iter().filter(|(_, ip)| ip.proto == 17) {
            let at = usize::from(ip.header_len) + 6;
            bytes[at..at + 2].fill(0);
            assert_eq!(checksum_ok(&bytes, &ip), !ip.six);
        }
    }
}
