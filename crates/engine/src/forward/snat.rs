// SPDX-License-Identifier: Apache-2.0
//! SNAT: hosts behind the director reach the outside with one of its addresses.
//!
//! ```text
//!   host  --- hip:hport -> rip:rport --->  director  --- sip:sport -> rip:rport --->  the outside
//!         <-- rip:rport -> hip:hport ----            <-- rip:rport -> sip:sport ----
//! ```
//!
//! A service of this kind is found by what its packets look like, and its "servers" are the addresses to use. Seen as a connection, the
//! outside is the client: its packets go inbound, the host's, the first among them, outbound.

use std::net::SocketAddr;
use std::ops::ControlFlow::Break;

use model::rule::EndpointRange;
use packet::{Buffer, proto};

use super::far::{Far, owner_by};
use crate::access::admit;
use crate::conn::{ConnId, Probe, Tuple};
use crate::ids::LinkId;
use crate::l4;
use crate::lcore::{Config, Lcore};
use crate::pipeline::Cx;
use crate::proto::tcp::is_opening;
use crate::route::Kind;
use crate::snapshot::{Service, Snapshot};
use crate::steer;
use crate::synproxy::client::{Received, vouched};
use crate::verdict::{DropReason, Step, drop};

/// What packets of a service found by rule look like, beside their protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// They are IPv6, else IPv4.
    pub six: bool,
    /// Where they come from; `None` for anywhere.
    pub src: Option<EndpointRange>,
    /// Where they go; `None` for anywhere.
    pub dst: Option<EndpointRange>,
    /// The link they come in by; `None` for any.
    pub iif: Option<LinkId>,
    /// The link they leave by; `None` for any.
    pub oif: Option<LinkId>,
}

impl Rule {
    /// Whether a packet with this tuple that came in by `iif` and leaves by `oif` is meant.
    pub fn matches(&self, tuple: &Tuple, iif: LinkId, oif: LinkId) -> bool {
        let within = |range: Option<EndpointRange>, at: SocketAddr| {
            range.is_none_or(|range| range.contains(at.ip(), at.port()))
        };
        self.six == matches!(tuple, Tuple::V6(_))
            && self.iif.is_none_or(|link| link == iif)
            && self.oif.is_none_or(|link| link == oif)
            && within(self.src, tuple.source())
            && within(self.dst, tuple.target())
    }
}

impl<P: Buffer> Lcore<P> {
    /// Opens the connection of a host's packet to the outside, if a rule means it; `None` when none does.
    pub(crate) fn open_outward(
        &mut self,
        pkt: &P,
        received: Received<'_>,
        cx: Cx<'_>,
    ) -> Option<Step<ConnId>> {
        let Received { parsed, ip, probe, link } = received;
        let bytes = &pkt.data()[parsed.l3..];
        if ip.proto == proto::TCP && !is_opening(bytes.get(usize::from(ip.header_len) + 13).copied()?) {
            return None;
        }
        let svc = rule_for(&probe.tuple, ip.proto, link.id, cx.snap)?;
        if !vouched(pkt, link) && !l4::checksum_ok(bytes, ip) {
            return Some(drop(DropReason::L4Checksum));
        }
        if let Break(verdict) = admit(svc, pkt, received) {
            return Some(Break(verdict));
        }
        Some(self.enter_outward(svc, probe, cx))
    }

    pub(crate) fn enter_outward(&mut self, svc: &Service, probe: &Probe, cx: Cx<'_>) -> Step<ConnId> {
        let choice = self.schedule(svc, probe, cx)?;
        let (remote, public) = (probe.tuple.target(), choice.dest.addr.ip());
        let returning = |port| Tuple::new(remote, (public, port).into());
        if returning(0).is_none() {
            return drop(DropReason::Family);
        }
        let Config { id: me, workers, .. } = self.config;
        let link = home(cx.snap, public);
        let mine = |port| {
            workers == 1
                || probe.proto == proto::ICMP && steer::by_port(port, workers) == me
                || probe.proto != proto::ICMP
                    && returning(port).is_some_and(|tuple| owner_by(link, &tuple, workers, cx.snap) == me)
        };
        let lease = self.leases.lease(public, remote, probe.proto, mine);
        let (Some(lease), Some(inbound)) = (lease, lease.and_then(|lease| returning(lease.port))) else {
            return drop(DropReason::LportExhausted);
        };
        let inbound = self.conns.probe(inbound, probe.proto);
        let far = Far { outbound: probe.tuple, lease: Some(lease) };
        self.enter(svc, choice, &inbound, far, 0, cx)
    }
}

/// The service that means packets of IP protocol `proto` with this tuple that came in by `link`, if any does.
pub(crate) fn rule_for<'s>(
    tuple: &Tuple,
    proto: u8,
    link: LinkId,
    snap: &'s Snapshot,
) -> Option<&'s Service> {
    let route = snap.routes.find(tuple.target_ip()).filter(|route| route.kind == Kind::Out)?;
    snap.lookup.rules.iter().find_map(|id| {
        let svc = snap.services.get(id.index())?.as_ref()?;
        let rule = svc.rule.as_ref().filter(|_| svc.transport.number() == proto)?;
        rule.matches(tuple, link, route.link).then_some(svc)
    })
}

/// The link that answers to an address come in by: the one that has it.
pub(crate) fn home(snap: &Snapshot, addr: std::net::IpAddr) -> LinkId {
    snap.links.iter().flatten().find(|link| link.owns(addr)).map_or(LinkId(0), |link| link.id)
}
