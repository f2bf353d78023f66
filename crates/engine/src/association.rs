// SPDX-License-Identifier: Apache-2.0
//! SCTP associations (RFC 9260): connections whose state follows chunks, and whose checksum covers the whole packet.
//!
//! An association of several addresses at one end is one connection for each pair of addresses that packets pass between.

use std::ops::ControlFlow::{Break, Continue};

use packet::{Buffer, sctp};

use crate::conn::{ConnId, Dir};
use crate::l3::Ip;
use crate::l4;
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::proto::sctp::{Event, State};
use crate::proto::tcp::Side;
use crate::synproxy::client::{Received, vouched};
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};

impl<P: Buffer> Lcore<P> {
    /// Whether a packet without connection may open one here; `bytes` begin with its IP header. Another worker may have the
    /// connection of one that opens none by itself.
    #[cold]
    #[inline(never)]
    pub(crate) fn may_begin(&self, bytes: &[u8], ip: &Ip, cx: Cx<'_>) -> Step<()> {
        match Event::of(upper(bytes, ip)) {
            Some(Event::Init) => Continue(()),
            event => match self.next_to_ask(cx) {
                Some(other) => Break(Verdict::HandOn(Goal::of_worker(other))),
                None if event.is_some_and(Event::opens) => Continue(()),
                None => drop(DropReason::NotInit),
            },
        }
    }

    /// Whether a packet of a connection arrived whole. Its checksum will be computed anew, which must not hide that it did not.
    #[cold]
    #[inline(never)]
    pub(crate) fn verify_association(&self, id: ConnId, pkt: &P, received: Received<'_>) -> Step<()> {
        let Received { parsed, ip, link, .. } = received;
        let rewritten = self.conns.get(id).forwarding.is_two_way();
        if !rewritten || vouched(pkt, link) || l4::checksum_ok(&pkt.data()[parsed.l3..], ip) {
            Continue(())
        } else {
            drop(DropReason::L4Checksum)
        }
    }

    /// Moves the state on and restarts the idle time; `bytes` begin with the IP header.
    #[cold]
    #[inline(never)]
    pub(crate) fn advance_association(&mut self, id: ConnId, dir: Dir, bytes: &[u8], ip: &Ip, cx: Cx<'_>) {
        self.conns.touch(id, cx.now);
        let conn = self.conns.get(id);
        let side = match (dir, conn.forwarding) {
            (Dir::Inbound, forwarding) if forwarding.is_two_way() => Side::Client,
            (Dir::Inbound, _) => Side::ClientOnly,
            (Dir::Outbound, _) => Side::Server,
        };
        let old = State::from_number(conn.state);
        let new = Event::of(upper(bytes, ip)).map_or(old, |event| old.next(side, event));
        let secs = cx.snap.timeouts.sctp[new as usize];
        if new != old {
            return self.enter_state(id, new as u8, new == State::Established, secs);
        }
        let own = if new == State::Established { self.conns.own_timeout(id) } else { 0 };
        self.conns.set_timeout(id, if own == 0 { secs } else { own });
    }
}

/// The SCTP packet in an IP packet.
fn upper<'p>(bytes: &'p [u8], ip: &Ip) -> &'p [u8] {
    let packet = bytes.get(usize::from(ip.header_len)..usize::from(ip.total_len)).unwrap_or_default();
    debug_assert!(packet.len() >= sctp::LEN, "its ports were read");
    packet
}
