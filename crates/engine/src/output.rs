// SPDX-License-Identifier: Apache-2.0
//! The way out: next hop, MTU, TTL, Ethernet header; and the ICMP errors when there is none.

use std::net::IpAddr;
use std::ops::ControlFlow::{Break, Continue};

use packet::checksum::Delta;
use packet::fragment::Fragment;
use packet::{Buffer, ether, ipv4, ipv6};

use crate::conn::{ConnId, Dir, Egress, Tuple};
use crate::flow::{Entrance, Parsed};
use crate::forward::{Forwarding, Room};
use crate::icmp::{self, Problem};
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::link::{Link, Mac};
use crate::pipeline::{Context, Cx, Origin, resize};
use crate::route::{Kind, Route};
use crate::sink::Sink;
use crate::snapshot::Snapshot;
use crate::tick::Tick;
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};

/// What happens to TTL and hop limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// Counted down; a packet at its last hop goes no further.
    Count,
    /// Left alone.
    Keep,
}

impl Ttl {
    /// Of packets to and from servers: operators choose.
    #[inline(always)]
    pub(crate) fn of_service(snap: &Snapshot) -> Ttl {
        if snap.options.xmit_ttl { Ttl::Count } else { Ttl::Keep }
    }
}

impl<P: Buffer> Lcore<P> {
    /// Where packets of a connection leave: remembered while routes stay as they are.
    #[inline(always)]
    pub(crate) fn next_hop(&mut self, id: ConnId, dir: Dir, cx: Cx<'_>) -> Step<Egress> {
        let conn = self.conns.get(id);
        if conn.routing != cx.snap.routing || !self.neighs.is_current(conn.egress[dir as usize].neigh) {
            self.find_hop(id, dir, cx)?;
        }
        Continue(self.conns.get(id).egress[dir as usize])
    }

    #[cold]
    #[inline(never)]
    fn find_hop(&mut self, id: ConnId, dir: Dir, cx: Cx<'_>) -> Step<()> {
        self.admit_again(id, dir, cx)?;
        let target = match dir {
            Dir::Inbound => self.conns.server(id),
            Dir::Outbound => self.conns.tuple(id, Dir::Inbound).source().ip(),
        };
        let hop = self.hop_to(target, self.conns.get(id).forwarding, cx)?;
        let conn = self.conns.get_mut(id);
        if conn.routing != cx.snap.routing {
            // What the other direction knows is as old.
            (conn.routing, conn.egress) = (cx.snap.routing, [Egress::UNKNOWN; 2]);
        }
        conn.egress[dir as usize] = hop;
        Continue(())
    }

    /// The next hop of packets that a forwarding mode sends to `target`.
    pub(crate) fn hop_to(&mut self, target: IpAddr, forwarding: Forwarding, cx: Cx<'_>) -> Step<Egress> {
        let Some(route) = cx.snap.routes.find(target).filter(|route| route.kind == Kind::Out) else {
            return drop(DropReason::NoRoute);
        };
        // Beside its own clients' routers a server with direct routing must be a neighbour: no gateway would pass this on to it.
        let via = route.via.filter(|_| forwarding != Forwarding::DirectRouting);
        self.hop_by(&Route { via, ..route.clone() }, target, cx)
    }

    /// The next hop of `target` by `route`.
    pub(crate) fn hop_by(&mut self, route: &Route, target: IpAddr, cx: Cx<'_>) -> Step<Egress> {
        let Some(link) = cx.snap.link(route.link) else { return drop(DropReason::NoRoute) };
        let mtu = if route.mtu == 0 { link.mtu } else { route.mtu.min(link.mtu) };
        let next = match &link.tunnel {
            // Whoever is behind it, there is one station on it.
            Some(tunnel) => IpAddr::V4(tunnel.remote),
            None => route.via.unwrap_or(target),
        };
        match self.neighs.resolve(link.id, next, cx.now) {
            Ok(neigh) => Continue(Egress { neigh, link: link.id, mtu }),
            Err(reason) => drop(reason),
        }
    }

    /// Whether a packet may go on: neither too long nor out of hops. If not, its sender hears of it.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    pub(crate) fn check_hop(
        &mut self,
        pkt: &P,
        parsed: &Parsed,
        ip: &Ip,
        room: Room,
        ttl: Ttl,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<()> {
        if ip.total_len > room.mtu && room.whole {
            return self.refuse(pkt, parsed, ip, Problem::TooBig(room.mtu), cx, out);
        }
        if ttl == Ttl::Count && ip.ttl <= 1 {
            return self.refuse(pkt, parsed, ip, Problem::TimeExceeded, cx, out);
        }
        Continue(())
    }

    /// Writes the Ethernet header, and sends the packet on its way or lets it wait for the next hop.
    #[inline(always)]
    pub(crate) fn leave(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        ip: &Ip,
        hop: Egress,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let Some(link) = cx.snap.link(hop.link).filter(|link| link.up) else {
            return drop(DropReason::LinkDown);
        };
        if !resize(pkt, parsed.l3, ether::header_len(link.vlan), usize::from(ip.total_len)) {
            return drop(DropReason::NoHeadroom);
        }
        let kind = if ip.six { ether::IPV6 } else { ether::IPV4 };
        let mac = self.neighs.mac(hop.neigh);
        ether::write(pkt.data_mut(), mac.unwrap_or_default(), link.mac, link.vlan, kind);
        if mac.is_none() {
            return Continue(Verdict::Hold(Goal::of_neigh(hop.neigh.id, hop.mtu)));
        }
        if ip.total_len > hop.mtu {
            return Continue(Verdict::Fragment(Goal::of_link(hop.link, hop.mtu)));
        }
        Continue(Verdict::Forward(Goal::of_link(hop.link, hop.mtu)))
    }

    /// Sends a complete frame.
    #[inline(always)]
    pub(crate) fn send(&mut self, pkt: P, link: &Link, out: &mut impl Sink<P>) {
        if let Some(tunnel) = &link.tunnel {
            return self.send_inside(pkt, link, tunnel, out);
        }
        let bytes = pkt.data().len() as u64;
        self.traffic.tx += 1;
        self.traffic.tx_bytes += bytes;
        if let Some(counters) = self.links.get_mut(link.id.index()) {
            counters.opackets += 1;
            counters.obytes += bytes;
        }
        out.forward(pkt, link.port);
    }

    /// Cuts an IPv4 packet longer than `mtu` (RFC 791 3.2), or an IPv6 fragment of the director's own (RFC 8200 4.5), and sends the pieces; the
    /// whole counts as consumed.
    #[cold]
    pub(crate) fn send_fragments(&mut self, pkt: P, link: &Link, mtu: u16, out: &mut impl Sink<P>) {
        let at = ether::header_len(link.vlan);
        let (header, ip) = pkt.data().split_at(at.min(pkt.data().len()));
        let cut = match ip.first() {
            Some(first) if first >> 4 == 6 => Cut::of6(ip),
            _ => Cut::of4(ip),
        };
        let Some(cut) = cut.filter(|cut| cut.len <= ip.len()) else {
            return self.throw(pkt, DropReason::Truncated, out);
        };
        // All but the last carry a multiple of eight bytes.
        let room = usize::from(mtu).saturating_sub(cut.len) & !7;
        if room == 0 {
            return self.throw(pkt, DropReason::TooBig, out);
        }
        let payload = &ip[cut.len..];
        for (n, part) in payload.chunks(room).enumerate() {
            let fragment = Fragment {
                offset: cut.fragment.offset + (n * room) as u32,
                more: cut.fragment.more || (n + 1) * room < payload.len(),
                ..cut.fragment
            };
            self.generate(link, out, |piece| {
                let bytes = piece.append(at + cut.len + part.len())?;
                bytes[..at].copy_from_slice(header);
                bytes[at..at + cut.len].copy_from_slice(&ip[..cut.len]);
                bytes[at + cut.len..].copy_from_slice(part);
                cut.describe(&mut bytes[at..], &fragment)
            });
        }
        self.traffic.consumed += 1;
        out.discard(pkt);
    }

    /// Drops a packet and tells its sender why. The message goes back where the packet came from, from the address it was
    /// for if that is ours, else from one of the link's.
    #[cold]
    #[inline(never)]
    pub(crate) fn refuse<T>(
        &mut self,
        pkt: &P,
        parsed: &Parsed,
        ip: &Ip,
        problem: Problem,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<T> {
        let reason = match problem {
            Problem::TimeExceeded => DropReason::Ttl,
            Problem::TooBig(_) => DropReason::TooBig,
            Problem::Unreachable => DropReason::NeighUnreachable,
        };
        let verdict = Break(Verdict::Drop(reason));
        let Some(link) = parsed.link.and_then(|id| cx.snap.link(id)) else { return verdict };
        if matches!(problem, Problem::TooBig(_)) && ip.total_len > link.mtu {
            return drop(DropReason::Merged);
        }
        let (frame, bytes) = pkt.data().split_at(parsed.l3);
        let bytes = &bytes[..usize::from(ip.total_len)];
        let Some(eth) = ether::Header::parse(frame) else { return verdict };
        let (src, dst) = addresses(bytes, ip);
        if ether::is_group(eth.dst) || !self.may_report(bytes, link, (src, dst), problem, cx.snap, cx.now) {
            return verdict;
        }
        let from = if cx.snap.is_own(dst) { Some(dst) } else { link.source_for(src) };
        let Some(from) = from else { return verdict };
        let ttl = cx.snap.options.default_ttl;
        self.generate(link, out, |error| write_error(error, eth.src, link, bytes, problem, from, ttl));
        verdict
    }

    /// Whether its sender may hear of a problem with the packet `bytes`, which `link` has to do with. One kept back by the limits counts as made and
    /// dropped.
    fn may_report(
        &mut self,
        bytes: &[u8],
        link: &Link,
        (src, dst): (IpAddr, IpAddr),
        problem: Problem,
        snap: &Snapshot,
        now: Tick,
    ) -> bool {
        let may = if src.is_ipv6() { icmp::may_answer6(bytes, problem) } else { icmp::may_answer4(bytes) };
        if !may || link.is_broadcast(src) || link.is_broadcast(dst) {
            return false;
        }
        // Local addresses stand for clients, other own ones for nobody who could be told.
        let told = snap.lookup.target(src);
        if told.own && told.laddr.is_none() {
            return false;
        }
        let allowed = self.errors.allows(src, now);
        if !allowed {
            self.traffic.generated += 1;
            self.traffic.drops[DropReason::ErrorLimited as usize] += 1;
        }
        allowed
    }

    /// Tells the sender of a packet that waited for a neighbour in vain (RFC 1812 4.3.3.1, RFC 4443 3.1). What left for a server has a local
    /// address or the client's: the error goes the way of one from a router there.
    #[cold]
    pub(crate) fn tell_unreachable(&mut self, pkt: &P, snap: &Snapshot, now: Tick, out: &mut impl Sink<P>) {
        let Some(eth) = ether::Header::parse(pkt.data()) else { return };
        let mut links = snap.links.iter().flatten();
        let Some(link) = links.find(|link| link.mac == eth.src && link.vlan == eth.vlan && link.up) else {
            return;
        };
        let bytes = &pkt.data()[ether::header_len(eth.vlan)..];
        let (six, len) = match (ipv4::Header::parse(bytes), ipv6::Header::parse(bytes)) {
            (Some(h), _) if h.version() == 4 => (false, h.total_len()),
            (_, Some(h)) if h.version() == 6 => (true, ipv6::LEN + h.payload_len()),
            _ => return,
        };
        let Some(bytes) = bytes.get(..len) else { return };
        let (src, dst) = addresses(bytes, &Ip { six, ..Ip::NOTHING });
        if !self.may_report(bytes, link, (src, dst), Problem::Unreachable, snap, now) {
            return;
        }
        let (Some(from), ttl) = (link.source_for(src), snap.options.default_ttl) else { return };
        self.traffic.generated += 1;
        let Some(mut error) = out.fresh() else {
            self.traffic.drops[DropReason::NoBuffer as usize] += 1;
            return;
        };
        if write_error(&mut error, link.mac, link, bytes, Problem::Unreachable, from, ttl).is_none() {
            return self.throw(error, DropReason::NoHeadroom, out);
        }
        let context = Context { snap, now, port: link.port, origin: Origin::Wire, inside: false };
        let mut parsed = Parsed::NOTHING;
        Entrance::new(snap, link.port).parse(&error, &self.conns, &mut parsed);
        self.one(error, &parsed, context.cx(), out);
    }
}

/// Writes an error about the packet `bytes` as a frame to `mac` out of `link`; `None` when there is no room.
fn write_error<P: Buffer>(
    error: &mut P,
    mac: Mac,
    link: &Link,
    bytes: &[u8],
    problem: Problem,
    from: IpAddr,
    ttl: u8,
) -> Option<()> {
    let kind = if from.is_ipv6() { ether::IPV6 } else { ether::IPV4 };
    let header = error.append(ether::header_len(link.vlan))?;
    ether::write(header, mac, link.mac, link.vlan, kind).then_some(())?;
    match from {
        IpAddr::V4(from) => icmp::error4(error, bytes, problem, from.to_bits(), ttl),
        IpAddr::V6(from) => icmp::error6(error, bytes, problem, from.to_bits(), ttl),
    }
}

/// How a packet is cut into pieces.
struct Cut {
    /// Bytes in front of what is cut, which all pieces have.
    len: usize,
    /// What the packet itself is a fragment of, or would be.
    fragment: Fragment,
    /// "Do not fragment" and the bit beside it, as the packet has them.
    kept: u16,
    /// What follows the fragment header of IPv6.
    next: u8,
}

impl Cut {
    fn of4(ip: &[u8]) -> Option<Cut> {
        let (header, fragment) = (ipv4::Header::parse(ip)?, Fragment::parse4(ip)?);
        let kept = header.flags() & !(ipv4::MF | 0x1fff);
        Some(Cut { len: header.header_len(), fragment, kept, next: 0 })
    }

    fn of6(ip: &[u8]) -> Option<Cut> {
        let fragment = Fragment::parse6(ip)?;
        let next = *ip.get(fragment.at)?;
        Some(Cut { len: fragment.at + packet::fragment::LEN6, fragment, kept: 0, next })
    }

    /// Writes lengths and offset into the header of a piece.
    fn describe(&self, bytes: &mut [u8], fragment: &Fragment) -> Option<()> {
        let len = bytes.len();
        if self.fragment.at > 0 {
            bytes[4..6].copy_from_slice(&((len - ipv6::LEN) as u16).to_be_bytes());
            return fragment.emit6(&mut bytes[fragment.at..], self.next);
        }
        let h = &mut bytes[..self.len];
        h[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        h[6..8].copy_from_slice(&(fragment.word4() | self.kept).to_be_bytes());
        h[ipv4::at::CHECKSUM..ipv4::at::CHECKSUM + 2].fill(0);
        let sum = packet::checksum::checksum(h);
        h[ipv4::at::CHECKSUM..ipv4::at::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
        Some(())
    }
}

/// Source and destination of an accepted packet.
#[inline(always)]
pub(crate) fn addresses(bytes: &[u8], ip: &Ip) -> (IpAddr, IpAddr) {
    let nobody = if ip.six { IpAddr::V6(0.into()) } else { IpAddr::V4(0.into()) };
    let found = if ip.six {
        ipv6::Header::parse(bytes).map(|h| (IpAddr::V6(h.src().into()), IpAddr::V6(h.dst().into())))
    } else {
        ipv4::Header::parse(bytes).map(|h| (IpAddr::V4(h.src().into()), IpAddr::V4(h.dst().into())))
    };
    found.unwrap_or((nobody, nobody))
}

/// Counts down TTL or hop limit.
pub(crate) fn count_down(bytes: &mut [u8], six: bool) {
    if six {
        if let Some(limit) = bytes.get_mut(ipv6::at::HOP_LIMIT) {
            *limit = limit.saturating_sub(1);
        }
        return;
    }
    let Some(h) = bytes.first_chunk_mut::<{ ipv4::LEN }>() else { return };
    let old = u16::from_be_bytes([h[8], h[9]]);
    let new = old.wrapping_sub(1 << 8);
    h[8] = (new >> 8) as u8;
    let sum = u16::from_be_bytes([h[10], h[11]]);
    h[10..12].copy_from_slice(&Delta::default().word(old, new).apply(sum).to_be_bytes());
}

/// Gives a packet other addresses. The checksum of an IPv4 header follows, that of the upper layer does not.
pub(crate) fn readdress(bytes: &mut [u8], six: bool, new: &Tuple) {
    match *new {
        Tuple::V4(t) if !six => {
            let Some(h) = bytes.first_chunk_mut::<{ ipv4::LEN }>() else { return };
            let long = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
            let delta = Delta::default().long(long(ipv4::at::SRC), t.src).long(long(ipv4::at::DST), t.dst);
            h[ipv4::at::SRC..ipv4::at::SRC + 4].copy_from_slice(&t.src.to_be_bytes());
            h[ipv4::at::DST..ipv4::at::DST + 4].copy_from_slice(&t.dst.to_be_bytes());
            let sum = u16::from_be_bytes([h[10], h[11]]);
            h[10..12].copy_from_slice(&delta.apply(sum).to_be_bytes());
        }
        Tuple::V6(t) if six => {
            let Some(h) = bytes.first_chunk_mut::<{ ipv6::LEN }>() else { return };
            h[ipv6::at::SRC..ipv6::at::SRC + 16].copy_from_slice(&t.src.to_be_bytes());
            h[ipv6::at::DST..ipv6::at::DST + 16].copy_from_slice(&t.dst.to_be_bytes());
        }
        _ => debug_assert!(false, "addresses of the packet's own family"),
    }
}
