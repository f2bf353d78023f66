// SPDX-License-Identifier: Apache-2.0
//! TCP and UDP packets: to the connection they belong to, or to a new one if a service wants them.

use std::ops::ControlFlow::{Break, Continue};

use packet::{Buffer, Csum, proto, tcp, udp};

use crate::access::admit;
use crate::conn::{Conn, ConnId, Dir, Probe};
use crate::flow::{Parsed, is_syn, proxied, tcp_flags};
use crate::forward::{Forwarding, Plan, rewrite};
use crate::ids::ServiceId;
use crate::l3::Ip;
use crate::l4;
use crate::lcore::Lcore;
use crate::link::{Link, RxCsum};
use crate::lookup::Target;
use crate::pipeline::Cx;
use crate::preface::Preface;
use crate::proto::tcp::{ACK, Event, FIN, RST, SYN, Side, State, is_opening};
use crate::proto::udp::State as UdpState;
use crate::sink::Sink;
use crate::snapshot::{Service, Snapshot};
use crate::synproxy::client::Received;
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};

impl<P: Buffer> Lcore<P> {
    /// A whole TCP or UDP packet.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    pub(crate) fn flow(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        ip: &Ip,
        probe: &Probe,
        link: &Link,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let flags = tcp_flags(&pkt.data()[parsed.l3..], ip);
        let received = Received { parsed, ip, probe, link };
        // Services it always stands before were told apart in the first pass.
        if is_syn(flags)
            && let Some(svc) = proxied(&probe.tuple, link, cx.snap)
        {
            if let Some(owner) = self.proxied_elsewhere(&probe.tuple, cx) {
                return Continue(Verdict::Redirect(Goal::of_worker(owner)));
            }
            admit(svc, pkt, received)?;
            let (client, config) = (probe.tuple.source().ip(), &cx.snap.options.syn_proxy);
            if self.proxy.steps_forward(svc, client, config, self.config.workers, cx.now) {
                return self.answer_syn(pkt, received, svc, cx);
            }
        }
        let mut found = self.conns.find(probe);
        if let Some((id, dir)) = found
            && reopens(self.conns.get(id), dir, flags)
        {
            self.close(id, out);
            found = None;
        }
        let (id, dir) = match found {
            Some(found) => found,
            None => {
                let target = cx.snap.lookup.target(probe.tuple.target_ip());
                if let Some(owner) = self.owner(target, probe, cx.snap)
                    && owner != self.config.id
                {
                    return Break(Verdict::Redirect(Goal::of_worker(owner)));
                }
                let Some(svc) = service_for(target, probe, link, cx.snap) else {
                    if let Some(reason) = cx.snap.lookup.defends(target, ip.proto, &cx.snap.options) {
                        return drop(reason);
                    }
                    if cx.snap.lookup.rules.is_empty() {
                        // What any packet is asked next, and for the director's own addresses known already.
                        return match target.own {
                            true => Continue(Verdict::Kernel(DropReason::NoService)),
                            false => self.pass(pkt, parsed, ip, cx, out),
                        };
                    }
                    return self.flow_outward(pkt, received, flags, cx, out);
                };
                if svc.syn_proxy
                    && ip.proto == proto::TCP
                    && let Some(owner) = self.proxied_elsewhere(&probe.tuple, cx)
                {
                    return Continue(Verdict::Redirect(Goal::of_worker(owner)));
                }
                if svc.syn_proxy
                    && flags & (SYN | ACK | RST) == ACK
                    && (!svc.proxying.auto || self.proxy.stood(svc, cx.now))
                {
                    admit(svc, pkt, received)?;
                    return self.check_ack(pkt, received, svc, cx, out);
                }
                if ip.proto == proto::TCP
                    && !svc.syn_proxy
                    && flags & (SYN | ACK | FIN | RST) != SYN
                    && let Some(other) = self.next_to_ask(cx)
                {
                    return Continue(Verdict::HandOn(Goal::of_worker(other)));
                }
                if ip.proto == proto::SCTP {
                    self.may_begin(&pkt.data()[parsed.l3..], ip, cx)?;
                }
                let id = self.open(pkt, parsed, ip, probe, svc, link, cx)?;
                if self.conns.get(id).is_one_packet() {
                    return self.follow_once(id, pkt, received, flags, cx, out);
                }
                (id, Dir::Inbound)
            }
        };
        self.follow(id, dir, pkt, received, flags, cx, out)
    }

    /// A SYN to a service the SYN proxy stands before.
    #[inline(always)]
    pub(crate) fn greet(
        &mut self,
        service: ServiceId,
        pkt: &mut P,
        parsed: &Parsed,
        link: &Link,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let received = Received { parsed, ip: &parsed.ip, probe: &parsed.probe, link };
        let svc = cx.snap.services.get(service.index()).and_then(Option::as_ref);
        let Some(svc) = svc else { return drop(DropReason::NoDest) };
        if let Some(owner) = self.proxied_elsewhere(&parsed.probe.tuple, cx) {
            return Continue(Verdict::Redirect(Goal::of_worker(owner)));
        }
        admit(svc, pkt, received)?;
        self.answer_syn(pkt, received, svc, cx)
    }

    /// A packet for no service, where services are found by rule too.
    #[inline(never)]
    fn flow_outward(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        flags: u8,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        match self.open_outward(pkt, received, cx) {
            Some(opened) => self.follow(opened?, Dir::Outbound, pkt, received, flags, cx, out),
            None => self.pass(pkt, received.parsed, received.ip, cx, out),
        }
    }

    /// A packet of a connection.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    pub(crate) fn follow(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        received: Received<'_>,
        flags: u8,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let mut flags = flags;
        if self.conns.get(id).is_proxied() {
            let Received { parsed, ip, .. } = received;
            match (self.is_pending(id), dir) {
                (true, Dir::Inbound) => return self.meet_waiting_client(id, pkt, received, cx),
                (true, Dir::Outbound) => self.hear_server(id, pkt, parsed, ip, cx, out)?,
                (false, dir) if self.meet_open(id, dir, pkt, received, cx, out)? => {}
                (false, _) => flags = ACK,
            }
        }
        if self.conns.get(id).preface != Preface::None {
            return self.follow_prefaced(id, dir, pkt, received, flags, cx, out);
        }
        self.carry::<false>(id, dir, pkt, received, flags, cx, out)
    }

    /// A packet of a connection whose server is told of its client.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    fn follow_prefaced(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        received: Received<'_>,
        flags: u8,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        match self.meet_preface(id, dir, pkt, received, cx, out)? {
            Some(changed) => {
                let received = Received { parsed: &changed.parsed, ip: &changed.ip, ..received };
                self.follow(id, dir, pkt, received, flags, cx, out)
            }
            None => self.carry::<true>(id, dir, pkt, received, flags, cx, out),
        }
    }

    /// Takes a packet of a connection on: state, counters, the rewrite its plan says. `PREFACED` connections tell their servers of
    /// their clients, rarely enough that others must not pay for it.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    fn carry<const PREFACED: bool>(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        received: Received<'_>,
        flags: u8,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let Received { parsed, ip, link, .. } = received;
        let is_proxied = self.conns.get(id).is_proxied();
        if link.rx_csum == RxCsum::Recompute {
            l4::recompute(&mut pkt.data_mut()[parsed.l3..], ip);
        } else if pkt.rx().l4_csum == Csum::Bad {
            return drop(DropReason::L4Checksum);
        }
        if ip.proto == proto::SCTP {
            self.verify_association(id, pkt, received)?;
        }
        if self.conns.get(id).routing != cx.snap.routing
            && let Break(verdict) = self.serves_still(id, cx)
        {
            self.end(id, dir, pkt, received, cx, out);
            return Break(verdict);
        }
        let hop = self.next_hop(id, dir, cx)?;
        let plan = self.conns.get(id).plan(dir);
        let ttl = plan.ttl(cx.snap);
        let room = self.room(id, plan, ip, hop.mtu);
        self.check_hop(pkt, parsed, ip, room, ttl, cx, out)?;
        if cx.snap.lookup.throttles {
            self.within_limits(id, dir, ip, cx)?;
        }
        match ip.proto {
            proto::SCTP => self.advance_association(id, dir, &pkt.data()[parsed.l3..], ip, cx),
            _ => self.advance(id, dir, flags, cx),
        }
        if PREFACED {
            self.watch_header(id);
        }
        self.account(id, dir, ip);
        if dir == Dir::Outbound && ip.proto == proto::TCP && !is_proxied {
            self.note_end(id, &pkt.data()[parsed.l3..], ip);
        }
        if ip.proto == proto::TCP && flags & SYN != 0 && matches!(plan, Plan::Rewrite | Plan::Cross) {
            self.fit_mss(id, dir, pkt, parsed, ip, cx);
        }
        let changed = if PREFACED { self.tell_client(id, dir, pkt, parsed, ip, room.mtu) } else { None };
        let (parsed, ip) = changed.as_ref().map_or((parsed, ip), |changed| (&changed.parsed, &changed.ip));

        match plan {
            Plan::Rewrite => {
                let new = self.conns.tuple(id, dir.opposite()).reversed();
                let conn = self.conns.get(id);
                let bytes = &mut pkt.data_mut()[parsed.l3..];
                rewrite::rewrite(bytes, ip, conn, dir, &new, ttl);
                if is_proxied {
                    self.shift_proxied(id, bytes, ip, dir);
                }
                if PREFACED
                    && dir == Dir::Inbound
                    && let Some(changed) = self.trail_client(id, pkt, parsed, hop.mtu, cx, out)
                {
                    return self.leave(pkt, &changed.parsed, &changed.ip, hop, cx);
                }
            }
            Plan::Pass => {}
            Plan::Cross => return self.cross(id, dir, pkt, parsed, hop, ttl, cx, out),
            Plan::Wrap => return self.encapsulate(id, pkt, parsed, hop, cx),
        }
        self.leave(pkt, parsed, ip, hop, cx)
    }

    /// Moves the state on and restarts the idle time.
    #[inline(always)]
    pub(crate) fn advance(&mut self, id: ConnId, dir: Dir, flags: u8, cx: Cx<'_>) {
        self.conns.touch(id, cx.now);
        let conn = self.conns.get(id);
        let side = match dir {
            Dir::Inbound if conn.forwarding.is_two_way() => Side::Client,
            Dir::Inbound => Side::ClientOnly,
            Dir::Outbound => Side::Server,
        };
        if conn.proto() == proto::TCP {
            let old = State::from_number(conn.state);
            let new = old.next(side, Event::of(flags));
            if new != old {
                if new == State::Established && self.proxy.is_auto(conn.service) {
                    let (service, client) = (conn.service, self.conns.tuple(id, Dir::Inbound).source());
                    self.proxy.proved(service, client.ip(), &cx.snap.options.syn_proxy, cx.now);
                }
                self.judge(id, old as u8, new as u8, cx);
                self.enter_state(
                    id,
                    new as u8,
                    new == State::Established,
                    cx.snap.timeouts.tcp[new as usize],
                );
            }
        } else {
            // Always, so that changed timeouts count from the next datagram on.
            let side = match side {
                // Here the outside answers.
                Side::Client if conn.forwarding == Forwarding::Snat => Side::Server,
                Side::Server if conn.forwarding == Forwarding::Snat => Side::Client,
                side => side,
            };
            let old = UdpState::from_number(conn.state);
            let new = old.next(side);
            if new != old {
                self.judge(id, old as u8, new as u8, cx);
            }
            let secs = match self.conns.own_timeout(id) {
                0 => cx.snap.timeouts.udp[new as usize],
                own => own,
            };
            self.conns.get_mut(id).state = new as u8;
            self.conns.set_timeout(id, secs);
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn enter_state(&mut self, id: ConnId, state: u8, active: bool, secs: u32) {
        let own = self.conns.own_timeout(id);
        let conn = self.conns.get_mut(id);
        let was = std::mem::replace(&mut conn.active, active);
        conn.state = state;
        let secs = if active && own != 0 { own } else { secs };
        let (dest, generation) = (conn.dest, conn.dest_generation);
        self.conns.set_timeout(id, secs);
        if let (true, Some(c)) = (was != active, self.dests.get_mut(dest, generation)) {
            let (from, to) =
                if active { (&mut c.inactive, &mut c.active) } else { (&mut c.active, &mut c.inactive) };
            *from = from.saturating_sub(1);
            *to += 1;
        }
        if active {
            self.assure_template(id);
        }
    }

    /// Notes how far a server has come: the ends of its connection are told by that when the time of it is up.
    #[inline(always)]
    pub(crate) fn note_end(&mut self, id: ConnId, bytes: &[u8], ip: &Ip) {
        let l4 = bytes.get(usize::from(ip.header_len)..usize::from(ip.total_len));
        let Some(header) = l4.and_then(tcp::Header::parse).filter(|header| header.flags() & RST == 0) else {
            return;
        };
        let flags = header.flags();
        let len = usize::from(ip.total_len - ip.header_len) - header.header_len();
        let len = len as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        self.conns.get_mut(id).ends.note(flags, header.seq(), header.ack(), len);
    }

    #[inline(always)]
    pub(crate) fn account(&mut self, id: ConnId, dir: Dir, ip: &Ip) {
        let conn = self.conns.get(id);
        self.dests.carried(conn.dest, conn.dest_generation, dir, ip.total_len);
    }
}

/// The service for a packet: by its mark, or else by its target.
#[inline(always)]
pub(crate) fn service_for<'s>(
    target: &Target,
    probe: &Probe,
    link: &Link,
    snap: &'s Snapshot,
) -> Option<&'s Service> {
    if snap.lookup.has_marks()
        && let Some(id) = snap.lookup.marked(probe.proto, &probe.tuple, Some(link.id))
    {
        return snap.services.get(id.index())?.as_ref();
    }
    snap.service_of(target, probe.proto, probe.tuple.target_port())
}

/// A datagram's payload, where the service goes by what is in it.
pub(crate) fn payload<'p>(svc: &Service, bytes: &'p [u8], ip: &Ip) -> Option<&'p [u8]> {
    let sip = svc.persistence.is_some_and(|persistence| persistence.sip);
    if ip.proto != proto::UDP || !(sip || svc.quic || svc.hashing.quic_id) {
        return None;
    }
    bytes.get(usize::from(ip.header_len) + udp::LEN..usize::from(ip.total_len))
}

/// Whether a SYN from where connections are opened begins a new connection where an old one lingers.
#[inline(always)]
fn reopens(conn: &Conn, dir: Dir, flags: u8) -> bool {
    is_opening(flags)
        && dir == if conn.forwarding == Forwarding::Snat { Dir::Outbound } else { Dir::Inbound }
        && conn.proto() == proto::TCP
        && matches!(State::from_number(conn.state), State::TimeWait | State::Close)
}
