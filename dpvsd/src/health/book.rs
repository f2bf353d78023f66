// SPDX-License-Identifier: Apache-2.0
//! What a configuration asks for and how its servers are, in one value: checkers with their numbers, pools with who is alive, and
//! the table that follows from both. Pure: outcomes of checks in, changes of the table and scripts out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use desired::{Desired, Import};
use keepalived_conf::Error;
use keepalived_conf::keepalived::Config;
use keepalived_conf::keepalived::object::{RealServer, Service, Target};
use keepalived_conf::keepalived::script::Script;
use model::{DestSpec, ServiceKey};
use sockopt::Set;
use sockopt::reply::{HealthEntry, ServerHealth};

use super::plan::{Plan, Planner};
use super::pool::{CheckerId, Keep, Member, Notice, Pool};

/// A configuration in force.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// As read.
    pub config: Config,
    /// As a table while every server is well, with places.
    pub import: Import,
    /// By number.
    pub checkers: BTreeMap<CheckerId, Entry>,
    /// The table as servers are now.
    pub table: Desired,
    /// One for each block of the configuration.
    pools: Vec<Pool>,
    /// By block: its services, as indexes of [`Import::services`].
    services: Vec<Vec<usize>>,
    /// By block and member: its checkers.
    watched_by: HashMap<(usize, usize), Vec<CheckerId>>,
    /// Of checkers that have failed: why.
    reasons: HashMap<CheckerId, String>,
    last_id: CheckerId,
}

/// A checker and whose it is.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The checker.
    pub plan: Arc<Plan>,
    /// The block: an index of services.
    pub block: usize,
    /// The real server in it.
    pub member: usize,
}

/// What a checker found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its server is well.
    Up(CheckerId),
    /// It is not, and why.
    Down(CheckerId, String),
    /// What it adds to its server's weight.
    Weight(CheckerId, i64),
}

/// Scripts to run, and what they are run for.
pub type Due = Vec<(String, Script)>;

/// A real server of the configuration before.
struct Old<'a> {
    checkers: &'a [CheckerId],
    member: &'a Member,
}

impl Book {
    /// The book of a configuration after `before`: what is the same in both keeps its state. Checkers that are kept have their numbers.
    ///
    /// # Errors
    /// The place and the reason of what cannot be done.
    pub fn after(before: &Book, config: Config) -> Result<(Book, Due), Error> {
        let import = desired::import(&config)?;
        let mut services = vec![Vec::new(); config.services.len()];
        for (at, service) in import.services.iter().enumerate() {
            let blocks = service.dests.iter().map(|dest| dest.block.0).chain([service.block]);
            blocks.collect::<BTreeSet<usize>>().into_iter().for_each(|block| services[block].push(at));
        }
        let table = import.desired.clone();
        let mut book = Book { last_id: before.last_id, table, import, services, ..Book::default() };
        let mut due = Due::new();
        let (names, known) = (identities(&config), identities(&before.config));
        let known: HashMap<&str, usize> = (0..).zip(&known).map(|(at, name)| (name.as_str(), at)).collect();
        let mut planner = Planner::new(&config);
        for (block, name) in names.iter().enumerate() {
            let service = &config.services[block];
            let old = known.get(name.as_str()).copied();
            let mut pool = Pool {
                quorum: u64::from(service.quorum),
                hysteresis: u64::from(service.hysteresis),
                sorry: service.sorry_server.as_ref().map(|sorry| keep(sorry.inhibit_on_failure)),
                members: Vec::new(),
                in_quorum: old.is_some_and(|at| before.pools[at].in_quorum),
                sorry_serves: old.is_some_and(|at| before.pools[at].sorry_serves),
            };
            for (nth, server) in service.real_servers.iter().enumerate() {
                let same = old.and_then(|at| before.find(at, server));
                let member = book.member(before, &mut planner, (block, nth), (service, server), same)?;
                if old.is_none() && config.globals.rs_init_notifies && member.alive() {
                    due.extend(script(service, server, server.notify_up.as_ref(), "up"));
                }
                pool.members.push(member);
            }
            if let Some(at) = old {
                due.extend(removed(&before.config.services[at], &before.pools[at], &service.real_servers));
            }
            let notice = if old.is_some() { pool.judge() } else { pool.begin() };
            due.extend(notice.and_then(|notice| announcement(service, notice)));
            book.pools.push(pool);
        }
        let names: HashSet<&str> = names.iter().map(String::as_str).collect();
        for at in known.iter().filter(|(name, _)| !names.contains(*name)).map(|(_, &at)| at) {
            due.extend(removed(&before.config.services[at], &before.pools[at], &[]));
        }
        book.config = config;
        book.settle(&(0..book.pools.len()).collect());
        Ok((book, due))
    }

    fn find(&self, block: usize, server: &RealServer) -> Option<Old<'_>> {
        let nth = self.config.services[block].real_servers.iter().position(|known| same(known, server))?;
        let checkers = self.watched_by.get(&(block, nth)).map_or(&[][..], Vec::as_slice);
        Some(Old { checkers, member: &self.pools[block].members[nth] })
    }

    /// A real server with its checkers; what they knew before is kept.
    fn member(
        &mut self,
        before: &Book,
        planner: &mut Planner<'_>,
        (block, member): (usize, usize),
        (service, server): (&Service, &RealServer),
        old: Option<Old<'_>>,
    ) -> Result<Member, Error> {
        let mut found = Member {
            weight: server.weight,
            keep: keep(server.inhibit_on_failure),
            failed: BTreeSet::new(),
            corrections: BTreeMap::new(),
        };
        let port = self.port(block, member, server);
        for checker in &server.checkers {
            let plan = planner.plan(service, server, checker, port)?;
            // Of two checkers that are the same each keeps its own number.
            let same = |id: &&CheckerId| {
                before.checkers[id].plan.identity == plan.identity && !self.checkers.contains_key(id)
            };
            let kept = old.as_ref().and_then(|old| Some((*old.checkers.iter().find(same)?, old.member)));
            let id = match kept {
                Some((id, state)) => {
                    found.failed.extend(state.failed.contains(&id).then_some(id));
                    self.reasons.extend(before.reasons.get(&id).map(|reason| (id, reason.clone())));
                    found.corrections.extend(state.corrections.get(&id).map(|add| (id, *add)));
                    id
                }
                None => {
                    self.last_id += 1;
                    found.failed.extend(plan.alpha.then_some(self.last_id));
                    self.last_id
                }
            };
            self.checkers.insert(id, Entry { plan: Arc::new(plan), block, member });
            self.watched_by.entry((block, member)).or_default().push(id);
        }
        Ok(found)
    }

    /// The port a server is reached at: its own, or that of the service where the forwarding mode keeps ports.
    fn port(&self, block: usize, member: usize, server: &RealServer) -> u16 {
        if server.port != 0 {
            return server.port;
        }
        let dests = self.services[block].iter().flat_map(|&at| &self.import.services[at].dests);
        dests.filter(|dest| dest.block == (block, member)).map(|dest| dest.addr.port()).next().unwrap_or(0)
    }

    /// Takes what checkers found out: the changes of the table, and scripts to run.
    pub fn take(&mut self, events: &[Event]) -> (Vec<Set>, Due) {
        let (mut blocks, mut due) = (BTreeSet::new(), Due::new());
        for event in events {
            let (Event::Up(id) | Event::Down(id, _) | Event::Weight(id, _)) = *event;
            // The configuration may have forgotten it meanwhile.
            let Some(entry) = self.checkers.get(&id) else { continue };
            let pool = &mut self.pools[entry.block];
            let notices = match event {
                Event::Up(id) => {
                    self.reasons.remove(id);
                    pool.turn(entry.member, *id, true)
                }
                Event::Down(id, reason) => {
                    self.reasons.insert(*id, reason.clone());
                    pool.turn(entry.member, *id, false)
                }
                Event::Weight(id, add) => pool.correct(entry.member, *id, *add),
            };
            let service = &self.config.services[entry.block];
            let servers = &service.real_servers;
            due.extend(notices.into_iter().filter_map(|notice| match notice {
                Notice::Up(nth) => {
                    log::info!("server={} service={} health=up", address(&servers[nth]), service.target);
                    script(service, &servers[nth], servers[nth].notify_up.as_ref(), "up")
                }
                Notice::Down(nth) => {
                    log::warn!("server={} service={} health=down", address(&servers[nth]), service.target);
                    script(service, &servers[nth], servers[nth].notify_down.as_ref(), "down")
                }
                Notice::Gained | Notice::Lost => announcement(service, notice),
            }));
            blocks.insert(entry.block);
        }
        (self.settle(&blocks), due)
    }

    /// The scripts of services that want them at the end (`omega`).
    pub fn farewell(&self) -> Due {
        let mut due = Due::new();
        for (service, pool) in
            self.config.services.iter().zip(&self.pools).filter(|(service, _)| service.omega)
        {
            due.extend(removed(service, pool, &[]));
            due.extend(pool.in_quorum.then(|| announcement(service, Notice::Lost)).flatten());
        }
        due
    }

    /// Blocks whose checkers wait (`ha_suspend`): none of their addresses is here.
    pub fn suspended(&self, here: &HashSet<IpAddr>) -> BTreeSet<usize> {
        let away = |block: &usize| {
            let services = self.services[*block].iter().map(|&at| &self.import.services[at].key);
            !services
                .into_iter()
                .any(|key| matches!(key, ServiceKey::Endpoint { vip, .. } if here.contains(&vip.ip())))
        };
        let blocks = (0..).zip(&self.config.services).filter(|(_, service)| service.ha_suspend);
        blocks.map(|(block, _)| block).filter(away).collect()
    }

    /// Every block with its servers, for people.
    pub fn report(&self) -> Vec<HealthEntry> {
        let blocks = self.config.services.iter().zip(&self.pools).enumerate();
        let entry = |(block, (service, pool)): (usize, (&Service, &Pool))| HealthEntry {
            service: service.target.to_string(),
            quorum: pool.in_quorum,
            sorry: pool.sorry_serves,
            servers: (0..)
                .zip(&service.real_servers)
                .map(|(nth, server)| self.health(block, nth, server))
                .collect(),
        };
        blocks.map(entry).collect()
    }

    fn health(&self, block: usize, nth: usize, server: &RealServer) -> ServerHealth {
        let member = &self.pools[block].members[nth];
        let failed = member.failed.iter().map(|id| {
            let kind =
                self.checkers.get(id).and_then(|entry| entry.plan.label.split(' ').next()).unwrap_or("?");
            format!("{kind}: {}", self.reasons.get(id).map_or("not tested yet", String::as_str))
        });
        let checkers = self.watched_by.get(&(block, nth)).map_or(0, Vec::len);
        ServerHealth {
            server: address(server),
            alive: member.alive(),
            weight: member.weight(),
            checkers: u32::try_from(checkers).unwrap_or(u32::MAX),
            failed: failed.collect(),
        }
    }

    /// How many servers are alive, of how many.
    pub fn alive(&self) -> (usize, usize) {
        let members = self.pools.iter().flat_map(|pool| &pool.members);
        (members.clone().filter(|member| member.alive()).count(), members.count())
    }

    /// Makes the table follow the pools of some blocks; the changes.
    fn settle(&mut self, blocks: &BTreeSet<usize>) -> Vec<Set> {
        let mut changes = Vec::new();
        let services: BTreeSet<usize> =
            blocks.iter().flat_map(|&block| self.services[block].iter().copied()).collect();
        for at in services {
            let service = &self.import.services[at];
            let before = self.table.dests(&service.key).to_vec();
            self.table.set_dests(&service.key, dests(service, &self.pools));
            changes.extend(self.table.dest_changes(&service.key, &before));
        }
        changes
    }
}

/// The servers of a service as they are.
fn dests(service: &desired::keepalived::Service, pools: &[Pool]) -> Vec<(SocketAddr, DestSpec)> {
    let pool = &pools[service.block];
    let mut dests = Vec::new();
    for dest in &service.dests {
        let (block, member) = dest.block;
        // A service that is written twice has the sorry server of its first block only.
        let out = block != service.block && pool.sorry_serves;
        if let Some(weight) = pools[block].presence(member).filter(|_| !out) {
            dests.push((dest.addr, DestSpec { weight, ..dest.spec }));
        }
    }
    if let (Some(sorry), Some(weight)) = (&service.sorry, pool.sorry_presence()) {
        let spec = DestSpec { weight, ..sorry.spec };
        match dests.iter_mut().find(|(addr, _)| *addr == sorry.addr) {
            Some((_, known)) if pool.sorry_serves => *known = spec,
            Some(_) => {}
            None => dests.push((sorry.addr, spec)),
        }
    }
    dests
}

fn keep(inhibit: bool) -> Keep {
    if inhibit { Keep::Quiet } else { Keep::No }
}

fn same(one: &RealServer, other: &RealServer) -> bool {
    (one.addr, one.port) == (other.addr, other.port)
}

fn address(server: &RealServer) -> SocketAddr {
    SocketAddr::new(server.addr, server.port)
}

/// The scripts of servers that were alive and are not among those left.
fn removed(service: &Service, pool: &Pool, left: &[RealServer]) -> Due {
    let servers = service.real_servers.iter().zip(&pool.members);
    let gone =
        servers.filter(|(known, member)| member.alive() && !left.iter().any(|server| same(known, server)));
    gone.filter_map(|(server, _)| script(service, server, server.notify_down.as_ref(), "removed")).collect()
}

fn script(
    service: &Service,
    server: &RealServer,
    script: Option<&Script>,
    what: &str,
) -> Option<(String, Script)> {
    Some((format!("server {} of {} {what}", address(server), service.target), script?.clone()))
}

fn announcement(service: &Service, notice: Notice) -> Option<(String, Script)> {
    let (script, what) = match notice {
        Notice::Gained => (&service.quorum_up, "gained"),
        _ => (&service.quorum_down, "lost"),
    };
    log::info!("service={} quorum={what}", service.target);
    Some((format!("quorum of {} {what}", service.target), script.clone()?))
}

/// What tells a block from others in two configurations; the second of the same kind has a number.
fn identities(config: &Config) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let names = config.services.iter().map(|service| {
        let name = match &service.target {
            Target::Match(rule) => format!("{:?} {:?} {rule:?}", service.protocol, service.family),
            Target::Group(name) => format!("group {name}"),
            target => format!("{:?} {:?} {target}", service.protocol, service.family),
        };
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        format!("{name} {count}")
    });
    names.collect()
}

#[cfg(test)]
mod tests;
