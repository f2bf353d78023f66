// SPDX-License-Identifier: Apache-2.0
//! The services of a configuration one by one, as a director has them: every address of a group is one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::keepalived::Config;
use crate::keepalived::object::{
    AccessMember, Family, Forwarding, Group, Match, Protocol, RealServer, Service, Target,
};
use crate::span::Span;

/// How many services a configuration may have, and how many addresses one of its lists. A range is quickly written.
pub const MAX: u128 = 1 << 17;

/// A service as a director has it.
#[derive(Clone, Debug)]
pub struct Expanded<'a> {
    /// What clients address.
    pub key: Key,
    /// What it was made of.
    pub service: &'a Service,
    /// Its real servers, in file order, at the ports that they are reached at.
    pub dests: Vec<(SocketAddr, &'a RealServer)>,
}

/// What tells one service from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A transport and an address.
    Endpoint(Protocol, SocketAddr),
    /// A firewall mark of a family.
    Mark(u32, Family),
    /// A match; its name is only a label and left empty.
    Match(Protocol, Family, Match),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Endpoint(protocol, addr) => write!(f, "{} {addr}", protocol.name()),
            Key::Mark(mark, Family::Inet) => write!(f, "fwmark {mark}"),
            Key::Mark(mark, Family::Inet6) => write!(f, "fwmark {mark} inet6"),
            Key::Match(..) => write!(f, "match {}", self.expression().unwrap_or_default()),
        }
    }
}

impl Key {
    /// The match expression of a match service: `proto=tcp,src-range=..,oif=..`.
    pub fn expression(&self) -> Option<String> {
        let Key::Match(protocol, family, rule) = self else { return None };
        let af = if *family == Family::Inet { "ipv4" } else { "ipv6" };
        // A range says the family by itself.
        let needs_af = rule.src_range.is_none() && rule.dst_range.is_none();
        let parts = [
            ("proto", Some(protocol.name())),
            ("af", needs_af.then_some(af)),
            ("src-range", rule.src_range.as_deref()),
            ("dst-range", rule.dst_range.as_deref()),
            ("iif", rule.iif.as_deref()),
            ("oif", rule.oif.as_deref()),
        ];
        let parts: Vec<String> =
            parts.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))).collect();
        Some(parts.join(","))
    }
}

/// More addresses than anybody can mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{span}: {what} names more than {MAX} addresses")]
pub struct TooMany {
    /// Where.
    pub span: Span,
    /// What names them.
    pub what: String,
}

/// Every service once, in file order. Of a service written twice the first one counts, with the real servers of both:
/// that is what a kernel makes of it, where the second one exists already.
///
/// # Errors
///
/// More than [`MAX`] of them.
pub fn services(config: &Config) -> Result<Vec<Expanded<'_>>, TooMany> {
    let mut merged: Vec<Expanded<'_>> = Vec::new();
    let mut places = HashMap::new();
    for service in written(config)? {
        let place = *places.entry(service.key.clone()).or_insert(merged.len());
        match merged.get_mut(place) {
            None => merged.push(service),
            Some(first) => first.dests.extend(service.dests),
        }
    }
    for service in &mut merged {
        let mut seen = HashSet::new();
        service.dests.retain(|(addr, _)| seen.insert(*addr));
    }
    Ok(merged)
}

fn written(config: &Config) -> Result<Vec<Expanded<'_>>, TooMany> {
    let mut all = Vec::new();
    for service in &config.services {
        match &service.target {
            Target::Address(addr, port) => {
                let key = Key::Endpoint(protocol(service), SocketAddr::new(*addr, *port));
                all.push(expanded(key, service, *port));
            }
            Target::Mark(mark) => {
                all.push(expanded(Key::Mark(*mark, service.family.unwrap_or(Family::Inet)), service, 0));
            }
            Target::Match(rule) => {
                let family = service.family.unwrap_or(Family::Inet);
                let key =
                    Key::Match(protocol(service), family, Match { name: String::new(), ..rule.clone() });
                all.push(expanded(key, service, 0));
            }
            Target::Group(name) => {
                // Services of unknown groups were dropped.
                let Some(group) = config.groups.iter().find(|group| group.name == *name) else { continue };
                group_services(group, service, &mut all)?;
            }
        }
    }
    Ok(all)
}

fn group_services<'a>(
    group: &Group,
    service: &'a Service,
    all: &mut Vec<Expanded<'a>>,
) -> Result<(), TooMany> {
    for range in &group.addresses {
        let what = || format!("group {}", group.name);
        if all.len() as u128 + size(range.first, range.last) > MAX {
            return Err(TooMany { span: range.span.clone(), what: what() });
        }
        for addr in addresses(range.first, range.last, &range.span, &what)? {
            let key = Key::Endpoint(protocol(service), SocketAddr::new(addr, range.port));
            all.push(expanded(key, service, range.port));
        }
    }
    for mark in &group.marks {
        let family = mark.family.or(service.family).unwrap_or(Family::Inet);
        all.push(expanded(Key::Mark(mark.mark, family), service, 0));
    }
    Ok(())
}

fn protocol(service: &Service) -> Protocol {
    service.protocol.unwrap_or(Protocol::Udp)
}

/// The service at `port`, which methods that keep ports make every real server's port.
fn expanded(key: Key, service: &Service, port: u16) -> Expanded<'_> {
    let dests = service.real_servers.iter().map(|server| {
        let own = match server.method.forwarding {
            Forwarding::Nat if server.port == 0 => port,
            Forwarding::Nat | Forwarding::FullNat => server.port,
            Forwarding::Dr | Forwarding::Tun | Forwarding::Snat => port,
        };
        (SocketAddr::new(server.addr, own), server)
    });
    Expanded { key, service, dests: dests.collect() }
}

impl Expanded<'_> {
    /// Its local addresses with the port that has each.
    ///
    /// # Errors
    ///
    /// More than [`MAX`] of them.
    pub fn local_addresses(&self, config: &Config) -> Result<Vec<(IpAddr, String)>, TooMany> {
        let name = self.service.dpvs.local_group.as_ref();
        let groups = config.local_groups.iter().filter(|group| Some(&group.name) == name).take(1);
        let mut all = Vec::new();
        for range in groups.flat_map(|group| &group.addresses) {
            let what = || format!("local_address_group {}", name.map_or("", String::as_str));
            let addresses = addresses(range.first, range.last, &range.span, &what)?;
            all.extend(addresses.map(|addr| (addr, range.interface.clone())));
        }
        Ok(all)
    }

    /// Clients that it denies, then those that it allows: addresses, or `ipset:NAME`.
    ///
    /// # Errors
    ///
    /// More than [`MAX`] of one of them.
    pub fn access(&self, config: &Config) -> Result<[Vec<String>; 2], TooMany> {
        let dpvs = &self.service.dpvs;
        let lists = [(&config.deny_groups, &dpvs.deny_group), (&config.allow_groups, &dpvs.allow_group)];
        let mut all = [Vec::new(), Vec::new()];
        for ((groups, name), list) in lists.into_iter().zip(&mut all) {
            let group = groups.iter().find(|group| Some(&group.name) == name.as_ref());
            for member in group.iter().flat_map(|group| &group.members) {
                match member {
                    AccessMember::Set(set) => list.push(format!("ipset:{set}")),
                    AccessMember::Range(first, last) => {
                        let what = || format!("address group {}", name.as_deref().unwrap_or_default());
                        let span = &self.service.span;
                        list.extend(addresses(*first, *last, span, &what)?.map(|addr| addr.to_string()));
                    }
                }
            }
        }
        Ok(all)
    }
}

/// Every address from `first` to `last`, which are of one family.
fn addresses(
    first: IpAddr,
    last: IpAddr,
    span: &Span,
    what: &dyn Fn() -> String,
) -> Result<impl Iterator<Item = IpAddr> + use<>, TooMany> {
    if size(first, last) > MAX {
        return Err(TooMany { span: span.clone(), what: what() });
    }
    Ok((number(first)..=number(last)).map(move |number| match first {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }))
}

fn size(first: IpAddr, last: IpAddr) -> u128 {
    number(last).saturating_sub(number(first)).saturating_add(1)
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(u32::from(addr)),
        IpAddr::V6(addr) => u128::from(addr),
    }
}

#[cfg(test)]
mod tests {
    use crate::keepalived;

    fn keys(text: &str) -> Vec<String> {
        let report = keepalived::parse(text.as_bytes(), "x.conf", "lb1").expect("good text");
        match super::services(&report.config) {
            Ok(services) => services
                .iter()
                .map(|service| {
                    let dests: Vec<String> = service.dests.iter().map(|(addr, _)| addr.to_string()).collect();
                    format!("{} -> {}", service.key, dests.join(" "))
                })
                .collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn a_group_is_one_service_per_address_and_mark() {
        let text = "virtual_server_group G {\n 192.0.2.1-3 80\n 192.0.2.9 443\n fwmark 7\n}\n\
                    virtual_server group G {\n protocol TCP\n lvs_method DR\n real_server 10.0.0.1 {\n }\n}";
        assert_eq!(
            keys(text),
            [
                "tcp 192.0.2.1:80 -> 10.0.0.1:80",
                "tcp 192.0.2.2:80 -> 10.0.0.1:80",
                "tcp 192.0.2.3:80 -> 10.0.0.1:80",
                "tcp 192.0.2.9:443 -> 10.0.0.1:443",
                "fwmark 7 -> 10.0.0.1:0",
            ]
        );
    }

    #[test]
    fn a_service_written_twice_is_one_with_the_servers_of_both() {
        let one = |server: &str| {
            format!(
                "virtual_server 192.0.2.1 80 {{\n protocol TCP\n lvs_method DR\n real_server {server} {{\n }}\n}}\n"
            )
        };
        let text = one("10.0.0.1 80") + &one("10.0.0.2") + &one("10.0.0.1");
        assert_eq!(keys(&text), ["tcp 192.0.2.1:80 -> 10.0.0.1:80 10.0.0.2:80"]);
    }

    #[test]
    fn gigantic_ranges_are_refused() {
        let text = "virtual_server_group G {\n ::/1 80\n}\n\
                    virtual_server group G {\n real_server ::1 80 {\n }\n}";
        assert_eq!(keys(text), ["x.conf:2: group G names more than 131072 addresses"]);
    }
}
