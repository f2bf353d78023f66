// SPDX-License-Identifier: Apache-2.0
//! What the SYN proxy did.

use engine::ids::{LcoreId, ServiceId};
use engine::synproxy::counters::Counters;
use model::stats::{SynProxyStats, SynProxyTotals};
use sockopt::reply::{SynProxyEntry, SynProxyInfo};

use crate::observed::Observed;
use crate::rows::Service;
use crate::state::State;

pub(super) fn info(state: &State, seen: &Observed<'_>) -> SynProxyInfo {
    let mut totals = SynProxyTotals::default();
    let mut sum = Counters::default();
    for report in seen.workers.iter().map(|worker| &worker.syn_proxy) {
        totals.sessions += report.sessions as u64;
        totals.held += report.held as u64;
        totals.held_bytes += report.held_bytes;
        sum += report.gone;
        report.services.iter().for_each(|told| sum += told.counters);
    }
    totals.counters = named(&sum).collect();
    let services = state.services.iter().filter_map(|(id, service)| {
        let stats = stats(state, seen, ServiceId(id), service, None)?;
        Some(SynProxyEntry { service: service.key.clone(), synproxy: service.spec.options.synproxy, stats })
    });
    SynProxyInfo { totals, services: services.collect() }
}

/// Of a service that has the proxy; of all workers or one.
pub(super) fn stats(
    state: &State,
    seen: &Observed<'_>,
    id: ServiceId,
    service: &Service,
    only: Option<LcoreId>,
) -> Option<SynProxyStats> {
    if !service.spec.options.synproxy.is_on() {
        return None;
    }
    let generation = state.services.generation(id.0);
    let mut sum = Counters::default();
    let mut standing = 0;
    let chosen = (0..).zip(&seen.workers).filter(|&(at, _)| only.is_none_or(|only| only == LcoreId(at)));
    for (_, worker) in chosen {
        let told = worker.syn_proxy.services.get(id.index());
        if let Some(told) = told.filter(|told| told.generation == generation) {
            sum += told.counters;
            standing += u16::from(told.standing);
        }
    }
    Some(SynProxyStats { standing, counters: named(&sum).filter(|(_, count)| *count > 0).collect() })
}

fn named(counters: &Counters) -> impl Iterator<Item = (String, u64)> {
    counters.named().map(|(name, count)| (name.to_owned(), count))
}
