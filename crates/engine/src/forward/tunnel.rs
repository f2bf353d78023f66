// SPDX-License-Identifier: Apache-2.0
//! Tunnels: the client's packet goes to the server as it is, behind another header.
//!
//! ```text
//!   ipip    outer IP | packet                             protocol 4 (IPv4 inside) or 41 (IPv6 inside)
//!   gue     outer IP | UDP to the tunnel's port | GUE | packet
//!   gre     outer IP | GRE, with or without checksum | packet
//! ```
//!
//! Either family may be inside and outside. The outer header takes over traffic class, hop limit and "do not fragment" of the packet
//! (RFC 2003 3.1, RFC 2473 6), so that the path to the server treats it as its sender wished.

use std::net::IpAddr;

use model::TunnelKind;
use model::dest::TunnelCsum;
use packet::{Buffer, checksum, ether, gre, gue, ipv4, ipv6, proto, udp};

use super::Forwarding;
use crate::conn::{ConnId, Dir, Egress};
use crate::flow::Parsed;
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::pipeline::{Cx, resize};
use crate::verdict::{DropReason, Step, Verdict, drop};

/// Bytes in front of a packet in the tunnel.
pub(crate) fn overhead(kind: TunnelKind, outer_six: bool) -> u16 {
    let ip = if outer_six { ipv6::LEN } else { ipv4::LEN };
    (ip + shim(kind)) as u16
}

/// Bytes between the outer IP header and the packet.
fn shim(kind: TunnelKind) -> usize {
    match kind {
        TunnelKind::Ipip => 0,
        TunnelKind::Gue { .. } => udp::LEN + gue::LEN,
        TunnelKind::Gre { csum: TunnelCsum::None } => gre::LEN,
        TunnelKind::Gre { csum: TunnelCsum::Full | TunnelCsum::Remote } => gre::LEN_CSUM,
    }
}

/// Where a tunnel leads.
pub(crate) struct Outside {
    /// The forwarding mode, which says what tunnel it is.
    pub(crate) forwarding: Forwarding,
    /// The server at its end.
    pub(crate) server: IpAddr,
    /// Tells flows in it apart.
    pub(crate) flow: u16,
}

/// What the outer header takes over from the packet, and where it leads.
struct Outer {
    src: IpAddr,
    dst: IpAddr,
    class: u8,
    ttl: u8,
    df: bool,
    /// Identification of outer packets that may be cut.
    id: u16,
}

impl<P: Buffer> Lcore<P> {
    /// Puts the tunnel's headers in front of a client's packet and sends it to its server by `hop`.
    #[inline(never)]
    pub(crate) fn encapsulate(
        &mut self,
        id: ConnId,
        pkt: &mut P,
        parsed: &Parsed,
        hop: Egress,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let (forwarding, server) = (self.conns.get(id).forwarding, self.conns.server(id));
        let outside = Outside { forwarding, server, flow: self.flow_of(id, &parsed.ip) };
        self.wrap(&outside, pkt, parsed, hop, cx)
    }

    /// What tells a connection apart outside of a tunnel: the same for all packets of a flow, so that they stay in order on paths with several
    /// ways (RFC 7510 3.1).
    pub(crate) fn flow_of(&self, id: ConnId, ip: &Ip) -> u16 {
        self.conns.tuple(id, Dir::Inbound).hash(ip.proto, &self.secret) as u16 | 0xc000
    }

    /// Puts a tunnel's headers in front of a packet and sends it by `hop`.
    pub(crate) fn wrap(
        &mut self,
        &Outside { forwarding, server, flow }: &Outside,
        pkt: &mut P,
        parsed: &Parsed,
        hop: Egress,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let ip = &parsed.ip;
        let Forwarding::Tunnel(kind) = forwarding else { return drop(DropReason::Family) };
        let Some(src) = cx.snap.link(hop.link).and_then(|link| link.source_for(server)) else {
            return drop(DropReason::NoSource);
        };
        let outer = Outer {
            src,
            dst: server,
            class: ip.class(&pkt.data()[parsed.l3..]),
            ttl: ip.ttl.max(1),
            df: ip.df,
            id: self.roll() as u16,
        };
        let inner = if ip.six { ether::IPV6 } else { ether::IPV4 };
        let front = usize::from(overhead(kind, server.is_ipv6()));
        if !resize(pkt, parsed.l3, parsed.l3 + front, usize::from(ip.total_len)) {
            return drop(DropReason::NoHeadroom);
        }
        let bytes = &mut pkt.data_mut()[parsed.l3..];
        let Some(total_len) = outer.write(kind, bytes, inner, flow) else {
            return drop(DropReason::TooBig);
        };
        let wrapped = Ip { six: server.is_ipv6(), total_len, ..*ip };
        self.leave(pkt, parsed, &wrapped, hop, cx)
    }
}

impl Outer {
    /// Writes all outer headers into the front of `bytes`, which end with a packet of Ethernet type `inner`; bytes of the whole.
    /// `None` when that is too long.
    fn write(&self, kind: TunnelKind, bytes: &mut [u8], inner: u16, flow: u16) -> Option<u16> {
        let ip_len = if self.dst.is_ipv6() { ipv6::LEN } else { ipv4::LEN };
        let inner_proto = if inner == ether::IPV6 { proto::IPV6 } else { proto::IPIP };
        let (header, payload) = bytes.split_at_mut_checked(ip_len)?;
        let outer_proto = match kind {
            TunnelKind::Ipip => inner_proto,
            TunnelKind::Gue { port, csum } => {
                gue::write(payload.get_mut(udp::LEN..)?, inner_proto)?;
                self.write_udp(payload, flow, port, csum == TunnelCsum::Full)?;
                proto::UDP
            }
            TunnelKind::Gre { csum: TunnelCsum::None } => {
                gre::write(payload, inner)?;
                proto::GRE
            }
            TunnelKind::Gre { csum: TunnelCsum::Full | TunnelCsum::Remote } => {
                gre::write_with_checksum(payload, inner)?;
                proto::GRE
            }
        };
        let payload_len = payload.len();
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let (flags, id) = if self.df { (ipv4::DF, 0) } else { (0, self.id) };
                let (src, dst) = (src.to_bits(), dst.to_bits());
                let repr = ipv4::Repr {
                    src,
                    dst,
                    proto: outer_proto,
                    ttl: self.ttl,
                    tos: self.class,
                    id,
                    flags,
                    payload_len,
                };
                repr.emit(header)?;
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let (src, dst) = (src.to_bits(), dst.to_bits());
                let repr =
                    ipv6::Repr { src, dst, next_header: outer_proto, hop_limit: self.ttl, payload_len };
                repr.emit(header)?;
                // Traffic class; the flow label tells apart what the addresses do not (RFC 6438).
                let word = 6 << 28 | u32::from(self.class) << 20 | u32::from(flow);
                header[..4].copy_from_slice(&word.to_be_bytes());
            }
            _ => return None,
        }
        u16::try_from(ip_len + payload_len).ok()
    }

    /// The UDP header of a GUE packet. Its checksum may be left out over IPv6 too (RFC 6935): the packet inside has its own.
    fn write_udp(&self, bytes: &mut [u8], sport: u16, dport: u16, checksummed: bool) -> Option<()> {
        let len = u16::try_from(bytes.len()).ok()?;
        let h = bytes.first_chunk_mut::<{ udp::LEN }>()?;
        h[..2].copy_from_slice(&sport.to_be_bytes());
        h[2..4].copy_from_slice(&dport.to_be_bytes());
        h[4..6].copy_from_slice(&len.to_be_bytes());
        h[6..].fill(0);
        if checksummed {
            let pseudo = match (self.src, self.dst) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => {
                    checksum::pseudo4(src.to_bits(), dst.to_bits(), proto::UDP, bytes.len())
                }
                (IpAddr::V6(src), IpAddr::V6(dst)) => {
                    checksum::pseudo6(src.to_bits(), dst.to_bits(), proto::UDP, bytes.len())
                }
                _ => return None,
            };
            let sum = match !checksum::fold(pseudo + checksum::sum(bytes)) {
                0 => 0xffff,
                sum => sum,
            };
            bytes[udp::CHECKSUM..udp::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
        }
        Some(())
    }
}
