// SPDX-License-Identifier: Apache-2.0
//! ICMP errors about packets of connections: tied to them by the packet they quote, rewritten so that the receiver understands them.
//!
//! ```text
//!   client ── vip ── director ── laddr ──── router ──── server
//!                                             │
//!     from the router:  laddr <- router,  quotes  laddr:lport -> server:port
//!     to the client:    client <- vip,    quotes  client:cport -> vip:vport
//! ```
//!
//! The other way round likewise, to the other family in the words of that, and out of a tunnel about what was inside. The receiver finds in the quote what it sent itself: addresses, ports, sequence numbers, checksums. An error
//! tied to nothing is dropped, and none opens, refreshes or closes a connection (RFC 5508 4, RFC 5927).

mod rebuild;

use std::net::IpAddr;
use std::ops::ControlFlow::Continue;

use packet::error::{Detail, Report, mtu_across, mtu_before, plateau, quoted_len};
use packet::icmp::{CHECKSUM, LEN, v4};
use packet::proto::{ICMP, ICMPV6};
use packet::quote::{Instead, Quote, Wrapped};
use packet::{Buffer, checksum, ipv4};

use crate::conn::{ConnId, Dir, Egress, Probe, Tuple, Tuple4, Tuple6};
use crate::flow::Parsed;
use crate::forward::snat::rule_for;
use crate::forward::{Forwarding, Plan};
use crate::icmp::Policy;
use crate::identity::option_len;
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::link::Link;
use crate::output::{Ttl, addresses, count_down, readdress};
use crate::pipeline::Cx;
use crate::preface::Preface;
use crate::sink::Sink;
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};
use rebuild::{Kept, New, rebuild};

/// Errors a second that are passed on towards one neighbourhood of receivers (/24, /56).
const RELAYED_PER_SECOND: u32 = 1000;

/// An error, as it came in.
#[derive(Clone, Copy)]
struct Error {
    report: Report,
    quote: Quote,
    /// Bytes of the quote; extensions follow.
    quoted: usize,
}

impl<P: Buffer> Lcore<P> {
    /// Whether an ICMP message to somebody else is an error about a connection of ours: with NAT and SNAT, servers and hosts see the
    /// addresses of the other side, and routers between them and us answer there.
    #[inline(never)]
    pub(crate) fn is_about_ours(&self, message: &[u8], six: bool, link: &Link, cx: Cx<'_>) -> bool {
        let Some((_, quoted)) = message.split_first_chunk::<LEN>() else { return false };
        let quote = Quote::parse(quoted, six).filter(|_| Report::parse(message, six).is_some());
        let Some(quote) = quote else { return false };
        let probe = self.answered(&quote);
        let mut server = probe.tuple.source();
        if probe.proto == ICMP {
            server.set_port(0);
        }
        self.conns.find(&probe).is_some()
            || cx.snap.lookup.behind(quote.proto, server).is_some()
            || rule_for(&probe.tuple, quote.proto, link.id, cx.snap).is_some()
    }

    /// An ICMP error to one of our addresses, or about a connection of ours, its checksum verified for IPv6 only.
    #[inline(never)]
    pub(crate) fn relay_error(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        ip: &Ip,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let bytes = &pkt.data()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        let message = &bytes[usize::from(ip.header_len)..];
        if message.len() < LEN {
            return drop(DropReason::L4Header);
        }
        let Some(report) = Report::parse(message, ip.six) else { return drop(DropReason::IcmpUnrelated) };
        if !ip.six && checksum::checksum(message) != 0 {
            return drop(DropReason::L4Checksum);
        }
        if !ip.six && !may_pass(report, &cx.snap.options.icmp) {
            return drop(DropReason::IcmpPolicy);
        }
        let quoted = quoted_len(message, ip.six);
        let quote_bytes = &message[LEN..LEN + quoted];
        let wrapped = Wrapped::parse(quote_bytes, ip.six);
        let quote = Quote::parse(quote_bytes, ip.six);
        // Who is told is who sent it.
        let sender = quote.map(|quote| quote.src).or(wrapped.map(|wrapped| wrapped.src));
        let told = addresses(bytes, ip).1;
        let Some(sender) = sender else { return unrelated(told, DropReason::IcmpQuote, cx) };
        if address(sender, ip.six) != told {
            return drop(DropReason::IcmpForeign);
        }
        let related = quote.and_then(|quote| {
            let (id, dir) = self.conns.find(&self.answered(&quote))?;
            Some((Error { report, quote, quoted }, id, dir))
        });
        if let Some((error, id, dir)) = related {
            return self.relay_within(error, id, dir, pkt, parsed, cx, out);
        }
        if let Some(wrapped) = wrapped {
            let Some(inner) = Quote::parse(&quote_bytes[wrapped.front..], wrapped.six) else {
                return drop(DropReason::IcmpQuote);
            };
            return self.relay_out_of_tunnel(
                Error { report, quote: inner, quoted },
                wrapped,
                pkt,
                parsed,
                cx,
            );
        }
        match quote {
            Some(quote) => self.ask_others(&self.answered(&quote), cx),
            None => unrelated(told, DropReason::IcmpQuote, cx),
        }
    }

    /// Passes an error on to the end of a connection that `dir` leads to.
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    fn relay_within(
        &mut self,
        error: Error,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        parsed: &Parsed,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let ip = &parsed.ip;
        let receiver = self.conns.tuple(id, dir.opposite());
        if !self.relayed.allows(receiver.source().ip(), RELAYED_PER_SECOND, cx.now) {
            return drop(DropReason::IcmpLimited);
        }
        let hop = self.next_hop(id, dir, cx)?;
        let plan = self.conns.get(id).plan(dir);
        let ttl = plan.ttl(cx.snap);
        self.check_hop(pkt, parsed, ip, self.room(id, plan, ip, hop.mtu), ttl, cx, out)?;
        match plan {
            Plan::Rewrite if error.quote.told > 0 => {
                return self.relay_untold(error, id, dir, pkt, parsed, hop, ttl, cx);
            }
            Plan::Rewrite => {}
            // The server has the address the error was sent to.
            Plan::Pass => return self.leave(pkt, parsed, ip, hop, cx),
            Plan::Wrap => return self.encapsulate(id, pkt, parsed, hop, cx),
            Plan::Cross => return self.relay_across(error, id, dir, pkt, parsed, hop, ttl, cx),
        }
        let instead = self.instead(id, dir, &receiver);
        let added = self.added(id, dir);
        let bytes = &mut pkt.data_mut()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        let message = &mut bytes[usize::from(ip.header_len)..];
        if let Detail::Mtu(mtu) = error.report.detail {
            let mtu = mtu_before(or_likely(mtu, &message[LEN..]), ip.six, added);
            // Of IPv4, the upper half may have a length (RFC 4884).
            let at = if ip.six { 4 } else { 6 };
            message[at..LEN].copy_from_slice(&mtu.to_be_bytes()[at - 4..]);
        }
        error.quote.rewrite(&mut message[LEN..LEN + error.quoted], &instead);
        readdress(bytes, ip.six, &receiver.reversed());
        sum_up(bytes, ip, &receiver.reversed());
        if ttl == Ttl::Count {
            count_down(bytes, ip.six);
        }
        self.leave(pkt, parsed, ip, hop, cx)
    }

    /// The same where the packet told the server its client: the client hears of what it sent itself.
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    fn relay_untold(
        &mut self,
        error: Error,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        parsed: &Parsed,
        hop: Egress,
        ttl: Ttl,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let (ip, mut report) = (&parsed.ip, error.report);
        let receiver = self.conns.tuple(id, dir.opposite());
        let instead = self.instead(id, dir, &receiver);
        let class = ip.class(&pkt.data()[parsed.l3..]);
        let at = parsed.l3 + usize::from(ip.header_len) + LEN;
        let quote = &mut pkt.data_mut()[at..at + error.quoted];
        if let Detail::Mtu(mtu) = &mut report.detail {
            *mtu = mtu_before(or_likely(*mtu, quote), ip.six, error.quote.told as u32);
        }
        let Some(header) = error.quote.rewrite_untold(quote, &instead) else {
            return drop(DropReason::IcmpQuote);
        };
        let ttl = ip.ttl - u8::from(ttl == Ttl::Count);
        let new = New { ends: receiver.reversed(), report, header: header.bytes(), class, ttl };
        let kept = Kept { skipped: error.quote.header_len, quoted: error.quoted };
        let Some(parsed) = rebuild(pkt, parsed, kept, &new) else { return drop(DropReason::NoHeadroom) };
        self.leave(pkt, &parsed, &parsed.ip, hop, cx)
    }

    /// The same to the other family.
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    fn relay_across(
        &mut self,
        error: Error,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        parsed: &Parsed,
        hop: Egress,
        ttl: Ttl,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let ip = &parsed.ip;
        let Some(mut report) = error.report.across(ip.six) else { return drop(DropReason::IcmpFamily) };
        let receiver = self.conns.tuple(id, dir.opposite());
        let instead = self.instead(id, dir, &receiver);
        let (class, added) =
            (ip.class(&pkt.data()[parsed.l3..]), self.added(id, dir) + error.quote.told as u32);
        let at = parsed.l3 + usize::from(ip.header_len) + LEN;
        let quote = &mut pkt.data_mut()[at..at + error.quoted];
        if let Detail::Mtu(mtu) = &mut report.detail {
            let before = mtu_before(or_likely(*mtu, quote), ip.six, added);
            // The receiver's own link may take less than what the other side could (RFC 7915 4.2, 5.2).
            *mtu = mtu_across(before, ip.six).min(hop.mtu.into());
        }
        let Some(header) = error.quote.rewrite_across(quote, &instead) else {
            return drop(DropReason::IcmpFamily);
        };
        let new = New {
            ends: receiver.reversed(),
            report,
            header: header.bytes(),
            class,
            ttl: ip.ttl - u8::from(ttl == Ttl::Count),
        };
        let kept = Kept { skipped: error.quote.header_len, quoted: error.quoted };
        let Some(parsed) = rebuild(pkt, parsed, kept, &new) else { return drop(DropReason::NoHeadroom) };
        self.leave(pkt, &parsed, &parsed.ip, hop, cx)
    }

    /// An error about a packet that we put into a tunnel, told to the client whose packet is inside, from the address it had sent that to.
    fn relay_out_of_tunnel(
        &mut self,
        error: Error,
        wrapped: Wrapped,
        pkt: &mut P,
        parsed: &Parsed,
        cx: Cx<'_>,
    ) -> Step<Verdict> {
        let (ip, inner) = (&parsed.ip, &error.quote);
        let probe = self.sent(inner);
        let Some((id, Dir::Inbound)) = self.conns.find(&probe) else { return self.ask_others(&probe, cx) };
        let to_server = self.conns.server(id) == address(wrapped.dst, ip.six);
        if !to_server || !matches!(self.conns.get(id).forwarding, Forwarding::Tunnel(_)) {
            return drop(DropReason::IcmpForeign);
        }
        let Some(mut report) = error.report.out_of_tunnel(ip.six, inner.six) else {
            return drop(DropReason::IcmpUnrelated);
        };
        let client = probe.tuple.source().ip();
        if !self.relayed.allows(client, RELAYED_PER_SECOND, cx.now) {
            return drop(DropReason::IcmpLimited);
        }
        let at = parsed.l3 + usize::from(ip.header_len) + LEN;
        if let Detail::Mtu(mtu) = &mut report.detail {
            *mtu = mtu_before(or_likely(*mtu, &pkt.data()[at..]), inner.six, wrapped.front as u32);
        }
        let hop = self.next_hop(id, Dir::Outbound, cx)?;
        let class = ip.class(&pkt.data()[parsed.l3..]);
        let new = New {
            ends: probe.tuple.reversed(),
            report,
            header: &[],
            class,
            ttl: cx.snap.options.default_ttl,
        };
        let kept = Kept { skipped: wrapped.front, quoted: error.quoted };
        let Some(parsed) = rebuild(pkt, parsed, kept, &new) else { return drop(DropReason::NoHeadroom) };
        self.leave(pkt, &parsed, &parsed.ip, hop, cx)
    }

    /// Answers to the quoted packet: it was sent to where they come from.
    fn answered(&self, quote: &Quote) -> Probe {
        let sent = self.sent(quote);
        self.conns.probe(sent.tuple.reversed(), sent.proto)
    }

    /// The quoted packet itself.
    fn sent(&self, quote: &Quote) -> Probe {
        let proto = if quote.proto == ICMPV6 { ICMP } else { quote.proto };
        self.conns.probe(tuple_of(quote), proto)
    }

    /// What the quote says to its receiver: what the receiver itself had sent, `receiver` being the tuple of that.
    fn instead(&self, id: ConnId, dir: Dir, receiver: &Tuple) -> Instead {
        let conn = self.conns.get(id);
        let proxied = self.session(id).map_or(0, |session| session.seq_delta);
        // The server's numbers are shifted on the way to the client, the client's on the way to the server.
        let (seq, ack) = match dir {
            Dir::Outbound => (conn.seq_delta.wrapping_neg(), proxied),
            Dir::Inbound => (proxied.wrapping_neg(), conn.seq_delta),
        };
        match *receiver {
            Tuple::V4(t) => {
                let (src, dst) = (u128::from(t.src), u128::from(t.dst));
                Instead { src, dst, sport: t.sport, dport: t.dport, seq, ack }
            }
            Tuple::V6(t) => Instead { src: t.src, dst: t.dst, sport: t.sport, dport: t.dport, seq, ack },
        }
    }

    /// Bytes that the director adds to packets like those an error on its way `dir` is about: what tells the server its client.
    fn added(&self, id: ConnId, dir: Dir) -> u32 {
        let conn = self.conns.get(id);
        match conn.preface {
            Preface::Toa | Preface::Telling if dir == Dir::Outbound => {
                option_len(conn.is_ipv6(Dir::Inbound)).into()
            }
            _ => 0,
        }
    }

    /// No connection here: another worker may have it. Errors are spread by their outer addresses, connections by ports.
    fn ask_others(&self, answered: &Probe, cx: Cx<'_>) -> Step<Verdict> {
        let owner = self.owner_of(answered, cx.snap);
        match (owner.or_else(|| self.receiver_of(&answered.tuple, cx.snap)), self.next_to_ask(cx)) {
            (Some(owner), _) if owner != self.config.id => {
                Continue(Verdict::Redirect(Goal::of_worker(owner)))
            }
            (None, Some(next)) => Continue(Verdict::HandOn(Goal::of_worker(next))),
            // The one who would have it, or the last one asked, does not.
            _ => unrelated(answered.tuple.target_ip(), DropReason::IcmpUnrelated, cx),
        }
    }
}

/// Whether an error of IPv4 is one that operators want passed on.
fn may_pass(report: Report, policy: &Policy) -> bool {
    match (report.kind, report.detail) {
        (v4::SOURCE_QUENCH, _) => policy.source_quench,
        // 0 is that of an old router, and stands for the next plateau.
        (_, Detail::Mtu(mtu)) => mtu == 0 || mtu >= policy.least_mtu.into(),
        _ => true,
    }
}

/// What becomes of an error to `told` that is about no connection: where that is an address of the host alone, its own traffic may be meant.
fn unrelated(told: IpAddr, reason: DropReason, cx: Cx<'_>) -> Step<Verdict> {
    let target = cx.snap.lookup.target(told);
    if target.is_hosts_alone() || target.is_known() && cx.snap.options.icmp.unrelated_to_host {
        return Continue(Verdict::Kernel(reason));
    }
    drop(reason)
}

/// An address of a quote.
fn address(addr: u128, six: bool) -> IpAddr {
    if six { IpAddr::V6(addr.into()) } else { IpAddr::V4((addr as u32).into()) }
}

/// What a router says that a link takes; where it says nothing, as old ones of IPv4 do, what is likely for the packet it quotes.
fn or_likely(mtu: u32, quote: &[u8]) -> u32 {
    match ipv4::Header::parse(quote).filter(|h| mtu == 0 && h.version() == 4) {
        Some(header) => plateau(header.total_len() as u16).into(),
        None => mtu,
    }
}

fn tuple_of(quote: &Quote) -> Tuple {
    let Quote { src, dst, sport, dport, .. } = *quote;
    match quote.six {
        false => Tuple::V4(Tuple4 { src: src as u32, dst: dst as u32, sport, dport }),
        true => Tuple::V6(Tuple6 { src, dst, sport, dport }),
    }
}

/// Computes the checksum of an error anew, whose addresses are now those of `new`; `bytes` begin with its IP header and end with it.
fn sum_up(bytes: &mut [u8], ip: &Ip, new: &Tuple) {
    let message = &mut bytes[usize::from(ip.header_len)..];
    let pseudo = match *new {
        Tuple::V4(_) => 0,
        Tuple::V6(t) => checksum::pseudo6(t.src, t.dst, ICMPV6, message.len()),
    };
    message[CHECKSUM..CHECKSUM + 2].fill(0);
    let sum = !checksum::fold(pseudo + checksum::sum(message));
    message[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}
