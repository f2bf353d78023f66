// SPDX-License-Identifier: Apache-2.0
//! One-packet scheduling: every datagram of a client goes to the server whose turn it is (`ipvsadm -o`).
//!
//! The client's packets find no connection. Where answers come back through the director, they find one: with FULLNAT each
//! datagram has a connection with a local port of its own, with NAT those of a client at one server share one. LVS and DPVS lose such
//! answers.

use packet::Buffer;

use crate::conn::{ConnId, Dir, Probe, Tuple};
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::sink::Sink;
use crate::snapshot::Dest;
use crate::synproxy::client::Received;
use crate::verdict::{Step, Verdict};

impl<P: Buffer> Lcore<P> {
    /// The connection for answers of `dest` to this client, from an earlier datagram.
    pub(crate) fn same_again(&self, dest: &Dest, probe: &Probe, outbound: &Tuple) -> Option<ConnId> {
        if !dest.forwarding.is_two_way() {
            return None;
        }
        let (id, dir) = self.conns.find(&self.conns.probe(*outbound, probe.proto))?;
        let same = dir == Dir::Outbound
            && self.conns.get(id).is_one_packet()
            && self.conns.tuple(id, Dir::Inbound) == probe.tuple
            && (self.conns.get(id).dest, self.conns.get(id).dest_generation) == (dest.id, dest.generation);
        same.then_some(id)
    }

    /// Sends on the packet a connection was opened for; the connection ends with it unless answers come back here.
    #[inline(never)]
    pub(crate) fn follow_once(
        &mut self,
        id: ConnId,
        pkt: &mut P,
        received: Received<'_>,
        flags: u8,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let step = self.follow(id, Dir::Inbound, pkt, received, flags, cx, out);
        if !self.conns.get(id).forwarding.is_two_way() {
            self.close(id, out);
        }
        step
    }
}
