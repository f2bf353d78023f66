// SPDX-License-Identifier: Apache-2.0
//! The director's own small stack: what is addressed to itself, and what merely passes.

use std::net::IpAddr;
use std::ops::ControlFlow::Continue;

use packet::arp::Operation;
use packet::icmp::{v4, v6};
use packet::{Buffer, checksum, ether, ipv6, nd::HOP_LIMIT, nd::Message};

use crate::flow::Parsed;
use crate::forward::Room;
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::link::{Link, Mac};
use crate::output::{Ttl, addresses, count_down};
use crate::pipeline::{Cx, resize, to_group};
use crate::route::{Kind, Route};
use crate::sink::{Event, Heard, Sink};
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};
use crate::{arp, icmp, nd};

impl<P: Buffer> Lcore<P> {
    /// ARP: answers questions for own addresses and learns who asked; learns answers.
    #[inline(never)]
    pub(crate) fn arp(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        link: &Link,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let Some(packet) = packet::arp::Packet::parse(&pkt.data()[parsed.l3..]) else {
            return drop(DropReason::Arp);
        };
        let (sender, target) = (IpAddr::V4(packet.sender.into()), IpAddr::V4(packet.target.into()));
        // Nobody else may speak for an address of ours, and no group has an Ethernet address of its own.
        if link.owns(sender) || ether::is_group(packet.sender_mac) {
            return drop(DropReason::Arp);
        }
        let mine = link.owns(target);
        if packet.sender != 0 {
            let asking = mine && packet.operation == Operation::Request;
            self.hear(Heard { link: link.id, addr: sender, mac: packet.sender_mac, asking }, cx, out);
        }
        match packet.operation {
            Operation::Request if mine => {
                let at = ether::header_len(link.vlan);
                let fits = resize(pkt, parsed.l3, at, packet::arp::LEN);
                if !fits || arp::answer(pkt, at, link, packet).is_none() {
                    return drop(DropReason::NoHeadroom);
                }
                Continue(Verdict::Forward(Goal::of_link(link.id, link.mtu)))
            }
            Operation::Reply if mine => {
                out.show_kernel(pkt, cx.port);
                Continue(Verdict::Consumed)
            }
            // The host's own stack may have addresses of its own behind this port.
            _ => Continue(Verdict::Kernel(DropReason::Arp)),
        }
    }

    /// ICMP and ICMPv6: neighbour discovery, echo for own addresses.
    #[inline(never)]
    pub(crate) fn icmp(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        ip: &Ip,
        link: &Link,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let bytes = &pkt.data()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        let (_, dst) = addresses(bytes, ip);
        let local = cx.snap.is_own(dst);
        let group = matches!(dst, IpAddr::V6(dst) if dst.is_multicast());
        if !local && !group {
            let message = &bytes[usize::from(ip.header_len)..];
            if self.is_about_ours(message, ip.six, link, cx) && (!ip.six || icmp6_checksum_ok(bytes, ip)) {
                return self.relay_error(pkt, parsed, ip, cx, out);
            }
            return match self.query(pkt, parsed, link, cx, out) {
                Some(step) => step,
                None => self.pass(pkt, parsed, ip, cx, out),
            };
        }
        let Some(&[kind, _]) = bytes[usize::from(ip.header_len)..].first_chunk::<2>() else {
            return drop(DropReason::L4Header);
        };
        if ip.six {
            if !icmp6_checksum_ok(bytes, ip) {
                return drop(DropReason::L4Checksum);
            }
            if matches!(kind, v6::NEIGHBOUR_SOLICITATION | v6::NEIGHBOUR_ADVERTISEMENT) {
                return self.neighbour_discovery(pkt, parsed, ip, link, cx, out);
            }
        }
        let (request, error) = match ip.six {
            true => (kind == v6::ECHO, v6::is_error(kind)),
            false => (kind == v4::ECHO, v4::is_error(kind)),
        };
        if error && local {
            return self.relay_error(pkt, parsed, ip, cx, out);
        }
        if error {
            return drop(DropReason::IcmpUnrelated);
        }
        if let Some(step) = self.query(pkt, parsed, link, cx, out).filter(|_| local) {
            return step;
        }
        if !request || !local || to_group(pkt) {
            return Continue(Verdict::Kernel(DropReason::Icmp));
        }
        self.echo(pkt, parsed, ip, link, cx)
    }

    /// Turns an echo request round and sends it back where it came from.
    fn echo(&mut self, pkt: &mut P, parsed: &Parsed, ip: &Ip, link: &Link, cx: Cx<'_>) -> Step<Verdict> {
        let (at, len) = (parsed.l3, usize::from(ip.header_len));
        let Some(eth) = ether::Header::parse(pkt.data()) else { return drop(DropReason::Truncated) };
        if !self.may_ask(&pkt.data()[at..], ip, cx.now) {
            return drop(DropReason::EchoLimited);
        }
        let bytes = &mut pkt.data_mut()[at..at + usize::from(ip.total_len)];
        let ttl = cx.snap.options.default_ttl;
        let answered = if ip.six { icmp::echo6(bytes, len, ttl) } else { icmp::echo4(bytes, len, ttl) };
        if !answered {
            return drop(DropReason::L4Checksum);
        }
        if ip.total_len > link.mtu && (ip.six || !icmp::allow_fragments(bytes, self.roll() as u16)) {
            return drop(DropReason::TooBig);
        }
        if !resize(pkt, at, ether::header_len(link.vlan), usize::from(ip.total_len)) {
            return drop(DropReason::NoHeadroom);
        }
        ether::write(pkt.data_mut(), eth.src, link.mac, link.vlan, eth.kind);
        if ip.total_len > link.mtu {
            return Continue(Verdict::Fragment(Goal::of_link(link.id, link.mtu)));
        }
        Continue(Verdict::Forward(Goal::of_link(link.id, link.mtu)))
    }

    /// Neighbour solicitations and advertisements (RFC 4861 7), their checksum verified.
    fn neighbour_discovery(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        ip: &Ip,
        link: &Link,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let bytes = &pkt.data()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        let crossed_router = ip.ttl != HOP_LIMIT;
        let message = Message::parse(&bytes[usize::from(ip.header_len)..]);
        let (Some(message), Some(header), false) = (message, ipv6::Header::parse(bytes), crossed_router)
        else {
            return drop(DropReason::NeighbourDiscovery);
        };
        let (src, target) = (header.src(), IpAddr::V6(message.target.into()));
        match message.kind {
            packet::nd::Kind::Solicitation => {
                if !link.owns(target) {
                    return Continue(Verdict::Kernel(DropReason::NeighbourDiscovery));
                }
                let mac = message.mac.filter(|&mac| !ether::is_group(mac) && src != 0);
                if let Some(mac) = mac {
                    let addr = IpAddr::V6(src.into());
                    self.hear(Heard { link: link.id, addr, mac, asking: true }, cx, out);
                }
                let to =
                    mac.or_else(|| ether::Header::parse(pkt.data()).map(|eth| eth.src)).unwrap_or_default();
                self.generate(link, out, |answer| nd::answer(answer, link, message.target, src, to));
            }
            packet::nd::Kind::Advertisement { .. } => {
                let mac: Option<Mac> = message.mac.filter(|&mac| !ether::is_group(mac));
                let Some(mac) = mac.filter(|_| !link.owns(target)) else {
                    return drop(DropReason::NeighbourDiscovery);
                };
                self.hear(Heard { link: link.id, addr: target, mac, asking: false }, cx, out);
                out.show_kernel(pkt, cx.port);
            }
        }
        Continue(Verdict::Consumed)
    }

    /// Notes what a neighbour said and tells the other workers.
    fn hear(&mut self, heard: Heard, cx: Cx<'_>, out: &mut impl Sink<P>) {
        self.heard(heard, cx.snap, cx.now, out);
        if self.config.workers > 1 {
            out.event(Event::Neighbour(heard));
        }
    }

    /// A packet that is no service's: for the host's own stack, or on to its next hop where forwarding is on.
    #[inline(always)]
    pub(crate) fn pass(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        ip: &Ip,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let (_, dst) = addresses(&pkt.data()[parsed.l3..], ip);
        if cx.snap.is_own(dst) {
            let reason = if ip.fragment { DropReason::Fragment } else { DropReason::NoService };
            return Continue(Verdict::Kernel(reason));
        }
        let Some(route) = cx.snap.routes.find(dst) else {
            return Continue(Verdict::Kernel(DropReason::NoRoute));
        };
        let forward = if ip.six { cx.snap.options.forward6 } else { cx.snap.options.forward4 };
        match route.kind {
            Kind::Local | Kind::Kernel => Continue(Verdict::Kernel(DropReason::NoService)),
            Kind::Out if to_group(pkt) => Continue(Verdict::Kernel(DropReason::NotForwarding)),
            Kind::Out if !forward => drop(DropReason::NotForwarding),
            Kind::Out => self.transit(pkt, parsed, ip, route, cx, out),
        }
    }

    /// A packet that merely passes, as through any router.
    #[inline(never)]
    fn transit(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        ip: &Ip,
        route: &Route,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let (src, dst) = addresses(&pkt.data()[parsed.l3..], ip);
        if is_link_local(src) || is_link_local(dst) {
            return drop(DropReason::NotForwarding);
        }
        let hop = self.hop_by(route, dst, cx)?;
        self.check_hop(pkt, parsed, ip, Room { mtu: hop.mtu, whole: ip.df }, Ttl::Count, cx, out)?;
        count_down(&mut pkt.data_mut()[parsed.l3..], ip.six);
        self.leave(pkt, parsed, ip, hop, cx)
    }
}

/// Whether an address is valid on its link only, which no router crosses (RFC 3927 7, RFC 4291 2.5.6).
fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

/// Whether the checksum of an ICMPv6 message is right; `bytes` are its packet.
pub(crate) fn icmp6_checksum_ok(bytes: &[u8], ip: &Ip) -> bool {
    let message = &bytes[usize::from(ip.header_len)..];
    ipv6::Header::parse(bytes).is_some_and(|h| {
        let pseudo = checksum::pseudo6(h.src(), h.dst(), packet::proto::ICMPV6, message.len());
        checksum::fold(pseudo + checksum::sum(message)) == 0xffff
    })
}
