// SPDX-License-Identifier: Apache-2.0
//! What a list of commands makes of an empty table, and the least change that makes the running table so.

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

    /// What makes `running` equal to this. Servers that stay keep their connections and counters.
    pub fn changes(&self, running: &[ServiceEntry]) -> Vec<Set> {
        let mut changes = Vec::new();
        for entry in running.iter().filter(|entry| !self.services.contains_key(&entry.key)) {
            changes.push(Set::DelService(entry.key.clone()));
        }
        let running: BTreeMap<&ServiceKey, &ServiceEntry> =
            running.iter().map(|entry| (&entry.key, entry)).collect();
        for (key, service) in &self.services {
            match running.get(key) {
                Some(entry) => service.changes(key, entry, &mut changes),
                None => service.additions(key, &mut changes),
            }
        }
        changes.extend(self.timeouts.map(Set::SetTimeouts));
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

    fn changes(&self, key: &ServiceKey, running: &ServiceEntry, changes: &mut Vec<Set>) {
        if self.spec != running.spec {
            let patch = patch(&running.spec.options, &self.spec.options);
            changes.push(Set::EditService(key.clone(), self.spec.scheduling.clone(), patch));
        }
        self.laddr_changes(key, running, changes);
        self.access_changes(key, running, changes);
        self.dest_changes(key, running, changes);
    }

    fn dest_changes(&self, key: &ServiceKey, running: &ServiceEntry, changes: &mut Vec<Set>) {
        let wanted: BTreeMap<SocketAddr, DestSpec> = self.dests.iter().copied().collect();
        let present: BTreeMap<SocketAddr, DestSpec> =
            running.dests.iter().map(|dest| (dest.addr, dest.spec)).collect();
        let gone = running.dests.iter().filter(|dest| !wanted.contains_key(&dest.addr));
        changes.extend(gone.map(|dest| Set::DelDest(key.clone(), dest.addr)));
        for &(addr, spec) in &self.dests {
            match present.get(&addr) {
                None => changes.push(Set::AddDest(key.clone(), addr, spec)),
                Some(present) if *present != spec => {
                    changes.push(Set::EditDest(key.clone(), addr, spec));
                }
                Some(_) => {}
            }
        }
    }

    fn laddr_changes(&self, key: &ServiceKey, running: &ServiceEntry, changes: &mut Vec<Set>) {
        let present: Vec<(IpAddr, String)> =
            running.laddrs.iter().map(|laddr| (laddr.addr, laddr.dev.clone())).collect();
        let gone = present.iter().filter(|laddr| !self.laddrs.contains(laddr)).cloned();
        changes.extend(gone.map(|(addr, dev)| Set::DelLaddr { service: key.clone(), addr, dev }));
        let new = self.laddrs.iter().filter(|laddr| !present.contains(laddr));
        changes.extend(new.map(|laddr| add_laddr(key, laddr)));
    }

    fn access_changes(&self, key: &ServiceKey, running: &ServiceEntry, changes: &mut Vec<Set>) {
        let block = running.block.iter().map(|subject| (AccessList::Block, subject.clone()));
        let allow = running.allow.iter().map(|subject| (AccessList::Allow, subject.clone()));
        let present: Vec<(AccessList, AccessSubject)> = block.chain(allow).collect();
        let gone = present.iter().filter(|access| !self.access.contains(access)).cloned();
        changes.extend(gone.map(|(list, subject)| Set::DelAccess { service: key.clone(), list, subject }));
        let new = self.access.iter().filter(|access| !present.contains(access));
        changes.extend(new.map(|access| add_access(key, access)));
    }
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
    }
}
