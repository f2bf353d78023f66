// SPDX-License-Identifier: Apache-2.0
//! A burst of packets, from the device to its verdicts.
//!
//! ```text
//!   burst ─> parse all, hash all ─> warm index ─> warm connections ─> one by one:
//!
//!     ARP ───────────────────────────────> own stack: answer, learn
//!     ICMP ──────────────────────────────> own stack: neighbour discovery, echo
//!     TCP, UDP ─> connection? ─ no ─> service? ─ yes ─> open
//!                     │ yes              │ no                │
//!                     v                  v                   v
//!                  next hop, MTU, TTL   route            (as a hit)
//!                  state, counters, rewrite
//!                     v                  v
//!                  Forward | Hold     Forward | Hold | Kernel | Drop
//! ```
//!
//! The first pass changes nothing, so that the memory all packets need is on its way before the first packet asks for it.

use std::hint::black_box;

use arrayvec::ArrayVec;
use packet::{Buffer, ether};

use crate::flow::{self, Kind, Parsed};
use crate::ids::PortId;
use crate::lcore::{BURST, Lcore, Sink};
use crate::snapshot::Snapshot;
use crate::tick::Tick;
use crate::verdict::{DropReason, Verdict};

/// Where a burst comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A device.
    Wire,
    /// Another worker, which found that this one owns the flow.
    Ring,
}

/// What every step of the pipeline may read.
#[derive(Clone, Copy)]
pub(crate) struct Cx<'a> {
    pub(crate) snap: &'a Snapshot,
    pub(crate) now: Tick,
    pub(crate) port: PortId,
    pub(crate) origin: Origin,
}

impl<P: Buffer> Lcore<P> {
    /// Processes packets that came in by `port`; `burst` is empty afterwards.
    pub fn process(
        &mut self,
        port: PortId,
        origin: Origin,
        burst: &mut ArrayVec<P, BURST>,
        snap: &Snapshot,
        now: Tick,
        out: &mut impl Sink<P>,
    ) {
        let cx = Cx { snap, now, port, origin };
        burst.iter().for_each(Buffer::prefetch);
        let parsed: ArrayVec<Parsed, BURST> =
            burst.iter().map(|pkt| flow::parse(pkt, port, snap, &self.conns)).collect();
        self.warm(&parsed);
        for (pkt, parsed) in burst.drain(..).zip(&parsed) {
            self.count_received(pkt.data().len(), parsed, origin);
            self.one(pkt, parsed, cx, out);
        }
    }

    /// Loads what the second pass will need: first index lines, then connections, none waiting for another.
    #[inline(always)]
    fn warm(&self, parsed: &[Parsed]) {
        let probes = || {
            parsed.iter().filter_map(|p| match &p.kind {
                Kind::Flow(_, probe) => Some(probe),
                _ => None,
            })
        };
        black_box(probes().fold(0, |mix, probe| mix ^ self.conns.warm_index(probe)));
        black_box(probes().fold(0, |mix, probe| mix ^ self.conns.warm_conn(probe)));
    }

    #[inline(always)]
    fn count_received(&mut self, bytes: usize, parsed: &Parsed, origin: Origin) {
        if origin == Origin::Ring {
            self.traffic.ring_in += 1;
            return;
        }
        self.traffic.rx += 1;
        self.traffic.rx_bytes += bytes as u64;
        if let Some(counters) = parsed.link.and_then(|id| self.links.get_mut(id.index())) {
            counters.ipackets += 1;
            counters.ibytes += bytes as u64;
        }
    }

    #[inline(always)]
    pub(crate) fn one(&mut self, mut pkt: P, parsed: &Parsed, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let Some(link) = parsed.link.and_then(|id| cx.snap.link(id)) else {
            let reason = if let Kind::Bad(reason) = parsed.kind { reason } else { DropReason::LinkDown };
            return self.throw(pkt, reason, out);
        };
        let step = match &parsed.kind {
            Kind::Flow(ip, probe) => self.flow(&mut pkt, parsed, ip, probe, link, cx, out),
            Kind::Icmp(ip) => self.icmp(&mut pkt, parsed, ip, link, cx, out),
            Kind::Other(ip) => self.pass(&mut pkt, parsed, ip, cx, out),
            Kind::Arp => self.arp(&mut pkt, parsed, link, cx, out),
            Kind::Foreign => return self.finish(pkt, Verdict::Kernel(DropReason::EtherType), cx, out),
            Kind::Bad(reason) => return self.throw(pkt, *reason, out),
        };
        let verdict = match step {
            std::ops::ControlFlow::Break(verdict) | std::ops::ControlFlow::Continue(verdict) => verdict,
        };
        self.finish(pkt, verdict, cx, out);
    }

    /// Does what the verdict says.
    #[inline(always)]
    pub(crate) fn finish(&mut self, pkt: P, verdict: Verdict, cx: Cx<'_>, out: &mut impl Sink<P>) {
        match verdict {
            Verdict::Forward(link) => match cx.snap.link(link) {
                Some(link) => self.send(pkt, link, out),
                None => self.throw(pkt, DropReason::LinkDown, out),
            },
            Verdict::Fragment(link, mtu) => match cx.snap.link(link) {
                Some(link) => self.send_fragments(pkt, link, mtu, out),
                None => self.throw(pkt, DropReason::LinkDown, out),
            },
            Verdict::Hold(hop) => match self.neighs.hold(hop.neigh, pkt, hop.mtu, cx.now) {
                Ok(false) => {}
                Ok(true) => {
                    if let Some(addr) = self.neighs.addr(hop.neigh) {
                        self.solicit(hop.link, addr, None, cx.snap, out);
                    }
                }
                Err((pkt, reason)) => self.throw(pkt, reason, out),
            },
            Verdict::Await(id) => self.await_server(id, pkt, cx, out),
            Verdict::Release(id) => {
                self.traffic.consumed += 1;
                out.discard(pkt);
                self.release(id, cx, out);
            }
            Verdict::Kernel(otherwise) => match out.kernel(pkt, cx.port) {
                Ok(()) => self.traffic.kernel += 1,
                Err(pkt) => self.throw(pkt, otherwise, out),
            },
            Verdict::Redirect(_) if cx.origin == Origin::Ring => {
                self.throw(pkt, DropReason::RedirectLoop, out)
            }
            Verdict::Redirect(to) => match out.redirect(pkt, cx.port, to) {
                Ok(()) => self.traffic.ring_out += 1,
                Err(pkt) => self.throw(pkt, DropReason::RedirectRing, out),
            },
            Verdict::Consumed => {
                self.traffic.consumed += 1;
                out.discard(pkt);
            }
            Verdict::Drop(reason) => self.throw(pkt, reason, out),
        }
    }
}

/// Makes the frame begin with `want` bytes of Ethernet header instead of `have`, and end with its IP packet.
#[inline(always)]
pub(crate) fn resize<P: Buffer>(pkt: &mut P, have: usize, want: usize, ip_len: usize) -> bool {
    let padding = pkt.data().len().saturating_sub(have + ip_len);
    if padding > 0 && !pkt.trim(padding) {
        return false;
    }
    match want.cmp(&have) {
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Less => pkt.adj(have - want),
        std::cmp::Ordering::Greater => pkt.prepend(want - have).is_some(),
    }
}

/// Whether a frame was sent to a group of stations.
#[inline(always)]
pub(crate) fn to_group<P: Buffer>(pkt: &P) -> bool {
    pkt.data().first_chunk::<6>().is_none_or(|dst| ether::is_group(*dst))
}
