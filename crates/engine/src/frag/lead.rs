// SPDX-License-Identifier: Apache-2.0
//! First fragments: they tell whose datagram it is, and which way all of it goes.

use std::ops::ControlFlow::{Break, Continue};

use model::options::EchoPolicy;
use packet::icmp::{self, Query};
use packet::{Buffer, proto, sctp, tcp, udp};

use super::table::{Course, Way};
use super::{At, Piece};
use crate::access::admit;
use crate::balance::{payload, service_for};
use crate::conn::{ConnId, Dir, Probe};
use crate::flow::{self, Parsed, tcp_flags};
use crate::forward::snat::rule_for;
use crate::forward::{Plan, rewrite};
use crate::ids::LcoreId;
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::link::Link;
use crate::lookup::Target;
use crate::output::{Ttl, count_down, readdress};
use crate::pipeline::Cx;
use crate::preface::Preface;
use crate::proto::tcp::ACK;
use crate::query;
use crate::sink::Sink;
use crate::snapshot::Service;
use crate::synproxy::client::Received;
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};

/// Whose a datagram is.
enum Found<'s> {
    /// A connection's.
    Conn(ConnId, Dir),
    /// A service's that opens one for it, from the client's side or from behind the director.
    Service(&'s Service, Dir),
    /// Nobody's.
    Nobody,
}

impl<P: Buffer> Lcore<P> {
    /// The first fragment of a datagram, on the worker `meeting` where its fragments meet or on the way from there to its connection.
    /// Unless it is dropped, its way is noted under `at`.
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    pub(super) fn lead(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        piece: &Piece,
        meeting: LcoreId,
        at: At,
        link: &Link,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let ip = &parsed.ip;
        let bytes = &pkt.data()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        let Some(ports) = ports(bytes, ip)? else {
            self.fragments.lead(at, Way::Pass);
            return self.pass(pkt, parsed, ip, cx, out);
        };
        let Some(tuple) = flow::tuple(bytes, ip, ports.0, ports.1) else {
            return drop(DropReason::Truncated);
        };
        // One protocol number of queries for both families, which may be either side's.
        let number = if ip.proto == proto::ICMPV6 { proto::ICMP } else { ip.proto };
        let probe = self.conns.probe(tuple, number);
        let target = cx.snap.lookup.target(tuple.target_ip());
        let found = self.conns.find(&probe);
        if found.is_none()
            && let Some(worker) = self.leads_to(&probe, target, meeting, link, cx)?
        {
            self.fragments.lead(at, Way::Worker(worker));
            return Continue(Verdict::HandOn(Goal::of_worker(worker)));
        }
        let received = Received { parsed, ip, probe: &probe, link };
        let found = match found {
            Some((id, dir)) => Found::Conn(id, dir),
            None if number == proto::ICMP => self.asked(bytes, received, target, cx)?,
            None => self.wanted(pkt, received, target, cx)?,
        };
        let (id, dir) = match found {
            Found::Conn(id, dir) => (id, dir),
            Found::Service(svc, dir) => {
                let payload = payload(svc, &pkt.data()[parsed.l3..], ip);
                (self.open_in_parts(svc, dir, &probe, payload, cx)?, dir)
            }
            Found::Nobody => {
                self.fragments.lead(at, Way::Pass);
                return self.pass(pkt, parsed, ip, cx, out);
            }
        };
        let step = self.follow_first(id, dir, pkt, received, piece, at, cx, out);
        let conn = self.conns.get(id);
        if conn.is_one_packet() && dir == Dir::Inbound && !conn.forwarding.is_two_way() {
            self.close(id, out);
        }
        step
    }

    /// The worker that has the connection of a datagram that has none here, or would open it; `None` for this one. Where it does not follow
    /// from the packet, all are asked in turn, and the last one opens it.
    fn leads_to(
        &self,
        probe: &Probe,
        target: &Target,
        meeting: LcoreId,
        link: &Link,
        cx: Cx<'_>,
    ) -> Step<Option<LcoreId>> {
        let (me, workers) = (self.config.id, self.config.workers);
        if workers == 1 {
            return Continue(None);
        }
        let known = self.owner(target, probe, cx.snap).or_else(|| {
            let port = cx.snap.ports.get(link.port.index()).filter(|_| probe.proto != proto::ICMP)?;
            Some(port.rss.as_ref()?.worker(&probe.tuple))
        });
        match known {
            Some(owner) if owner == me => Continue(None),
            Some(owner) if me == meeting => Continue(Some(owner)),
            // Two workers are not of one mind: their configurations are not the same at this moment.
            Some(_) => drop(DropReason::RedirectLoop),
            None if probe.proto == proto::ICMP => Continue(None),
            None => {
                let next = LcoreId((me.0 + 1) % workers);
                Continue((next != meeting).then_some(next))
            }
        }
    }

    /// Whether a service wants a datagram, or the segment of no connection.
    fn wanted<'s>(&self, pkt: &P, received: Received<'_>, target: &Target, cx: Cx<'s>) -> Step<Found<'s>> {
        let Received { ip, probe, link, .. } = received;
        let (svc, dir) = match service_for(target, probe, link, cx.snap) {
            Some(svc) => (svc, Dir::Inbound),
            None => {
                if let Some(reason) = cx.snap.lookup.defends(target, ip.proto, &cx.snap.options) {
                    return drop(reason);
                }
                match rule_for(&probe.tuple, ip.proto, link.id, cx.snap).filter(|_| !target.own) {
                    Some(svc) => (svc, Dir::Outbound),
                    None => return Continue(Found::Nobody),
                }
            }
        };
        // What opens a connection fits any packet. In fragments it is not proved to have arrived whole, and evades who looks at it.
        if ip.proto != proto::UDP {
            return drop(DropReason::Fragment);
        }
        admit(svc, pkt, received)?;
        Continue(Found::Service(svc, dir))
    }

    /// Whether a service is asked by a query.
    fn asked<'s>(
        &self,
        bytes: &[u8],
        received: Received<'_>,
        target: &Target,
        cx: Cx<'s>,
    ) -> Step<Found<'s>> {
        let Received { ip, probe, link, .. } = received;
        if !Query::parse(&bytes[usize::from(ip.header_len)..], ip.six).is_some_and(|query| query.asks) {
            // An answer to nobody's question opens nothing.
            return Continue(Found::Nobody);
        }
        let Some(svc) = cx.snap.service_of(target, ip.proto, 0) else {
            let svc = rule_for(&probe.tuple, ip.proto, link.id, cx.snap).filter(|_| !target.own);
            return Continue(svc.map_or(Found::Nobody, |svc| Found::Service(svc, Dir::Outbound)));
        };
        match svc.echo {
            EchoPolicy::Forward => Continue(Found::Service(svc, Dir::Inbound)),
            EchoPolicy::Local => Continue(Found::Nobody),
            EchoPolicy::Alive(least) if svc.alive >= least.into() => Continue(Found::Nobody),
            EchoPolicy::Alive(_) | EchoPolicy::Drop => drop(DropReason::EchoPolicy),
        }
    }

    /// Opens the connection of a datagram that comes in parts. Nobody can verify its checksum before the last one is there; the
    /// server will.
    fn open_in_parts(
        &mut self,
        svc: &Service,
        dir: Dir,
        probe: &Probe,
        payload: Option<&[u8]>,
        cx: Cx<'_>,
    ) -> Step<ConnId> {
        if dir == Dir::Outbound {
            return self.enter_outward(svc, probe, cx);
        }
        let choice = self.schedule_for(svc, probe, payload, cx)?;
        let far = self.far_side(svc, choice.dest, probe, cx.snap)?;
        let id = self.enter(svc, choice, probe, far, 0, cx)?;
        if self.conns.get(id).preface == Preface::Uoa {
            // For datagrams that come whole: there is no room for a client's address in one that was cut.
            self.conns.set_preface(id, Preface::Uoa, cx.snap.options.identity.uoa_trail.into());
        }
        Continue(id)
    }

    /// The first fragment of a connection's datagram: what happens to whole packets, as far as a part of one allows.
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    fn follow_first(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        received: Received<'_>,
        piece: &Piece,
        at: At,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let Received { parsed, ip, probe, .. } = received;
        let conn = *self.conns.get(id);
        let mut flags = tcp_flags(&pkt.data()[parsed.l3..], ip);
        if conn.is_proxied() {
            if self.is_pending(id) {
                return drop(DropReason::Fragment);
            }
            if !self.meet_open(id, dir, pkt, received, cx, out)? {
                flags = ACK;
            }
        }
        let has_header = conn.preface.is_header();
        if has_header {
            // A header in it would move what follows, by no whole number of units.
            if dir == Dir::Inbound {
                return drop(DropReason::ProxyHeader);
            }
            self.meet_preface(id, dir, pkt, received, cx, out)?;
        }
        let new = self.conns.tuple(id, dir.opposite()).reversed();
        let plan = conn.plan(dir);
        let bytes = &pkt.data()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        if !is_rewritable(bytes, ip, plan, piece, new.ports() == probe.tuple.ports()) {
            return drop(DropReason::Fragment);
        }
        if conn.routing != cx.snap.routing
            && let Break(verdict) = self.serves_still(id, cx)
        {
            self.end(id, dir, pkt, received, cx, out);
            return Break(verdict);
        }
        if probe.proto == proto::ICMP && !self.may_ask(&pkt.data()[parsed.l3..], ip, cx.now) {
            return drop(DropReason::EchoLimited);
        }
        let hop = self.next_hop(id, dir, cx)?;
        let course = Course {
            plan,
            forwarding: conn.forwarding,
            proto: ip.proto,
            dir,
            new: if plan == Plan::Wrap { self.conns.tuple(id, Dir::Outbound).reversed() } else { new },
            id: self.fragments.fresh_id(ip.six != (plan == Plan::Cross), self.config.id, self.config.workers),
            hop,
            routing: cx.snap.routing,
            flow: self.flow_of(id, ip),
            dest: conn.dest,
            dest_generation: conn.dest_generation,
        };
        let ttl = plan.ttl(cx.snap);
        self.check_hop(pkt, parsed, ip, course.room(ip), ttl, cx, out)?;
        match probe.proto {
            proto::SCTP => self.advance_association(id, dir, &pkt.data()[parsed.l3..], ip, cx),
            proto::ICMP => self.touch_query(id, cx),
            _ => self.advance(id, dir, flags, cx),
        }
        if has_header {
            self.watch_header(id);
        }
        self.account(id, dir, ip);
        if dir == Dir::Outbound && ip.proto == proto::TCP && !conn.is_proxied() {
            self.note_end(id, &pkt.data()[parsed.l3..], ip);
        }
        self.fragments.lead(at, Way::Course(course));
        match plan {
            Plan::Rewrite => {}
            Plan::Pass => return self.leave(pkt, parsed, ip, hop, cx),
            Plan::Wrap => return self.wrap(&course.outside(), pkt, parsed, hop, cx),
            Plan::Cross => {
                let crossed = self.cross_part(&course, pkt, parsed, &piece.fragment, ttl)?;
                let bytes = &mut pkt.data_mut()[crossed.l3..];
                let (sport, dport) = new.ports();
                rewrite::upper(bytes, &crossed.ip, self.conns.get(id), dir, sport, dport);
                if conn.is_proxied() {
                    self.shift_proxied(id, bytes, &crossed.ip, dir);
                }
                return self.leave(pkt, &crossed, &crossed.ip, hop, cx);
            }
        }
        let bytes = &mut pkt.data_mut()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        match probe.proto {
            proto::ICMP => query::renew(bytes, ip, &new, ttl),
            proto::SCTP => {
                readdress(bytes, ip.six, &new);
                if ttl == Ttl::Count {
                    count_down(bytes, ip.six);
                }
            }
            _ => rewrite::rewrite(bytes, ip, self.conns.get(id), dir, &new, ttl),
        }
        if conn.is_proxied() {
            self.shift_proxied(id, bytes, ip, dir);
        }
        piece.fragment.renumber(bytes, course.id);
        self.leave(pkt, parsed, ip, hop, cx)
    }
}

/// Ports in a first fragment, or what stands for them; `None` where none is in it that a connection could be found by.
fn ports(bytes: &[u8], ip: &Ip) -> Step<Option<(u16, u16)>> {
    let l4 = bytes.get(usize::from(ip.header_len)..).unwrap_or_default();
    let found = match ip.proto {
        proto::TCP => tcp::Header::parse(l4).map(|h| (h.sport(), h.dport())),
        proto::UDP => udp::Header::parse(l4).map(|h| (h.sport(), h.dport())),
        proto::SCTP => sctp::Header::parse(l4).map(|h| (h.sport(), h.dport())),
        proto::ICMP | proto::ICMPV6 if l4.len() >= icmp::LEN => {
            if let Some(query) = Query::parse(l4, ip.six) {
                return Continue(Some(query.ports()));
            }
            let error = if ip.six { icmp::v6::is_error(l4[0]) } else { icmp::v4::is_error(l4[0]) };
            // An error quotes at its end what has to be changed, and is short enough never to be cut (RFC 1812 4.3.2.3, RFC 4443 2.4 c).
            return if error { drop(DropReason::Fragment) } else { Continue(None) };
        }
        proto::ICMP | proto::ICMPV6 => None,
        // Behind extension headers there is none of the protocols that services have.
        _ => return Continue(None),
    };
    match found {
        Some(ports) => Continue(Some(ports)),
        None => drop(DropReason::FragmentTiny),
    }
}

/// Whether a datagram can be changed by what is in its first fragment.
fn is_rewritable(bytes: &[u8], ip: &Ip, plan: Plan, piece: &Piece, same_ports: bool) -> bool {
    match (plan, ip.proto) {
        (Plan::Pass | Plan::Wrap, _) => true,
        // Its checksum is of the whole packet, and no change of a part tells that of the whole.
        (_, proto::SCTP) => same_ports,
        (Plan::Rewrite, _) => true,
        // ICMP's checksum covers the length of the whole in one family only (RFC 7915 4.2, 5.2).
        (Plan::Cross, proto::ICMP | proto::ICMPV6) => false,
        (Plan::Cross, _) => {
            let l4 = &bytes[usize::from(ip.header_len)..];
            let unsummed =
                ip.proto == proto::UDP && udp::Header::parse(l4).is_some_and(|h| h.checksum() == 0);
            // Without extension headers, which would move what follows; over IPv6 with a checksum, which only the whole would tell
            // (RFC 7915 4.5).
            let bare = !ip.six || usize::from(ip.header_len) == piece.fragment.at + packet::fragment::LEN6;
            bare && (ip.six || !unsummed)
        }
    }
}
