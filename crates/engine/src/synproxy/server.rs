// SPDX-License-Identifier: Apache-2.0
//! Steps 4 to 6: the server is asked with what the client had offered, its answer swallowed, and the client's packets sent on.

use std::ops::ControlFlow::{Break, Continue};

use packet::{Buffer, ether, ipv4, ipv6, proto, tcp};

use super::client::{Received, syn_window};
use super::offer::{self, Said};
use super::segment::Segment;
use super::session::{Heard, Phase, Session, Stamps};
use super::translate;
use crate::conn::{ConnId, Dir, Tuple};
use crate::flow::{Entrance, Kind, Parsed};
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::pipeline::{Context, Cx};
use crate::preface::Preface;
use crate::proto::tcp::State;
use crate::sink::Sink;
use crate::verdict::{DropReason, Step, Verdict, drop};

/// Longest time between two SYNs to a server, in seconds: 1, 2, 4, then this.
const LONGEST_BACKOFF: u32 = 8;

impl<P: Buffer> Lcore<P> {
    /// Sends the SYN to the server: what the client had offered, from the local address.
    pub(crate) fn ask_server(&mut self, id: ConnId, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let Some(session) = self.session(id) else { return };
        let offer = session.offer;
        let stamp = |value: u32| value.wrapping_add(session.stamp_delta[Dir::Inbound as usize]);
        let said = Said {
            mss: offer.mss,
            wscale: offer.wscale,
            sack: offer.sack,
            timestamps: offer.tsval.map(|value| (stamp(value), 0)),
        };
        let ecn = if offer.ecn { tcp::flag::ECE | tcp::flag::CWR } else { 0 };
        let syn = Segment {
            tuple: self.conns.tuple(id, Dir::Outbound).reversed(),
            seq: session.client_isn.wrapping_add(self.conns.get(id).seq_delta),
            ack: 0,
            flags: tcp::flag::SYN | ecn,
            window: syn_window(session),
            options: said,
            ttl: cx.snap.options.default_ttl,
        };
        self.send_own(id, Dir::Inbound, &syn, cx, out);
    }

    /// A server's segment while its SYN-ACK is awaited.
    #[inline(never)]
    pub(crate) fn hear_server(
        &mut self,
        id: ConnId,
        pkt: &P,
        parsed: &Parsed,
        ip: &Ip,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<()> {
        let l4 = &pkt.data()[parsed.l3..][usize::from(ip.header_len)..usize::from(ip.total_len)];
        let Some(header) = tcp::Header::parse(l4) else { return drop(DropReason::L4Header) };
        let conn = self.conns.get(id);
        let (at, service, seq_delta) = (conn.session, conn.service, conn.seq_delta);
        let session = self.proxy.sessions.get(at);
        let expected = session.client_isn.wrapping_add(1).wrapping_add(seq_delta);
        let (seq, flags, acknowledges) = (header.seq(), header.flags(), header.ack() == expected);
        if flags & tcp::flag::ACK == 0 || !acknowledges {
            // It speaks of an earlier connection with these ports; ours goes on waiting.
            return drop(DropReason::SynProxyServer);
        }
        if flags & tcp::flag::RST != 0 {
            self.proxy.count(service).rs_refused += 1;
            self.blame(id, cx);
            if self.ask_other(id, cx, out) {
                return Break(Verdict::Consumed);
            }
            // The client hears it as what comes right after our SYN-ACK.
            let session = self.proxy.sessions.get_mut(at);
            session.phase = Phase::Open;
            session.seq_delta = session.cookie.wrapping_add(1).wrapping_sub(seq);
            session.sent[Dir::Outbound as usize] = seq;
            self.drop_held(at, out);
            let secs = cx.snap.timeouts.tcp[State::Close as usize];
            self.enter_state(id, State::Close as u8, false, secs);
            return Continue(());
        }
        if flags & tcp::flag::SYN == 0 {
            return drop(DropReason::SynProxyServer);
        }
        let options = &l4[tcp::LEN..header.header_len()];
        self.agree(id, seq, options, cx);
        let window = header.window();
        let session = self.proxy.sessions.get_mut(at);
        // The window of a SYN is never scaled (RFC 7323 2.2).
        session.heard[Dir::Outbound as usize] = Heard { ack: expected, window: window.into() };
        session.sent[Dir::Outbound as usize] = seq.wrapping_add(1);
        if session.hold {
            self.open_window(id, window, options, cx, out);
        }
        let secs = cx.snap.timeouts.tcp[State::Established as usize];
        self.conns.touch(id, cx.now);
        self.judge(id, State::SynSent as u8, State::Established as u8, cx);
        self.enter_state(id, State::Established as u8, true, secs);
        Break(Verdict::Release(id))
    }

    /// Works out, once, how the two sides differ.
    fn agree(&mut self, id: ConnId, seq: u32, options: &[u8], cx: Cx<'_>) {
        let answered = offer::read(options, 0, false).unwrap_or_default();
        let conn = self.conns.get(id);
        let (at, service) = (conn.session, conn.service);
        let session = self.proxy.sessions.get_mut(at);
        session.phase = Phase::Open;
        session.seq_delta = session.cookie.wrapping_sub(seq);
        match answered.tsval {
            Some(value) if session.stamps == Stamps::Shifted => {
                session.stamp_delta[Dir::Outbound as usize] = session.stamp.wrapping_sub(value);
            }
            None if session.stamps == Stamps::Shifted => session.stamps = Stamps::Removed,
            _ => {}
        }
        session.window_shift = match (session.announced, answered.wscale) {
            (Some(promised), Some(used)) => [0, used as i8 - promised as i8],
            // The server scales neither way, the client both.
            (Some(promised), None) => [session.offer.wscale.unwrap_or(0) as i8, -(promised as i8)],
            (None, _) => [0; 2],
        };
        session.scales[Dir::Outbound as usize] = session.announced.and(answered.wscale).unwrap_or(0);
        let (scaled, stamped) = (session.offer.wscale.is_some(), session.offer.tsval.is_some());
        if let Some(svc) = cx.snap.services.get(service.index()).and_then(Option::as_ref) {
            self.proxy.learn(
                svc,
                scaled.then_some(answered.wscale),
                stamped.then_some(answered.tsval.is_some()),
            );
        }
    }

    /// Tells a client whose window was held closed that it may send.
    fn open_window(&mut self, id: ConnId, window: u16, options: &[u8], cx: Cx<'_>, out: &mut impl Sink<P>) {
        let Some(session) = self.session(id) else { return };
        let stamps =
            (session.stamps != Stamps::None).then_some((session.stamp, session.offer.tsval.unwrap_or(0)));
        let shift = session.announced.filter(|_| offer::read(options, 0, false).is_some()).unwrap_or(0);
        let update = Segment {
            tuple: self.conns.tuple(id, Dir::Inbound).reversed(),
            seq: session.cookie.wrapping_add(1),
            ack: session.client_isn.wrapping_add(1),
            flags: tcp::flag::ACK,
            window: (window >> shift).max(1),
            options: Said { timestamps: stamps, ..Said::default() },
            ttl: cx.snap.options.syn_proxy.ttl,
        };
        self.send_own(id, Dir::Outbound, &update, cx, out);
    }

    /// Sends on what the client sent while its server had not answered, in order.
    #[cold]
    #[inline(never)]
    pub(crate) fn release(&mut self, id: ConnId, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let at = self.conns.get(id).session;
        let held = self.proxy.sessions.get(at).held();
        for _ in 0..held {
            let Some((port, pkt)) = self.proxy.sessions.take_held(at) else { return };
            let mut parsed = Parsed::NOTHING;
            Entrance::new(cx.snap, port).parse(&pkt, &self.conns, &mut parsed);
            let there = Context { port, ..*cx };
            self.one(pkt, &parsed, there.cx(), out);
        }
    }

    /// The time of a connection is up whose server has not answered: asks again, or gives up and tells the client. `true` when it
    /// goes on waiting.
    #[cold]
    pub(crate) fn ask_again(&mut self, id: ConnId, cx: Cx<'_>, out: &mut impl Sink<P>) -> bool {
        let conn = self.conns.get(id);
        let (at, service) = (conn.session, conn.service);
        let session = self.proxy.sessions.get_mut(at);
        if session.retries >= cx.snap.options.syn_proxy.rs_syn_max_retry {
            self.proxy.count(service).rs_timeout += 1;
            self.blame(id, cx);
            if self.ask_other(id, cx, out) {
                return true;
            }
            self.give_up(id, cx, out);
            return false;
        }
        session.retries += 1;
        let secs = (1 << session.retries.min(5)).min(LONGEST_BACKOFF);
        self.proxy.count(service).rs_error += 1;
        self.conns.touch(id, cx.now);
        self.conns.restart(id, secs);
        self.ask_server(id, cx, out);
        true
    }

    /// Asks another server in place of the one of a connection that refused or is silent, and lets what waits wait for that one; `false`,
    /// and nothing changed, when there is none or enough were asked.
    #[cold]
    fn ask_other(&mut self, id: ConnId, cx: Cx<'_>, out: &mut impl Sink<P>) -> bool {
        let old = *self.conns.get(id);
        let session = *self.proxy.sessions.get(old.session);
        let Some(svc) = cx.snap.services.get(old.service.index()).and_then(Option::as_ref) else {
            return false;
        };
        if session.others >= cx.snap.options.syn_proxy.rs_other {
            return false;
        }
        let probe = self.conns.probe(self.conns.tuple(id, Dir::Inbound), old.proto());
        let not = (old.dest, old.dest_generation);
        let Some(choice) = self.schedule_other(svc, &probe, not, cx) else { return false };
        let Continue(far) = self.far_side(svc, choice.dest, &probe, cx.snap) else { return false };
        let seq_delta = self.fresh_isn(&far.outbound, probe.proto, cx.now).wrapping_sub(session.client_isn);
        // The session outlives the connection it was with.
        self.conns.get_mut(id).part();
        self.close(id, out);
        let Continue(next) = self.enter(svc, choice, &probe, far, seq_delta, cx) else {
            self.drop_held(old.session, out);
            self.proxy.sessions.remove(old.session);
            return true;
        };
        let session = self.proxy.sessions.get_mut(old.session);
        (session.retries, session.others) = (0, session.others + 1);
        let cookie = session.cookie;
        self.conns.get_mut(next).session = old.session;
        if self.conns.get(next).preface == Preface::Toa {
            self.conns.set_preface(next, Preface::Telling, cookie.wrapping_add(1));
        }
        self.enter_state(next, State::SynSent as u8, false, 1);
        self.proxy.count(svc.id).rs_other += 1;
        self.ask_server(next, cx, out);
        true
    }

    /// Tells the client that nothing will come.
    fn give_up(&mut self, id: ConnId, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let Some(session) = self.session(id) else { return };
        let reset = Segment {
            tuple: self.conns.tuple(id, Dir::Inbound).reversed(),
            seq: session.cookie.wrapping_add(1),
            ack: session.client_isn.wrapping_add(1),
            flags: tcp::flag::RST | tcp::flag::ACK,
            window: 0,
            options: Said::default(),
            ttl: cx.snap.options.syn_proxy.ttl,
        };
        self.send_own(id, Dir::Outbound, &reset, cx, out);
    }

    /// The time of an open TCP connection is up: without us neither end could read the other, so both are told, each by the number it
    /// expects.
    #[cold]
    pub(crate) fn tell_both(&mut self, id: ConnId, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let conn = self.conns.get(id);
        let (open, ends) = (State::from_number(conn.state) == State::Established, conn.ends);
        if conn.proto() != proto::TCP || !open || !conn.forwarding.is_two_way() {
            return;
        }
        for dir in [Dir::Inbound, Dir::Outbound] {
            let seq = match (self.session(id), dir) {
                (Some(session), dir) => session.heard[dir.opposite() as usize].ack,
                (None, Dir::Inbound) => ends.ack,
                (None, Dir::Outbound) => ends.seq,
            };
            self.reset(id, dir, seq, cx, out);
        }
    }

    /// Resets the end that packets of direction `dir` go to; it expects `seq`.
    pub(crate) fn reset(&mut self, id: ConnId, dir: Dir, seq: u32, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let reset = Segment {
            tuple: self.conns.tuple(id, dir.opposite()).reversed(),
            seq,
            ack: 0,
            flags: tcp::flag::RST,
            window: 0,
            options: Said::default(),
            ttl: cx.snap.options.default_ttl,
        };
        self.send_own(id, dir, &reset, cx, out);
    }

    /// Throws away what waits in a session.
    pub(crate) fn drop_held(&mut self, at: u32, out: &mut impl Sink<P>) {
        while let Some((_, pkt)) = self.proxy.sessions.take_held(at) {
            self.throw(pkt, DropReason::SynProxyServer, out);
        }
    }

    /// A segment of an open connection: whether it is one too many of a storm; a client's may begin a new connection. Whether it counts for
    /// the state of the connection.
    #[inline(never)]
    pub(crate) fn meet_open(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        received: Received<'_>,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<bool> {
        let bytes = &pkt.data()[received.parsed.l3..];
        let l4 = &bytes[usize::from(received.ip.header_len)..usize::from(received.ip.total_len)];
        let conn = self.conns.get(id);
        let (at, service, seq_delta) = (conn.session, conn.service, conn.seq_delta);
        match self.proxy.sessions.get_mut(at).hears(l4, dir, seq_delta) {
            Word::Counts => {}
            Word::Asks => return Continue(false),
            Word::Lie => {
                self.proxy.count(service).bad_reset += 1;
                return drop(DropReason::SynProxyReset);
            }
        }
        match dir {
            Dir::Inbound => match cx.snap.services.get(service.index()).and_then(Option::as_ref) {
                Some(svc) if svc.syn_proxy => self.reopen_proxied(id, pkt, received, svc, cx, out)?,
                _ => {}
            },
            Dir::Outbound => {
                let most = cx.snap.options.syn_proxy.ack_storm_thresh;
                if self.proxy.sessions.get_mut(at).is_storm(l4, most) {
                    self.proxy.count(service).ack_storm += 1;
                    return drop(DropReason::SynProxyStorm);
                }
            }
        }
        Continue(true)
    }

    /// Shifts a segment of an open connection.
    #[inline(never)]
    pub(crate) fn shift_proxied(&self, id: ConnId, bytes: &mut [u8], ip: &Ip, dir: Dir) {
        let Some(session) = self.session(id) else { return };
        if let Some(l4) = bytes.get_mut(usize::from(ip.header_len)..usize::from(ip.total_len)) {
            translate::shift(l4, session, dir);
        }
    }

    /// Sends a segment of the director's own the way packets of a connection go.
    fn send_own(&mut self, id: ConnId, dir: Dir, segment: &Segment, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let len = segment.packet_len() - header_len(&segment.tuple);
        let write = |bytes: &mut [u8]| segment.write(bytes, &[]);
        self.send_made(id, dir, segment.tuple, proto::TCP, len, segment.ttl, write, cx, out);
    }

    /// The same with data, and acknowledgement, window and timestamps as the client counts them.
    pub(crate) fn send_data(
        &mut self,
        id: ConnId,
        dir: Dir,
        segment: &Segment,
        data: &[u8],
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) {
        let session = self.session(id).copied();
        let at = header_len(&segment.tuple);
        let len = segment.packet_len() - at + data.len();
        let write = |bytes: &mut [u8]| {
            segment.write(bytes, data)?;
            if let Some(session) = session {
                translate::shift(bytes.get_mut(at..at + len)?, &session, dir);
            }
            Some(())
        };
        self.send_made(id, dir, segment.tuple, proto::TCP, len, segment.ttl, write, cx, out);
    }

    /// Sends a packet of the director's own the way packets of a connection go; `write` writes it from its IP header on, with `len` bytes
    /// of the upper layer.
    #[allow(clippy::too_many_arguments)] // what tells one packet
    pub(crate) fn send_made(
        &mut self,
        id: ConnId,
        dir: Dir,
        tuple: Tuple,
        proto: u8,
        len: usize,
        ttl: u8,
        write: impl FnOnce(&mut [u8]) -> Option<()>,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) {
        self.traffic.generated += 1;
        let Some(mut pkt) = out.fresh() else {
            self.traffic.drops[DropReason::NoBuffer as usize] += 1;
            return;
        };
        let total_len = header_len(&tuple) + len;
        let written = pkt.append(ether::LEN + total_len).and_then(|bytes| write(&mut bytes[ether::LEN..]));
        if written.is_none() {
            return self.throw(pkt, DropReason::NoHeadroom, out);
        }
        let six = matches!(tuple, Tuple::V6(_));
        let ip = Ip {
            six,
            proto,
            ttl,
            fragment: false,
            df: true,
            header_len: header_len(&tuple) as u16,
            total_len: total_len as u16,
        };
        let parsed = Parsed { l3: ether::LEN, kind: Kind::Other, ip, ..Parsed::NOTHING };
        let step = match self.next_hop(id, dir, cx) {
            Continue(hop) => self.leave(&mut pkt, &parsed, &ip, hop, cx),
            Break(verdict) => Break(verdict),
        };
        let (Break(verdict) | Continue(verdict)) = step;
        self.finish(pkt, verdict, cx, out);
    }
}

fn header_len(tuple: &Tuple) -> usize {
    match tuple {
        Tuple::V4(_) => ipv4::LEN,
        Tuple::V6(_) => ipv6::LEN,
    }
}

/// How far a peer may go beyond the window noted here, in bytes: more than the clients of a held-back server are told.
const SLACK: u32 = 1 << 20;

/// What a segment of an open connection is for the connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// What it says.
    Counts,
    /// A reset that its receiver will question (a challenge acknowledgement): nothing yet.
    Asks,
    /// A reset that its receiver will ignore.
    Lie,
}

impl Session {
    /// Notes how far the sender of a segment has come and has heard the other side, and judges a reset as that other side will
    /// (RFC 5961 3.2): without this, a blind one would end the entry of a connection that both ends still keep.
    fn hears(&mut self, l4: &[u8], dir: Dir, seq_delta: u32) -> Word {
        let Some(header) = tcp::Header::parse(l4) else { return Word::Counts };
        let (flags, seq) = (header.flags(), header.seq());
        // What to add to numbers of this side for the other to read.
        let (own, other, delta) = match dir {
            Dir::Inbound => (Dir::Inbound as usize, Dir::Outbound as usize, seq_delta),
            Dir::Outbound => (Dir::Outbound as usize, Dir::Inbound as usize, self.seq_delta),
        };
        let back = match dir {
            Dir::Inbound => self.seq_delta,
            Dir::Outbound => seq_delta,
        };
        let Heard { ack: expected, window } = self.heard[other];
        let ahead = seq.wrapping_add(delta).wrapping_sub(expected);
        let under_way = self.sent[own].wrapping_add(delta).wrapping_sub(expected);
        if flags & tcp::flag::RST != 0 {
            return match ahead {
                // What was sent before it may still be under way.
                _ if ahead <= under_way && under_way <= window.saturating_add(SLACK) => Word::Counts,
                _ if ahead <= window => Word::Asks,
                _ => Word::Lie,
            };
        }
        let data = l4.len() - header.header_len();
        let len = data as u32 + u32::from(flags & tcp::flag::FIN != 0);
        let end = ahead.wrapping_add(len);
        // As a number that only grows, since it may be ahead of what was heard.
        if len > 0 && end <= window.saturating_add(SLACK) && end.wrapping_sub(under_way) as i32 > 0 {
            self.sent[own] = seq.wrapping_add(len);
        }
        if flags & (tcp::flag::ACK | tcp::flag::SYN) == tcp::flag::ACK {
            let heard = &mut self.heard[own];
            let forth = header.ack().wrapping_sub(heard.ack);
            // Of what was sent to it, and no more (RFC 5961 5.2).
            if forth <= self.sent[other].wrapping_add(back).wrapping_sub(heard.ack) {
                *heard = Heard { ack: header.ack(), window: u32::from(header.window()) << self.scales[own] };
            }
        }
        Word::Counts
    }

    /// Whether the numbers of a client's segment are this connection's, as far as anything of it may still be under way.
    pub(super) fn is_own(&self, seq: u32, ack: u32) -> bool {
        let behind = |end: u32, number: u32| end.wrapping_sub(number) <= SLACK;
        let [client, server] = self.sent;
        behind(client, seq) && behind(server.wrapping_add(self.seq_delta), ack)
    }

    /// Whether a server's segment is one more of more equal acknowledgements than `most`.
    ///
    /// Two ends that lost each other's place answer each acknowledgement with another, for ever. Repeats that tell of a loss carry
    /// selective acknowledgements or come no more often than the client has segments under way; those carry data, move on, or open
    /// the window do not count.
    fn is_storm(&mut self, l4: &[u8], most: u16) -> bool {
        let Some(header) = tcp::Header::parse(l4) else { return false };
        let end = header.header_len();
        let empty =
            end == l4.len() && header.flags() & (tcp::flag::SYN | tcp::flag::FIN | tcp::flag::RST) == 0;
        let blocks = tcp::options(&l4[tcp::LEN..end]).any(|(kind, _)| kind == tcp::option::SACK);
        if !empty || blocks {
            return false;
        }
        let seen = (header.seq(), header.ack(), header.window());
        let storm = &mut self.storm;
        storm.repeats = if storm.last == seen { storm.repeats.saturating_add(1) } else { 0 };
        storm.last = seen;
        storm.repeats > most
    }
}
