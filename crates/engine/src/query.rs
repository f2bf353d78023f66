// SPDX-License-Identifier: Apache-2.0
//! ICMP queries to servers: echo, and what else every host answers (RFC 792, RFC 950, RFC 4443 4).
//!
//! ```text
//!   client  --- caddr, id: what? -> vaddr ---->  director  --- laddr, id': what? -> daddr ---->  server
//!           <-- vaddr -> caddr, id: that. -----            <-- daddr -> laddr, id': that. -----
//! ```
//!
//! A query has no ports. Its identifier stands for the client's, what it asks for the server's, so that a question and its answers are two
//! entries of one connection, as the two directions of TCP are. Identifiers towards servers are leased like local ports.
//!
//! Devices spread ICMP by addresses, if at all. So the owner of a connection follows from the identifier alone, whatever the device does.

use std::ops::ControlFlow::Continue;

use model::options::EchoPolicy;
use packet::checksum::Delta;
use packet::icmp::{CHECKSUM, ID, LEN, Query, settle_zeros, v4, v6};
use packet::proto::{ICMP, ICMPV6};
use packet::{Buffer, checksum, ipv6};

use crate::conn::{ConnId, Dir, Probe, Tuple};
use crate::flow::{self, Parsed};
use crate::forward::Plan;
use crate::forward::snat::rule_for;
use crate::ids::LcoreId;
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::link::Link;
use crate::lookup::Target;
use crate::output::{Ttl, addresses, count_down, readdress};
use crate::pipeline::{Cx, to_group};
use crate::sink::Sink;
use crate::snapshot::{Service, Snapshot};
use crate::stack::icmp6_checksum_ok;
use crate::steer;
use crate::tick::Tick;
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};

/// Idle seconds of a question and its answers. RFC 5508 3.2 wants 60 at least.
const TIMEOUT: u32 = 300;

/// Queries a second from one neighbourhood of clients (/24, /56).
const PER_SECOND: u32 = 10_000;

impl<P: Buffer> Lcore<P> {
    /// A query or an answer, if a service is asked or was; `None` leaves it to the director's own stack, or to whom it is for.
    #[inline(never)]
    pub(crate) fn query(
        &mut self,
        pkt: &mut P,
        parsed: &Parsed,
        link: &Link,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Option<Step<Verdict>> {
        let ip = &parsed.ip;
        let bytes = &pkt.data()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        let query = Query::parse(&bytes[usize::from(ip.header_len)..], ip.six).filter(|_| !to_group(pkt))?;
        let (sport, dport) = query.ports();
        // One protocol number for both families, which may be either side's.
        let probe = self.conns.probe(flow::tuple(bytes, ip, sport, dport)?, ICMP);
        if let Some((id, dir)) = self.conns.find(&probe) {
            return Some(self.follow_query(id, dir, pkt, parsed, cx, out));
        }
        let target = cx.snap.lookup.target(probe.tuple.target_ip());
        if let Some(owner) = self.owner(target, &probe, cx.snap)
            && owner != self.config.id
        {
            return Some(Continue(Verdict::Redirect(Goal::of_worker(owner))));
        }
        if !query.asks {
            // An answer to nobody's question opens nothing.
            return None;
        }
        let Some(svc) = cx.snap.service_of(target, ip.proto, 0) else {
            let svc = rule_for(&probe.tuple, ip.proto, link.id, cx.snap).filter(|_| !target.own)?;
            return Some(self.ask(svc, Dir::Outbound, &probe, pkt, parsed, cx, out));
        };
        match svc.echo {
            EchoPolicy::Forward => Some(self.ask(svc, Dir::Inbound, &probe, pkt, parsed, cx, out)),
            EchoPolicy::Local => None,
            EchoPolicy::Alive(least) if svc.alive >= least.into() => None,
            EchoPolicy::Alive(_) | EchoPolicy::Drop => Some(drop(DropReason::EchoPolicy)),
        }
    }

    /// Opens the connection of a question: from a client to a server, or from a host behind the director to the outside.
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    fn ask(
        &mut self,
        svc: &Service,
        dir: Dir,
        probe: &Probe,
        pkt: &mut P,
        parsed: &Parsed,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let ip = &parsed.ip;
        let bytes = &pkt.data()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        // State is made from packets that arrived whole only.
        let whole = match ip.six {
            true => icmp6_checksum_ok(bytes, ip),
            false => checksum::checksum(&bytes[usize::from(ip.header_len)..]) == 0,
        };
        if !whole {
            return drop(DropReason::L4Checksum);
        }
        let id = if dir == Dir::Outbound {
            self.enter_outward(svc, probe, cx)?
        } else {
            let choice = self.schedule(svc, probe, cx)?;
            let far = self.far_side(svc, choice.dest, probe, cx.snap)?;
            self.enter(svc, choice, probe, far, 0, cx)?
        };
        self.follow_query(id, dir, pkt, parsed, cx, out)
    }

    /// A question or answer of a connection.
    fn follow_query(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        parsed: &Parsed,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let ip = &parsed.ip;
        if !self.may_ask(&pkt.data()[parsed.l3..], ip, cx.now) {
            return drop(DropReason::EchoLimited);
        }
        let hop = self.next_hop(id, dir, cx)?;
        let plan = self.conns.get(id).plan(dir);
        let ttl = plan.ttl(cx.snap);
        self.check_hop(pkt, parsed, ip, self.room(id, plan, ip, hop.mtu), ttl, cx, out)?;
        if cx.snap.lookup.throttles {
            self.within_limits(id, dir, ip, cx)?;
        }
        self.touch_query(id, cx);
        self.account(id, dir, ip);
        match plan {
            Plan::Rewrite => {}
            Plan::Pass => return self.leave(pkt, parsed, ip, hop, cx),
            Plan::Cross => return self.cross(id, dir, pkt, parsed, hop, ttl, cx, out),
            Plan::Wrap => return self.encapsulate(id, pkt, parsed, hop, cx),
        }
        let new = self.conns.tuple(id, dir.opposite()).reversed();
        let bytes = &mut pkt.data_mut()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        renew(bytes, ip, &new, ttl);
        self.leave(pkt, parsed, ip, hop, cx)
    }

    /// Restarts the idle time of a query's connection.
    pub(crate) fn touch_query(&mut self, id: ConnId, cx: Cx<'_>) {
        self.conns.touch(id, cx.now);
        let asked = self.conns.own_timeout(id);
        self.conns.set_timeout(id, if asked == 0 { TIMEOUT } else { asked });
    }

    /// Whether one more query of its sender is looked at.
    pub(crate) fn may_ask(&mut self, bytes: &[u8], ip: &Ip, now: Tick) -> bool {
        let (src, _) = addresses(bytes, ip);
        self.echoes.allows(src, PER_SECOND, now)
    }

    /// The worker that has the connection of a query with this tuple, or would open it; `None` when no service is meant.
    pub(crate) fn query_owner(&self, target: &Target, tuple: &Tuple, snap: &Snapshot) -> Option<LcoreId> {
        let workers = self.config.workers;
        if target.laddr.is_some() {
            return Some(steer::by_port(tuple.target_port(), workers));
        }
        let proto = if matches!(tuple, Tuple::V6(_)) { ICMPV6 } else { ICMP };
        let server = (tuple.source().ip(), 0).into();
        if snap.lookup.behind(proto, server).is_some() {
            return Some(steer::by_client(&tuple.reversed(), workers));
        }
        let meant = snap.service_of(target, proto, 0).is_some() || !snap.lookup.rules.is_empty();
        meant.then(|| steer::by_client(tuple, workers))
    }
}

/// The ICMP of the other family; other protocols are the same in both.
pub(crate) fn across(proto: u8) -> u8 {
    match proto {
        ICMP => ICMPV6,
        ICMPV6 => ICMP,
        proto => proto,
    }
}

/// What the checksum of a query covered beside the message.
#[derive(Clone, Copy)]
pub(crate) struct Pseudo(u16);

impl Pseudo {
    /// Of a packet before its header changes; `None` when it is not ICMP.
    pub(crate) fn of(bytes: &[u8], ip: &Ip) -> Option<Pseudo> {
        match ip.proto {
            ICMP => Some(Pseudo(0)),
            ICMPV6 => {
                let h = ipv6::Header::parse(bytes)?;
                let len = usize::from(ip.total_len - ip.header_len);
                Some(Pseudo(checksum::fold(checksum::pseudo6(h.src(), h.dst(), ICMPV6, len))))
            }
            _ => None,
        }
    }
}

/// Gives a query the addresses and identifier of `new`; `bytes` begin with its IP header.
pub(crate) fn renew(bytes: &mut [u8], ip: &Ip, new: &Tuple, ttl: Ttl) {
    let was = Pseudo::of(bytes, ip);
    readdress(bytes, ip.six, new);
    if let Some(was) = was {
        rewrite(bytes, ip, was, new);
    }
    if ttl == Ttl::Count {
        count_down(bytes, ip.six);
    }
}

/// Gives a query the identifier of `new`; `bytes` begin with its IP header, which is that of `new` already.
fn rewrite(bytes: &mut [u8], ip: &Ip, was: Pseudo, new: &Tuple) {
    let Some(now) = Pseudo::of(bytes, ip) else { return };
    let Some(message) = bytes.get_mut(usize::from(ip.header_len)..usize::from(ip.total_len)) else { return };
    let Some(h) = message.first_chunk_mut::<LEN>() else { return };
    let asks = Query::parse(h, ip.six).is_some_and(|query| query.asks);
    let (sport, dport) = new.ports();
    let id = if asks { sport } else { dport };
    let delta = Delta::default().word(was.0, now.0).word(u16::from_be_bytes([h[ID], h[ID + 1]]), id);
    h[ID..ID + 2].copy_from_slice(&id.to_be_bytes());
    let sum = u16::from_be_bytes([h[CHECKSUM], h[CHECKSUM + 1]]);
    h[CHECKSUM..CHECKSUM + 2].copy_from_slice(&delta.apply(sum).to_be_bytes());
    if !ip.six {
        settle_zeros(message);
    }
}

/// The same for one that had a header of the other family.
pub(crate) fn cross(bytes: &mut [u8], ip: &Ip, was: Pseudo, new: &Tuple) {
    let Some(message) = bytes.get_mut(usize::from(ip.header_len)..usize::from(ip.total_len)) else { return };
    let Some(h) = message.first_chunk_mut::<LEN>() else { return };
    let kind = match (ip.six, h[0]) {
        (true, v4::ECHO) => v6::ECHO,
        (true, _) => v6::ECHO_REPLY,
        (false, v6::ECHO) => v4::ECHO,
        (false, _) => v4::ECHO_REPLY,
    };
    let (old, new_kind) = (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([kind, h[1]]));
    h[0] = kind;
    let sum = u16::from_be_bytes([h[CHECKSUM], h[CHECKSUM + 1]]);
    let sum = Delta::default().word(old, new_kind).apply(sum);
    h[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    rewrite(bytes, ip, was, new);
}
