// SPDX-License-Identifier: Apache-2.0
//! What a changed file changes: only what the file says differently, so that everything else that was configured stays.

use engine::proto::Timeouts;
use model::link::LinkChange;
use model::net::{RouteKey, RouteSpec};
use sockopt::{Code, Set, Status};

use super::{BootConfig, Device, LogLevel, Takes, WhenChanged, table};
use crate::change::Change;
use crate::decide::decide;
use crate::state::State;

/// What to do about a changed file.
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    /// Changes of links, addresses and routes: for [`crate::transact`].
    pub steps: Vec<Set>,
    /// Timeouts and switches: to commit when the steps were taken.
    pub settings: Change,
    /// The new level, if it changed.
    pub log_level: Option<LogLevel>,
    /// What changed and needs a restart, by path (`netif_defs/device dpdk0/driver`); it is as it was until then.
    pub restart: Vec<String>,
}

/// Compares two files.
pub fn reload(state: &State, old: &BootConfig, new: &BootConfig) -> Reload {
    Reload {
        steps: needed(state, steps(&old.without_others(new), &new.without_others(old))),
        settings: settings(state, old, new),
        log_level: (old.log_level != new.log_level).then_some(new.log_level),
        restart: restart(old, new),
    }
}

/// What of `steps` operators have not done by hand already. A step that is refused for any other reason stays, to be refused.
fn needed(state: &State, steps: Vec<Set>) -> Vec<Set> {
    let mut trial = state.clone();
    let mut needed = |step: Set| {
        let step = match (decide(&trial, &step), step) {
            (Ok(_), step) => step,
            (Err(Status { code: Code::Exists, .. }), Set::AddRoute(route)) => Set::ReplaceRoute(route),
            (Err(Status { code: Code::Exists, .. }), Set::AddAddr(_) | Set::AddVlan(_)) => return None,
            (Err(Status { code: Code::NotFound | Code::NoDevice, .. }), step) if is_removal(&step) => {
                return None;
            }
            (Err(_), step) => step,
        };
        if let Ok(decision) = decide(&trial, &step) {
            trial.commit(decision.change);
        }
        Some(step)
    };
    steps.into_iter().filter_map(&mut needed).collect()
}

fn is_removal(step: &Set) -> bool {
    matches!(step, Set::DelAddr { .. } | Set::DelRoute(_) | Set::DelVlan(_))
}

/// First what goes, in the reverse order of its making, then what comes.
fn steps(old: &BootConfig, new: &BootConfig) -> Vec<Set> {
    let (old_vlans, new_vlans) = (old.vlans(), new.vlans());
    let (old_addrs, new_addrs) = (old.addrs(), new.addrs());
    let vlans_gone: Vec<_> = old_vlans.iter().filter(|vlan| !new_vlans.contains(vlan)).collect();
    let on_gone = |dev: &str| vlans_gone.iter().any(|vlan| vlan.name.as_deref() == Some(dev));
    let routes_gone = old.routes.iter().filter(|route| !new.routes.contains(route) && !on_gone(&route.dev));
    // Addresses and routes of a VLAN go with it.
    let addrs_gone = old_addrs.iter().filter(|addr| !new_addrs.contains(addr) && !on_gone(&addr.dev));
    let mut steps: Vec<Set> = routes_gone.map(|route| Set::DelRoute(key(route))).collect();
    steps.extend(addrs_gone.map(|addr| Set::DelAddr { prefix: addr.prefix, dev: addr.dev.clone() }));
    steps.extend(vlans_gone.iter().filter_map(|vlan| vlan.name.clone()).map(Set::DelVlan));
    steps.extend(link_changes(old, new));
    steps.extend(new_vlans.iter().filter(|vlan| !old_vlans.contains(vlan)).cloned().map(Set::AddVlan));
    let came = |dev: &str| on_gone(dev) && new_vlans.iter().any(|vlan| vlan.name.as_deref() == Some(dev));
    let addrs = new_addrs.iter().filter(|addr| !old_addrs.contains(addr) || came(&addr.dev));
    steps.extend(addrs.cloned().map(Set::AddAddr));
    let routes = new.routes.iter().filter(|route| !old.routes.contains(route) || came(&route.dev));
    steps.extend(routes.cloned().map(Set::AddRoute));
    steps
}

fn key(route: &RouteSpec) -> RouteKey {
    let dev = Some(route.dev.clone()).filter(|dev| !dev.is_empty());
    RouteKey { dst: route.dst, dev, via: route.via, scope: route.scope }
}

fn link_changes(old: &BootConfig, new: &BootConfig) -> Vec<Set> {
    let mut steps = Vec::new();
    for (before, after) in new.devices.iter().filter_map(|after| Some((old.device(&after.name)?, after))) {
        let mut set = |change| steps.push(Set::SetLink { dev: after.name.clone(), change });
        if before.mtu != after.mtu {
            set(LinkChange::Mtu(after.mtu));
        }
        if before.promisc != after.promisc {
            set(LinkChange::Promisc(after.promisc));
        }
        if before.allmulticast != after.allmulticast {
            set(LinkChange::AllMulticast(after.allmulticast));
        }
    }
    steps
}

/// Timeouts that `ipvsadm --set` changed meanwhile stay where the file says what it said.
fn settings(state: &State, old: &BootConfig, new: &BootConfig) -> Change {
    let marks = if old.marks == new.marks { Change::default() } else { state.marking(new.marks.clone()) };
    timers(state, old, new).then(marks)
}

fn timers(state: &State, old: &BootConfig, new: &BootConfig) -> Change {
    if old.timeouts == new.timeouts && old.options == new.options {
        return Change::default();
    }
    let mut timeouts: Timeouts = state.timeouts.clone();
    let merge = |now: &mut [u32], before: &[u32], after: &[u32]| {
        for ((now, before), after) in now.iter_mut().zip(before).zip(after) {
            if before != after {
                *now = *after;
            }
        }
    };
    merge(&mut timeouts.tcp, &old.timeouts.tcp, &new.timeouts.tcp);
    merge(&mut timeouts.sctp, &old.timeouts.sctp, &new.timeouts.sctp);
    merge(&mut timeouts.udp, &old.timeouts.udp, &new.timeouts.udp);
    state.settings(timeouts, new.options.clone())
}

fn restart(old: &BootConfig, new: &BootConfig) -> Vec<String> {
    let mut paths: Vec<&String> = old.given.keys().chain(new.given.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let differs = |path: &&String| old.written(path) != new.written(path);
    let needs =
        |path: &&String| table::find(&bare(path)).is_some_and(|key| key.changed == WhenChanged::Restart);
    paths.into_iter().filter(differs).filter(needs).cloned().collect()
}

impl BootConfig {
    /// Without the devices that `other` does not have, and routes over them: those come and go with a restart.
    fn without_others(&self, other: &BootConfig) -> BootConfig {
        let (devices, others): (Vec<Device>, Vec<Device>) =
            self.devices.iter().cloned().partition(|device| other.device(&device.name).is_some());
        let over_other = |dev: &str| {
            let on = |device: &Device| {
                device.name == dev || device.vlans.iter().any(|vlan| vlan.link(&device.name) == dev)
            };
            others.iter().any(on)
        };
        let routes = self.routes.iter().filter(|route| !over_other(&route.dev)).cloned().collect();
        BootConfig { devices, routes, ..self.clone() }
    }

    /// What holds at a path: as written, else the default. `None` in a block that is not there.
    fn written(&self, path: &str) -> Option<Vec<String>> {
        if let Some(written) = self.given.get(path) {
            return Some(written.clone());
        }
        // The nearest block with a name: without that block, its keys have no value at all.
        let parts: Vec<&str> = path.split('/').collect();
        let named = parts[..parts.len() - 1].iter().rposition(|part| part.contains(' '));
        let there = named.is_none_or(|at| self.given.contains_key(&parts[..=at].join("/")));
        let key = table::find(&bare(path)).filter(|key| there && !matches!(key.takes, Takes::Named(_)))?;
        Some(if key.default.is_empty() { Vec::new() } else { vec![key.default.to_owned()] })
    }
}

/// A path without the names in it.
fn bare(path: &str) -> String {
    let words = path.split('/').map(|part| part.split(' ').next().unwrap_or(part));
    words.collect::<Vec<_>>().join("/")
}
