// SPDX-License-Identifier: Apache-2.0
//! Connections of servers that an operator took out: they end at once where the service says so (`--expire-quiescent`).

use std::ops::ControlFlow::Continue;

use packet::{Buffer, proto, tcp};

use crate::conn::{ConnId, Dir};
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::proto::tcp::State;
use crate::sink::Sink;
use crate::snapshot::Service;
use crate::synproxy::client::Received;
use crate::verdict::{DropReason, Step, drop};

impl<P: Buffer> Lcore<P> {
    /// Whether a connection may go on with its server: it may not if that has weight 0 or is gone and the service ends such connections.
    ///
    /// Changes of servers count as changed routing then, so that every connection is asked about once before its next packet goes
    /// on, and packets that follow are not.
    pub(crate) fn serves_still(&self, id: ConnId, cx: Cx<'_>) -> Step<()> {
        let conn = self.conns.get(id);
        let dest = cx.snap.dest(conn.dest, conn.dest_generation);
        if dest.is_some_and(|dest| dest.weight > 0) {
            return Continue(());
        }
        let svc = cx.snap.services.get(conn.service.index()).and_then(Option::as_ref);
        // Another service may have the number of one that is gone.
        let vip = self.conns.tuple(id, Dir::Inbound).target();
        let same = |svc: &&Service| {
            svc.vip.ip() == vip.ip() && (svc.takes_any_port() || svc.vip.port() == vip.port())
        };
        match svc.filter(|svc| !svc.has_address() || same(svc)) {
            Some(svc) if svc.expire_quiescent => drop(DropReason::Quiesced),
            _ => Continue(()),
        }
    }

    /// Ends a connection. Both ends of an established one are told, by the numbers they expect: those of the packet in hand, which came
    /// in direction `dir`, or those the SYN proxy keeps.
    #[cold]
    #[inline(never)]
    pub(crate) fn end(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &P,
        received: Received<'_>,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) {
        let conn = *self.conns.get(id);
        let l4 = &pkt.data()[received.parsed.l3 + usize::from(received.ip.header_len)..];
        if conn.is_proxied() {
            self.tell_both(id, cx, out);
        } else if conn.proto() == proto::TCP
            && State::from_number(conn.state) == State::Established
            && conn.forwarding.is_two_way()
            && let Some(header) = tcp::Header::parse(l4)
            && header.flags() & (tcp::flag::ACK | tcp::flag::RST) == tcp::flag::ACK
        {
            let shift = if dir == Dir::Inbound { conn.seq_delta } else { 0 };
            self.reset(id, dir.opposite(), header.ack(), cx, out);
            self.reset(id, dir, header.seq().wrapping_add(shift), cx, out);
        }
        self.close(id, out);
    }
}
