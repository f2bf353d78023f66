// SPDX-License-Identifier: Apache-2.0
//! Steps 1 to 3: a client's SYN is answered with a cookie, its acknowledgement checked, its packets kept until the server answers.

use std::ops::ControlFlow::{Break, Continue};

use packet::{Buffer, Csum, tcp};

use super::config::Config;
use super::cookie::{Claim, Proof, Unproven, slot};
use super::offer::{self, MAX_WSCALE, Offer, Said};
use super::segment::Segment;
use super::session::{Phase, Session, Stamps};
use crate::conn::{ConnId, Dir, Probe, Tuple};
use crate::flow::Parsed;
use crate::identity::option_len;
use crate::l3::Ip;
use crate::l4;
use crate::lcore::{Lcore, Sink};
use crate::link::{Link, RxCsum};
use crate::pipeline::Cx;
use crate::preface::Preface;
use crate::proto::tcp::State;
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

impl<P: Buffer> Lcore<P> {
    /// A client's SYN to a service behind the proxy: answered at once, in its own buffer, and nothing remembered.
    #[inline(never)]
    pub(crate) fn answer_syn(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        self.proxy.count(svc.id).syn += 1;
        if svc.weights.0 == 0 {
            self.proxy.count(svc.id).no_dest += 1;
            return drop(DropReason::NoDest);
        }
        let Received { parsed, ip, probe, link } = received;
        check_ends(&probe.tuple)?;
        let bytes = &pkt.data()[parsed.l3..];
        if !vouched(pkt, link) && !l4::checksum_ok(bytes, ip) {
            return drop(DropReason::L4Checksum);
        }
        let config = &cx.snap.options.syn_proxy;
        let Some((header, options)) = split(bytes, ip) else { return drop(DropReason::L4Header) };
        let accurate = header.accurate_ecn();
        let (seq, flags) = (header.seq(), header.flags());
        let Some(offer) = offer::read(options, flags, accurate) else {
            return drop(DropReason::SynProxyOption);
        };
        let rate = config.synack_rate;
        if rate != 0 && !self.proxy.syn_acks.allows(probe.tuple.source().ip(), rate, cx.now) {
            self.proxy.count(svc.id).limited += 1;
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
        let cookie = self.proxy.cookies.make(&probe.tuple, seq, &agreed, now);
        // Where segments tell the client's address, they need room for it.
        let tells = cx.snap.options.identity.toa && svc.proxy_protocol.is_none();
        let added = if tells { option_len(ip.six) } else { 0 };
        let mss = config.mss.min(link.mtu.saturating_sub(headers(ip) + added));
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
            tuple: probe.tuple.reversed(),
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
        self.proxy.count(svc.id).syn_ack += 1;
        Continue(Verdict::Forward(Goal::of_link(link.id, link.mtu)))
    }

    /// A client's segment without a connection, to a service behind the proxy: the proof that it received our SYN-ACK, or nothing.
    #[inline(never)]
    pub(crate) fn check_ack(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        svc: &Service,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let Received { parsed, ip, probe, link } = received;
        check_ends(&probe.tuple)?;
        let bytes = &pkt.data()[parsed.l3..];
        let Some(fields) = fields(bytes, ip) else { return drop(DropReason::L4Header) };
        if !vouched(pkt, link) && !l4::checksum_ok(bytes, ip) {
            return drop(DropReason::L4Checksum);
        }
        let proof = self.prove(&probe.tuple, &fields, cx);
        if cx.snap.options.syn_proxy.defer_rs_syn && fields.payload == 0 && proof.is_ok() {
            self.proxy.count(svc.id).null_ack += 1;
            return drop(DropReason::SynProxyNullAck);
        }
        match proof {
            Ok(proof) => self.admit(&fields, proof, received, svc, cx, out),
            Err(unproven) => {
                let counters = self.proxy.count(svc.id);
                match unproven {
                    Unproven::Expired => counters.expired_ack += 1,
                    Unproven::Forged => counters.bad_ack += 1,
                }
                self.reset_client(pkt, received, svc, &fields, cx)
            }
        }
    }

    #[inline(always)]
    fn prove(&mut self, flow: &Tuple, fields: &Fields, cx: Cx<'_>) -> Result<Proof, Unproven> {
        let claim = Claim {
            isn: fields.seq.wrapping_sub(1),
            cookie: fields.ack.wrapping_sub(1),
            timestamps: fields.timestamps,
        };
        self.proxy.cookies.check(flow, &claim, cx.snap.options.syn_proxy.unix_ms(cx.now))
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
        let Some(fields) = fields(bytes, ip) else { return drop(DropReason::L4Header) };
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
        let Some(fields) = fields(bytes, ip) else { return Continue(()) };
        let Some(session) = self.session(id) else { return Continue(()) };
        let same = session.cookie == fields.ack.wrapping_sub(1) || session.is_own(fields.seq, fields.ack);
        let expected = session.heard[Dir::Outbound as usize].ack;
        let plain = fields.flags & (tcp::flag::SYN | tcp::flag::FIN | tcp::flag::RST | tcp::flag::ACK)
            == tcp::flag::ACK;
        if same || !plain {
            return Continue(());
        }
        let Ok(proof) = self.prove(&probe.tuple, &fields, cx) else { return Continue(()) };
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

    /// Answers a segment that proves nothing with a reset (RFC 9293 3.10.7.1), in its own buffer.
    fn reset_client(
        &mut self,
        pkt: &mut P,
        received: Received<'_>,
        svc: &Service,
        fields: &Fields,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let Received { parsed, ip, probe, link } = received;
        let config = &cx.snap.options.syn_proxy;
        if !self.proxy.resets.allows(probe.tuple.source().ip(), config.reset_rate, cx.now) {
            self.proxy.count(svc.id).limited += 1;
            return drop(DropReason::SynProxyBadAck);
        }
        let reset = Segment {
            tuple: probe.tuple.reversed(),
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

/// The fixed header of a segment and its options; `bytes` begin with the IP header.
#[inline(always)]
fn split<'a>(bytes: &'a [u8], ip: &Ip) -> Option<(tcp::Header<'a>, &'a [u8])> {
    let l4 = bytes.get(usize::from(ip.header_len)..usize::from(ip.total_len))?;
    let header = tcp::Header::parse(l4)?;
    Some((header, &l4[tcp::LEN..header.header_len()]))
}

#[inline(always)]
fn fields(bytes: &[u8], ip: &Ip) -> Option<Fields> {
    let (header, options) = split(bytes, ip)?;
    Some(Fields {
        seq: header.seq(),
        ack: header.ack(),
        flags: header.flags(),
        window: header.window(),
        payload: usize::from(ip.total_len - ip.header_len) - header.header_len(),
        timestamps: offer::timestamps(options),
    })
}

/// Whether clients of a service may send only once the server has answered.
fn holds(svc: &Service, config: &Config) -> bool {
    svc.proxying.hold.unwrap_or(config.close_client_window) && !config.defer_rs_syn
}

/// Bytes of the smallest IP and TCP headers.
fn headers(ip: &Ip) -> u16 {
    if ip.six { 60 } else { 40 }
}

/// The window of a SYN to the server: what the client announced with its acknowledgement, as far as it can be said without scale.
pub(crate) fn syn_window(session: &Session) -> u16 {
    let shift = session.offer.wscale.unwrap_or(0).min(MAX_WSCALE);
    (u32::from(session.client_window) << shift).min(0xffff) as u16
}
