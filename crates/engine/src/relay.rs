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
//! The other way round likewise. The receiver finds in the quote what it sent itself: addresses, ports, sequence numbers, checksums. An error
//! tied to nothing is dropped, and none opens, refreshes or closes a connection (RFC 5508 4, RFC 5927).

use packet::icmp::{CHECKSUM, LEN, v4, v6};
use packet::proto::{ICMP, ICMPV6};
use packet::quote::{Instead, Quote};
use packet::{Buffer, checksum};

use std::ops::ControlFlow::Continue;

use crate::conn::{ConnId, Dir, Probe, Tuple, Tuple4, Tuple6};
use crate::flow::Parsed;
use crate::forward::Plan;
use crate::l3::Ip;
use crate::lcore::{Lcore, Sink};
use crate::output::{Ttl, count_down, readdress};
use crate::pipeline::Cx;
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};

/// Errors a second that are passed on towards one neighbourhood of receivers (/24, /56).
const RELAYED_PER_SECOND: u32 = 1000;

impl<P: Buffer> Lcore<P> {
    /// Whether an ICMP message to somebody else is an error about a connection of ours: with NAT and SNAT, servers and hosts see the
    /// addresses of the other side, and routers between them and us answer there.
    #[inline(never)]
    pub(crate) fn is_about_ours(&self, message: &[u8], six: bool, cx: Cx<'_>) -> bool {
        let Some((&[kind, ..], quoted)) = message.split_first_chunk::<LEN>() else { return false };
        let Some(quote) = Quote::parse(quoted, six).filter(|_| is_relayed(kind, six)) else { return false };
        let probe = self.answered(&quote);
        let mut server = probe.tuple.source();
        if probe.proto == ICMP {
            server.set_port(0);
        }
        cx.snap.lookup.behind(quote.proto, server).is_some() || self.conns.find(&probe).is_some()
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
        let (from, to) = (parsed.l3 + usize::from(ip.header_len), parsed.l3 + usize::from(ip.total_len));
        let message = &pkt.data()[from..to];
        let Some(&[kind, ..]) = message.first_chunk::<LEN>() else { return drop(DropReason::L4Header) };
        if !is_relayed(kind, ip.six) {
            return drop(DropReason::IcmpUnrelated);
        }
        if !ip.six && checksum::checksum(message) != 0 {
            return drop(DropReason::L4Checksum);
        }
        let Some(quote) = Quote::parse(&message[LEN..], ip.six) else { return drop(DropReason::IcmpQuote) };
        let probe = self.answered(&quote);
        let Some((id, dir)) = self.conns.find(&probe) else { return self.ask_others(&probe, cx) };
        let receiver = self.conns.tuple(id, dir.opposite());
        if !self.relayed.allows(receiver.source().ip(), RELAYED_PER_SECOND, cx.now) {
            return drop(DropReason::IcmpLimited);
        }
        let hop = self.next_hop(id, dir, cx)?;
        let plan = self.conns.get(id).plan(dir);
        let ttl = plan.ttl(cx.snap);
        self.check_hop(pkt, parsed, ip, self.room(id, plan, ip, hop.mtu), ttl, cx, out)?;
        match plan {
            Plan::Rewrite => {}
            // The server has the address the error was sent to.
            Plan::Pass => return self.leave(pkt, parsed, ip, hop, cx),
            Plan::Wrap => return self.encapsulate(id, pkt, parsed, hop, cx),
            Plan::Cross => return drop(DropReason::IcmpFamily),
        }
        let instead = self.instead(id, dir, &receiver);
        let bytes = &mut pkt.data_mut()[parsed.l3..to];
        quote.rewrite(&mut bytes[usize::from(ip.header_len) + LEN..], &instead);
        readdress(bytes, ip.six, &receiver.reversed());
        sum_up(bytes, ip, &receiver.reversed());
        if ttl == Ttl::Count {
            count_down(bytes, ip.six);
        }
        self.leave(pkt, parsed, ip, hop, cx)
    }

    /// Answers to the quoted packet: it was sent to where they come from.
    fn answered(&self, quote: &Quote) -> Probe {
        let proto = if quote.proto == ICMPV6 { ICMP } else { quote.proto };
        self.conns.probe(tuple_of(quote).reversed(), proto)
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

    /// No connection here: another worker may have it. Errors are spread by their outer addresses, connections by ports.
    fn ask_others(&self, answered: &Probe, cx: Cx<'_>) -> Step<Verdict> {
        match (self.owner_of(answered, cx.snap), self.next_to_ask(cx)) {
            (Some(owner), _) if owner != self.config.id => {
                Continue(Verdict::Redirect(Goal::of_worker(owner)))
            }
            (None, Some(next)) => Continue(Verdict::HandOn(Goal::of_worker(next))),
            // The one who would have it, or the last one asked, does not.
            _ => drop(DropReason::IcmpUnrelated),
        }
    }
}

/// Whether errors of a type are about packets on their way. Redirects are for the link they are heard on.
fn is_relayed(kind: u8, six: bool) -> bool {
    match six {
        false => {
            matches!(kind, v4::UNREACHABLE | v4::SOURCE_QUENCH | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM)
        }
        true => {
            matches!(kind, v6::UNREACHABLE | v6::PACKET_TOO_BIG | v6::TIME_EXCEEDED | v6::PARAMETER_PROBLEM)
        }
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
