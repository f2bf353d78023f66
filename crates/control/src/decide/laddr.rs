// SPDX-License-Identifier: Apache-2.0
//! Local addresses of services: `ipvsadm -P -Q`.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::ids::LinkId;
use model::net::{AddrScope, IfAddr};
use model::{Prefix, ServiceKey};
use sockopt::{Code, Status};

use super::{Decision, refuse, service, unicast};
use crate::change::Row;
use crate::effect::Effect;
use crate::rows::{Addr, AddrKey};
use crate::state::State;

/// Gives a service a local address, and puts the address on the link if it is not there.
pub(super) fn add(state: &State, key: &ServiceKey, addr: IpAddr, dev: &str) -> Result<Decision, Status> {
    let (id, old) = state.service(key)?;
    let (link, _) = state.link(dev)?;
    if old.laddrs.iter().any(|&(used, _)| used == addr) {
        return refuse(Code::Exists, format!("local address {addr} of {key} already exists"));
    }
    unicast(addr, "local address")?;
    // Return traffic is steered by the link it comes in by, so an address has one.
    if let Some((other, _)) = state.laddr_use(addr).filter(|&(used, _)| used != link) {
        let other = state.link_name(other).unwrap_or_default();
        return refuse(
            Code::Busy,
            format!(
                "{addr} is a local address on {other} already: use that link, or take it away there first"
            ),
        );
    }
    let places = state.places_of(addr);
    let on_link = places.iter().any(|place| place.link == link);
    if let (false, Some(place)) = (on_link, places.first()) {
        let other = state.link_name(place.link).unwrap_or_default();
        return refuse(Code::Invalid, format!("{addr} is an address of {other}, not of {dev}: name {other}"));
    }
    let mut service = old.clone();
    service.laddrs.push((addr, link));
    let mut rows = vec![service::replaced(state, id, service)];
    let mut effects = Vec::new();
    if !on_link {
        let row = Addr { spec: implied(addr, dev), implied: true, until: None, preferred_until: None };
        rows.push(Row::Addr(AddrKey { link, prefix: Prefix::host(addr) }, Some(state.addrs.last(row))));
        effects.push(Effect::Announce { link, addr });
    }
    Ok(Decision::new(rows, effects))
}

/// Takes a local address from a service, and from the link when nobody else wants it there.
pub(super) fn delete(state: &State, key: &ServiceKey, addr: IpAddr, dev: &str) -> Result<Decision, Status> {
    let (id, old) = state.service(key)?;
    let (link, _) = state.link(dev)?;
    if !old.laddrs.contains(&(addr, link)) {
        return refuse(Code::NotFound, format!("no local address {addr} on {dev} of {key}"));
    }
    let mut service = old.clone();
    service.laddrs.retain(|&laddr| laddr != (addr, link));
    let mut rows = vec![service::replaced(state, id, service)];
    rows.extend(unused(state, &[(addr, link)]));
    Ok(Decision::new(rows, Vec::new()))
}

/// Rows that take from links what was there only for services which give up these addresses, each as often as it is named.
pub(super) fn unused(state: &State, given_up: &[(IpAddr, LinkId)]) -> Vec<Row> {
    let mut times: HashMap<(IpAddr, LinkId), u32> = HashMap::new();
    for &laddr in given_up {
        *times.entry(laddr).or_default() += 1;
    }
    let gone = |(addr, link), times| {
        let key = AddrKey { link, prefix: Prefix::host(addr) };
        let used = state.laddr_use(addr).map_or(0, |(_, services)| services);
        (used <= times && state.addrs.get(&key).is_some_and(|row| row.implied)).then_some(key)
    };
    let mut keys: Vec<AddrKey> = times.into_iter().filter_map(|(laddr, times)| gone(laddr, times)).collect();
    keys.sort_unstable_by_key(|key| (key.link, key.prefix));
    keys.into_iter().map(|key| Row::Addr(key, None)).collect()
}

fn implied(addr: IpAddr, dev: &str) -> IfAddr {
    IfAddr {
        prefix: Prefix::host(addr),
        dev: dev.to_owned(),
        broadcast: None,
        scope: AddrScope::Global,
        valid_lft: 0,
        preferred_lft: 0,
        sapool: true,
    }
}
