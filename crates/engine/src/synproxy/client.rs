// SPDX-License-Identifier: Apache-2.0
//! Steps 1 to 3: a client's SYN is answered with a cookie, its acknowledgement checked, its packets kept until the server answers.

use std::ops::ControlFlow::{Break, Continue};

use packet::{Buffer, Csum, tcp};

use super::config::Config;
use super::cookie::{Claim, Proof, slot};
use super::offer::{self, MAX_WSCALE, Offer, Said};
use super::segment::Segment;
use super::session::{Phase, Session, Stamps};
use crate::conn::{ConnId, Dir, Probe, Tuple};
use crate::flow::Parsed;
use crate::identity::option_len;
use crate::l3::Ip;
use crate::l4;
use crate::lcore::Lcore;
use crate::link::{Link, RxCsum};
use crate::pipeline::Cx;
use crate::preface::Preface;
use crate::proto::tcp::State;
use crate::sink::Sink;
use crate::snapshot::Service;
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};

/// A client's segment, with what every step here looks at.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) ip: &'a Ip,
    pub(crate) probe: &'a Probe,
    pub(crate) link: &'a Link,
}

/// The fields of a segment's header.
struct Fields {
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    payload: usize,
    timestamps: Option<(u32, u32)>,
}

impl Fields {
    /// What they claim if they answer a cookie.
    #[inline(always)]
    fn claim(&self) -> Claim {
        Claim { isn: self.seq.wrapping_sub(1), cookie: self.ack.wrapping_sub(1), timestamps: self.timestamps }
    }
}

impl<P: Buffer> Lcore<P> {
    /// A client's SYN to a service behind the proxy: answered at once, in its own buffer, and nothing remembered.
    #[inline(always)]
    pub(crate) fn answer_syn(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        match received.probe.tuple {
            Tuple::V4(_) => self.answer_syn_of::<4>(pkt, received, svc, cx),
            Tuple::V6(_) => self.answer_syn_of::<6>(pkt, received, svc, cx),
        }
    }

    /// [`Lcore::answer_syn`] of one family, so that what depends on it is decided once and not at every step.
    #[inline(never)]
    fn answer_syn_of<const FAMILY: u8>(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let answered = self.write_syn_ack::<FAMILY>(pkt, received, svc, cx);
        let counters = self.proxy.count(svc.id);
        counters.syn += 1;
        match answered {
            Continue(_) => counters.syn_ack += 1,
            Break(Verdict::Drop(DropReason::NoDest)) => counters.no_dest += 1,
            Break(Verdict::Drop(DropReason::SynProxyLimited)) => counters.limited += 1,
            Break(_) => {}
        }
        answered
    }

    /// Turns a SYN into the SYN-ACK, unless there is a reason not to.
    #[inline(always)]
    fn write_syn_ack<const FAMILY: u8>(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let flow = of_family::<FAMILY>(&received.probe.tuple)?;
        if svc.weights.0 == 0 {
            return drop(DropReason::NoDest);
        }
        let Received { parsed, ip, link, .. } = received;
        check_ends(&flow)?;
        let Some(segment) = segment(&pkt.data()[parsed.l3..], ip) else { return drop(DropReason::L4Header) };
        if !vouched(pkt, link) && !l4::tcp_checksum_ok(&flow, segment) {
            return drop(DropReason::L4Checksum);
        }
        let config = &cx.snap.options.syn_proxy;
        let Some((header, options)) = split(segment) else { return drop(DropReason::L4Header) };
        let accurate = header.accurate_ecn();
        let (seq, flags) = (header.seq(), header.flags());
        let Some(offer) = offer::read(options, flags, accurate) else {
            return drop(DropReason::SynProxyOption);
        };
        let rate = config.synack_rate;
        if rate != 0 && !self.proxy.syn_acks.allows(flow.source().ip(), rate, cx.now) {
            return drop(DropReason::SynProxyLimited);
        }
        let now = config.unix_ms(cx.now);
        let announced = self.proxy.announce(svc, config, slot(now));
        let agreed = Offer {
            mss: offer.mss,
            wscale: offer.wscale.filter(|_| announced.wscale.is_some()),
            sack: offer.sack && config.sack,
            tsval: offer.tsval.filter(|_| announced.timestamps),
            ecn: offer.ecn && config.ecn && offer.tsval.is_some() && announced.timestamps,
        };
        let cookie = self.proxy.cookies.make(&flow, seq, &agreed, now);
        // Where segments tell the client's address, they need room for it.
        let tells = cx.snap.options.identity.toa && svc.proxy_protocol.is_none();
        let added = if tells { option_len(FAMILY == 6) } else { 0 };
        let mss = config.mss.min(link.mtu.saturating_sub(headers(FAMILY == 6) + added));
        let said = Said {
            // Who says nothing gets nothing said: the answer must not be longer than the question.
            mss: offer.mss.map(|_| mss),
            wscale: agreed.wscale.and(announced.wscale),
            sack: agreed.sack,
            timestamps: cookie.tsval.zip(agreed.tsval),
        };
        let ecn = if agreed.ecn { tcp::flag::ECE } else { 0 };
        let window = match holds(svc, config) {
            true => 0,
            // No more than is kept until the server answers.
            false => (u32::from(mss) * u32::from(config.max_ack_saved)).min(0xffff) as u16,
        };
        let answer = Segment {
            tuple: flow.reversed(),
            seq: cookie.isn,
            ack: seq.wrapping_add(1),
            flags: tcp::flag::SYN | tcp::flag::ACK | ecn,
            window,
            options: said,
            ttl: config.ttl,
        };
        if !answer.answer(pkt, parsed.l3, ip) {
            return drop(DropReason::SynProxyOption);
        }
        Continue(Verdict::Forward(Goal::of_link(link.id, link.mtu)))
    }

    /// A client's segment without a connection, to a service behind the proxy: the proof that it received our SYN-ACK, or nothing.
    #[inline(always)]
    pub(crate) fn check_ack(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        match received.probe.tuple {
            Tuple::V4(_) => self.check_ack_of::<4>(pkt, received, svc, cx, out),
            Tuple::V6(_) => self.check_ack_of::<6>(pkt, received, svc, cx, out),
        }
    }

    /// [`Lcore::check_ack`] of one family. What proves nothing is answered with a reset (RFC 9293 3.10.7.1) in its own buffer.
    #[inline(never)]
    fn check_ack_of<const FAMILY: u8>(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let flow = of_family::<FAMILY>(&received.probe.tuple)?;
        let Received { parsed, ip, link, .. } = received;
        check_ends(&flow)?;
        let Some(segment) = segment(&pkt.data()[parsed.l3..], ip) else { return drop(DropReason::L4Header) };
        let Some(fields) = fields(segment) else { return drop(DropReason::L4Header) };
        if !vouched(pkt, link) && !l4::tcp_checksum_ok(&flow, segment) {
            return drop(DropReason::L4Checksum);
        }
        let config = &cx.snap.options.syn_proxy;
        let now = config.unix_ms(cx.now);
        if let Some(proof) = self.proxy.cookies.check(&flow, &fields.claim(), now) {
            if config.defer_rs_syn && fields.payload == 0 {
                self.proxy.count(svc.id).null_ack += 1;
                return drop(DropReason::SynProxyNullAck);
            }
            return self.admit(&fields, proof, received, svc, cx, out);
        }
        let answered = self.proxy.resets.allows(flow.source().ip(), config.reset_rate, cx.now);
        // Looked at only where somebody is answered: a flood shall cost one hash.
        let late = answered && self.proxy.cookies.is_late(&flow, &fields.claim(), now);
        let counters = self.proxy.count(svc.id);
        *if late { &mut counters.expired_ack } else { &mut counters.bad_ack } += 1;
        if !answered {
            counters.limited += 1;
            return drop(DropReason::SynProxyBadAck);
        }
        let reset = Segment {
            tuple: flow.reversed(),
            seq: fields.ack,
            ack: 0,
            flags: tcp::flag::RST,
            window: 0,
            options: Said::default(),
            ttl: config.ttl,
        };
        if !reset.answer(pkt, parsed.l3, ip) {
            return drop(DropReason::SynProxyBadAck);
        }
        self.proxy.count(svc.id).reset += 1;
        Continue(Verdict::Forward(Goal::of_link(link.id, link.mtu)))
    }

    /// Opens the connection of a client that has proved itself, and asks its server.
    fn admit(
        &mut self,
        fields: &Fields,
        proof: Proof,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        self.proxy.count(svc.id).ok_ack += 1;
        let Received { ip, probe, .. } = received;
        if svc.proxying.auto {
            self.proxy.proved(svc.id, probe.tuple.source().ip(), &cx.snap.options.syn_proxy, cx.now);
        }
        let choice = self.schedule(svc, probe, cx)?;
        if !choice.dest.forwarding.is_two_way() {
            // Its answer would reach the client by another way, with numbers the client does not know.
            return drop(DropReason::NoDest);
        }
        let far = self.far_side(svc, choice.dest, probe, cx.snap)?;
        let isn = fields.seq.wrapping_sub(1);
        let seq_delta = self.fresh_isn(&far.outbound, ip.proto, cx.now).wrapping_sub(isn);
        let id = self.enter(svc, choice, probe, far, seq_delta, cx)?;
        let announced = self.proxy.announced_in(svc, &cx.snap.options.syn_proxy, proof.slot);
        let mut session = Session::pending(fields.ack.wrapping_sub(1), isn, proof.offer);
        session.announced = proof.offer.wscale.and(announced);
        session.client_window = fields.window;
        session.heard[Dir::Inbound as usize].window =
            u32::from(fields.window) << session.scales[Dir::Inbound as usize];
        session.hold = holds(svc, &cx.snap.options.syn_proxy);
        if let Some((value, echo)) = fields.timestamps {
            session.stamp = echo;
            session.stamps = Stamps::Shifted;
            // Servers see one clock behind a local address, whatever clients come by it.
            session.stamp_delta[Dir::Inbound as usize] = (cx.now.0 as u32).wrapping_sub(value);
        }
        let Some(at) = self.proxy.sessions.insert(session) else {
            self.close(id, out);
            return drop(DropReason::ConnTableFull);
        };
        self.conns.get_mut(id).session = at;
        if self.conns.get(id).preface == Preface::Toa {
            self.conns.set_preface(id, Preface::Telling, fields.ack);
        }
        self.enter_state(id, State::SynSent as u8, false, 1);
        self.ask_server(id, cx, out);
        Continue(Verdict::Await(id))
    }

    /// Keeps a client's packet until its server has answered, within bounds.
    #[cold]
    pub(crate) fn await_server(&mut self, id: ConnId, pkt: P, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let conn = self.conns.get(id);
        let (at, service) = (conn.session, conn.service);
        let most = usize::from(cx.snap.options.syn_proxy.max_ack_saved);
        let bytes = pkt.data().len() as u32;
        let refused = match self.proxy.sessions.get(at).held() < most {
            true => self.proxy.sessions.hold(at, cx.port, pkt, bytes).err(),
            false => Some(pkt),
        };
        if let Some(pkt) = refused {
            self.proxy.count(service).synsend_qlen += 1;
            self.throw(pkt, DropReason::SynProxyQueue, out);
        }
    }

    /// A client's segment while its server has not answered.
    pub(crate) fn meet_waiting_client(
        &mut self,
        id: ConnId,
        pkt: &mut P,
        received: Received<'_>,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let Received { parsed, ip, link, .. } = received;
        let bytes = &pkt.data()[parsed.l3..];
        let Some(fields) = segment(bytes, ip).and_then(fields) else { return drop(DropReason::L4Header) };
        if fields.flags & (tcp::flag::ACK | tcp::flag::RST) == 0 {
            return drop(DropReason::NotSyn);
        }
        let session = self.proxy.sessions.get(self.conns.get(id).session);
        let config = &cx.snap.options.syn_proxy;
        let closing = fields.flags & (tcp::flag::FIN | tcp::flag::RST) != 0;
        if session.hold && !closing && fields.payload > 0 {
            // It probes the closed window: still closed (RFC 9293 3.8.6.1).
            let said = Said {
                timestamps: fields.timestamps.map(|(value, _)| (session.stamp, value)),
                ..Said::default()
            };
            let answer = Segment {
                tuple: received.probe.tuple.reversed(),
                seq: session.cookie.wrapping_add(1),
                ack: session.client_isn.wrapping_add(1),
                flags: tcp::flag::ACK,
                window: 0,
                options: said,
                ttl: config.ttl,
            };
            return match answer.answer(pkt, parsed.l3, ip) {
                true => Continue(Verdict::Forward(Goal::of_link(link.id, link.mtu))),
                false => drop(DropReason::SynProxyQueue),
            };
        }
        if fields.payload == 0 && !closing && session.held() > 0 {
            // The acknowledgement once more: the one that is kept says the same.
            return Continue(Verdict::Consumed);
        }
        Continue(Verdict::Await(id))
    }

    /// Whether a client's segment begins a new connection in place of an old one: it carries another cookie, and its numbers are none
    /// of the old connection's.
    ///
    /// Then the old connection is gone and the new one asks its server. A client that has lost an open connection, and comes again by
    /// the same port, would otherwise hang: it believes its handshake to be complete.
    pub(crate) fn reopen_proxied(
        &mut self,
        id: ConnId,
        pkt: &P,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<()> {
        let state = State::from_number(self.conns.get(id).state);
        let Received { parsed, ip, probe, .. } = received;
        if !cx.snap.options.syn_proxy.reuse.allows(state) {
            return Continue(());
        }
        let bytes = &pkt.data()[parsed.l3..];
        let Some(fields) = segment(bytes, ip).and_then(fields) else { return Continue(()) };
        let Some(session) = self.session(id) else { return Continue(()) };
        let same = session.cookie == fields.ack.wrapping_sub(1) || session.is_own(fields.seq, fields.ack);
        let expected = session.heard[Dir::Outbound as usize].ack;
        let plain = fields.flags & (tcp::flag::SYN | tcp::flag::FIN | tcp::flag::RST | tcp::flag::ACK)
            == tcp::flag::ACK;
        if same || !plain {
            return Continue(());
        }
        let now = cx.snap.options.syn_proxy.unix_ms(cx.now);
        let Some(proof) = self.proxy.cookies.check(&probe.tuple, &fields.claim(), now) else {
            return Continue(());
        };
        let counters = self.proxy.count(svc.id);
        counters.reused += 1;
        match state {
            State::Established => counters.reused_established += 1,
            State::Close => counters.reused_close += 1,
            State::TimeWait => counters.reused_time_wait += 1,
            State::FinWait => counters.reused_fin_wait += 1,
            State::CloseWait => counters.reused_close_wait += 1,
            _ => counters.reused_last_ack += 1,
        }
        if state == State::Established {
            // The server learns that nobody speaks to it any more.
            self.reset(id, Dir::Inbound, expected, cx, out);
        }
        self.close(id, out);
        match self.admit(&fields, proof, received, svc, cx, out) {
            Break(verdict) | Continue(verdict) => Break(verdict),
        }
    }

    /// The session of a connection, if the proxy opened it.
    #[inline(always)]
    pub(crate) fn session(&self, id: ConnId) -> Option<&Session> {
        let conn = self.conns.get(id);
        conn.is_proxied().then(|| self.proxy.sessions.get(conn.session))
    }

    /// Whether the server of a connection has not answered yet.
    #[inline(always)]
    pub(crate) fn is_pending(&self, id: ConnId) -> bool {
        self.session(id).is_some_and(|session| session.phase == Phase::Pending)
    }
}

/// The tuple of a packet of this family, whose family the compiler knows from here on.
#[inline(always)]
fn of_family<const FAMILY: u8>(tuple: &Tuple) -> Step<Tuple> {
    match *tuple {
        Tuple::V4(t) if FAMILY == 4 => Continue(Tuple::V4(t)),
        Tuple::V6(t) if FAMILY == 6 => Continue(Tuple::V6(t)),
        _ => drop(DropReason::IpHeader),
    }
}

/// Ends that no client and no service can have: a port 0, or the service itself as the source.
#[inline(always)]
fn check_ends(flow: &Tuple) -> Step<()> {
    let (sport, dport, same) = match *flow {
        Tuple::V4(t) => (t.sport, t.dport, t.src == t.dst),
        Tuple::V6(t) => (t.sport, t.dport, t.src == t.dst),
    };
    if sport == 0 || dport == 0 {
        return drop(DropReason::PortZero);
    }
    if same {
        return drop(DropReason::OwnSource);
    }
    Continue(())
}

/// Whether a device, or the operator, stands for the checksum.
pub(crate) fn vouched<P: Buffer>(pkt: &P, link: &Link) -> bool {
    pkt.rx().l4_csum == Csum::Good || link.rx_csum == RxCsum::Recompute
}

/// The segment in a packet; `bytes` begin with the IP header.
#[inline(always)]
fn segment<'a>(bytes: &'a [u8], ip: &Ip) -> Option<&'a [u8]> {
    bytes.get(usize::from(ip.header_len)..usize::from(ip.total_len))
}

/// The fixed header of a segment and its options.
#[inline(always)]
fn split(segment: &[u8]) -> Option<(tcp::Header<'_>, &[u8])> {
    let header = tcp::Header::parse(segment)?;
    Some((header, segment.get(tcp::LEN..header.header_len())?))
}

#[inline(always)]
fn fields(segment: &[u8]) -> Option<Fields> {
    let (header, options) = split(segment)?;
    Some(Fields {
        seq: header.seq(),
        ack: header.ack(),
        flags: header.flags(),
        window: header.window(),
        payload: segment.len() - header.header_len(),
        timestamps: offer::timestamps(options),
    })
}

/// Whether clients of a service may send only once the server has answered.
fn holds(svc: &Service, config: &Config) -> bool {
    svc.proxying.hold.unwrap_or(config.close_client_window) && !config.defer_rs_syn
}

/// Bytes of the smallest IP and TCP headers.
fn headers(six: bool) -> u16 {
    if six { 60 } else { 40 }
}

/// The window of a SYN to the server: what the client announced with its acknowledgement, as far as it can be said without scale.
pub(crate) fn syn_window(session: &Session) -> u16 {
    let shift = session.offer.wscale.unwrap_or(0).min(MAX_WSCALE);
    (u32::from(session.client_window) << shift).min(0xffff) as u16
}
