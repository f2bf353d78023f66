// SPDX-License-Identifier: Apache-2.0
//! Questions and changes. Everything a listing shows is here before its first line is written.

use std::collections::BTreeSet;

use cli::{Ask, AskError};
use model::tunnel::TunnelSpec;
use model::{ConnEntry, Prefix, ServiceKey, ServiceSpec, Timeouts};
use sockopt::reply::{DaemonInfo, Page, ServiceEntry};
use sockopt::{Get, Reply, Request, Set, Status};

use crate::args::Sockpair;
use crate::options::Opt;
use crate::request::{Edit, Services};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody answers.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The daemon refuses.
    #[error(transparent)]
    Refused(Status),
    /// The daemon answers another question.
    #[error("the daemon gave an answer that makes no sense here: use tools and daemon of the same release")]
    Odd,
}

/// Makes one change.
///
/// # Errors
///
/// [`Failure`]; then nothing is changed.
pub fn change(ask: &mut dyn Ask, set: Set) -> Result<(), Failure> {
    match ask.ask(&Request::Set(set))? {
        Reply::Done => Ok(()),
        other => Err(failure(other)),
    }
}

/// Makes several changes, or none of them; or says what they would do.
///
/// # Errors
///
/// [`Failure`]; then nothing is changed.
pub fn transaction(ask: &mut dyn Ask, steps: Vec<Set>, dry_run: bool) -> Result<Vec<String>, Failure> {
    match ask.ask(&Request::Transaction { steps, dry_run })? {
        Reply::Done => Ok(Vec::new()),
        Reply::Plan(plan) => Ok(plan),
        other => Err(failure(other)),
    }
}

/// Services with their servers, local addresses and access lists.
///
/// # Errors
///
/// [`Failure`]; an unknown service is one.
pub fn services(ask: &mut dyn Ask, query: &Services) -> Result<Vec<ServiceEntry>, Failure> {
    let lcore = query.worker;
    match &query.key {
        Some(key) => Ok(services_page(ask, Get::Service { key: key.clone(), lcore })?.entries),
        None => pages(|cursor| services_page(ask, Get::Services { cursor, lcore })),
    }
}

/// The configuration of one service.
///
/// # Errors
///
/// [`Failure`]; an unknown service is one.
pub fn service_spec(ask: &mut dyn Ask, key: &ServiceKey) -> Result<ServiceSpec, Failure> {
    let page = services_page(ask, Get::Service { key: key.clone(), lcore: None })?;
    page.entries.into_iter().next().map(|entry| entry.spec).ok_or(Failure::Odd)
}

/// Connections and persistence templates, or one connection.
///
/// # Errors
///
/// [`Failure`]; an unknown connection is one.
pub fn conns(ask: &mut dyn Ask, pair: Option<Sockpair>) -> Result<Vec<ConnEntry>, Failure> {
    match pair {
        Some(Sockpair { transport, source, target }) => {
            let get = Get::Conn { transport, source: source.into(), target: target.into() };
            Ok(conns_page(ask, get)?.entries)
        }
        None => pages(|cursor| conns_page(ask, Get::Conns { cursor })),
    }
}

/// Names of links.
///
/// # Errors
///
/// [`Failure`].
pub fn links(ask: &mut dyn Ask) -> Result<BTreeSet<String>, Failure> {
    match ask.ask(&Request::Get(Get::Links { dev: None }))? {
        Reply::Links(links) => Ok(links.into_iter().map(|link| link.name).collect()),
        other => Err(failure(other)),
    }
}

/// Addresses of links, each with the name of its link.
///
/// # Errors
///
/// [`Failure`].
pub fn addresses(ask: &mut dyn Ask) -> Result<BTreeSet<(Prefix, String)>, Failure> {
    match ask.ask(&Request::Get(Get::Addrs { dev: None, family: None }))? {
        Reply::Addrs(entries) => {
            Ok(entries.into_iter().map(|entry| (entry.addr.prefix, entry.addr.dev)).collect())
        }
        other => Err(failure(other)),
    }
}

/// Tunnel links.
///
/// # Errors
///
/// [`Failure`].
pub fn tunnels(ask: &mut dyn Ask) -> Result<Vec<TunnelSpec>, Failure> {
    match ask.ask(&Request::Get(Get::Tunnels))? {
        Reply::Tunnels(tunnels) => Ok(tunnels),
        other => Err(failure(other)),
    }
}

/// Idle timeouts.
///
/// # Errors
///
/// [`Failure`].
pub fn timeouts(ask: &mut dyn Ask) -> Result<Timeouts, Failure> {
    match ask.ask(&Request::Get(Get::Timeouts))? {
        Reply::Timeouts(timeouts) => Ok(timeouts),
        other => Err(failure(other)),
    }
}

/// About the daemon.
///
/// # Errors
///
/// [`Failure`].
pub fn daemon(ask: &mut dyn Ask) -> Result<DaemonInfo, Failure> {
    match ask.ask(&Request::Get(Get::Daemon))? {
        Reply::Daemon(info) => Ok(info),
        other => Err(failure(other)),
    }
}

/// Fills in what an edit does not name from what is configured: DPVS's `-E` keeps it.
///
/// # Errors
///
/// [`Failure`]; an unknown service is one.
pub fn keep_unnamed(ask: &mut dyn Ask, edit: &mut Edit) -> Result<(), Failure> {
    let now = service_spec(ask, &edit.key)?.scheduling;
    let named = |opt| edit.named.contains(&opt);
    let wanted = &mut edit.scheduling;
    let same_scheduler = !named(Opt::Scheduler) || wanted.scheduler == now.scheduler;
    if !named(Opt::Scheduler) {
        wanted.scheduler = now.scheduler;
    }
    if !named(Opt::SchedFlags) && same_scheduler {
        wanted.flags = now.flags;
    }
    wanted.persistence = match (named(Opt::Persistent), named(Opt::Netmask)) {
        (false, false) => now.persistence,
        (true, false) => wanted.persistence.map(|mut persistence| {
            persistence.granularity = now.persistence.map_or(persistence.granularity, |now| now.granularity);
            persistence
        }),
        _ => wanted.persistence,
    };
    if !named(Opt::Pe) {
        wanted.pe = now.pe;
    }
    wanted.one_packet |= now.one_packet;
    Ok(())
}

fn services_page(ask: &mut dyn Ask, get: Get) -> Result<Page<ServiceEntry>, Failure> {
    match ask.ask(&Request::Get(get))? {
        Reply::Services(page) => Ok(page),
        other => Err(failure(other)),
    }
}

fn conns_page(ask: &mut dyn Ask, get: Get) -> Result<Page<ConnEntry>, Failure> {
    match ask.ask(&Request::Get(get))? {
        Reply::Conns(page) => Ok(page),
        other => Err(failure(other)),
    }
}

fn pages<T>(mut page: impl FnMut(u64) -> Result<Page<T>, Failure>) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    let mut cursor = 0;
    loop {
        let Page { entries, next } = page(cursor)?;
        all.extend(entries);
        match next {
            Some(next) => cursor = next,
            None => return Ok(all),
        }
    }
}

fn failure(reply: Reply) -> Failure {
    match reply {
        Reply::Refused(status) => Failure::Refused(status),
        _ => Failure::Odd,
    }
}
