// SPDX-License-Identifier: Apache-2.0
//! Opening connections: what a first packet must be, and what is noted of it.

use std::ops::ControlFlow::Continue;

use packet::{Buffer, proto, tcp};

use crate::access::admit;
use crate::balance::payload;
use crate::choice::Choice;
use crate::conn::{ConnId, NewConn, Probe, Tuple};
use crate::flow::{Parsed, tcp_flags};
use crate::forward::far::Far;
use crate::forward::{Forwarding, Plan, rewrite};
use crate::l3::Ip;
use crate::l4;
use crate::lcore::Lcore;
use crate::link::Link;
use crate::pipeline::Cx;
use crate::preface::Preface;
use crate::proto::tcp::{ACK, FIN, RST, SYN};
use crate::snapshot::Service;
use crate::synproxy::client::{Received, vouched};
use crate::tick::Tick;
use crate::verdict::{DropReason, Step, drop};

impl<P: Buffer> Lcore<P> {
    /// Opens the connection that a client's packet to `svc` asks for.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // the pipeline's own registers
    pub(crate) fn open(
        &mut self,
        pkt: &P,
        parsed: &Parsed,
        ip: &Ip,
        probe: &Probe,
        svc: &Service,
        link: &Link,
        cx: Cx<'_>,
    ) -> Step<ConnId> {
        let bytes = &pkt.data()[parsed.l3..];
        let flags = tcp_flags(bytes, ip);
        if ip.proto == proto::TCP && flags & (SYN | ACK | FIN | RST) != SYN {
            let ends = flags & SYN != 0 && flags & (FIN | RST) != 0;
            return drop(if ends { DropReason::BadFlags } else { DropReason::NotSyn });
        }
        admit(svc, pkt, Received { parsed, ip, probe, link })?;
        // State is made from packets that arrived whole only.
        if !vouched(pkt, link) && !l4::checksum_ok(bytes, ip) {
            return drop(DropReason::L4Checksum);
        }
        let choice = self.schedule_for(svc, probe, payload(svc, bytes, ip), cx)?;
        let far = self.far_side(svc, choice.dest, probe, cx.snap)?;
        let hides = choice.dest.forwarding == Forwarding::FullNat && ip.proto == proto::TCP;
        let seq_delta = if hides { self.seq_delta(bytes, ip, &far.outbound, cx) } else { 0 };
        let id = self.enter(svc, choice, probe, far, seq_delta, cx)?;
        let preface = self.conns.get(id).preface;
        if preface == Preface::Uoa {
            self.conns.set_preface(id, preface, cx.snap.options.identity.uoa_trail.into());
        } else if preface != Preface::None && ip.proto == proto::TCP {
            let seq = tcp::Header::parse(&bytes[usize::from(ip.header_len)..]).map_or(0, |h| h.seq());
            self.conns.set_preface(id, preface, seq.wrapping_add(1).wrapping_add(seq_delta));
        }
        Continue(id)
    }

    /// What to add to the client's sequence numbers: towards the server they begin at a number that only grows for the same
    /// addresses and ports (RFC 6528), by 15.6 million a second, as Linux's do.
    fn seq_delta(&self, bytes: &[u8], ip: &Ip, outbound: &Tuple, cx: Cx<'_>) -> u32 {
        let l4 = &bytes[usize::from(ip.header_len)..];
        let seq = tcp::Header::parse(l4).map_or(0, |h| h.seq());
        self.fresh_isn(outbound, ip.proto, cx.now).wrapping_sub(seq)
    }

    /// An initial sequence number towards the server.
    pub(crate) fn fresh_isn(&self, outbound: &Tuple, proto: u8, now: Tick) -> u32 {
        let clock = now.0.wrapping_mul(15_625);
        outbound.hash(proto, &self.secret).wrapping_add(clock) as u32
    }

    /// Enters a connection to the server chosen for a client's packet.
    pub(crate) fn enter(
        &mut self,
        svc: &Service,
        Choice { dest, template }: Choice<'_>,
        probe: &Probe,
        Far { outbound, lease }: Far,
        seq_delta: u32,
        cx: Cx<'_>,
    ) -> Step<ConnId> {
        // A mark may be on segments as well, which need all of their connection.
        let one_packet = svc.one_packet && probe.proto == proto::UDP;
        let new = NewConn {
            proto: probe.proto,
            inbound: probe.tuple,
            outbound,
            service: svc.id,
            dest: dest.id,
            dest_generation: dest.generation,
            forwarding: dest.forwarding,
            plans: Plan::of(dest.forwarding, &probe.tuple, &outbound),
            conn_timeout: svc.conn_timeout,
            lease: lease.map(|lease| lease.range),
            one_packet,
            preface: Preface::of(svc, dest.forwarding, probe.proto, &cx.snap.options.identity),
        };
        if one_packet && let Some(id) = self.same_again(dest, probe, &outbound) {
            self.dests.scheduled(dest.id, dest.generation);
            return Continue(id);
        }
        let jitter = (self.roll() >> 60) as u8;
        let id = match self.conns.insert(&new, cx.snap.options.conn_init_timeout, jitter, cx.now) {
            Ok(id) => id,
            Err(reason) => {
                if let Some(lease) = lease {
                    self.leases.release(lease);
                }
                return drop(reason);
            }
        };
        let inbound = rewrite::deltas(&probe.tuple, &outbound.reversed());
        let back = rewrite::deltas(&outbound, &probe.tuple.reversed());
        let conn = self.conns.get_mut(id);
        conn.seq_delta = seq_delta;
        (conn.l3_delta, conn.l4_delta) = ([inbound.0, back.0], [inbound.1, back.1]);
        self.dests.opened(dest.id, dest.generation);
        if let Some(key) = template {
            self.hold_template(id, &key, dest, cx);
        }
        Continue(id)
    }
}
