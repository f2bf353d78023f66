// SPDX-License-Identifier: Apache-2.0
//! A burst of packets, from the device to its verdicts.
//!
//! ```text
//!   burst ─> parse all, hash all ─> warm index ─> warm connections ─> one by one:
//!
//!     ARP ───────────────────────────────> own stack: answer, learn
//!     ICMP ──────────────────────────────> own stack: neighbour discovery, echo
//!     fragment ──> first one's way? ─────> as a whole packet; wait until it is known
//!     SYN to a service the SYN proxy stands before ──> a cookie goes back
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
use packet::{Buffer, ether, proto};

use crate::flow::{Entrance, Kind, Parsed};
use crate::ids::{LinkId, PortId};
use crate::lcore::{BURST, Lcore};
use crate::sink::Sink;
use crate::snapshot::Snapshot;
use crate::tick::Tick;
use crate::tunnel::Opened;
use crate::verdict::{DropReason, Verdict};

/// Where a burst comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A device.
    Wire,
    /// Another worker, which found that this one owns the flow.
    Ring,
}

/// What every step of the pipeline may read: one pointer, which stays in a register. As fields by value it would be written to memory
/// in parts for every packet, and read back whole, which waits for all of them.
#[derive(Clone, Copy)]
pub(crate) struct Cx<'a>(&'a Context<'a>);

impl<'a> std::ops::Deref for Cx<'a> {
    type Target = Context<'a>;

    #[inline(always)]
    fn deref(&self) -> &Context<'a> {
        self.0
    }
}

/// A burst's circumstances.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) snap: &'a Snapshot,
    pub(crate) now: Tick,
    pub(crate) port: PortId,
    pub(crate) origin: Origin,
    /// What is looked at came out of a tunnel.
    pub(crate) inside: bool,
}

/// Packets in a row that came in by the same link.
#[derive(Clone, Copy, Default)]
struct Run {
    link: Option<LinkId>,
    packets: u64,
    bytes: u64,
}

impl Context<'_> {
    /// What steps are handed.
    #[inline(always)]
    pub(crate) fn cx(&self) -> Cx<'_> {
        Cx(self)
    }
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
        let context = Context { snap, now, port, origin, inside: false };
        self.now = now;
        let cx = context.cx();
        burst.iter().for_each(Buffer::prefetch);
        // Taken out, so that the second pass may borrow the rest of the worker.
        let mut parsed = std::mem::take(&mut self.parsed);
        self.conns.begin_hints();
        let entrance = Entrance::new(snap, port);
        let mut run = Run::default();
        for (pkt, parsed) in burst.iter().zip(&mut parsed) {
            entrance.parse(pkt, &self.conns, parsed);
            if parsed.link != run.link {
                self.count_received(run, origin);
                run = Run { link: parsed.link, packets: 0, bytes: 0 };
            }
            run.packets += 1;
            run.bytes += pkt.data().len() as u64;
        }
        let known = &mut parsed[..burst.len()];
        self.warm(known);
        self.count_received(run, origin);
        for (pkt, parsed) in burst.drain(..).zip(known) {
            self.one(pkt, parsed, cx, out);
        }
        self.parsed = parsed;
    }

    /// Loads what the second pass will need: first index lines, then connections, none waiting for another.
    #[inline(always)]
    fn warm(&self, parsed: &mut [Parsed]) {
        let mut index = 0;
        for parsed in parsed.iter().filter(|parsed| parsed.kind == Kind::Flow) {
            index ^= self.conns.warm_index(&parsed.probe);
        }
        black_box(index);
        let (mut conns, mut new) = (0, 0);
        for parsed in parsed.iter_mut().filter(|parsed| parsed.kind == Kind::Flow) {
            conns ^= self.conns.warm_conn(&mut parsed.probe, &mut new);
        }
        black_box(conns);
    }

    /// Counts packets of a burst as received: once for each run from the same link, and nearly all bursts are one run.
    #[inline(always)]
    fn count_received(&mut self, run: Run, origin: Origin) {
        if origin == Origin::Ring {
            self.traffic.ring_in += run.packets;
            return;
        }
        self.traffic.rx += run.packets;
        self.traffic.rx_bytes += run.bytes;
        if let Some(counters) = run.link.and_then(|id| self.links.get_mut(id.index())) {
            counters.ipackets += run.packets;
            counters.ibytes += run.bytes;
        }
    }

    #[inline(always)]
    pub(crate) fn one(&mut self, mut pkt: P, parsed: &Parsed, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let Some(link) = parsed.link.and_then(|id| cx.snap.link(id)) else {
            let reason = if let Kind::Bad(reason) = parsed.kind { reason } else { DropReason::LinkDown };
            return self.throw(pkt, reason, out);
        };
        // The usual one is asked for by itself: that is a branch, and the table of all kinds an indirect one.
        let step = if parsed.kind == Kind::Flow {
            self.flow(&mut pkt, parsed, &parsed.ip, &parsed.probe, link, cx, out)
        } else {
            match parsed.kind {
                Kind::Proxied(service) => self.greet(service, &mut pkt, parsed, link, cx),
                Kind::Icmp => self.icmp(&mut pkt, parsed, &parsed.ip, link, cx, out),
                Kind::Fragment => return self.fragment(pkt, parsed, link, cx, out),
                Kind::Arp => self.arp(&mut pkt, parsed, link, cx, out),
                Kind::Foreign => return self.finish(pkt, Verdict::Kernel(DropReason::EtherType), cx, out),
                Kind::Bad(reason) => return self.throw(pkt, reason, out),
                Kind::Other
                    if cx.snap.lookup.tunnels && matches!(parsed.ip.proto, proto::IPIP | proto::GRE) =>
                {
                    match self.open_tunnel(&mut pkt, parsed, cx.snap) {
                        Opened::Inner(link) => return self.inner(pkt, link, cx, out),
                        Opened::Bad(reason) => return self.throw(pkt, reason, out),
                        Opened::No => self.pass(&mut pkt, parsed, &parsed.ip, cx, out),
                    }
                }
                Kind::Flow | Kind::Other => self.pass(&mut pkt, parsed, &parsed.ip, cx, out),
            }
        };
        let verdict = match step {
            std::ops::ControlFlow::Break(verdict) | std::ops::ControlFlow::Continue(verdict) => verdict,
        };
        self.finish(pkt, verdict, cx, out);
    }

    /// Does what the verdict says.
    #[inline(always)]
    pub(crate) fn finish(&mut self, pkt: P, verdict: Verdict, cx: Cx<'_>, out: &mut impl Sink<P>) {
        // The usual one by itself, as above.
        if let Verdict::Forward(goal) = verdict
            && let Some(link) = cx.snap.link(goal.link())
        {
            return self.send(pkt, link, out);
        }
        match verdict {
            Verdict::Forward(_) => self.throw(pkt, DropReason::LinkDown, out),
            Verdict::Fragment(goal) => match cx.snap.link(goal.link()) {
                Some(link) => self.send_fragments(pkt, link, goal.mtu(), out),
                None => self.throw(pkt, DropReason::LinkDown, out),
            },
            Verdict::Hold(goal) => match self.neighs.hold(goal.neigh(), pkt, goal.mtu(), cx.now) {
                Ok(None) => {}
                Ok(Some((link, addr))) => self.solicit(link, addr, None, cx.snap, out),
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
            Verdict::Redirect(goal) | Verdict::HandOn(goal) => {
                match out.redirect(pkt, cx.port, goal.worker()) {
                    Ok(()) => self.traffic.ring_out += 1,
                    Err(pkt) => self.throw(pkt, DropReason::RedirectRing, out),
                }
            }
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
