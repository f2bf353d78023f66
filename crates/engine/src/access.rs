// SPDX-License-Identifier: Apache-2.0
//! Access lists of services: whom they refuse, and whom alone they accept.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use foldhash::fast::RandomState;
use packet::{Buffer, ether};

use crate::conn::{ConnId, Dir};
use crate::forward::Forwarding;
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::set::{Seen, Set};
use crate::snapshot::Service;
use crate::synproxy::client::Received;
use crate::verdict::{DropReason, Step, drop};

/// The two lists of a service.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Clients that are refused, even if the other list has them too.
    pub block: List,
    /// Clients that alone are accepted, if it names any or a set.
    pub allow: List,
}

/// Clients by address and by set.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Addresses.
    pub addrs: HashSet<IpAddr, RandomState>,
    /// Sets.
    pub sets: Vec<Arc<Set>>,
}

impl List {
    /// Whether it names nobody. A set that is empty is a name.
    pub fn is_empty(&self) -> bool {
        self.addrs.is_empty() && self.sets.is_empty()
    }

    fn has(&self, seen: &Seen) -> bool {
        self.addrs.contains(&seen.source.ip()) || self.sets.iter().any(|set| set.contains(seen))
    }
}

impl Access {
    /// Judges a client's packet.
    fn judge(&self, seen: &Seen) -> Step<()> {
        if self.block.has(seen) {
            return drop(DropReason::AccessBlocked);
        }
        if !self.allow.is_empty() && !self.allow.has(seen) {
            return drop(DropReason::AccessNotAllowed);
        }
        Continue(())
    }

    fn looks_at_frames(&self) -> bool {
        self.block.sets.iter().chain(&self.allow.sets).any(|set| set.looks_at_frames())
    }
}

/// Whether a service accepts a client's packet that belongs to no connection yet. Ask before anything answers it or is opened for it.
#[inline(always)]
pub(crate) fn admit<P: Buffer>(svc: &Service, pkt: &P, received: Received<'_>) -> Step<()> {
    match &svc.access {
        None => Continue(()),
        Some(access) => judge(access, pkt, received),
    }
}

#[inline(never)]
fn judge<P: Buffer>(access: &Access, pkt: &P, received: Received<'_>) -> Step<()> {
    let tuple = &received.probe.tuple;
    access.judge(&Seen {
        source: tuple.source(),
        target: tuple.target(),
        proto: received.ip.proto,
        frame: ether::Header::parse(pkt.data()).map(|header| (header.src, received.link.id)),
    })
}

impl<P: Buffer> Lcore<P> {
    /// Whether the client of a connection is still accepted. Lists that change count as changed routing, so that every connection
    /// comes here once before its client's next packet goes on, and packets that follow do not.
    pub(crate) fn admit_again(&self, id: ConnId, dir: Dir, cx: Cx<'_>) -> Step<()> {
        let conn = self.conns.get(id);
        let opening = if conn.forwarding == Forwarding::Snat { Dir::Outbound } else { Dir::Inbound };
        if dir != opening {
            return Continue(());
        }
        let dest = cx.snap.dest(conn.dest, conn.dest_generation);
        let svc = dest.and_then(|dest| cx.snap.services.get(dest.service.index())?.as_ref());
        match svc.and_then(|svc| svc.access.as_ref()) {
            // The frame that opened it was looked at; what later ones look like is not asked.
            Some(access) if !access.looks_at_frames() => {
                let tuple = self.conns.tuple(id, dir);
                let (source, target) = (tuple.source(), tuple.target());
                access.judge(&Seen { source, target, proto: conn.proto(), frame: None })
            }
            _ => Continue(()),
        }
    }
}
