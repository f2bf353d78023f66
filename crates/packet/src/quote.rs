// SPDX-License-Identifier: Apache-2.0
//! The packet that an ICMP error quotes: the IP header of what could not be delivered and at least eight bytes of what it carried.

use crate::checksum::{Delta, udp_shift_by};
use crate::icmp::{self, Query};
use crate::{ipv4, ipv6, proto, tcp, udp};

/// Bytes of the upper layer that every error quotes (RFC 792; RFC 1812 4.3.2.3 asks for more).
pub const LEAST: usize = 8;

/// Offset of a TCP header's flags.
const FLAGS: usize = 13;

/// A quoted TCP, UDP or SCTP packet, or ICMP query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// IPv6, else IPv4.
    pub six: bool,
    /// Upper protocol, behind all extension headers.
    pub proto: u8,
    /// Source address; IPv4 in the low 32 bits.
    pub src: u128,
    /// Destination address; IPv4 in the low 32 bits.
    pub dst: u128,
    /// Source port; of a query what stands for it.
    pub sport: u16,
    /// Destination port; of a query what stands for it.
    pub dport: u16,
    /// Bytes before the upper layer.
    pub header_len: usize,
}

/// What a quoted packet shall say instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instead {
    /// Source address; IPv4 in the low 32 bits.
    pub src: u128,
    /// Destination address; IPv4 in the low 32 bits.
    pub dst: u128,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Added to a TCP sequence number, modulo 2^32.
    pub seq: u32,
    /// Added to a TCP acknowledgement number, modulo 2^32, where the quote reaches that far.
    pub ack: u32,
}

impl Quote {
    /// Reads a quote of the family `six` says; `None` when it is malformed, too short, not of TCP, UDP, SCTP or a query, or of a fragment other than
    /// the first.
    pub fn parse(bytes: &[u8], six: bool) -> Option<Quote> {
        let (proto, src, dst, header_len) = if six {
            let header = ipv6::Header::parse(bytes).filter(|h| h.version() == 6)?;
            let upper = ipv6::upper(bytes, header.next_header()).filter(|upper| !upper.later_fragment)?;
            (upper.proto, header.src(), header.dst(), upper.offset)
        } else {
            let header = ipv4::Header::parse(bytes)
                .filter(|h| h.version() == 4 && h.header_len() >= ipv4::LEN && !h.is_later_fragment())?;
            (header.proto(), u128::from(header.src()), u128::from(header.dst()), header.header_len())
        };
        let upper = bytes.get(header_len..)?.first_chunk::<LEAST>()?;
        let (sport, dport) = match (proto, six) {
            (proto::TCP | proto::UDP | proto::SCTP, _) => {
                (u16::from_be_bytes([upper[0], upper[1]]), u16::from_be_bytes([upper[2], upper[3]]))
            }
            (proto::ICMP, false) | (proto::ICMPV6, true) => Query::parse(upper, six)?.ports(),
            _ => return None,
        };
        Some(Quote { six, proto, src, dst, sport, dport, header_len })
    }

    /// Makes the quote in `bytes` say something else. The IPv4 header checksum stays as right or wrong as it was, and that of the
    /// upper layer where it is quoted: nobody can verify it, but a receiver may compare it with what it sent.
    pub fn rewrite(&self, bytes: &mut [u8], new: &Instead) {
        let addresses = if self.six {
            put(bytes, ipv6::at::SRC, &new.src.to_be_bytes());
            put(bytes, ipv6::at::DST, &new.dst.to_be_bytes());
            Delta::default().address6(self.src, new.src).address6(self.dst, new.dst)
        } else {
            let (src, dst) = (new.src as u32, new.dst as u32);
            put(bytes, ipv4::at::SRC, &src.to_be_bytes());
            put(bytes, ipv4::at::DST, &dst.to_be_bytes());
            let delta = Delta::default().long(self.src as u32, src).long(self.dst as u32, dst);
            sum(bytes, ipv4::at::CHECKSUM, |old| delta.apply(old));
            delta
        };
        let Some(l4) = bytes.get_mut(self.header_len..) else { return };
        if matches!(self.proto, proto::ICMP | proto::ICMPV6) {
            return self.renumber(l4, addresses, new);
        }
        put(l4, 0, &new.sport.to_be_bytes());
        put(l4, 2, &new.dport.to_be_bytes());
        if self.proto == proto::SCTP {
            // Its checksum covers the whole packet, which is not quoted.
            return;
        }
        let delta = addresses.word(self.sport, new.sport).word(self.dport, new.dport);
        if self.proto == proto::UDP {
            return sum(l4, udp::CHECKSUM, |old| udp_shift_by(old, delta.fold()));
        }
        let delta = add(l4, tcp::at::SEQ, new.seq, delta);
        // A SYN acknowledges nothing.
        let acknowledges = l4.get(FLAGS).is_some_and(|flags| flags & tcp::flag::ACK != 0);
        let delta = if acknowledges { add(l4, tcp::at::ACK, new.ack, delta) } else { delta };
        sum(l4, tcp::at::CHECKSUM, |old| delta.apply(old));
    }

    /// Gives a query another identifier.
    fn renumber(&self, l4: &mut [u8], addresses: Delta, new: &Instead) {
        let Some(query) = Query::parse(l4, self.six) else { return };
        let id = if query.asks { new.sport } else { new.dport };
        // Only ICMPv6 covers addresses.
        let delta = if self.six { addresses } else { Delta::default() }.word(query.id, id);
        put(l4, icmp::ID, &id.to_be_bytes());
        sum(l4, icmp::CHECKSUM, |old| delta.apply(old));
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = bytes.get_mut(at..at + value.len()) {
        field.copy_from_slice(value);
    }
}

/// Adds to the number at `at`, where the quote reaches that far.
fn add(l4: &mut [u8], at: usize, by: u32, delta: Delta) -> Delta {
    let Some(&[a, b, c, d]) = l4.get(at..).and_then(|rest| rest.first_chunk()) else { return delta };
    let old = u32::from_be_bytes([a, b, c, d]);
    let new = old.wrapping_add(by);
    put(l4, at, &new.to_be_bytes());
    delta.long(old, new)
}

/// Changes the checksum at `at`, where the quote reaches that far.
fn sum(bytes: &mut [u8], at: usize, change: impl FnOnce(u16) -> u16) {
    if let Some(&[a, b]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        put(bytes, at, &change(u16::from_be_bytes([a, b])).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::build::{self, Segment};

    fn packets() -> Vec<(bool, Vec<u8>)> {
        let mut all = Vec::new();
        for (six, src, dst) in
            [(false, "10.2.0.200:1025", "10.2.0.1:8080"), (true, "[fd02::200]:1025", "[fd02::1]:8080")]
        {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let segment =
                Segment { seq: 7000, ack: 9000, flags: 16, payload: b"payload!", ..Segment::default() };
            all.push((six, build::tcp(([2; 6], [4; 6]), src, dst, segment)[14..].to_vec()));
            all.push((six, build::udp(([2; 6], [4; 6]), src, dst, b"payload!")[14..].to_vec()));
        }
        all
    }

    const INSTEAD: Instead =
        Instead { src: 0x0a01_0001, dst: 0x0a01_0064, sport: 40_000, dport: 80, seq: 100, ack: 0xffff_0000 };

    #[test]
    fn eight_bytes_suffice_and_seven_do_not() {
        for (six, packet) in packets() {
            let header_len = if six { 40 } else { 20 };
            let quote = Quote::parse(&packet[..header_len + 8], six).expect("a whole quote");
            assert_eq!((quote.sport, quote.dport, quote.header_len), (1025, 8080, header_len));
            assert_eq!(Quote::parse(&packet[..header_len + 7], six), None);
            assert_eq!(Quote::parse(&packet, !six), None, "the other family's error does not quote it");
        }
    }

    #[test]
    fn a_whole_quote_says_something_else_and_all_its_checksums_follow() {
        for (six, mut packet) in packets() {
            let quote = Quote::parse(&packet, six).expect("a whole quote");
            quote.rewrite(&mut packet, &INSTEAD);
            let expected = Quote { src: INSTEAD.src, dst: INSTEAD.dst, sport: 40_000, dport: 80, ..quote };
            assert_eq!(Quote::parse(&packet, six), Some(expected));
            let headers = etherparse::PacketHeaders::from_ip_slice(&packet).expect("a sound packet");
            let payload = headers.payload.slice();
            match (headers.net.expect("IP"), headers.transport.expect("TCP or UDP")) {
                (etherparse::NetHeaders::Ipv4(ip, _), etherparse::TransportHeader::Tcp(tcp)) => {
                    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                    assert_eq!(tcp.calc_checksum_ipv4(&ip, payload), Ok(tcp.checksum));
                    assert_eq!((tcp.sequence_number, tcp.acknowledgment_number), (7100, 0xffff_2328));
                }
                (etherparse::NetHeaders::Ipv4(ip, _), etherparse::TransportHeader::Udp(udp)) => {
                    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                    assert_eq!(udp.calc_checksum_ipv4(&ip, payload), Ok(udp.checksum));
                }
                (etherparse::NetHeaders::Ipv6(ip, _), etherparse::TransportHeader::Tcp(tcp)) => {
                    assert_eq!(tcp.calc_checksum_ipv6(&ip, payload), Ok(tcp.checksum));
                }
                (etherparse::NetHeaders::Ipv6(ip, _), etherparse::TransportHeader::Udp(udp)) => {
                    assert_eq!(udp.calc_checksum_ipv6(&ip, payload), Ok(udp.checksum));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn later_fragments_and_other_protocols_are_no_quotes() {
        for (six, packet) in packets().into_iter().filter(|(six, _)| !six) {
            let mut fragment = packet.clone();
            fragment[7] = 1;
            assert_eq!(Quote::parse(&fragment, six), None);
            let mut first = packet.clone();
            first[6] = 0x20;
            assert!(Quote::parse(&first, six).is_some());
            let mut gre = packet;
            gre[9] = 47;
            assert_eq!(Quote::parse(&gre, six), None);
        }
    }

    proptest! {
        #[test]
        fn rewritten_and_rewritten_back_it_is_the_same(which in 0usize..4, len in 28usize..80, src: u128, dst: u128, ports: (u16, u16), seq: u32, ack: u32) {
            let (six, packet) = packets().swap_remove(which);
            let mut bytes = packet[..len.min(packet.len())].to_vec();
            let (original, limit) = (bytes.clone(), if six { u128::MAX } else { u128::from(u32::MAX) });
            let Some(quote) = Quote::parse(&bytes, six) else { return Ok(()) };
            quote.rewrite(&mut bytes, &Instead { src: src & limit, dst: dst & limit, sport: ports.0, dport: ports.1, seq, ack });
            let there = Quote::parse(&bytes, six).expect("still a quote");
            let back = Instead { src: quote.src, dst: quote.dst, sport: quote.sport, dport: quote.dport, seq: seq.wrapping_neg(), ack: ack.wrapping_neg() };
            there.rewrite(&mut bytes, &back);
            prop_assert_eq!(bytes, original);
        }

        #[test]
        fn any_bytes_are_a_quote_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..120), six: bool) {
            if let Some(quote) = Quote::parse(&bytes, six) {
                let mut copy = bytes.clone();
                quote.rewrite(&mut copy, &INSTEAD);
                prop_assert_eq!(copy.len(), bytes.len());
            }
        }
    }
}
