// SPDX-License-Identifier: Apache-2.0
//! Answers to questions: from the state and from what the daemon gathered, never by asking anybody.

mod conns;
mod ipset;
mod links;
mod net;
mod services;
mod synproxy;

use std::net::SocketAddr;

use engine::ids::LcoreId;
use engine::tick::Tick;
use model::Transport;
use sockopt::reply::DaemonInfo;
use sockopt::{Code, Get, Reply, Status};

use crate::decide::timeouts_listed;
use crate::observed::Observed;
use crate::state::State;

/// What the daemon has to gather from workers and devices before it can answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Counters of destinations, fed to the meter.
    pub dests: bool,
    /// Leases of local addresses: [`crate::WorkerReport::laddrs`].
    pub laddrs: bool,
    /// Neighbours: [`crate::WorkerReport::neighs`].
    pub neighs: bool,
    /// What devices count: [`crate::Observed::ports`].
    pub ports: bool,
    /// Connections: [`crate::Observed::conns`].
    pub conns: Option<Conns>,
    /// What the SYN proxy did: [`crate::WorkerReport::syn_proxy`].
    pub syn_proxy: bool,
    /// Small numbers of every worker: all other fields of [`crate::WorkerReport`].
    pub workers: bool,
}

/// Which connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conns {
    /// A page of a worker's table, from a slot on.
    From(LcoreId, usize),
    /// The one of packets from a source to a target, on whichever worker it is.
    Of(Transport, SocketAddr, SocketAddr),
}

/// What a question needs.
pub fn wants(get: &Get) -> Wants {
    let none = Wants::default();
    match get {
        Get::Daemon | Get::Cpus | Get::Traffic => Wants { workers: true, ..none },
        Get::Services { .. } | Get::Service { .. } => {
            Wants { dests: true, laddrs: true, syn_proxy: true, ..none }
        }
        Get::SynProxy => Wants { syn_proxy: true, ..none },
        Get::Conns { cursor } => {
            let (worker, slot) = conns::position(*cursor);
            Wants { conns: Some(Conns::From(worker, slot)), ..none }
        }
        Get::Conn { transport, source, target } => {
            Wants { conns: Some(Conns::Of(*transport, *source, *target)), ..none }
        }
        Get::Addrs { .. } => Wants { laddrs: true, ..none },
        Get::Neighs { .. } => Wants { neighs: true, ..none },
        Get::LinkStats { .. } => Wants { ports: true, workers: true, ..none },
        Get::Timeouts | Get::Routes { .. } | Get::Links { .. } | Get::Vlans { .. } | Get::Tunnels => none,
        Get::Sets { .. } | Get::TestSet { .. } => none,
    }
}

/// Answers a question.
pub fn answer(state: &State, seen: &Observed<'_>, get: &Get, now: Tick) -> Reply {
    answered(state, seen, get, now).unwrap_or_else(Reply::Refused)
}

fn answered(state: &State, seen: &Observed<'_>, get: &Get, now: Tick) -> Result<Reply, Status> {
    Ok(match get {
        Get::Daemon => Reply::Daemon(daemon(seen, now)),
        Get::Services { cursor, lcore } => {
            Reply::Services(services::page(state, seen, *cursor, worker(seen, *lcore)?))
        }
        Get::Service { key, lcore } => {
            Reply::Services(services::one(state, seen, key, worker(seen, *lcore)?)?)
        }
        Get::Conns { cursor } => Reply::Conns(conns::page(state, seen, *cursor, now)),
        Get::Conn { .. } => Reply::Conns(conns::found(seen)),
        Get::Timeouts => Reply::Timeouts(timeouts_listed(state)),
        Get::Addrs { dev, family } => Reply::Addrs(net::addrs(state, seen, dev.as_deref(), *family, now)?),
        Get::Routes { dev, family } => Reply::Routes(net::routes(state, dev.as_deref(), *family)?),
        Get::Neighs { dev, family } => Reply::Neighs(net::neighs(state, seen, dev.as_deref(), *family)?),
        Get::Links { dev } => Reply::Links(links::links(state, dev.as_deref())?),
        Get::LinkStats { dev } => Reply::LinkStats(links::stats(state, seen, dev.as_deref())?),
        Get::Cpus => Reply::Cpus(links::cpus(state, seen)),
        Get::Traffic => Reply::Traffic(links::traffic(seen)),
        Get::SynProxy => Reply::SynProxy(synproxy::info(state, seen)),
        Get::Vlans { dev } => Reply::Vlans(links::vlans(state, dev.as_deref())?),
        Get::Tunnels => Reply::Tunnels(links::tunnels(state)),
        Get::Sets { name, cursor } => Reply::Sets(ipset::page(state, name.as_deref(), *cursor)?),
        Get::TestSet { name, entry } => Reply::IsInSet(ipset::test(state, name, entry)?),
    })
}

fn daemon(seen: &Observed<'_>, now: Tick) -> DaemonInfo {
    DaemonInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: now.since(seen.started) / 1000,
        workers: seen.workers.len() as u16,
        conn_table_size: seen.workers.iter().map(|worker| worker.conn_capacity).sum(),
    }
}

/// # Errors
/// `Invalid` for a worker that is not there.
fn worker(seen: &Observed<'_>, lcore: Option<u16>) -> Result<Option<LcoreId>, Status> {
    match lcore {
        Some(lcore) if usize::from(lcore) >= seen.workers.len() => {
            let text = format!(
                "no worker {}: there are {}, counted from 1",
                u32::from(lcore) + 1,
                seen.workers.len()
            );
            Err(Status::new(Code::Invalid, text))
        }
        lcore => Ok(lcore.map(LcoreId)),
    }
}
