// SPDX-License-Identifier: Apache-2.0
//! What a state configures, without what workers count: also of a state that is only tried.

use std::collections::BTreeSet;

use control::{Meter, Observed, State};
use engine::tick::Tick;
use model::tunnel::TunnelSpec;
use model::{Prefix, Timeouts};
use sockopt::reply::ServiceEntry;
use sockopt::{Get, Reply};

/// A look at a state.
pub struct View<'a> {
    state: &'a State,
    meter: Meter,
}

impl<'a> View<'a> {
    /// Of this one.
    pub fn of(state: &'a State) -> View<'a> {
        View { state, meter: Meter::default() }
    }

    fn ask(&self, get: &Get) -> Reply {
        control::answer(self.state, &Observed::new(&self.meter, Tick(0)), get, Tick(0))
    }

    /// Services with their servers, all counters 0.
    pub fn services(&self) -> Vec<ServiceEntry> {
        let (mut all, mut next) = (Vec::new(), Some(0));
        while let Some(cursor) = next {
            next = None;
            if let Reply::Services(page) = self.ask(&Get::Services { cursor, lcore: None }) {
                all.extend(page.entries);
                next = page.next;
            }
        }
        all
    }

    /// Idle timeouts.
    pub fn timeouts(&self) -> Timeouts {
        match self.ask(&Get::Timeouts) {
            Reply::Timeouts(timeouts) => timeouts,
            _ => Timeouts { tcp: 0, tcp_fin: 0, udp: 0 },
        }
    }

    /// Addresses of links, each with the name of its link.
    pub fn addresses(&self) -> BTreeSet<(Prefix, String)> {
        match self.ask(&Get::Addrs { dev: None, family: None }) {
            Reply::Addrs(entries) => {
                entries.into_iter().map(|entry| (entry.addr.prefix, entry.addr.dev)).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Tunnels.
    pub fn tunnels(&self) -> Vec<TunnelSpec> {
        match self.ask(&Get::Tunnels) {
            Reply::Tunnels(tunnels) => tunnels,
            _ => Vec::new(),
        }
    }

    /// Names of links.
    pub fn links(&self) -> BTreeSet<String> {
        match self.ask(&Get::Links { dev: None }) {
            Reply::Links(links) => links.into_iter().map(|link| link.name).collect(),
            _ => BTreeSet::new(),
        }
    }
}
