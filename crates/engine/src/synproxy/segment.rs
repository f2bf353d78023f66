// SPDX-License-Identifier: Apache-2.0
//! Segments the director makes itself: SYN-ACK and RST to clients, SYN and ACK to servers, and headers of the PROXY protocol.

use packet::{Buffer, checksum, ipv4, ipv6, proto, tcp};

use super::offer::Said;
use crate::conn::Tuple;
use crate::l3::Ip;

/// A TCP segment without data, and the IP header before it.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// From where to where.
    pub tuple: Tuple,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; only told when the flags say that it counts.
    pub ack: u32,
    /// Flags of [`tcp::flag`].
    pub flags: u8,
    /// Window, not scaled.
    pub window: u16,
    /// Options.
    pub options: Said,
    /// TTL or hop limit.
    pub ttl: u8,
}

impl Segment {
    /// Bytes of the packet, IP header included.
    pub fn packet_len(&self) -> usize {
        self.header_len() + tcp::LEN + self.options.len()
    }

    fn header_len(&self) -> usize {
        match self.tuple {
            Tuple::V4(_) => ipv4::LEN,
            Tuple::V6(_) => ipv6::LEN,
        }
    }

    /// Writes the packet with `data` behind its headers, all checksums right; `None`, with `bytes` half written, when they are fewer than
    /// [`Segment::packet_len`] and the data together.
    #[inline(always)]
    pub fn write(&self, bytes: &mut [u8], data: &[u8]) -> Option<()> {
        let head = tcp::LEN + self.options.len();
        let payload_len = head + data.len();
        let (sport, dport, pseudo) = match self.tuple {
            Tuple::V4(t) => {
                // The identification may be anything in packets that must not be fragmented (RFC 6864 4.1).
                let header = ipv4::Repr {
                    src: t.src,
                    dst: t.dst,
                    proto: proto::TCP,
                    ttl: self.ttl,
                    tos: 0,
                    id: 0,
                    flags: ipv4::DF,
                    payload_len,
                };
                header.emit(bytes)?;
                (t.sport, t.dport, checksum::pseudo4(t.src, t.dst, proto::TCP, payload_len))
            }
            Tuple::V6(t) => {
                let (src, dst) = (t.src, t.dst);
                let header =
                    ipv6::Repr { src, dst, next_header: proto::TCP, hop_limit: self.ttl, payload_len };
                header.emit(bytes)?;
                (t.sport, t.dport, checksum::pseudo6(src, dst, proto::TCP, payload_len))
            }
        };
        let l4 = bytes.get_mut(self.header_len()..self.packet_len() + data.len())?;
        let ack = if self.flags & tcp::flag::ACK != 0 { self.ack } else { 0 };
        let ports = u32::from(sport) << 16 | u32::from(dport);
        let control = (head as u32 / 4) << 28 | u32::from(self.flags) << 16 | u32::from(self.window);
        let words = [ports, self.seq, ack, control];
        // Of what is at hand: reading back what was just written would wait for it.
        let mut sum = pseudo + words.map(u64::from).iter().sum::<u64>();
        let [ports, seq, ack, control] = words;
        // What is sent most has one of two lengths, so that nothing is asked on the way.
        if let (Some(options), []) = (self.options.usual(), data) {
            sum += options.map(u64::from).iter().sum::<u64>();
            let [a, b, c, d, e] = options;
            return put(l4, [ports, seq, ack, control, last_word(sum), a, b, c, d, e]);
        }
        if let (Some(mss), []) = (self.options.mss_alone(), data) {
            return put(l4, [ports, seq, ack, control, last_word(sum + u64::from(mss)), mss]);
        }
        self.options.words(|word| sum += u64::from(word));
        if !data.is_empty() {
            sum += checksum::sum(data);
            l4[head..].copy_from_slice(data);
        }
        let mut at = tcp::LEN;
        self.options.words(|word| {
            if let Some(place) = l4.get_mut(at..at + 4) {
                place.copy_from_slice(&word.to_be_bytes());
            }
            at += 4;
        });
        put(l4, [ports, seq, ack, control, last_word(sum)])
    }

    /// Puts the segment in place of a received packet and sends its frame back where it came from: in the same buffer, behind the same
    /// Ethernet header and tag with the stations exchanged. `false`, and nothing changed, when it is longer than what was received.
    ///
    /// Never more bytes go back than came: who forges the source of a SYN gains nothing from the answer.
    #[inline(always)]
    pub fn answer<P: Buffer>(&self, pkt: &mut P, l3: usize, received: &Ip) -> bool {
        if self.packet_len() > usize::from(received.total_len) {
            return false;
        }
        let surplus = pkt.data().len() - (l3 + self.packet_len());
        let written = pkt.data_mut().get_mut(l3..).and_then(|bytes| self.write(bytes, &[]));
        debug_assert!(written.is_some(), "the received packet was longer");
        if let Some(macs) = pkt.data_mut().first_chunk_mut::<12>() {
            let [a, b, c, d, e, f, rest @ ..] = *macs;
            let [g, h, i, j, k, l] = rest;
            *macs = [g, h, i, j, k, l, a, b, c, d, e, f];
        }
        pkt.trim(surplus)
    }
}

/// The last word of a header whose other words, options included, have this sum: the checksum, and no urgent data.
#[inline(always)]
fn last_word(sum: u64) -> u32 {
    u32::from(!checksum::fold(sum)) << 16
}

/// Writes words to the front of `bytes`; `None`, and nothing written, where they do not fit.
#[inline(always)]
fn put<const WORDS: usize>(bytes: &mut [u8], words: [u32; WORDS]) -> Option<()> {
    let places = bytes.as_chunks_mut::<4>().0.first_chunk_mut::<WORDS>()?;
    *places = words.map(u32::to_be_bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use etherparse::{SlicedPacket, TransportSlice};
    use packet::{Csum, Frame, build};

    use super::*;
    use crate::l3;
    use crate::link::RxCsum;

    const MACS: build::Macs = ([2, 0, 0, 0, 0, 0xfe], [2, 0, 0, 0, 0, 1]);

    fn syn(six: bool) -> (Frame, Ip, Tuple) {
        let (src, dst) =
            if six { ("[fd01::1]:4000", "[fd01::100]:80") } else { ("10.1.0.1:4000", "10.1.0.100:80") };
        let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
        let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7];
        let segment =
            build::Segment { seq: 99, flags: 2, options: &options, payload: b"fast", ..Default::default() };
        let frame = build::tcp(MACS, src, dst, segment);
        let ip = if six {
            l3::accept6(&frame[14..])
        } else {
            l3::accept4(&frame[14..], Csum::Unknown, RxCsum::Verify)
        };
        let tuple = Tuple::new(src, dst).expect("one family");
        (Frame::new(&frame), ip.expect("a sound packet"), tuple)
    }

    #[test]
    fn the_answer_takes_the_place_of_what_was_received() {
        for six in [false, true] {
            let (mut frame, ip, tuple) = syn(six);
            let said = Said { mss: Some(1452), wscale: Some(9), sack: true, timestamps: Some((70, 256)) };
            let answer = Segment {
                tuple: tuple.reversed(),
                seq: 0xdead_beef,
                ack: 100,
                flags: tcp::flag::SYN | tcp::flag::ACK,
                window: 14_520,
                options: said,
                ttl: 63,
            };
            assert!(answer.answer(&mut frame, 14, &ip));
            let bytes = frame.data();
            assert_eq!((&bytes[..6], &bytes[6..12]), (&MACS.1[..], &MACS.0[..]));
            assert_eq!(bytes.len(), 14 + if six { 40 } else { 20 } + 40);
            let packet = SlicedPacket::from_ethernet(bytes).expect("a sound frame");
            let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("no TCP: {packet:?}") };
            assert_eq!((tcp.source_port(), tcp.destination_port()), (80, 4000));
            assert_eq!((tcp.sequence_number(), tcp.acknowledgment_number()), (0xdead_beef, 100));
            assert_eq!((tcp.syn(), tcp.ack(), tcp.window_size()), (true, true, 14_520));
            assert!(tcp.payload().is_empty());
            let sum = match packet.net.as_ref().expect("a network layer") {
                etherparse::NetSlice::Ipv4(ip) => {
                    let header = ip.header();
                    assert_eq!((header.ttl(), header.dont_fragment()), (63, true));
                    assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
                    assert_eq!(header.source(), [10, 1, 0, 100]);
                    tcp.calc_checksum_ipv4(header.source(), header.destination())
                }
                etherparse::NetSlice::Ipv6(ip) => {
                    assert_eq!(ip.header().hop_limit(), 63);
                    tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination())
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(sum.expect("it fits"), tcp.checksum());
        }
    }

    #[test]
    fn an_answer_longer_than_the_packet_is_none() {
        for six in [false, true] {
            let (frame, _, tuple) = syn(six);
            let short = build::tcp(
                MACS,
                tuple.source(),
                tuple.target(),
                build::Segment { flags: 2, ..Default::default() },
            );
            let ip = if six {
                l3::accept6(&short[14..])
            } else {
                l3::accept4(&short[14..], Csum::Unknown, RxCsum::Verify)
            };
            let mut pkt = Frame::new(&short);
            let options = Said { mss: Some(536), ..Said::default() };
            let answer =
                Segment { tuple: tuple.reversed(), seq: 1, ack: 2, flags: 0x12, window: 0, options, ttl: 64 };
            assert!(!answer.answer(&mut pkt, 14, &ip.expect("a sound packet")));
            assert_eq!(pkt.data(), short);
            assert!(frame.data().len() > short.len());
        }
    }
}
