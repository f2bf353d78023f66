// SPDX-License-Identifier: Apache-2.0
//! The virtual addresses of a keepalived.conf: which instance has which, on which link, and whether they are here. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use keepalived_conf::Span;
use keepalived_conf::keepalived::Config;
use keepalived_conf::keepalived::object::{Vip, VrrpInstance};
use model::net::{AddrScope, IfAddr, VrrpRole};
use model::{Family, Prefix};
use sockopt::Set;
use sockopt::reply::{VrrpAddress, VrrpEntry};

/// An address on a link.
pub type Place = (Prefix, String);

/// Roles that were told, and addresses that follow from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vips {
    /// By instance: what its notify script said last.
    told: BTreeMap<String, VrrpRole>,
    /// What was put on links here, in order.
    put: Vec<Place>,
}

/// What makes the links have the addresses they should have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Addresses that come.
    pub come: Vec<Set>,
    /// Addresses that go.
    pub go: Vec<Set>,
    /// What is here when both are made.
    pub after: Vips,
}

impl Vips {
    /// What an instance is: as told, else as its file says.
    pub fn role(&self, instance: &VrrpInstance) -> VrrpRole {
        self.told.get(&instance.name).copied().unwrap_or(first_role(instance))
    }

    /// The same with another role of an instance.
    pub fn with(&self, instance: &str, role: VrrpRole) -> Vips {
        let mut vips = self.clone();
        vips.told.insert(instance.to_owned(), role);
        vips
    }

    /// What makes the links have the addresses of masters. Addresses that are there already and were not put here are somebody
    /// else's.
    pub fn changes(&self, config: &Config, links: &BTreeSet<String>, present: &BTreeSet<Place>) -> Changes {
        let masters = config.vrrp_instances.iter().filter(|instance| self.role(instance) == VrrpRole::Master);
        let mut wanted: Vec<Place> = Vec::new();
        for place in masters.flat_map(|instance| places(instance, links)).map(|(place, _)| place) {
            if !wanted.contains(&place) {
                wanted.push(place);
            }
        }
        let mut changes =
            Changes { after: Vips { told: self.told.clone(), put: Vec::new() }, ..Changes::default() };
        for place in wanted {
            if self.put.contains(&place) && present.contains(&place) {
                changes.after.put.push(place);
            } else if !present.contains(&place) {
                changes.come.push(add(&place));
                changes.after.put.push(place);
            }
        }
        let gone =
            self.put.iter().filter(|place| !changes.after.put.contains(place) && present.contains(place));
        changes.go = gone.map(|(prefix, dev)| Set::DelAddr { prefix: *prefix, dev: dev.clone() }).collect();
        changes
    }

    /// Every instance, for people.
    pub fn entries(&self, config: &Config, links: &BTreeSet<String>) -> Vec<VrrpEntry> {
        let entry = |instance: &VrrpInstance| VrrpEntry {
            instance: instance.name.clone(),
            role: self.role(instance),
            addresses: places(instance, links)
                .map(|((prefix, dev), _)| VrrpAddress { prefix, dev })
                .collect(),
        };
        config.vrrp_instances.iter().map(entry).collect()
    }
}

/// What an instance is as long as nobody says otherwise; the file's word for nothing is backup.
pub fn first_role(instance: &VrrpInstance) -> VrrpRole {
    if instance.state.as_deref() == Some("MASTER") { VrrpRole::Master } else { VrrpRole::Backup }
}

/// Every virtual address on a link of the director: whoever has it, the host's own stack has not.
pub fn all(config: &Config, links: &BTreeSet<String>) -> BTreeSet<IpAddr> {
    let places = config.vrrp_instances.iter().flat_map(|instance| places(instance, links));
    places.map(|((prefix, _), _)| prefix.addr).collect()
}

/// The place of an address in the file.
pub fn span<'a>(config: &'a Config, set: &Set) -> Option<&'a Span> {
    let Set::AddAddr(addr) = set else { return None };
    let vips = config.vrrp_instances.iter().flat_map(|instance| &instance.vips);
    vips.filter(|vip| prefix(vip) == addr.prefix).map(|vip| &vip.span).next()
}

/// Addresses on devices that are no link of the director: lines for people.
pub fn elsewhere(config: &Config, links: &BTreeSet<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for instance in &config.vrrp_instances {
        let lost = instance.vips.iter().find(|vip| link(instance, vip, links).is_none());
        lines.extend(lost.map(|vip| {
            let devices = [&vip.dev, &instance.dpdk_interface, &instance.interface];
            let device = devices.into_iter().flatten().next().map_or("", String::as_str);
            format!(
                "{}: not done: addresses of {}: no link `{device}` of the director: name one with dpdk_interface",
                vip.span, instance.name
            )
        }));
    }
    lines
}

fn places<'a>(
    instance: &'a VrrpInstance,
    links: &BTreeSet<String>,
) -> impl Iterator<Item = (Place, &'a Vip)> {
    instance.vips.iter().filter_map(move |vip| Some(((prefix(vip), link(instance, vip, links)?), vip)))
}

fn prefix(vip: &Vip) -> Prefix {
    let bits = Family::of(vip.addr).bits();
    Prefix { addr: vip.addr, len: u8::try_from(vip.prefix_len).unwrap_or(bits).min(bits) }
}

/// The link of an address: the first device said that is one, or the tap beside one.
fn link(instance: &VrrpInstance, vip: &Vip, links: &BTreeSet<String>) -> Option<String> {
    let devices = [&vip.dev, &instance.dpdk_interface, &instance.interface];
    let known = |name: &&str| links.contains(*name);
    let beside = |name: &String| name.strip_suffix(".kni").filter(known).map(str::to_owned);
    devices
        .into_iter()
        .flatten()
        .find_map(|name| if links.contains(name) { Some(name.clone()) } else { beside(name) })
}

fn add((prefix, dev): &Place) -> Set {
    Set::AddAddr(IfAddr {
        prefix: *prefix,
        dev: dev.clone(),
        broadcast: None,
        scope: AddrScope::default(),
        valid_lft: 0,
        preferred_lft: 0,
        sapool: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepalived_conf::keepalived;

    fn config(text: &str) -> Config {
        keepalived::parse(text.as_bytes(), "k", "lb").expect("good text").config
    }

    fn two() -> Config {
        config(
            "vrrp_instance A {\nstate MASTER\ninterface dpdk0.kni\nvirtual_ipaddress {\n192.0.2.1/24\n2001:db8::1\n}\n}\n\
             vrrp_instance B {\ninterface eth9\ndpdk_interface dpdk1\nvirtual_ipaddress {\n192.0.2.2\n}\n}\n",
        )
    }

    fn links() -> BTreeSet<String> {
        ["dpdk0", "dpdk1"].map(str::to_owned).into()
    }

    fn place(prefix: &str, dev: &str) -> Place {
        (prefix.parse().unwrap(), dev.to_owned())
    }

    fn added(changes: &Changes) -> Vec<String> {
        let name = |set: &Set| match set {
            Set::AddAddr(addr) => format!("{} {}", addr.prefix, addr.dev),
            other => format!("{other:?}"),
        };
        changes.come.iter().map(name).collect()
    }

    #[test]
    fn masters_have_their_addresses_and_others_wait() {
        let first = Vips::default().changes(&two(), &links(), &BTreeSet::new());
        assert_eq!(added(&first), ["192.0.2.1/24 dpdk0", "2001:db8::1/128 dpdk0"]);
        let present: BTreeSet<Place> = first.after.put.iter().cloned().collect();
        let swapped = first.after.with("A", VrrpRole::Fault).with("B", VrrpRole::Master);
        let second = swapped.changes(&two(), &links(), &present);
        assert_eq!(added(&second), ["192.0.2.2/32 dpdk1"]);
        let (v4, v6) = (place("192.0.2.1/24", "dpdk0"), place("2001:db8::1", "dpdk0"));
        let go = [v4, v6].map(|(prefix, dev)| Set::DelAddr { prefix, dev });
        assert_eq!(second.go, go);
        let entries = second.after.entries(&two(), &links());
        assert_eq!(
            entries.iter().map(|entry| entry.role).collect::<Vec<_>>(),
            [VrrpRole::Fault, VrrpRole::Master]
        );
    }

    #[test]
    fn addresses_that_others_put_there_stay_theirs() {
        let by_hand = BTreeSet::from([place("192.0.2.1/24", "dpdk0")]);
        let first = Vips::default().changes(&two(), &links(), &by_hand);
        assert_eq!(added(&first), ["2001:db8::1/128 dpdk0"]);
        let present: BTreeSet<Place> = first.after.put.iter().cloned().chain(by_hand).collect();
        let second = first.after.with("A", VrrpRole::Backup).changes(&two(), &links(), &present);
        let (prefix, dev) = place("2001:db8::1", "dpdk0");
        assert_eq!((added(&second).len(), second.go), (0, vec![Set::DelAddr { prefix, dev }]));
    }

    #[test]
    fn devices_that_are_no_link_are_reported() {
        let strange = config(
            "vrrp_instance C {\nstate MASTER\ninterface eth9\nvirtual_ipaddress {\n192.0.2.3\n192.0.2.4\n}\n}\n",
        );
        assert_eq!(Vips::default().changes(&strange, &links(), &BTreeSet::new()), Changes::default());
        assert_eq!(
            elsewhere(&strange, &links()),
            ["k:5: not done: addresses of C: no link `eth9` of the director: name one with dpdk_interface"]
        );
        assert_eq!(elsewhere(&two(), &links()), [""; 0]);
        assert_eq!(all(&two(), &links()).len(), 3);
    }
}
