// SPDX-License-Identifier: Apache-2.0
//! The client's address for servers behind FULLNAT, beside the first datagrams of a flow (UOA).
//!
//! ```text
//!   option    1f len | client's port (2) | client's address (4 or 16)
//!
//!   as a header of its own, IP protocol 248, between IP and UDP:
//!
//!     version (4 bits: 1 IPv4, 2 IPv6), 0 (4) | next protocol | length, in network byte order (2) | option
//!
//!   as an IPv4 option, behind the fixed header
//! ```
//!
//! A datagram that would be too long with it has it sent ahead, beside an empty datagram. No datagram is ever lost by it.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use packet::checksum::Delta;
use packet::{Buffer, ipv4, ipv6, proto, udp};

use crate::conn::{ConnId, Dir, Tuple};
use crate::flow::Parsed;
use crate::identity::{Uoa, lengthen, option_len};
use crate::l3::Ip;
use crate::l4;
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::preface::{Changed, Preface};
use crate::sink::Sink;

/// IP protocol of the header that has the option.
const PROTOCOL: u8 = proto::UOA;

/// The option's type: copied into fragments, of class control.
const OPTION: u8 = 0x1f;

/// Most bytes that are added.
const MOST: usize = 24;

/// Bytes of the longest IPv4 header.
const LONGEST_HEADER: usize = 60;

/// Where an IPv6 header says what follows.
const NEXT_HEADER: usize = 6;

impl<P: Buffer> Lcore<P> {
    /// A client's datagram, rewritten already, of a connection whose server is to know the client: `Some` when it tells it itself.
    /// Otherwise what was due went ahead.
    #[cold]
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    pub(crate) fn trail_client(
        &mut self,
        id: ConnId,
        pkt: &mut P,
        parsed: &Parsed,
        mtu: u16,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Option<Changed> {
        if self.conns.get(id).preface != Preface::Uoa || parsed.ip.proto != proto::UDP {
            return None;
        }
        let left = self.conns.preface_word(id).saturating_sub(1);
        self.conns.set_preface(id, if left == 0 { Preface::None } else { Preface::Uoa }, left);
        let client = self.conns.tuple(id, Dir::Inbound).source();
        let ip = &parsed.ip;
        let tuple = self.conns.tuple(id, Dir::Outbound).reversed();
        let how = match cx.snap.options.identity.uoa {
            // There is no such option for IPv6.
            Uoa::Option if ip.six || client.is_ipv6() => return None,
            how => how,
        };
        let added = added(how, client);
        let simple = match how {
            // Behind extension headers it would be taken for one.
            Uoa::Header => !ip.six || usize::from(ip.header_len) == ipv6::LEN,
            Uoa::Option => usize::from(ip.header_len) + added.len() <= LONGEST_HEADER,
        };
        let fits = usize::from(ip.total_len) + added.len() <= usize::from(mtu);
        if simple
            && fits
            && let Some(changed) = insert(pkt, parsed, how, &added)
        {
            return Some(changed);
        }
        let bytes = &pkt.data()[parsed.l3..];
        // Counted down already.
        let ttl = bytes[if ip.six { ipv6::at::HOP_LIMIT } else { ipv4::at::TTL }];
        let class = ip.class(bytes);
        let len = added.len() + udp::LEN;
        let write = |bytes: &mut [u8]| ahead(bytes, &tuple, ttl, class, how, &added);
        self.send_made(id, Dir::Inbound, tuple, proto::UDP, len, ttl, write, cx, out);
        None
    }
}

/// The bytes added to a packet of this client.
fn added(how: Uoa, client: SocketAddr) -> ArrayVec<u8, MOST> {
    let len = option_len(client.is_ipv6());
    let mut added = ArrayVec::new();
    if how == Uoa::Header {
        let version = if client.is_ipv6() { 2 } else { 1 };
        added.extend([version << 4, proto::UDP]);
        added.extend((len + 4).to_be_bytes());
    }
    added.extend([OPTION, len as u8]);
    added.extend(client.port().to_be_bytes());
    match client {
        SocketAddr::V4(client) => added.extend(client.ip().octets()),
        SocketAddr::V6(client) => added.extend(client.ip().octets()),
    }
    added
}

/// Puts `added` where it belongs; `None`, and nothing changed, when the buffer has no room.
fn insert<P: Buffer>(pkt: &mut P, parsed: &Parsed, how: Uoa, added: &[u8]) -> Option<Changed> {
    let ip = &parsed.ip;
    let total_len = ip.total_len.checked_add(added.len() as u16)?;
    let before = match how {
        Uoa::Header => usize::from(ip.header_len),
        Uoa::Option => ipv4::LEN,
    };
    let at = parsed.l3 + before;
    pkt.prepend(added.len())?;
    pkt.data_mut().copy_within(added.len()..added.len() + at, 0);
    let bytes = &mut pkt.data_mut()[parsed.l3..];
    bytes[before..before + added.len()].copy_from_slice(added);
    let ip = lengthen(bytes, ip, total_len);
    mark(bytes, &ip, how, added);
    let ip = Ip { header_len: ip.header_len + added.len() as u16, ..ip };
    if how == Uoa::Header && !ip.six {
        // Over IPv4 there need not be one; who reads the header need not sum up what it does not cover.
        let sum = usize::from(ip.header_len) + udp::CHECKSUM;
        bytes[sum..sum + 2].fill(0);
    }
    Some(Changed { ip, parsed: Parsed { ip, ..*parsed } })
}

/// Says in an IP header what was added.
fn mark(bytes: &mut [u8], ip: &Ip, how: Uoa, added: &[u8]) {
    let at = match how {
        Uoa::Header if ip.six => {
            bytes[NEXT_HEADER] = PROTOCOL;
            return;
        }
        Uoa::Header => ipv4::at::TTL,
        Uoa::Option => 0,
    };
    let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let new = match how {
        Uoa::Header => old & 0xff00 | u16::from(PROTOCOL),
        // The header's length in words is in the lower half of its first byte.
        Uoa::Option => old + ((added.len() as u16 / 4) << 8),
    };
    bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
    let sum = ipv4::at::CHECKSUM;
    let mut delta = Delta::default().word(old, new);
    if how == Uoa::Option {
        // It is part of the header that is summed up.
        delta = added
            .chunks_exact(2)
            .fold(delta, |delta, word| delta.word(0, u16::from_be_bytes([word[0], word[1]])));
    }
    let was = u16::from_be_bytes([bytes[sum], bytes[sum + 1]]);
    bytes[sum..sum + 2].copy_from_slice(&delta.apply(was).to_be_bytes());
}

/// Writes an empty datagram that tells the client, from its IP header on.
fn ahead(bytes: &mut [u8], tuple: &Tuple, ttl: u8, class: u8, how: Uoa, added: &[u8]) -> Option<()> {
    let payload_len = added.len() + udp::LEN;
    let (header_len, protocol) = match (tuple, how) {
        (Tuple::V6(_), _) => (ipv6::LEN, PROTOCOL),
        (Tuple::V4(_), Uoa::Header) => (ipv4::LEN, PROTOCOL),
        (Tuple::V4(_), Uoa::Option) => (ipv4::LEN, proto::UDP),
    };
    match tuple {
        Tuple::V4(t) => {
            let (src, dst) = (t.src, t.dst);
            let header = ipv4::Repr {
                src,
                dst,
                proto: protocol,
                ttl,
                tos: class,
                id: 0,
                flags: ipv4::DF,
                payload_len,
            };
            header.emit(bytes)?;
        }
        Tuple::V6(t) => {
            let header =
                ipv6::Repr { src: t.src, dst: t.dst, next_header: protocol, hop_limit: ttl, payload_len };
            header.emit(bytes)?;
            (bytes[0], bytes[1]) = (0x60 | class >> 4, class << 4);
        }
    }
    let end = header_len + payload_len;
    bytes.get_mut(header_len..header_len + added.len())?.copy_from_slice(added);
    if how == Uoa::Option {
        let six = false;
        let ip = Ip { six, header_len: header_len as u16, total_len: end as u16, ..Ip::NOTHING };
        mark(bytes, &ip, how, added);
    }
    let (sport, dport) = tuple.ports();
    let datagram = bytes.get_mut(header_len + added.len()..end)?;
    datagram.fill(0);
    datagram[..2].copy_from_slice(&sport.to_be_bytes());
    datagram[2..4].copy_from_slice(&dport.to_be_bytes());
    datagram[5] = udp::LEN as u8;
    if matches!(tuple, Tuple::V6(_)) {
        // Anything but zero, which says that there is none.
        datagram[udp::CHECKSUM..udp::LEN].fill(0xff);
        let header_len = (header_len + added.len()) as u16;
        let ip = Ip { six: true, proto: proto::UDP, header_len, total_len: end as u16, ..Ip::NOTHING };
        l4::recompute(bytes, &ip);
    }
    Some(())
}
