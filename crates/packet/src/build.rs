// SPDX-License-Identifier: Apache-2.0
//! Whole frames from addresses, for simulations, benches and tests.

use std::net::{IpAddr, SocketAddr};

use crate::{checksum, ether, ipv4, ipv6, proto, sctp, tcp, udp};

/// Ethernet addresses of a frame: destination, then source.
pub type Macs = ([u8; 6], [u8; 6]);

/// A UDP datagram in an Ethernet frame, all checksums right.
///
/// # Panics
/// When the families differ or the payload does not fit.
pub fn udp(macs: Macs, src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let len = (udp::LEN + payload.len()) as u16;
    let mut l4 = Vec::with_capacity(usize::from(len));
    l4.extend(src.port().to_be_bytes());
    l4.extend(dst.port().to_be_bytes());
    l4.extend(len.to_be_bytes());
    l4.extend([0, 0]);
    l4.extend(payload);
    ip(macs, src.ip(), dst.ip(), proto::UDP, l4, Some(udp::CHECKSUM))
}

/// What a segment says besides its ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment<'a> {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags of [`tcp::flag`].
    pub flags: u8,
    /// Options, a multiple of four bytes.
    pub options: &'a [u8],
    /// Data.
    pub payload: &'a [u8],
}

/// A TCP segment in an Ethernet frame, all checksums right.
///
/// # Panics
/// When the families differ, options are not a multiple of four bytes, or it does not fit.
pub fn tcp(macs: Macs, src: SocketAddr, dst: SocketAddr, segment: Segment) -> Vec<u8> {
    assert!(
        segment.options.len().is_multiple_of(4) && segment.options.len() <= 40,
        "options fill whole words"
    );
    let mut l4 = Vec::new();
    l4.extend(src.port().to_be_bytes());
    l4.extend(dst.port().to_be_bytes());
    l4.extend(segment.seq.to_be_bytes());
    l4.extend(segment.ack.to_be_bytes());
    let words = (tcp::LEN + segment.options.len()) / 4;
    l4.extend([(words as u8) << 4, segment.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    l4.extend(segment.options);
    l4.extend(segment.payload);
    ip(macs, src.ip(), dst.ip(), proto::TCP, l4, Some(tcp::at::CHECKSUM))
}

/// An SCTP packet of these chunks in an Ethernet frame, all checksums right.
///
/// # Panics
/// When the families differ or it does not fit.
pub fn sctp(macs: Macs, src: SocketAddr, dst: SocketAddr, tag: u32, chunks: &[u8]) -> Vec<u8> {
    let mut l4 = Vec::with_capacity(sctp::LEN + chunks.len());
    l4.extend(src.port().to_be_bytes());
    l4.extend(dst.port().to_be_bytes());
    l4.extend(tag.to_be_bytes());
    l4.extend([0; 4]);
    l4.extend(chunks);
    sctp::sum_up(&mut l4);
    ip(macs, src.ip(), dst.ip(), proto::SCTP, l4, None)
}

/// An echo request in an Ethernet frame, all checksums right.
///
/// # Panics
/// When the families differ or the payload does not fit.
pub fn echo(macs: Macs, src: IpAddr, dst: IpAddr, id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
    let (kind, proto) = if src.is_ipv4() { (8, proto::ICMP) } else { (128, proto::ICMPV6) };
    let mut l4 = vec![kind, 0, 0, 0];
    l4.extend(id.to_be_bytes());
    l4.extend(seq.to_be_bytes());
    l4.extend(payload);
    ip(macs, src, dst, proto, l4, Some(crate::icmp::CHECKSUM))
}

/// An IP packet in an Ethernet frame, TTL 64; the checksum at offset `csum_at` of the upper layer is filled in.
///
/// # Panics
/// When the families differ or it does not fit.
pub fn ip(
    macs: Macs,
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    mut l4: Vec<u8>,
    csum_at: Option<usize>,
) -> Vec<u8> {
    let (mut frame, pseudo, kind) = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let (src, dst) = (src.to_bits(), dst.to_bits());
            let mut frame = vec![0; ether::LEN + ipv4::LEN];
            let header = ipv4::Repr {
                src,
                dst,
                proto,
                ttl: 64,
                tos: 0,
                id: 0,
                flags: ipv4::DF,
                payload_len: l4.len(),
            };
            header.emit(&mut frame[ether::LEN..]).expect("fits an IPv4 packet");
            let pseudo = if proto == proto::ICMP { 0 } else { checksum::pseudo4(src, dst, proto, l4.len()) };
            (frame, pseudo, ether::IPV4)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let (src, dst) = (src.to_bits(), dst.to_bits());
            let mut frame = vec![0; ether::LEN + ipv6::LEN];
            let header = ipv6::Repr { src, dst, next_header: proto, hop_limit: 64, payload_len: l4.len() };
            header.emit(&mut frame[ether::LEN..]).expect("fits an IPv6 packet");
            (frame, checksum::pseudo6(src, dst, proto, l4.len()), ether::IPV6)
        }
        _ => panic!("source and destination are of one family"),
    };
    ether::write(&mut frame, macs.0, macs.1, None, kind);
    if let Some(at) = csum_at {
        let sum = !checksum::fold(pseudo + checksum::sum(&l4));
        // A datagram's computed zero is sent as all ones: zero says "none" (RFC 768).
        let sum = if sum == 0 && proto == proto::UDP { 0xffff } else { sum };
        l4[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    frame.extend(l4);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACS: Macs = ([2; 6], [4; 6]);

    /// Asks an independent decoder whether a frame is sound.
    fn oracle(frame: &[u8]) -> (etherparse::NetHeaders, etherparse::TransportHeader, Vec<u8>) {
        let parsed =
            etherparse::PacketHeaders::from_ethernet_slice(frame).expect("a frame etherparse accepts");
        (parsed.net.expect("IP"), parsed.transport.expect("TCP or UDP"), parsed.payload.slice().to_vec())
    }

    #[test]
    fn etherparse_agrees_with_checksums_of_both_families() {
        for (src, dst) in [("10.0.0.1:1024", "10.0.0.2:80"), ("[fd00::1]:1024", "[fd00::2]:80")] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let segment =
                Segment { seq: 7, ack: 9, flags: tcp::flag::ACK, options: &[2, 4, 5, 0xb4], payload: b"odd" };
            for frame in [udp(MACS, src, dst, b"odd"), tcp(MACS, src, dst, segment)] {
                let (net, transport, payload) = oracle(&frame);
                let (got, expected) = match (&net, &transport) {
                    (etherparse::NetHeaders::Ipv4(ip, _), etherparse::TransportHeader::Udp(h)) => {
                        (h.checksum, h.calc_checksum_ipv4(ip, &payload).unwrap())
                    }
                    (etherparse::NetHeaders::Ipv4(ip, _), etherparse::TransportHeader::Tcp(h)) => {
                        (h.checksum, h.calc_checksum_ipv4(ip, &payload).unwrap())
                    }
                    (etherparse::NetHeaders::Ipv6(ip, _), etherparse::TransportHeader::Udp(h)) => {
                        (h.checksum, h.calc_checksum_ipv6(ip, &payload).unwrap())
                    }
                    (etherparse::NetHeaders::Ipv6(ip, _), etherparse::TransportHeader::Tcp(h)) => {
                        (h.checksum, h.calc_checksum_ipv6(ip, &payload).unwrap())
                    }
                    other => panic!("unexpected {other:?}"),
                };
                assert_eq!(got, expected);
                if let etherparse::NetHeaders::Ipv4(ip, _) = net {
                    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                }
            }
        }
    }

    #[test]
    fn a_datagrams_computed_zero_is_sent_as_all_ones() {
        let (src, dst) = ("10.0.0.1:1024".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        // Adding the checksum to what is summed makes the sum all ones, whose complement is zero.
        let complement = udp(MACS, src, dst, &[0, 0])[40..42].to_vec();
        assert_eq!(udp(MACS, src, dst, &complement)[40..42], [0xff, 0xff]);
    }
}
