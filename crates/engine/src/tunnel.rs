// SPDX-License-Identifier: Apache-2.0
//! Tunnel links: links whose frames travel inside packets to another router.
//!
//! ```text
//!   out   packet for a route over the link ─> outer IPv4 | [GRE] | packet ─> next hop of the remote end, by another link
//!   in    outer IPv4 | [GRE] | packet, to the local end ─> packet, as if it had come in by the link
//! ```
//!
//! Everything between knows a tunnel as a link with one station on it, whose Ethernet header never reaches a wire: it is taken off where
//! the outer header is put on (`Lcore::send_inside`), and put on where that is taken off (`Lcore::open_tunnel`).
//!
//! Not to be taken for the forwarding mode of that name (`forward/tunnel.rs`), which sends a service's packets to its servers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use packet::gre::{self, Gre};
use packet::{Buffer, Csum, ether, ipv4, ipv6, proto};

use crate::flow::{Entrance, Parsed};
use crate::ids::LinkId;
use crate::lcore::Lcore;
use crate::link::Link;
use crate::pipeline::{Context, Cx, resize};
use crate::route::Kind;
use crate::sink::Sink;
use crate::snapshot::Snapshot;
use crate::verdict::DropReason;

/// What makes a link a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Packets travel behind a GRE header, else right behind the outer one (RFC 2003).
    pub gre: bool,
    /// The director's end; unspecified for whichever own address packets come to and routes give.
    pub local: Ipv4Addr,
    /// The other end; unspecified for any: such a tunnel only receives.
    pub remote: Ipv4Addr,
    /// TTL of outer packets; 0 for that of the packet inside.
    pub ttl: u8,
    /// Type of service of outer packets; `None` for that of the packet inside.
    pub tos: Option<u8>,
    /// What packets have that come.
    pub input: End,
    /// What packets get that leave.
    pub output: End,
    /// Where its packets are in their order.
    pub sequence: Sequence,
    /// The link outer packets leave by; `None` for the one that routes give.
    pub dev: Option<LinkId>,
    /// The way to the other end; [`Snapshot::index`] finds it.
    pub way: Option<Way>,
}

/// One direction of a GRE tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Tells tunnels between the same ends apart (RFC 2890 2.1); packets without this very key, or with one where none is, are not the
    /// tunnel's.
    pub key: Option<u32>,
    /// Whether there is a checksum over header and packet (RFC 2784 2.3).
    pub csum: bool,
    /// Whether packets are numbered; of those that come, only ones newer than any before are taken (RFC 2890 2.2).
    pub seq: bool,
}

/// Numbers of the packets of one tunnel, over all workers; clones are the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Sequence(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    /// The next to leave.
    next: AtomicU32,
    /// One more than the last that came.
    expected: AtomicU32,
}

impl Sequence {
    fn next(&self) -> u32 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a packet is newer than all before it; then it is the last one from now on.
    fn takes(&self, seq: u32) -> bool {
        let newer = |expected: u32| (seq.wrapping_sub(expected) as i32 >= 0).then_some(seq.wrapping_add(1));
        self.0.expected.fetch_update(Ordering::Relaxed, Ordering::Relaxed, newer).is_ok()
    }
}

impl PartialEq for Sequence {
    /// Whether they are the same numbers, not whether they are equal now.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Sequence {}

/// The way to the other end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The link outer packets leave by: no tunnel.
    pub below: Arc<Link>,
    /// The next hop on it.
    pub via: IpAddr,
    /// Source of outer packets.
    pub src: Ipv4Addr,
}

impl Tunnel {
    /// Bytes in front of a packet in this tunnel.
    pub fn overhead(&self) -> u16 {
        (ipv4::LEN + if self.gre { self.header(0).header_len() } else { 0 }) as u16
    }

    /// The header in front of a payload of this Ethernet type; of 0, one as long.
    fn header(&self, kind: u16) -> Gre {
        let seq = self.output.seq.then(|| if kind == 0 { 0 } else { self.sequence.next() });
        Gre { kind, key: self.output.key, csum: self.output.csum, seq }
    }

    fn takes(&self, gre: bool, key: Option<u32>, src: Ipv4Addr, dst: Ipv4Addr) -> bool {
        self.gre == gre
            && (!gre || self.input.key == key)
            && (self.local.is_unspecified() || self.local == dst)
            && (self.remote.is_unspecified() || self.remote == src)
    }
}

impl Snapshot {
    /// Finds the ways to the other ends of tunnels, and gives each tunnel its one station.
    pub(crate) fn lead_tunnels(&mut self) {
        for at in 0..self.links.len() {
            let Some(Some(link)) = self.links.get(at) else { continue };
            let Some(tunnel) = &link.tunnel else { continue };
            let station = (link.id, IpAddr::V4(tunnel.remote), [0; 6]);
            let way = self.way_of(tunnel);
            if !self.neighs.contains(&station) {
                self.neighs.push(station);
            }
            if let Some(Some(Link { tunnel: Some(tunnel), .. })) = self.links.get_mut(at) {
                tunnel.way = way;
            }
        }
    }

    fn way_of(&self, tunnel: &Tunnel) -> Option<Way> {
        let remote = IpAddr::V4(tunnel.remote);
        if tunnel.remote.is_unspecified() {
            return None;
        }
        let route = self.routes.find(remote).filter(|route| route.kind == Kind::Out);
        let (link, via) = match (tunnel.dev, route) {
            (Some(dev), Some(route)) if route.link == dev => (dev, route.via),
            // Told to leave by a link that routes do not know as the way: the other end is a neighbour there.
            (Some(dev), _) => (dev, None),
            (None, route) => (route?.link, route?.via),
        };
        let below = self.link(link).filter(|below| below.tunnel.is_none())?;
        let src = match (tunnel.local.is_unspecified(), below.source_for(remote)) {
            (false, _) => tunnel.local,
            (true, Some(IpAddr::V4(src))) => src,
            (true, _) => return None,
        };
        Some(Way { below: Arc::new(below.clone()), via: via.unwrap_or(remote), src })
    }
}

/// What a packet to the director is, seen as one in a tunnel.
pub(crate) enum Opened {
    /// None of a tunnel's.
    No,
    /// A tunnel's that cannot be taken.
    Bad(DropReason),
    /// Taken out: it is a frame of this link now.
    Inner(LinkId),
}

impl<P: Buffer> Lcore<P> {
    /// Takes a packet out of its tunnel.
    #[cold]
    #[inline(never)]
    pub(crate) fn open_tunnel(&mut self, pkt: &mut P, parsed: &Parsed, snap: &Snapshot) -> Opened {
        let (l3, ip) = (parsed.l3, &parsed.ip);
        let bytes = &pkt.data()[l3..l3 + usize::from(ip.total_len)];
        let Some(outer) = ipv4::Header::parse(bytes).filter(|_| !ip.six) else { return Opened::No };
        let (src, dst) = (Ipv4Addr::from_bits(outer.src()), Ipv4Addr::from_bits(outer.dst()));
        if !snap.is_own(IpAddr::V4(dst)) {
            return Opened::No;
        }
        let behind = &bytes[usize::from(ip.header_len)..];
        let gre = ip.proto == proto::GRE;
        let (header, len) = match Gre::parse(behind) {
            _ if !gre => (Gre { kind: ether::IPV4, key: None, csum: false, seq: None }, 0),
            Some(found) => found,
            None => return Opened::Bad(DropReason::TunnelHeader),
        };
        let (kind, key) = (header.kind, header.key);
        let mut links = snap.links.iter().flatten();
        let mine = |link: &&Link| link.tunnel.as_ref().is_some_and(|tunnel| tunnel.takes(gre, key, src, dst));
        let Some(link) = links.find(mine) else { return Opened::No };
        if !link.up {
            return Opened::Bad(DropReason::LinkDown);
        }
        if let Some(tunnel) = link.tunnel.as_ref().filter(|_| gre) {
            if !gre::checksum_ok(behind, tunnel.input.csum) {
                return Opened::Bad(DropReason::TunnelChecksum);
            }
            if tunnel.input.seq && !header.seq.is_some_and(|seq| tunnel.sequence.takes(seq)) {
                return Opened::Bad(DropReason::TunnelSequence);
            }
        }
        // A device that looked at the outer header has not looked at this one.
        let inner = &behind[len..];
        let sound = match kind {
            ether::IPV4 => {
                let header = ipv4::Header::parse(inner);
                header.is_some_and(|h| {
                    let whole = inner.get(..h.header_len().max(ipv4::LEN));
                    pkt.rx().l3_csum != Csum::Good
                        || whole.is_some_and(|h| packet::checksum::checksum(h) == 0)
                })
            }
            ether::IPV6 => inner.len() >= ipv6::LEN,
            _ => false,
        };
        if !sound {
            return Opened::Bad(DropReason::TunnelHeader);
        }
        let (ce, inner_at) = (ip.class(bytes) & 3 == 3, usize::from(ip.header_len) + len);
        let inner_len = usize::from(ip.total_len) - inner_at;
        if !resize(pkt, l3 + inner_at, ether::LEN, inner_len) {
            return Opened::Bad(DropReason::NoHeadroom);
        }
        ether::write(pkt.data_mut(), link.mac, [0; 6], None, kind);
        if ce && !mark_congestion(&mut pkt.data_mut()[ether::LEN..]) {
            return Opened::Bad(DropReason::TunnelEcn);
        }
        if let Some(counters) = self.links.get_mut(link.id.index()) {
            counters.ipackets += 1;
            counters.ibytes += pkt.data().len() as u64;
        }
        Opened::Inner(link.id)
    }

    /// Goes on with a packet that came out of a tunnel.
    #[cold]
    #[inline(never)]
    pub(crate) fn inner(&mut self, pkt: P, link: LinkId, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let Some(link) = cx.snap.link(link) else { return self.throw(pkt, DropReason::LinkDown, out) };
        if cx.inside {
            return self.throw(pkt, DropReason::TunnelNested, out);
        }
        let context = Context { inside: true, ..*cx };
        let mut parsed = Parsed::NOTHING;
        Entrance::by(cx.snap, link).parse(&pkt, &self.conns, &mut parsed);
        self.one(pkt, &parsed, context.cx(), out);
    }

    /// Sends a frame of a tunnel link: its packet behind the tunnel's headers, by the way to the other end.
    #[cold]
    #[inline(never)]
    pub(crate) fn send_inside(&mut self, mut pkt: P, link: &Link, tunnel: &Tunnel, out: &mut impl Sink<P>) {
        if let Some(counters) = self.links.get_mut(link.id.index()) {
            counters.opackets += 1;
            counters.obytes += pkt.data().len() as u64;
        }
        let Some(Way { below, via, src }) = &tunnel.way else {
            return self.throw(pkt, DropReason::TunnelRoute, out);
        };
        let at = ether::header_len(below.vlan);
        let Some(len) = self.wrap_inside(&mut pkt, tunnel, *src, at) else {
            return self.throw(pkt, DropReason::NoHeadroom, out);
        };
        if len > usize::from(below.mtu) {
            return self.throw(pkt, DropReason::TooBig, out);
        }
        let neigh = match self.neighs.resolve(below.id, *via, self.now) {
            Ok(neigh) => neigh,
            Err(reason) => return self.throw(pkt, reason, out),
        };
        let mac = self.neighs.mac(neigh);
        ether::write(pkt.data_mut(), mac.unwrap_or_default(), below.mac, below.vlan, ether::IPV4);
        if mac.is_some() {
            return self.send(pkt, below, out);
        }
        match self.neighs.hold(neigh.id, pkt, below.mtu, self.now) {
            Ok(None) => {}
            Ok(Some((_, addr))) => self.ask_for(below, addr, None, out),
            Err((pkt, reason)) => self.throw(pkt, reason, out),
        }
    }

    /// Puts outer headers in front of a frame's packet, and room for `at` bytes of Ethernet header; bytes of the outer packet.
    fn wrap_inside(&mut self, pkt: &mut P, tunnel: &Tunnel, src: Ipv4Addr, at: usize) -> Option<usize> {
        let inner_len = pkt.data().len().checked_sub(ether::LEN)?;
        let inner = &pkt.data()[ether::LEN..];
        let (kind, class, ttl, df) = match (ipv4::Header::parse(inner), ipv6::Header::parse(inner)) {
            (Some(h), _) if h.version() == 4 => (ether::IPV4, inner[1], h.ttl(), h.flags() & ipv4::DF != 0),
            (_, Some(h)) => (ether::IPV6, inner[0] << 4 | inner[1] >> 4, h.hop_limit(), true),
            _ => return None,
        };
        let front = usize::from(tunnel.overhead());
        if !resize(pkt, ether::LEN, at + front, inner_len) {
            return None;
        }
        let bytes = &mut pkt.data_mut()[at..];
        let proto = match (tunnel.gre, kind) {
            (true, _) => {
                tunnel.header(kind).write(&mut bytes[ipv4::LEN..])?;
                proto::GRE
            }
            (false, ether::IPV6) => proto::IPV6,
            (false, _) => proto::IPIP,
        };
        let payload_len = bytes.len() - ipv4::LEN;
        let header = ipv4::Repr {
            src: src.to_bits(),
            dst: tunnel.remote.to_bits(),
            proto,
            ttl: if tunnel.ttl == 0 { ttl.max(1) } else { tunnel.ttl },
            // Congestion is told of the packet inside, whatever the class of the outer one (RFC 6040 4.1).
            tos: tunnel.tos.map_or(class, |tos| tos & !3 | class & 3),
            id: if df { 0 } else { self.roll() as u16 },
            flags: if df { ipv4::DF } else { 0 },
            payload_len,
        };
        header.emit(bytes)?;
        Some(ipv4::LEN + payload_len)
    }
}

/// Tells a packet that came out of a tunnel of the congestion its outer one met; `false` for one that cannot be told (RFC 6040 4.2).
fn mark_congestion(bytes: &mut [u8]) -> bool {
    let Some([version, class]) = bytes.first_chunk_mut::<2>() else { return false };
    if *version >> 4 == 6 {
        let capable = *class >> 4 & 3 != 0;
        *class |= if capable { 0x30 } else { 0 };
        return capable;
    }
    let old = u16::from_be_bytes([*version, *class]);
    if old & 3 == 0 {
        return false;
    }
    *class |= 3;
    let new = old | 3;
    let Some(h) = bytes.first_chunk_mut::<{ ipv4::LEN }>() else { return false };
    let sum = u16::from_be_bytes([h[ipv4::at::CHECKSUM], h[ipv4::at::CHECKSUM + 1]]);
    let sum = packet::checksum::Delta::default().word(old, new).apply(sum);
    h[ipv4::at::CHECKSUM..ipv4::at::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    true
}
