// SPDX-License-Identifier: Apache-2.0
//! What services and servers have carried: the counters of workers put together, with their rates.
//!
//! Workers count by destination. When one is removed, its counts stay in the sum of its service, so that a service's numbers
//! never go backwards; only zeroing does that.

use std::collections::HashMap;

use engine::counters::DestCounters;
use engine::ids::{DestId, LcoreId, ServiceId};
use engine::tick::Tick;
use model::{Counters, Rates};

use crate::rates::{Averages, Estimator, Sampling};
use crate::state::State;

/// Numbers of all services and servers. The daemon feeds it every two seconds and before it is asked.
#[derive(Debug, Default)]
pub struct Meter {
    workers: Vec<Worker>,
}

#[derive(Debug, Default)]
struct Worker {
    dests: Vec<Record>,
    /// What servers carried that are gone, by service and its generation.
    retired: HashMap<(ServiceId, u32), Counters>,
    sampling: Sampling,
}

/// A slot of a worker's table of destinations.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Of the destination; 0 for none yet.
    generation: u32,
    /// Its service and the service's generation.
    service: (ServiceId, u32),
    /// What the worker told last.
    counters: Counters,
    active: u32,
    inactive: u32,
    /// The destination is gone; connections that outlive it still count.
    retired: bool,
    estimator: Estimator,
}

/// Numbers of one server or service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// What it carried.
    pub counters: Counters,
    /// Its rates.
    pub rates: Averages,
    /// Connections in state established.
    pub active: u32,
    /// All others.
    pub inactive: u32,
}

impl Meter {
    /// Takes what a worker tells ([`engine::lcore::Lcore::dest_counters`]). `state` must be the one, or a later one than, its counters
    /// belong to: a destination that is not in it is gone.
    pub fn feed(&mut self, state: &State, worker: LcoreId, dests: &[DestCounters], now: Tick) {
        if self.workers.len() <= worker.index() {
            self.workers.resize_with(worker.index() + 1, Worker::default);
        }
        let worker = &mut self.workers[worker.index()];
        if worker.dests.len() < dests.len() {
            worker.dests.resize(dests.len(), Record::default());
        }
        for (at, told) in (0..).zip(dests) {
            let record = &mut worker.dests[at as usize];
            record.take(state, DestId(at), told, &mut worker.retired);
        }
        if let Some(elapsed) = worker.sampling.due(now) {
            for record in worker.dests.iter_mut().filter(|record| record.generation != 0) {
                record.estimator.sample(&record.counters, elapsed);
            }
            worker.retired.retain(|&(id, generation), _| {
                state.service_in(id).is_some() && state.services.generation(id.0) == generation
            });
        }
    }

    /// Forgets what servers carried that are gone; the workers zero those that are there.
    pub fn zero(&mut self, state: &State, services: &[ServiceId]) {
        for worker in &mut self.workers {
            for &id in services {
                worker.retired.remove(&(id, state.services.generation(id.0)));
            }
        }
    }

    /// Numbers of a server, of all workers or one.
    pub fn dest(&self, state: &State, id: DestId, only: Option<LcoreId>) -> Reading {
        let generation = state.dests.generation(id.0);
        let mut sum = Reading::default();
        for worker in self.chosen(only) {
            let record = worker.dests.get(id.index());
            if let Some(record) = record.filter(|record| record.generation == generation) {
                sum.counters += record.counters;
                sum.rates.add(record.estimator.rates());
                sum.active = sum.active.saturating_add(record.active);
                sum.inactive = sum.inactive.saturating_add(record.inactive);
            }
        }
        sum
    }

    /// What servers of a service carried that are gone.
    pub fn retired(&self, state: &State, id: ServiceId, only: Option<LcoreId>) -> Counters {
        let key = (id, state.services.generation(id.0));
        let mut sum = Counters::default();
        for counters in self.chosen(only).filter_map(|worker| worker.retired.get(&key)) {
            sum += *counters;
        }
        sum
    }

    fn chosen(&self, only: Option<LcoreId>) -> impl Iterator<Item = &Worker> {
        let chosen = (0..).zip(&self.workers).filter(move |&(at, _)| only.is_none_or(|id| id == LcoreId(at)));
        chosen.map(|(_, worker)| worker)
    }
}

impl Reading {
    /// The rates, rounded.
    pub fn rounded(&self) -> Rates {
        self.rates.into()
    }
}

impl Record {
    fn take(
        &mut self,
        state: &State,
        id: DestId,
        told: &DestCounters,
        retired: &mut HashMap<(ServiceId, u32), Counters>,
    ) {
        if told.generation == 0 {
            return;
        }
        if self.generation != told.generation {
            self.retire(retired);
            *self = Record { generation: told.generation, ..Record::default() };
        }
        self.service = state.parent(id, told.generation).unwrap_or(self.service);
        let present = state.dest_in(id).is_some_and(|(generation, _)| generation == told.generation);
        let now = counters(told);
        if self.retired {
            *retired.entry(self.service).or_default() += grown(&self.counters, &now);
        }
        (self.counters, self.active, self.inactive) = (now, told.active, told.inactive);
        if !present {
            self.retire(retired);
        }
    }

    /// Moves its counts to its service, once.
    fn retire(&mut self, retired: &mut HashMap<(ServiceId, u32), Counters>) {
        // Generation 0 is no service: the destination came and another took its slot between two looks.
        if self.generation != 0 && self.service.1 != 0 && !self.retired {
            *retired.entry(self.service).or_default() += self.counters;
        }
        self.retired = true;
    }
}

fn counters(told: &DestCounters) -> Counters {
    Counters {
        conns: told.conns,
        in_packets: told.in_packets,
        out_packets: told.out_packets,
        in_bytes: told.in_bytes,
        out_bytes: told.out_bytes,
    }
}

/// What was counted since; everything, where counters were zeroed meanwhile.
fn grown(old: &Counters, new: &Counters) -> Counters {
    let since = |old: u64, new: u64| if new < old { new } else { new - old };
    Counters {
        conns: since(old.conns, new.conns),
        in_packets: since(old.in_packets, new.in_packets),
        out_packets: since(old.out_packets, new.out_packets),
        in_bytes: since(old.in_bytes, new.in_bytes),
        out_bytes: since(old.out_bytes, new.out_bytes),
    }
}
