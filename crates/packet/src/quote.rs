// SPDX-License-Identifier: Apache-2.0
//! The packet that an ICMP error quotes: the IP header of what could not be delivered and at least eight bytes of what it carried.

use crate::checksum::{Delta, udp_shift_by};
use crate::icmp::{self, Query};
use crate::{ether, gre, gue, ipv4, ipv6, proto, sctp, tcp, udp};

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
    /// Bytes of those that tell a server its client (UOA), which the client has not sent.
    pub told: usize,
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

/// A quoted packet of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Source address of the outer header; IPv4 in the low 32 bits.
    pub src: u128,
    /// Its destination address.
    pub dst: u128,
    /// What is inside is IPv6, else IPv4.
    pub six: bool,
    /// Bytes before what is inside.
    pub front: usize,
}

impl Wrapped {
    /// Reads a quoted packet of IP in IP, GRE or GUE, of the family `six` says; `None` when it is none or ends before what is inside.
    pub fn parse(bytes: &[u8], six: bool) -> Option<Wrapped> {
        let outer = Outer::parse(bytes, six)?;
        let at = outer.header_len;
        let of_ip = |proto, len| match proto {
            proto::IPIP => Some((false, len)),
            proto::IPV6 => Some((true, len)),
            _ => None,
        };
        let (six, shim) = match outer.proto {
            proto::GRE => {
                let &[flags, version, high, low] = bytes.get(at..)?.first_chunk::<{ gre::LEN }>()?;
                let len = match (flags, version) {
                    (0, 0) => gre::LEN,
                    (gre::CHECKSUM_PRESENT, 0) => gre::LEN_CSUM,
                    _ => return None,
                };
                match u16::from_be_bytes([high, low]) {
                    ether::IPV4 => Some((false, len)),
                    ether::IPV6 => Some((true, len)),
                    _ => None,
                }
            }
            proto::UDP => {
                // Version 0, data, with as many words of options as it says.
                let &[first, proto, ..] = bytes.get(at + udp::LEN..)?.first_chunk::<{ gue::LEN }>()?;
                let len = udp::LEN + gue::LEN + usize::from(first & 31) * 4;
                if first >> 5 == 0 { of_ip(proto, len) } else { None }
            }
            proto => of_ip(proto, 0),
        }?;
        let front = at + shim;
        (front < bytes.len()).then_some(Wrapped { src: outer.src, dst: outer.dst, six, front })
    }
}

/// The header of a quoted packet, which is no later fragment.
struct Outer {
    proto: u8,
    src: u128,
    dst: u128,
    header_len: usize,
    told: usize,
}

impl Outer {
    /// Reads a header, and the one behind it that tells a server its client.
    fn parse(bytes: &[u8], six: bool) -> Option<Outer> {
        let outer = Outer::of_ip(bytes, six)?;
        if outer.proto != proto::UOA {
            return Some(outer);
        }
        let &[_, proto, high, low] = bytes.get(outer.header_len..)?.first_chunk::<4>()?;
        let told = usize::from(u16::from_be_bytes([high, low]));
        // Its own four bytes and an option, of datagrams.
        let sound = proto == proto::UDP && told >= 4;
        sound.then_some(Outer { proto, header_len: outer.header_len + told, told, ..outer })
    }

    fn of_ip(bytes: &[u8], six: bool) -> Option<Outer> {
        if six {
            let h = ipv6::Header::parse(bytes).filter(|h| h.version() == 6)?;
            let upper = ipv6::upper(bytes, h.next_header()).filter(|upper| !upper.later_fragment)?;
            return Some(Outer {
                proto: upper.proto,
                src: h.src(),
                dst: h.dst(),
                header_len: upper.offset,
                told: 0,
            });
        }
        let h = ipv4::Header::parse(bytes)
            .filter(|h| h.version() == 4 && h.header_len() >= ipv4::LEN && !h.is_later_fragment())?;
        let (src, dst) = (h.src().into(), h.dst().into());
        Some(Outer { proto: h.proto(), src, dst, header_len: h.header_len(), told: 0 })
    }
}

/// A header of the other family, for the packet of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherHeader {
    bytes: [u8; ipv6::LEN + FRAGMENT_LEN],
    len: usize,
}

/// Bytes of an IPv6 fragment header.
const FRAGMENT_LEN: usize = 8;

impl OtherHeader {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Quote {
    /// Reads a quote of the family `six` says; `None` when it is malformed, too short, not of TCP, UDP, SCTP or a query, or of a fragment other than
    /// the first.
    pub fn parse(bytes: &[u8], six: bool) -> Option<Quote> {
        let Outer { proto, src, dst, header_len, told } = Outer::parse(bytes, six)?;
        let upper = bytes.get(header_len..)?.first_chunk::<LEAST>()?;
        let (sport, dport) = match (proto, six) {
            (proto::TCP | proto::UDP | proto::SCTP, _) => {
                (u16::from_be_bytes([upper[0], upper[1]]), u16::from_be_bytes([upper[2], upper[3]]))
            }
            (proto::ICMP, false) | (proto::ICMPV6, true) => Query::parse(upper, six)?.ports(),
            _ => return None,
        };
        Some(Quote { six, proto, src, dst, sport, dport, header_len, told })
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
        // Only ICMPv6 covers addresses.
        let covered = if self.proto == proto::ICMP { Delta::default() } else { addresses };
        let whole_len = self.whole_len(bytes);
        if let Some(l4) = bytes.get_mut(self.header_len..) {
            self.upper(l4, covered, new, whole_len);
        }
    }

    /// The same for a quote that tells a server its client: the header is that of the packet as the client sent it.
    pub fn rewrite_untold(&self, bytes: &mut [u8], new: &Instead) -> Option<OtherHeader> {
        self.rewrite(bytes, new);
        let len = self.header_len - self.told;
        let mut header = OtherHeader { bytes: [0; ipv6::LEN + FRAGMENT_LEN], len };
        let h = header.bytes.get_mut(..len)?;
        h.copy_from_slice(bytes.get(..len)?);
        let (length, proto) = if self.six { (4, 6) } else { (2, 9) };
        let word = |h: &[u8], at: usize| u16::from_be_bytes([h[at], h[at + 1]]);
        let (old_len, old_proto) = (word(h, length), word(h, proto & !1));
        let new_len = old_len.checked_sub(self.told as u16)?;
        put(h, length, &new_len.to_be_bytes());
        h[proto] = self.proto;
        if !self.six {
            let delta = Delta::default().word(old_len, new_len).word(old_proto, word(h, proto & !1));
            sum(h, ipv4::at::CHECKSUM, |old| delta.apply(old));
        }
        Some(header)
    }

    /// The same towards the other family (RFC 7915 4.3, 5.3): what the quote carries is changed in `bytes`, and the header that belongs in
    /// front of it returned. `None` for a query that the other family has not.
    pub fn rewrite_across(&self, bytes: &mut [u8], new: &Instead) -> Option<OtherHeader> {
        let (header, payload_len) = self.other_header(bytes, new)?;
        let words = |addr: u128| [96, 64, 32, 0].map(|shift| (addr >> shift) as u32);
        let replaced = |delta: Delta, old, new| delta.longs(&words(old), &words(new));
        let addresses = replaced(replaced(Delta::default(), self.src, new.src), self.dst, new.dst);
        let whole_len = self.whole_len(bytes);
        let l4 = bytes.get_mut(self.header_len..)?;
        let covered = match self.proto {
            proto::ICMP | proto::ICMPV6 => {
                let old = u16::from_be_bytes(*l4.first_chunk::<2>()?);
                let kind = icmp::echo_across(l4[0], self.six)?;
                l4[0] = kind;
                let now = u16::from_be_bytes(*l4.first_chunk::<2>()?);
                // ICMPv6 covers a pseudo header, ICMP none.
                let pseudo = |src: u128, dst: u128| {
                    let ([a, b, c, d], [e, f, g, h]) = (words(src), words(dst));
                    [a, b, c, d, e, f, g, h, payload_len as u32, proto::ICMPV6.into()]
                };
                let delta = Delta::default().word(old, now);
                match self.six {
                    true => delta.longs(&pseudo(self.src, self.dst), &[]),
                    false => delta.longs(&[], &pseudo(new.src, new.dst)),
                }
            }
            _ => addresses,
        };
        Quote { six: !self.six, ..*self }.upper(l4, covered, new, whole_len);
        Some(header)
    }

    /// Bytes of the packet, as its header tells.
    fn told_len(&self, bytes: &[u8]) -> usize {
        match self.six {
            true => ipv6::Header::parse(bytes).map_or(0, |h| ipv6::LEN + h.payload_len()),
            false => ipv4::Header::parse(bytes).map_or(0, |h| h.total_len()),
        }
    }

    /// Bytes of what the packet carried, if that was not cut into fragments.
    fn whole_len(&self, bytes: &[u8]) -> Option<usize> {
        let fragment = match self.six {
            true => ipv6::upper(bytes, ipv6::Header::parse(bytes)?.next_header())?.fragment,
            false => ipv4::Header::parse(bytes)?.is_fragment(),
        };
        self.told_len(bytes).checked_sub(self.header_len).filter(|_| !fragment)
    }

    /// The header of the other family, and bytes of what it is in front of.
    fn other_header(&self, bytes: &[u8], new: &Instead) -> Option<(OtherHeader, usize)> {
        let mut header = OtherHeader { bytes: [0; ipv6::LEN + FRAGMENT_LEN], len: 0 };
        if self.six {
            let h = ipv6::Header::parse(bytes)?;
            let payload_len = (ipv6::LEN + h.payload_len()).checked_sub(self.header_len)?;
            let fragment = ipv6::upper(bytes, h.next_header())?.fragment;
            let id = if fragment {
                bytes.get(self.header_len - 2..)?.first_chunk::<2>().copied()?
            } else {
                [0; 2]
            };
            let proto = if self.proto == proto::ICMPV6 { proto::ICMP } else { self.proto };
            let repr = ipv4::Repr {
                src: new.src as u32,
                dst: new.dst as u32,
                proto,
                ttl: h.hop_limit(),
                tos: bytes[0] << 4 | bytes[1] >> 4,
                id: u16::from_be_bytes(id),
                flags: if fragment { ipv4::MF } else { ipv4::DF },
                payload_len,
            };
            repr.emit(&mut header.bytes)?;
            header.len = ipv4::LEN;
            return Some((header, payload_len));
        }
        let h = ipv4::Header::parse(bytes)?;
        let payload_len = h.total_len().checked_sub(self.header_len)?;
        let next_header = if self.proto == proto::ICMP { proto::ICMPV6 } else { self.proto };
        let fragment = h.is_fragment();
        header.len = ipv6::LEN + if fragment { FRAGMENT_LEN } else { 0 };
        let repr = ipv6::Repr {
            src: new.src,
            dst: new.dst,
            next_header: if fragment { ipv6::extension::FRAGMENT } else { next_header },
            hop_limit: h.ttl(),
            payload_len: payload_len + header.len - ipv6::LEN,
        };
        repr.emit(&mut header.bytes)?;
        (header.bytes[0], header.bytes[1]) = (0x60 | h.tos() >> 4, h.tos() << 4);
        if fragment {
            let id = bytes.get(4..)?.first_chunk::<2>()?;
            // The first of several: offset 0, more to come.
            header.bytes[ipv6::LEN..].copy_from_slice(&[next_header, 0, 0, 1, 0, 0, id[0], id[1]]);
        }
        Some((header, payload_len))
    }

    /// Changes what the quoted packet carries, `whole_len` bytes if that is known; `covered` is what else changes in what its checksum
    /// covers.
    fn upper(&self, l4: &mut [u8], covered: Delta, new: &Instead, whole_len: Option<usize>) {
        if matches!(self.proto, proto::ICMP | proto::ICMPV6) {
            let Some(query) = Query::parse(l4, self.six) else { return };
            let id = if query.asks { new.sport } else { new.dport };
            put(l4, icmp::ID, &id.to_be_bytes());
            return sum(l4, icmp::CHECKSUM, |old| covered.word(query.id, id).apply(old));
        }
        let ports = |[a, b]: [u8; 2], [c, d]: [u8; 2]| [a, b, c, d];
        let (old_ports, new_ports) = (
            ports(self.sport.to_be_bytes(), self.dport.to_be_bytes()),
            ports(new.sport.to_be_bytes(), new.dport.to_be_bytes()),
        );
        put(l4, 0, &new_ports);
        if self.proto == proto::SCTP {
            let old = l4.get(sctp::CHECKSUM..).and_then(|rest| rest.first_chunk()).copied();
            if let (Some(old), Some(len)) = (old, whole_len) {
                let sum = sctp::checksum_with_ports(u32::from_le_bytes(old), old_ports, new_ports, len);
                put(l4, sctp::CHECKSUM, &sum.to_le_bytes());
            }
            return;
        }
        let delta = covered.word(self.sport, new.sport).word(self.dport, new.dport);
        if self.proto == proto::UDP {
            return sum(l4, udp::CHECKSUM, |old| udp_shift_by(old, delta.fold()));
        }
        let delta = add(l4, tcp::at::SEQ, new.seq, delta);
        // A SYN acknowledges nothing; what ends before its flags is none, most likely.
        let acknowledges = l4.get(FLAGS).is_none_or(|flags| flags & tcp::flag::ACK != 0);
        let delta = if acknowledges { add(l4, tcp::at::ACK, new.ack, delta) } else { delta };
        sum(l4, tcp::at::CHECKSUM, |old| delta.apply(old));
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
        fn rewritten_across_families_and_back_it_is_the_same(six: bool, proto in 0usize..4, payload in proptest::collection::vec(any::<u8>(), 0..80), cut in 8usize..100, class: u8, ports: (u16, u16), seq: u32, ack: u32, other: (u128, u128)) {
            let (src, dst): (std::net::SocketAddr, std::net::SocketAddr) = match six {
                false => ("10.2.0.200:1025".parse().unwrap(), "10.2.0.1:8080".parse().unwrap()),
                true => ("[fd02::200]:1025".parse().unwrap(), "[fd02::1]:8080".parse().unwrap()),
            };
            let macs = ([2; 6], [4; 6]);
            let segment = Segment { seq: 7, ack: 9, flags: 16, payload: &payload, ..Segment::default() };
            let mut packet = match proto {
                0 => build::tcp(macs, src, dst, segment),
                1 => build::udp(macs, src, dst, &payload),
                2 => build::sctp(macs, src, dst, 5, &payload),
                _ => build::echo(macs, src.ip(), dst.ip(), 1025, 1, &payload),
            }
            .split_off(14);
            if six {
                (packet[0], packet[1]) = (0x60 | class >> 4, class << 4);
            } else {
                packet[1] = class;
                packet[10..12].fill(0);
                let sum = crate::checksum::checksum(&packet[..20]);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            let header_len = if six { 40 } else { 20 };
            packet.truncate(header_len + cut);
            let quote = Quote::parse(&packet, six).expect("a whole quote");
            let limit = if six { u128::from(u32::MAX) } else { u128::MAX };
            let there = Instead { src: other.0 & limit, dst: other.1 & limit, sport: ports.0, dport: if proto == 3 { quote.dport } else { ports.1 }, seq, ack };
            let mut bytes = packet.clone();
            let header = quote.rewrite_across(&mut bytes, &there).expect("both families have it");
            let mut crossed = [header.bytes(), &bytes[header_len..]].concat();
            let seen = Quote::parse(&crossed, !six).expect("a quote of the other family");
            prop_assert_eq!((seen.src, seen.dst, seen.sport), (there.src, there.dst, ports.0));
            let back = Instead { src: quote.src, dst: quote.dst, sport: quote.sport, dport: quote.dport, seq: seq.wrapping_neg(), ack: ack.wrapping_neg() };
            let crossed_header = header.bytes().len();
            let header = seen.rewrite_across(&mut crossed, &back).expect("and back");
            prop_assert_eq!([header.bytes(), &crossed[crossed_header..]].concat(), packet);
        }

        #[test]
        fn any_bytes_are_a_quote_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..120), six: bool) {
            if let Some(quote) = Quote::parse(&bytes, six) {
                let mut copy = bytes.clone();
                quote.rewrite(&mut copy, &INSTEAD);
                prop_assert_eq!(copy.len(), bytes.len());
                for header in [quote.rewrite_untold(&mut bytes.clone(), &INSTEAD), quote.rewrite_across(&mut bytes.clone(), &INSTEAD)] {
                    prop_assert!(header.is_none_or(|header| header.bytes().len() >= ipv4::LEN));
                }
            }
        }
    }
}
