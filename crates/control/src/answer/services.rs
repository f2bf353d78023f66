// SPDX-License-Identifier: Apache-2.0
//! Services with their servers, local addresses and numbers.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::ids::{DestId, LcoreId, LinkId, ServiceId};
use engine::persist::Chosen;
use model::ServiceKey;
use sockopt::Status;
use sockopt::reply::{DestEntry, LaddrEntry, Page, ServiceEntry};

use crate::observed::Observed;
use crate::rows::Service;
use crate::state::State;

/// Servers and local addresses in a page, about: services are never cut.
const PAGE: usize = 1000;

/// A page of services by slot, so that changes between two pages lose none that stayed.
pub(super) fn page(
    state: &State,
    seen: &Observed<'_>,
    cursor: u64,
    only: Option<LcoreId>,
) -> Page<ServiceEntry> {
    let mut entries = Vec::new();
    let mut size = 0;
    let templates = state.templates.by_server();
    let from = u32::try_from(cursor).unwrap_or(u32::MAX);
    for at in from..state.services.len() as u32 {
        let id = ServiceId(at);
        let Some(service) = state.service_in(id) else { continue };
        if size >= PAGE {
            return Page { entries, next: Some(at.into()) };
        }
        size += 1 + service.dests.len() + service.laddrs.len() + service.block.len() + service.allow.len();
        entries.push(entry(state, seen, &templates, id, service, only));
    }
    Page { entries, next: None }
}

pub(super) fn one(
    state: &State,
    seen: &Observed<'_>,
    key: &ServiceKey,
    only: Option<LcoreId>,
) -> Result<Page<ServiceEntry>, Status> {
    let (id, service) = state.service(key)?;
    let templates = state.templates.by_server();
    Ok(Page { entries: vec![entry(state, seen, &templates, id, service, only)], next: None })
}

fn entry(
    state: &State,
    seen: &Observed<'_>,
    templates: &HashMap<Chosen, u32>,
    id: ServiceId,
    service: &Service,
    only: Option<LcoreId>,
) -> ServiceEntry {
    let mut counters = seen.meter.retired(state, id, only);
    let mut rates = crate::rates::Averages::default();
    let mut dests = Vec::with_capacity(service.dests.len());
    for &id in &service.dests {
        let reading = seen.meter.dest(state, id, only);
        counters += reading.counters;
        rates.add(reading.rates);
        let chosen = (id, state.dests.generation(id.0));
        let persistent = templates.get(&chosen).copied().unwrap_or(0);
        dests.extend(dest(state, id, reading, persistent));
    }
    ServiceEntry {
        key: service.key.clone(),
        spec: service.spec.clone(),
        counters,
        rates: rates.into(),
        dests,
        laddrs: service.laddrs.iter().map(|&laddr| self::laddr(state, seen, laddr, only)).collect(),
        block: service.block.clone(),
        allow: service.allow.clone(),
        syn_proxy: super::synproxy::stats(state, seen, id, service, only),
    }
}

fn dest(state: &State, id: DestId, reading: crate::meter::Reading, persistent: u32) -> Option<DestEntry> {
    let (_, dest) = state.dest_in(id)?;
    let service = state.service_in(dest.service);
    let checked = service.is_some_and(|service| service.spec.options.dest_check.passive.is_some());
    Some(DestEntry {
        addr: dest.addr,
        spec: dest.spec,
        counters: reading.counters,
        rates: reading.rounded(),
        active: reading.active,
        inactive: reading.inactive,
        persistent,
        inhibited: checked && dest.health.is_inhibited(),
        overloaded: dest.occupancy.as_ref().is_some_and(|occupancy| occupancy.is_full()),
    })
}

fn laddr(
    state: &State,
    seen: &Observed<'_>,
    (addr, link): (IpAddr, LinkId),
    only: Option<LcoreId>,
) -> LaddrEntry {
    let used = super::net::usage(seen, addr, only);
    LaddrEntry {
        addr,
        dev: state.link_name(link).unwrap_or_default().to_owned(),
        conflicts: used.missed,
        conns: used.used,
    }
}
