// SPDX-License-Identifier: Apache-2.0
//! Fragments to and from services: steered, not put together.
//!
//! ```text
//!   fragment ──> is any service concerned? ── no ──> own stack, host or router, as ever
//!                       │ yes
//!                       v
//!            the worker where its datagram meets ──> first: ports? connection, or service? ──> the worker that has the connection
//!                       │                              │                                        (the same steps there)
//!                       │                              v
//!                       │                            rewritten, and noted what with
//!                       v                              │
//!                     others: wait for the first <─────┘ then as it went
//! ```
//!
//! Ports and checksum are in the first fragment only, and the checksum covers the datagram as a whole; changed by the difference
//! (RFC 1624) it stays right. The others get addresses, next hop and identification. Many clients share a local address, and their
//! identifications would meet at the server; so each datagram gets one of the director's own (RFC 6864 5.3).
//!
//! Overlapping fragments are dropped with all that is left of their datagram (RFC 5722, RFC 8200 4.5), and so are first fragments without a
//! whole header of the upper layer (RFC 1858, RFC 3128, RFC 7112): nothing of them is guessed.

mod lead;
mod ranges;
mod table;
mod trail;

use packet::Buffer;
use packet::fragment::Fragment;
use packet::proto;

pub(crate) use table::{At, Course, Fragments};

use crate::flow::{Entrance, Parsed};
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::link::Link;
use crate::output::addresses;
use crate::pipeline::{Context, Cx, Origin};
use crate::sink::Sink;
use crate::steer;
use crate::tick::Tick;
use crate::verdict::{DropReason, Goal, Step, Verdict};
use ranges::Fault;
use table::{Key, Way};

/// Bytes of a datagram at most, IPv4 header not counted.
const LONGEST: u32 = 65_535;

/// A fragment, and which datagram it is of.
#[derive(Clone, Copy)]
struct Piece {
    fragment: Fragment,
    key: Key,
    /// Bytes of the datagram in it.
    len: u32,
}

impl Piece {
    /// Reads an accepted packet that is a fragment.
    fn read(bytes: &[u8], ip: &Ip) -> Result<Piece, DropReason> {
        let read = if ip.six { Fragment::parse6(bytes) } else { Fragment::parse4(bytes) };
        let fragment = read.ok_or(DropReason::ExtensionHeader)?;
        let begins = if ip.six { fragment.at + packet::fragment::LEN6 } else { usize::from(ip.header_len) };
        let len = u32::from(ip.total_len) - begins as u32;
        // All but the last are of whole units of eight bytes (RFC 791 3.2, RFC 8200 4.5).
        if fragment.more && !len.is_multiple_of(8) || fragment.offset + len > LONGEST {
            return Err(DropReason::IpHeader);
        }
        // Nobody sends a part with nothing in it, or one that begins within the first part's TCP header (RFC 1858 3.2.1, RFC 3128).
        let within = ip.proto == proto::TCP && (1..packet::tcp::LEN as u32).contains(&fragment.offset);
        if len == 0 || within {
            return Err(DropReason::FragmentTiny);
        }
        let (src, dst) = addresses(bytes, ip);
        let bits = |addr: std::net::IpAddr| match addr {
            std::net::IpAddr::V4(addr) => u128::from(addr.to_bits()),
            std::net::IpAddr::V6(addr) => addr.to_bits(),
        };
        let key = Key {
            src: bits(src),
            dst: bits(dst),
            id: fragment.id,
            proto: if ip.six { 0 } else { ip.proto },
            six: ip.six,
        };
        Ok(Piece { fragment, key, len })
    }
}

impl<P: Buffer> Lcore<P> {
    /// A fragment to this station.
    #[cold]
    #[inline(never)]
    pub(crate) fn fragment(
        &mut self,
        mut pkt: P,
        parsed: &Parsed,
        link: &Link,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) {
        let ip = &parsed.ip;
        let bytes = &pkt.data()[parsed.l3..parsed.l3 + usize::from(ip.total_len)];
        let (src, dst) = addresses(bytes, ip);
        if !is_balanced(ip) || !cx.snap.lookup.concerns(src, dst) {
            let step = self.pass(&mut pkt, parsed, ip, cx, out);
            return self.finish(pkt, flat(step), cx, out);
        }
        let piece = match Piece::read(bytes, ip) {
            Ok(piece) => piece,
            Err(reason) => return self.throw(pkt, reason, out),
        };
        let meeting = steer::by_datagram(&[piece.key.src, piece.key.dst], piece.key.id, self.config.workers);
        if cx.origin == Origin::Wire && meeting != self.config.id {
            return self.finish(pkt, Verdict::HandOn(Goal::of_worker(meeting)), cx, out);
        }
        let mut evicted = 0;
        let at = self.fragments.enter(piece.key, cx.snap.options.fragment_ttl, cx.now, |pkt| {
            evicted += 1;
            out.discard(pkt);
        });
        self.traffic.drops[DropReason::FragmentTableFull as usize] += evicted;
        if let Way::Lost(reason) = self.fragments.way(at) {
            return self.throw(pkt, reason, out);
        }
        let Fragment { offset, more, .. } = piece.fragment;
        match self.fragments.see(at, offset, piece.len, more) {
            Ok(()) => {}
            Err(Fault::Again) => return self.throw(pkt, DropReason::FragmentOverlap, out),
            Err(fault) => {
                let reason = match fault {
                    Fault::Scattered => DropReason::FragmentTableFull,
                    Fault::Overlap | Fault::Again => DropReason::FragmentOverlap,
                };
                self.lose(at, reason, out);
                return self.throw(pkt, reason, out);
            }
        }
        if piece.fragment.is_first() {
            let verdict = flat(self.lead(&mut pkt, parsed, &piece, meeting, at, link, cx, out));
            self.finish(pkt, verdict, cx, out);
            if let Way::Unknown = self.fragments.way(at) {
                self.lose(at, DropReason::FragmentNoFirst, out);
            }
            self.release_fragments(at, cx, out);
        } else {
            self.trail(pkt, parsed, at, cx, out);
        }
        if self.fragments.is_whole(at) {
            self.fragments.forget(at, |pkt| out.discard(pkt));
        }
    }

    /// Nothing more of a datagram goes on.
    fn lose(&mut self, at: At, reason: DropReason, out: &mut impl Sink<P>) {
        self.fragments.lead(at, Way::Lost(reason));
        while let Some((_, pkt)) = self.fragments.take(at) {
            self.throw(pkt, reason, out);
        }
    }

    /// Sends on what waited for the first fragment.
    fn release_fragments(&mut self, at: At, cx: Cx<'_>, out: &mut impl Sink<P>) {
        while let Some((port, pkt)) = self.fragments.take(at) {
            let mut parsed = Parsed::NOTHING;
            Entrance::new(cx.snap, port).parse(&pkt, &self.conns, &mut parsed);
            let there = Context { port, ..*cx };
            match parsed.kind {
                crate::flow::Kind::Fragment => self.trail(pkt, &parsed, at, there.cx(), out),
                // Its link has gone meanwhile.
                _ => self.throw(pkt, DropReason::LinkDown, out),
            }
        }
    }

    /// Gives up fragments whose first one has not come.
    pub(crate) fn expire_fragments(&mut self, now: Tick, budget: usize, out: &mut impl Sink<P>) {
        let mut lost = 0;
        self.fragments.expire(now, budget, |pkt| {
            lost += 1;
            out.discard(pkt);
        });
        self.traffic.drops[DropReason::FragmentTimeout as usize] += lost;
    }
}

/// Whether a fragment may be of a protocol that services have. In IPv6 the first one alone tells: extension headers may stand before it.
fn is_balanced(ip: &Ip) -> bool {
    ip.six || matches!(ip.proto, proto::TCP | proto::UDP | proto::SCTP | proto::ICMP)
}

fn flat(step: Step<Verdict>) -> Verdict {
    match step {
        std::ops::ControlFlow::Break(verdict) | std::ops::ControlFlow::Continue(verdict) => verdict,
    }
}
