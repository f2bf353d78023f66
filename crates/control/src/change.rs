// SPDX-License-Identifier: Apache-2.0
//! What a decision changes: rows of the state, each replaced by another or by nothing.
//!
//! Committing a change returns the rows that were there before; committing those undoes it. So a transaction needs no copy of the
//! state, only what it has changed so far.

use std::net::IpAddr;

use engine::ids::{DestId, LinkId, ServiceId};
use engine::proto::Timeouts;
use engine::snapshot::Options;
use model::MacAddr;
use model::ipset::{Element, Member};
use model::rule::Marking;

use crate::ordered::Placed;
use crate::rows::{Addr, AddrKey, Dest, IpSet, Link, Route, RouteId, Service};

/// Rows to replace, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change(pub(crate) Vec<Row>);

impl Change {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This change and then another.
    pub fn then(mut self, next: Change) -> Change {
        self.0.extend(next.0);
        self
    }
}

impl From<Vec<Row>> for Change {
    fn from(rows: Vec<Row>) -> Self {
        Change(rows)
    }
}

/// One row; `None` removes it. Slots come with their generation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    Service(ServiceId, Option<(u32, Box<Service>)>),
    Dest(DestId, Option<(u32, Dest)>),
    Link(LinkId, Option<(u32, Link)>),
    Addr(AddrKey, Option<Placed<Addr>>),
    Route(RouteId, Option<Placed<Route>>),
    Neigh((LinkId, IpAddr), Option<Placed<MacAddr>>),
    Set(String, Option<Placed<IpSet>>),
    Member(String, Element, Option<Member>),
    Timeouts(Timeouts),
    Options(Options),
    Marks(Vec<Marking>),
}
