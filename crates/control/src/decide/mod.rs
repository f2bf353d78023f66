// SPDX-License-Identifier: Apache-2.0
//! What a request shall change: looked up in the state, judged, and put into rows and effects. Nothing is changed here.

mod access;
mod addr;
mod dest;
mod ipset;
mod laddr;
mod link;
mod neigh;
mod route;
mod service;
mod timeouts;
mod tunnel;
mod vlan;

use std::net::IpAddr;

use sockopt::{Code, Set, Status};

use crate::change::{Change, Row};
use crate::effect::Effect;
use crate::state::State;

pub(crate) use ipset::find as find_set;
pub(crate) use timeouts::listed as timeouts_listed;
pub(crate) use vlan::check_name as check_link_name;

/// What shall happen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What changes in the state.
    pub change: Change,
    /// What the daemon has to do besides.
    pub effects: Vec<Effect>,
}

impl Decision {
    fn new(rows: Vec<Row>, effects: Vec<Effect>) -> Self {
        Decision { change: rows.into(), effects }
    }

    /// Nothing: it is that way already.
    fn nothing() -> Self {
        Decision::default()
    }
}

/// Decides on one change.
///
/// # Errors
/// Why it is refused; the state is as it was in any case.
pub fn decide(state: &State, set: &Set) -> Result<Decision, Status> {
    match set {
        Set::AddService(key, spec) => service::add(state, key, spec),
        Set::EditService(key, scheduling, patch) => service::edit(state, key, scheduling, patch),
        Set::DelService(key) => service::delete(state, key),
        Set::FlushServices => service::flush(state),
        Set::AddDest(key, addr, spec) => dest::add(state, key, *addr, spec),
        Set::EditDest(key, addr, spec) => dest::edit(state, key, *addr, spec),
        Set::DelDest(key, addr) => dest::delete(state, key, *addr),
        Set::AddLaddr { service, addr, dev } => laddr::add(state, service, *addr, dev),
        Set::DelLaddr { service, addr, dev } => laddr::delete(state, service, *addr, dev),
        Set::AddAccess { service, list, subject } => access::add(state, service, *list, subject),
        Set::DelAccess { service, list, subject } => access::delete(state, service, *list, subject),
        Set::Zero(key) => service::zero(state, key.as_ref()),
        Set::SetTimeouts(timeouts) => timeouts::set(state, timeouts),
        Set::AddAddr(addr) => addr::add(state, addr),
        Set::EditAddr(addr) => addr::edit(state, addr),
        Set::DelAddr { prefix, dev } => addr::delete(state, *prefix, dev),
        Set::FlushAddr { dev, family } => addr::flush(state, dev, *family),
        Set::AddRoute(spec) => route::add(state, spec),
        Set::ReplaceRoute(spec) => route::replace(state, spec),
        Set::DelRoute(key) => route::delete(state, key),
        Set::FlushRoute { dev, family } => route::flush(state, dev, *family),
        Set::AddNeigh(spec) => neigh::add(state, spec),
        Set::DelNeigh { addr, dev } => neigh::delete(state, *addr, dev),
        Set::FlushNeigh { dev } => neigh::flush(state, dev),
        Set::SetLink { dev, change } => link::set(state, dev, change),
        Set::AddVlan(spec) => vlan::add(state, spec),
        Set::DelVlan(name) => vlan::delete(state, name),
        Set::AddTunnel(spec) => tunnel::add(state, spec),
        Set::EditTunnel(spec) => tunnel::edit(state, spec),
        Set::DelTunnel(name) => tunnel::delete(state, name),
        Set::AddSet(spec) => ipset::create(state, spec),
        Set::DelSet(name) => ipset::destroy(state, name),
        Set::FlushSet(name) => ipset::flush(state, name.as_deref()),
        Set::AddMember { set, entry, comment, nomatch, force } => {
            ipset::add(state, set, entry, comment.as_deref(), *nomatch, *force)
        }
        Set::DelMember { set, entry, force } => ipset::delete(state, set, entry, *force),
    }
}

fn refuse<T>(code: Code, text: impl Into<String>) -> Result<T, Status> {
    Err(Status::new(code, text))
}

/// # Errors
/// `Invalid` unless `addr` can belong to a single station; `what` names it.
fn unicast(addr: IpAddr, what: &str) -> Result<(), Status> {
    let broadcast = matches!(addr, IpAddr::V4(addr) if addr.is_broadcast());
    if addr.is_unspecified() || addr.is_multicast() || broadcast {
        return refuse(Code::Invalid, format!("{what} {addr} is no address of a single station"));
    }
    Ok(())
}
