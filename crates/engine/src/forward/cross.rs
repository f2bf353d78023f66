// SPDX-License-Identifier: Apache-2.0
//! Clients of one family, servers of the other: FULLNAT with another IP header (RFC 7915 4.1, 5.1 where they apply).
//!
//! ```text
//!   client  --- IPv6, caddr:cport -> vaddr:vport --->  director  --- IPv4, laddr:lport -> daddr:dport --->  server
//!           <-- IPv6, vaddr:vport -> caddr:cport ----            <-- IPv4, daddr:dport -> laddr:lport -----
//! ```
//!
//! Extension headers and IPv4 options end here. Nothing is cut but fragments that may be: the side that sent too much is told what fits.

use packet::fragment::{self, Fragment};
use packet::{Buffer, ipv4, ipv6, proto, udp};

use std::ops::ControlFlow::Continue;

use super::rewrite;
use crate::conn::{ConnId, Dir, Egress, Tuple, Tuple4, Tuple6};
use crate::flow::Parsed;
use crate::frag::Course;
use crate::l3::Ip;
use crate::l4;
use crate::lcore::Lcore;
use crate::output::Ttl;
use crate::pipeline::Cx;
use crate::preface::Preface;
use crate::query;
use crate::sink::Sink;
use crate::verdict::{DropReason, Step, Verdict, drop};

/// Bytes a packet may have as it came in, to fit `mtu` with a header of the other family.
pub(crate) fn room(ip: &Ip, mtu: u16) -> u16 {
    let new = header_len(!ip.six) as u16;
    mtu.saturating_add(ip.header_len).saturating_sub(new)
}

/// The same for a fragment, which carries more over IPv6.
pub(crate) fn room_for_part(ip: &Ip, mtu: u16) -> u16 {
    mtu.saturating_add(ip.header_len).saturating_sub(part_header_len(!ip.six) as u16)
}

fn part_header_len(six: bool) -> usize {
    if six { ipv6::LEN + fragment::LEN6 } else { ipv4::LEN }
}

fn header_len(six: bool) -> usize {
    if six { ipv6::LEN } else { ipv4::LEN }
}

impl<P: Buffer> Lcore<P> {
    /// Gives a packet a header of the other family and the addresses of the other side, and sends it by `hop`.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    pub(crate) fn cross(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        parsed: &Parsed,
        hop: Egress,
        ttl: Ttl,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let old = &Ip { proto: query::across(parsed.ip.proto), ..parsed.ip };
        if names_stops(&pkt.data()[parsed.l3..], old) {
            return drop(DropReason::SourceRoute);
        }
        let was = query::Pseudo::of(&pkt.data()[parsed.l3..], &parsed.ip);
        let new = self.conns.tuple(id, dir.opposite()).reversed();
        let six = !old.six;
        let class = old.class(&pkt.data()[parsed.l3..]);
        let start = begin(pkt, parsed, header_len(six))?;
        let payload_len = usize::from(old.total_len - old.header_len);
        let hops = u8::from(ttl == Ttl::Count);
        let bytes = &mut pkt.data_mut()[start..];
        let written = match &new {
            Tuple::V4(t) => write4(bytes, t, old, class, hops, (payload_len, 0, ipv4::DF)),
            Tuple::V6(t) => write6(bytes, t, old, class, hops, payload_len),
        };
        let total_len = u16::try_from(header_len(six) + payload_len).ok().filter(|_| written.is_some());
        let Some(total_len) = total_len else { return drop(DropReason::TooBig) };
        let ip =
            Ip { six, df: true, header_len: header_len(six) as u16, total_len, ttl: old.ttl - hops, ..*old };
        let (sport, dport) = new.ports();
        match was {
            Some(was) => query::cross(bytes, &ip, was, &new),
            None => rewrite::upper(bytes, &ip, self.conns.get(id), dir, sport, dport),
        }
        if six && lacks_checksum(bytes, &ip) {
            // Over IPv4 it may be missing, over IPv6 not (RFC 7915 4.5).
            l4::recompute(bytes, &ip);
        }
        if self.conns.get(id).is_proxied() {
            self.shift_proxied(id, bytes, &ip, dir);
        }
        let parsed = Parsed { l3: start, ip, ..*parsed };
        if dir == Dir::Inbound
            && self.conns.get(id).preface == Preface::Uoa
            && let Some(changed) = self.trail_client(id, pkt, &parsed, hop.mtu, cx, out)
        {
            return self.leave(pkt, &changed.parsed, &changed.ip, hop, cx);
        }
        self.leave(pkt, &parsed, &ip, hop, cx)
    }

    /// Gives a fragment a header of the other family and the addresses of the other side (RFC 7915 4.1, 5.1.1); what it is now. The upper layer
    /// stays as it is.
    pub(crate) fn cross_part(
        &mut self,
        course: &Course,
        pkt: &mut P,
        parsed: &Parsed,
        part: &Fragment,
        ttl: Ttl,
    ) -> Step<Parsed> {
        let old = &Ip { proto: course.proto, ..parsed.ip };
        if names_stops(&pkt.data()[parsed.l3..], old) {
            return drop(DropReason::SourceRoute);
        }
        let six = !old.six;
        let len = part_header_len(six);
        let class = old.class(&pkt.data()[parsed.l3..]);
        let start = begin(pkt, parsed, len)?;
        let payload_len = usize::from(old.total_len - old.header_len);
        let hops = u8::from(ttl == Ttl::Count);
        let part = Fragment { id: course.id, at: if six { ipv6::LEN } else { 0 }, ..*part };
        let bytes = &mut pkt.data_mut()[start..];
        let written = match &course.new {
            Tuple::V4(t) => write4(bytes, t, old, class, hops, (payload_len, course.id as u16, part.word4())),
            Tuple::V6(t) => {
                let outer = Ip { proto: ipv6::extension::FRAGMENT, ..*old };
                write6(bytes, t, &outer, class, hops, payload_len + fragment::LEN6)
                    .and_then(|()| part.emit6(bytes.get_mut(ipv6::LEN..)?, course.proto))
            }
        };
        let total_len = u16::try_from(len + payload_len).ok().filter(|_| written.is_some());
        let Some(total_len) = total_len else { return drop(DropReason::TooBig) };
        let ip = Ip { six, df: false, header_len: len as u16, total_len, ttl: old.ttl - hops, ..*old };
        Continue(Parsed { l3: start, ip, ..*parsed })
    }
}

/// Whether an IPv6 packet has a routing header with stops still to be visited, which IPv4 has no word for (RFC 7915 5.1).
fn names_stops(bytes: &[u8], ip: &Ip) -> bool {
    ip.six
        && usize::from(ip.header_len) != ipv6::LEN
        && ipv6::Header::parse(bytes)
            .is_some_and(|header| ipv6::unfinished_route(bytes, header.next_header()).is_some())
}

/// Makes room for a header of `len` bytes instead of the old one, and says where it begins. It ends where the old one did; what lies before
/// it becomes the Ethernet header's.
fn begin<P: Buffer>(pkt: &mut P, parsed: &Parsed, len: usize) -> Step<usize> {
    let mut end = parsed.l3 + usize::from(parsed.ip.header_len);
    if let Some(missing) = len.checked_sub(end) {
        if missing > 0 && pkt.prepend(missing).is_none() {
            return drop(DropReason::NoHeadroom);
        }
        end += missing;
    }
    Continue(end - len)
}

/// Writes an IPv4 header; the last three are bytes of the payload, identification, and flags with offset.
fn write4(
    bytes: &mut [u8],
    t: &Tuple4,
    old: &Ip,
    class: u8,
    hops: u8,
    (payload_len, id, flags): (usize, u16, u16),
) -> Option<()> {
    let repr = ipv4::Repr {
        src: t.src,
        dst: t.dst,
        proto: old.proto,
        ttl: old.ttl - hops,
        tos: class,
        id,
        flags,
        payload_len,
    };
    repr.emit(bytes)
}

fn write6(bytes: &mut [u8], t: &Tuple6, old: &Ip, class: u8, hops: u8, payload_len: usize) -> Option<()> {
    let (src, dst) = (t.src, t.dst);
    let repr = ipv6::Repr { src, dst, next_header: old.proto, hop_limit: old.ttl - hops, payload_len };
    repr.emit(bytes)?;
    (bytes[0], bytes[1]) = (0x60 | class >> 4, class << 4);
    Some(())
}

fn lacks_checksum(bytes: &[u8], ip: &Ip) -> bool {
    let l4 = bytes.get(usize::from(ip.header_len)..);
    ip.proto == proto::UDP && l4.and_then(udp::Header::parse).is_some_and(|h| h.checksum() == 0)
}
