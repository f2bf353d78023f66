// SPDX-License-Identifier: Apache-2.0
//! The server's side of a new connection: what its packets will carry, and which worker they must reach.

use std::hint::black_box;
use std::net::SocketAddr;
use std::ops::ControlFlow::Continue;

use packet::Buffer;
use packet::icmp;
use packet::proto::ICMP;

use super::Forwarding;
use crate::conn::{Probe, Tuple};
use crate::ids::{LcoreId, LinkId};
use crate::laddr::Lease;
use crate::lcore::{Config, Lcore};
use crate::lookup::{Behind, Target};
use crate::pipeline::{Cx, Origin};
use crate::snapshot::{Dest, Service, Snapshot};
use crate::steer::{self, Rss};
use crate::verdict::{DropReason, Step, drop};

/// The server's side of a new connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Far {
    /// What the server's packets will carry; where they never pass, what they would.
    pub(crate) outbound: Tuple,
    /// The local port they come to, where one is leased.
    pub(crate) lease: Option<Lease>,
}

impl<P: Buffer> Lcore<P> {
    /// The server's side of the connection `probe` asks for, with `dest`.
    pub(crate) fn far_side(
        &mut self,
        svc: &Service,
        dest: &Dest,
        probe: &Probe,
        snap: &Snapshot,
    ) -> Step<Far> {
        let client = probe.tuple.source();
        let outbound = match dest.forwarding {
            Forwarding::FullNat => return self.lease(svc, dest, probe, snap),
            Forwarding::Nat => Tuple::new(server_of(dest, probe)?, client),
            // The server gets what the client sent: the port is the service's.
            Forwarding::DirectRouting => {
                Tuple::new((dest.addr.ip(), probe.tuple.target_port()).into(), client)
            }
            // Its connections begin on the other side.
            Forwarding::Snat => None,
            Forwarding::Tunnel(_) => {
                Some(Tuple::of_any((dest.addr.ip(), probe.tuple.target_port()).into(), client))
            }
        };
        match outbound {
            Some(outbound) => Continue(Far { outbound, lease: None }),
            None => drop(DropReason::Family),
        }
    }

    /// Leases a local port towards `dest`, local addresses in turn.
    fn lease(&mut self, svc: &Service, dest: &Dest, probe: &Probe, snap: &Snapshot) -> Step<Far> {
        let (proto, server) = (probe.proto, server_of(dest, probe)?);
        let Config { id: me, workers, .. } = self.config;
        let cursor = self.laddr_cursors.get(svc.id.index()).map_or(0, |&at| at as usize);
        let mut reason = DropReason::NoLaddr;
        for step in 0..svc.laddrs.len() {
            let at = (cursor + step) % svc.laddrs.len();
            let laddr = svc.laddrs[at];
            let link = snap.lookup.target(laddr).laddr;
            let (true, Some(link)) = (laddr.is_ipv4() == dest.addr.is_ipv4(), link) else {
                continue;
            };
            reason = DropReason::LportExhausted;
            let returning = |lport| Tuple::new(server, (laddr, lport).into());
            let mine = |lport| {
                workers == 1
                    || proto == ICMP && steer::by_port(lport, workers) == me
                    || proto != ICMP
                        && returning(lport).is_some_and(|tuple| owner_by(link, &tuple, workers, snap) == me)
            };
            let Some(lease) = self.leases.lease(laddr, leased_to(dest, server, proto), proto, mine) else {
                continue;
            };
            if let Some(cursor) = self.laddr_cursors.get_mut(svc.id.index()) {
                *cursor = (at + 1) as u32;
            }
            if let Some(outbound) = returning(lease.port) {
                black_box(self.conns.warm_index(&self.conns.probe(outbound, proto)));
                return Continue(Far { outbound, lease: Some(lease) });
            }
        }
        drop(reason)
    }

    /// The worker that has the connection of a packet that found none here; `None` when any worker may open one.
    #[inline(always)]
    pub(crate) fn owner(&self, target: &Target, probe: &Probe, snap: &Snapshot) -> Option<LcoreId> {
        if self.config.workers == 1 {
            return None;
        }
        if probe.proto == ICMP {
            return self.query_owner(target, &probe.tuple, snap);
        }
        if let Some(link) = target.laddr {
            return Some(owner_by(link, &probe.tuple, self.config.workers, snap));
        }
        self.masquerade_owner(target, probe, snap)
    }

    /// The worker that has the SYN proxy's dealings with a client, if it is another one: what a cookie was made with, and the one connection
    /// that it opens.
    #[inline(always)]
    pub(crate) fn proxied_elsewhere(&self, tuple: &Tuple, cx: Cx<'_>) -> Option<LcoreId> {
        if self.config.workers == 1 || predicts(cx) {
            return None;
        }
        Some(steer::by_client(tuple, self.config.workers)).filter(|&owner| owner != self.config.id)
    }

    /// The worker to ask next for the connection of a client's packet that has none here; `None` when all were asked, or none of them can
    /// have it.
    ///
    /// A device whose choice cannot be predicted may give packets of one flow to another worker than before: on links between containers
    /// the sender's kernel chooses, and chooses anew after a loss.
    pub(crate) fn next_to_ask(&self, cx: Cx<'_>) -> Option<LcoreId> {
        let predicted = predicts(cx);
        let me = self.config.id;
        let next = match cx.origin {
            Origin::Wire if me.0 == 0 => LcoreId(1),
            Origin::Wire => LcoreId(0),
            // From one to the next.
            Origin::Ring => LcoreId(me.0 + 1),
        };
        (!predicted && next.0 < self.config.workers).then_some(next)
    }

    /// The worker that has the connection of packets like this, where that follows from what they carry.
    pub(crate) fn owner_of(&self, probe: &Probe, snap: &Snapshot) -> Option<LcoreId> {
        if self.config.workers == 1 {
            return Some(self.config.id);
        }
        let target = snap.lookup.target(probe.tuple.target_ip());
        self.owner(target, probe, snap)
    }

    /// The worker that packets like this reach, where the device's choice can be predicted: it opened their connection.
    pub(crate) fn receiver_of(&self, tuple: &Tuple, snap: &Snapshot) -> Option<LcoreId> {
        let link = snap.routes.find(tuple.source().ip())?.link;
        rss(link, snap).map(|rss| rss.worker(tuple))
    }

    /// The owner of a connection of NAT. Those have no local port that could be chosen for a worker: it is the one the client's
    /// packets reach, for both directions.
    #[inline(never)]
    fn masquerade_owner(&self, target: &Target, probe: &Probe, snap: &Snapshot) -> Option<LcoreId> {
        let tuple = &probe.tuple;
        let workers = self.config.workers;
        let inbound = match snap.lookup.behind(probe.proto, tuple.source()) {
            Some(Behind::Service(vip)) => Tuple::new(tuple.target(), vip)?,
            // What the client sent to is not known: the client alone decides.
            Some(Behind::Mark) => return Some(steer::by_client(&tuple.reversed(), workers)),
            None => {
                if let Some(id) = snap.lookup.marked(probe.proto, tuple, None) {
                    let svc = snap.services.get(id.index())?.as_ref()?;
                    return svc.masquerades.then(|| steer::by_client(tuple, workers));
                }
                let svc = snap.service_of(target, probe.proto, tuple.target_port())?;
                svc.masquerades.then_some(*tuple)?
            }
        };
        let link = snap.routes.find(inbound.source().ip())?.link;
        Some(rss(link, snap).map_or_else(|| steer::by_client(&inbound, workers), |rss| rss.worker(&inbound)))
    }
}

/// Where a server hears a client. What a query asks stands for the port, and what the client asks for where the server has none.
fn server_of(dest: &Dest, probe: &Probe) -> Step<SocketAddr> {
    if probe.proto != ICMP {
        let port = if dest.addr.port() == 0 { probe.tuple.target_port() } else { dest.addr.port() };
        return Continue((dest.addr.ip(), port).into());
    }
    let asked = probe.tuple.target();
    let same = asked.is_ipv4() == dest.addr.is_ipv4();
    match if same { Some(asked.port()) } else { icmp::across(asked.port()) } {
        Some(what) => Continue((dest.addr.ip(), what).into()),
        None => drop(DropReason::IcmpFamily),
    }
}

/// What a local port is leased towards. Queries have no port, and what stands for one is not the server's.
fn leased_to(dest: &Dest, server: SocketAddr, proto: u8) -> SocketAddr {
    if proto == ICMP { dest.addr } else { server }
}

/// Whether the device a packet came by gives all packets of a flow to one worker, and which follows from what they carry.
fn predicts(cx: Cx<'_>) -> bool {
    cx.snap.ports.get(cx.port.index()).is_some_and(|port| port.rss.is_some())
}

/// The worker that owns the connection whose packets carry `tuple`, are for a local address, and come in by `link`; where the device's
/// choice cannot be predicted, the local port decides.
pub(crate) fn owner_by(link: LinkId, tuple: &Tuple, workers: u16, snap: &Snapshot) -> LcoreId {
    rss(link, snap).map_or_else(|| steer::by_port(tuple.target_port(), workers), |rss| rss.worker(tuple))
}

/// How the device of a link spreads packets, where that can be predicted.
fn rss(link: LinkId, snap: &Snapshot) -> Option<&Rss> {
    snap.link(link).and_then(|link| snap.ports.get(link.port.index())?.rss.as_ref())
}
