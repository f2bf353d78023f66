// SPDX-License-Identifier: Apache-2.0
//! A table as changes make it out of an empty one, and the least change that makes the running table so.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use model::options::{AccessList, AccessSubject, DestCheck};
use model::{DestSpec, ServiceKey, ServiceOptions, ServiceOptionsPatch, ServiceSpec, Timeouts};
use sockopt::Set;
use sockopt::reply::ServiceEntry;

/// A table as commands describe it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    services: BTreeMap<ServiceKey, Service>,
    timeouts: Option<Timeouts>,
}

/// The table that runs.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// Its services.
    pub services: &'a [ServiceEntry],
    /// Its idle timeouts.
    pub timeouts: Timeouts,
}

/// What becomes of that which runs and is not desired.
#[derive(Clone, Copy, Debug)]
pub enum Rest<'a> {
    /// It goes.
    Remove,
    /// It stays, unless it is of this table: what was desired before.
    Keep(&'a Desired),
}

/// Lists keep the order of the commands: schedulers go through servers in it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Service {
    spec: ServiceSpec,
    dests: Vec<(SocketAddr, DestSpec)>,
    laddrs: Vec<(IpAddr, String)>,
    access: Vec<(AccessList, AccessSubject)>,
}

impl Desired {
    /// Applies one command.
    ///
    /// # Errors
    ///
    /// When it adds what is there or changes what is not.
    pub fn apply(&mut self, set: &Set) -> Result<(), String> {
        match set.clone() {
            Set::AddService(key, spec) => {
                if self.services.contains_key(&key) {
                    return Err(format!("{key} is there already"));
                }
                self.services.insert(key, Service { spec, ..Service::default() });
            }
            Set::EditService(key, scheduling, patch) => {
                let service = self.service(&key)?;
                service.spec.scheduling = scheduling;
                patch.apply(&mut service.spec.options);
            }
            Set::DelService(key) => {
                self.service(&key)?;
                self.services.remove(&key);
            }
            Set::FlushServices => self.services.clear(),
            Set::AddDest(key, addr, spec) => add(&mut self.service(&key)?.dests, addr, spec)?,
            Set::EditDest(key, addr, spec) => *find(&mut self.service(&key)?.dests, addr)? = spec,
            Set::DelDest(key, addr) => {
                let dests = &mut self.service(&key)?.dests;
                find(dests, addr)?;
                dests.retain(|(known, _)| *known != addr);
            }
            Set::AddLaddr { service, addr, dev } => add(&mut self.service(&service)?.laddrs, addr, dev)?,
            Set::DelLaddr { service, addr, .. } => {
                let laddrs = &mut self.service(&service)?.laddrs;
                find(laddrs, addr)?;
                laddrs.retain(|(known, _)| *known != addr);
            }
            Set::AddAccess { service, list, subject } => {
                let access = &mut self.service(&service)?.access;
                if access.contains(&(list, subject.clone())) {
                    return Err(format!("{subject} is there already"));
                }
                access.push((list, subject));
            }
            Set::DelAccess { service, list, subject } => {
                let access = &mut self.service(&service)?.access;
                let before = access.len();
                access.retain(|known| *known != (list, subject.clone()));
                if access.len() == before {
                    return Err(format!("{subject} is not there"));
                }
            }
            Set::SetTimeouts(timeouts) => self.timeouts = Some(timeouts),
            // Counters are no part of the table.
            Set::Zero(_) => {}
            other => return Err(format!("{other:?} is no change of the table")),
        }
        Ok(())
    }

    /// Whether there is such a service.
    pub fn has(&self, key: &ServiceKey) -> bool {
        self.services.contains_key(key)
    }

    /// What makes `running` as this says. Servers that stay keep their connections and counters.
    pub fn changes(&self, running: Running<'_>, rest: Rest<'_>) -> Vec<Set> {
        let mut changes = Vec::new();
        let unwanted = running.services.iter().filter(|entry| !self.has(&entry.key));
        let gone = unwanted.filter(|entry| rest.before(&entry.key).goes());
        changes.extend(gone.map(|entry| Set::DelService(entry.key.clone())));
        let present: BTreeMap<&ServiceKey, &ServiceEntry> =
            running.services.iter().map(|entry| (&entry.key, entry)).collect();
        for (key, service) in &self.services {
            match present.get(key) {
                Some(entry) => service.changes(key, entry, rest.before(key), &mut changes),
                None => service.additions(key, &mut changes),
            }
        }
        changes.extend(
            self.timeouts.filter(|timeouts| differ(timeouts, &running.timeouts)).map(Set::SetTimeouts),
        );
        changes
    }

    /// What runs and is not desired: a line each.
    pub fn strangers(&self, running: &[ServiceEntry]) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in running {
            let key = &entry.key;
            let Some(service) = self.services.get(key) else {
                lines.push(format!("service {key}"));
                continue;
            };
            let dests =
                entry.dests.iter().filter(|dest| !service.dests.iter().any(|(addr, _)| *addr == dest.addr));
            lines.extend(dests.map(|dest| format!("server {} of {key}", dest.addr)));
            let laddrs = laddrs(entry).filter(|laddr| !service.laddrs.contains(laddr));
            lines.extend(laddrs.map(|(addr, dev)| format!("local address {addr} on {dev} of {key}")));
            let access = access(entry).filter(|access| !service.access.contains(access));
            lines.extend(access.map(|(list, subject)| match list {
                AccessList::Block => format!("denied client {subject} of {key}"),
                AccessList::Allow => format!("allowed client {subject} of {key}"),
            }));
        }
        lines
    }

    /// Replaces the servers of a service.
    pub fn set_dests(&mut self, key: &ServiceKey, dests: Vec<(SocketAddr, DestSpec)>) {
        if let Some(service) = self.services.get_mut(key) {
            service.dests = dests;
        }
    }

    /// The servers of a service.
    pub fn dests(&self, key: &ServiceKey) -> &[(SocketAddr, DestSpec)] {
        self.services.get(key).map_or(&[], |service| &service.dests)
    }

    /// What makes the servers of a service what this says, where they are as `before` says.
    pub fn dest_changes(&self, key: &ServiceKey, before: &[(SocketAddr, DestSpec)]) -> Vec<Set> {
        let mut changes = Vec::new();
        if let Some(now) = self.services.get(key) {
            now.dest_changes(key, before, Before::All, &mut changes);
        }
        changes
    }

    fn service(&mut self, key: &ServiceKey) -> Result<&mut Service, String> {
        self.services.get_mut(key).ok_or_else(|| format!("there is no service {key}"))
    }
}

impl Service {
    fn additions(&self, key: &ServiceKey, changes: &mut Vec<Set>) {
        changes.push(Set::AddService(key.clone(), self.spec.clone()));
        changes.extend(self.laddrs.iter().map(|laddr| add_laddr(key, laddr)));
        changes.extend(self.access.iter().map(|access| add_access(key, access)));
        changes.extend(self.dests.iter().map(|&(addr, spec)| Set::AddDest(key.clone(), addr, spec)));
    }

    fn changes(&self, key: &ServiceKey, running: &ServiceEntry, before: Before<'_>, changes: &mut Vec<Set>) {
        if self.spec != running.spec {
            let patch = patch(&running.spec.options, &self.spec.options);
            changes.push(Set::EditService(key.clone(), self.spec.scheduling.clone(), patch));
        }
        self.laddr_changes(key, running, before, changes);
        self.access_changes(key, running, before, changes);
        let present: Vec<(SocketAddr, DestSpec)> =
            running.dests.iter().map(|dest| (dest.addr, dest.spec)).collect();
        self.dest_changes(key, &present, before, changes);
    }

    fn dest_changes(
        &self,
        key: &ServiceKey,
        present: &[(SocketAddr, DestSpec)],
        before: Before<'_>,
        changes: &mut Vec<Set>,
    ) {
        let wanted: BTreeMap<SocketAddr, DestSpec> = self.dests.iter().copied().collect();
        let known: BTreeMap<SocketAddr, DestSpec> = present.iter().copied().collect();
        let gone = present.iter().map(|&(addr, _)| addr).filter(|addr| !wanted.contains_key(addr));
        let gone =
            gone.filter(|addr| before.had(|service| service.dests.iter().any(|(known, _)| known == addr)));
        changes.extend(gone.map(|addr| Set::DelDest(key.clone(), addr)));
        for &(addr, spec) in &self.dests {
            match known.get(&addr) {
                None => changes.push(Set::AddDest(key.clone(), addr, spec)),
                Some(present) if *present != spec => {
                    changes.push(Set::EditDest(key.clone(), addr, spec));
                }
                Some(_) => {}
            }
        }
    }

    fn laddr_changes(
        &self,
        key: &ServiceKey,
        running: &ServiceEntry,
        before: Before<'_>,
        changes: &mut Vec<Set>,
    ) {
        let present: Vec<(IpAddr, String)> = laddrs(running).collect();
        let gone = present.iter().filter(|laddr| !self.laddrs.contains(laddr)).cloned();
        let gone = gone.filter(|laddr| before.had(|service| service.laddrs.contains(laddr)));
        changes.extend(gone.map(|(addr, dev)| Set::DelLaddr { service: key.clone(), addr, dev }));
        let new = self.laddrs.iter().filter(|laddr| !present.contains(laddr));
        changes.extend(new.map(|laddr| add_laddr(key, laddr)));
    }

    fn access_changes(
        &self,
        key: &ServiceKey,
        running: &ServiceEntry,
        before: Before<'_>,
        changes: &mut Vec<Set>,
    ) {
        let present: Vec<(AccessList, AccessSubject)> = access(running).collect();
        let gone = present.iter().filter(|access| !self.access.contains(access)).cloned();
        let gone = gone.filter(|access| before.had(|service| service.access.contains(access)));
        changes.extend(gone.map(|(list, subject)| Set::DelAccess { service: key.clone(), list, subject }));
        let new = self.access.iter().filter(|access| !present.contains(access));
        changes.extend(new.map(|access| add_access(key, access)));
    }
}

/// What was desired of a service before.
#[derive(Clone, Copy)]
enum Before<'a> {
    /// Everything that runs.
    All,
    /// This, or nothing.
    Of(Option<&'a Service>),
}

impl Before<'_> {
    /// Whether a service that is not desired any more goes.
    fn goes(self) -> bool {
        self.had(|_| true)
    }

    fn had(self, part: impl Fn(&Service) -> bool) -> bool {
        match self {
            Before::All => true,
            Before::Of(service) => service.is_some_and(part),
        }
    }
}

impl<'a> Rest<'a> {
    fn before(self, key: &ServiceKey) -> Before<'a> {
        match self {
            Rest::Remove => Before::All,
            Rest::Keep(before) => Before::Of(before.services.get(key)),
        }
    }
}

fn laddrs(entry: &ServiceEntry) -> impl Iterator<Item = (IpAddr, String)> {
    entry.laddrs.iter().map(|laddr| (laddr.addr, laddr.dev.clone()))
}

fn access(entry: &ServiceEntry) -> impl Iterator<Item = (AccessList, AccessSubject)> {
    let block = entry.block.iter().map(|subject| (AccessList::Block, subject.clone()));
    block.chain(entry.allow.iter().map(|subject| (AccessList::Allow, subject.clone())))
}

/// Whether setting `wanted`, in which 0 leaves a value as it is, changes anything.
fn differ(wanted: &Timeouts, now: &Timeouts) -> bool {
    [(wanted.tcp, now.tcp), (wanted.tcp_fin, now.tcp_fin), (wanted.udp, now.udp)]
        .into_iter()
        .any(|(wanted, now)| wanted != 0 && wanted != now)
}

fn add<K: PartialEq + std::fmt::Display, V>(list: &mut Vec<(K, V)>, key: K, value: V) -> Result<(), String> {
    if list.iter().any(|(known, _)| *known == key) {
        return Err(format!("{key} is there already"));
    }
    list.push((key, value));
    Ok(())
}

fn find<K: PartialEq + std::fmt::Display, V>(list: &mut [(K, V)], key: K) -> Result<&mut V, String> {
    let found = list.iter_mut().find(|(known, _)| *known == key);
    found.map(|(_, value)| value).ok_or_else(|| format!("{key} is not there"))
}

fn add_laddr(key: &ServiceKey, (addr, dev): &(IpAddr, String)) -> Set {
    Set::AddLaddr { service: key.clone(), addr: *addr, dev: dev.clone() }
}

fn add_access(key: &ServiceKey, (list, subject): &(AccessList, AccessSubject)) -> Set {
    Set::AddAccess { service: key.clone(), list: *list, subject: subject.clone() }
}

/// What makes `now` into `wanted`. A hash target that is not wanted goes with the scheduler.
fn patch(now: &ServiceOptions, wanted: &ServiceOptions) -> ServiceOptionsPatch {
    fn changed<T: PartialEq + Clone>(now: &T, wanted: &T) -> Option<T> {
        (now != wanted).then(|| wanted.clone())
    }
    ServiceOptionsPatch {
        conn_timeout: changed(&now.conn_timeout, &wanted.conn_timeout).map(Option::unwrap_or_default),
        synproxy: changed(&now.synproxy, &wanted.synproxy),
        hash_target: changed(&now.hash_target, &wanted.hash_target).flatten(),
        expire_quiescent: changed(&now.expire_quiescent, &wanted.expire_quiescent),
        proxy_protocol: changed(&now.proxy_protocol, &wanted.proxy_protocol),
        quic: changed(&now.quic, &wanted.quic),
        dest_check: changed::<DestCheck>(&now.dest_check, &wanted.dest_check),
        echo: changed(&now.echo, &wanted.echo),
        bps: changed(&now.bps, &wanted.bps).map(Option::unwrap_or_default),
        limit_proportion: changed(&now.limit_proportion, &wanted.limit_proportion)
            .map(|percent| percent.unwrap_or(100)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Counters, Rates, Transport};
    use sockopt::reply::DestEntry;

    const NOW: Timeouts = Timeouts { tcp: 90, tcp_fin: 3, udp: 300 };

    fn key(host: u8) -> ServiceKey {
        ServiceKey::endpoint(Transport::Tcp, IpAddr::from([192, 0, 2, host]), 80)
    }

    fn addr(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 80))
    }

    fn table(services: &[(u8, &[u8])]) -> Desired {
        let mut table = Desired::default();
        for (host, dests) in services {
            table.apply(&Set::AddService(key(*host), ServiceSpec::default())).unwrap();
            for dest in *dests {
                table.apply(&Set::AddDest(key(*host), addr(*dest), DestSpec::default())).unwrap();
            }
        }
        table
    }

    fn entry(host: u8, dests: &[u8]) -> ServiceEntry {
        let dest = |&host: &u8| DestEntry {
            addr: addr(host),
            spec: DestSpec::default(),
            counters: Counters::default(),
            rates: Rates::default(),
            active: 0,
            inactive: 0,
            persistent: 0,
            inhibited: false,
            overloaded: false,
        };
        ServiceEntry {
            key: key(host),
            spec: ServiceSpec::default(),
            counters: Counters::default(),
            rates: Rates::default(),
            dests: dests.iter().map(dest).collect(),
            laddrs: Vec::new(),
            block: Vec::new(),
            allow: Vec::new(),
            syn_proxy: None,
        }
    }

    #[test]
    fn only_what_was_desired_before_goes() {
        let (before, now) = (table(&[(1, &[1, 2]), (2, &[1])]), table(&[(1, &[2, 3])]));
        // Server 9 and service 3 are somebody else's.
        let services = [entry(1, &[1, 2, 9]), entry(2, &[1]), entry(3, &[1])];
        let running = Running { services: &services, timeouts: NOW };
        let expected = [
            Set::DelService(key(2)),
            Set::DelDest(key(1), addr(1)),
            Set::AddDest(key(1), addr(3), DestSpec::default()),
        ];
        assert_eq!(now.changes(running, Rest::Keep(&before)), expected);
        assert_eq!(
            now.strangers(&[entry(1, &[2, 3, 9]), entry(3, &[1])]),
            ["server 10.0.0.9:80 of tcp 192.0.2.1:80", "service tcp 192.0.2.3:80"]
        );
        let expected = [
            Set::DelService(key(2)),
            Set::DelService(key(3)),
            Set::DelDest(key(1), addr(1)),
            Set::DelDest(key(1), addr(9)),
            Set::AddDest(key(1), addr(3), DestSpec::default()),
        ];
        assert_eq!(now.changes(running, Rest::Remove), expected);
    }

    #[test]
    fn timeouts_that_are_so_already_are_no_change() {
        let running = Running { services: &[], timeouts: NOW };
        let steps = |tcp, udp| {
            let mut table = Desired::default();
            table.apply(&Set::SetTimeouts(Timeouts { tcp, tcp_fin: 0, udp })).unwrap();
            table.changes(running, Rest::Remove).len()
        };
        assert_eq!([steps(90, 0), steps(0, 300), steps(91, 0), steps(90, 299)], [0, 0, 1, 1]);
    }

    #[test]
    fn servers_follow_their_health() {
        let before = table(&[(1, &[1, 2])]);
        let mut now = before.clone();
        let quiet = DestSpec { weight: 0, ..DestSpec::default() };
        now.set_dests(&key(1), vec![(addr(2), quiet), (addr(9), DestSpec::default())]);
        let expected = [
            Set::DelDest(key(1), addr(1)),
            Set::EditDest(key(1), addr(2), quiet),
            Set::AddDest(key(1), addr(9), DestSpec::default()),
        ];
        assert_eq!(now.dest_changes(&key(1), before.dests(&key(1))), expected);
        assert_eq!(now.dest_changes(&key(1), now.dests(&key(1))), []);
    }
}
