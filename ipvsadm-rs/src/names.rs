// SPDX-License-Identifier: Apache-2.0
//! Names of hosts and services: the local files first, then the resolver.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use model::Transport;

/// Looks names up. Answers are remembered, so that a long listing asks once about each address.
#[derive(Debug, Default)]
pub struct Names {
    hosts: Vec<(IpAddr, Vec<String>)>,
    services: Vec<ServiceName>,
    resolver: bool,
    known: RefCell<HashMap<IpAddr, Option<String>>>,
}

#[derive(Debug)]
struct ServiceName {
    names: Vec<String>,
    port: u16,
    protocol: String,
}

impl Names {
    /// Those of this machine: `/etc/hosts`, `/etc/services`, and the resolver for what they do not know.
    pub fn system() -> Self {
        // A file that is missing knows nothing.
        let read = |path: &str| std::fs::read(Path::new(path)).unwrap_or_default();
        let (hosts, services) = (read("/etc/hosts"), read("/etc/services"));
        let mut names =
            Names::from_texts(&String::from_utf8_lossy(&hosts), &String::from_utf8_lossy(&services));
        names.resolver = true;
        names
    }

    /// Those of two files, given as their contents.
    pub fn from_texts(hosts: &str, services: &str) -> Self {
        Names {
            hosts: lines(hosts).filter_map(host).collect(),
            services: lines(services).filter_map(service).collect(),
            ..Names::default()
        }
    }

    /// The first IPv4 address of a host. Service addresses never resolve to IPv6.
    pub fn ipv4(&self, name: &str) -> Option<Ipv4Addr> {
        let named = |(_, names): &&(IpAddr, Vec<String>)| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let local = self.hosts.iter().filter(named).find_map(|(addr, _)| match addr {
            IpAddr::V4(addr) => Some(*addr),
            // The C library answers so: a host that is only known by IPv6 loopback has the IPv4 one.
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(Ipv4Addr::LOCALHOST),
            IpAddr::V6(addr) => addr.to_ipv4_mapped(),
        });
        local.or_else(|| self.resolve(name))
    }

    fn resolve(&self, name: &str) -> Option<Ipv4Addr> {
        let plausible = name.bytes().any(|b| b.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && name.len() <= 253;
        if !self.resolver || !plausible {
            return None;
        }
        let found = (name, 0).to_socket_addrs().ok()?;
        found.into_iter().find_map(|addr| match addr {
            SocketAddr::V4(addr) => Some(*addr.ip()),
            SocketAddr::V6(_) => None,
        })
    }

    /// The name of a host.
    pub fn host(&self, addr: IpAddr) -> Option<String> {
        let local = self.hosts.iter().find(|(known, _)| *known == addr).map(|(_, names)| names[0].clone());
        local.or_else(|| {
            let ask = || dns_lookup::lookup_addr(&addr).ok().filter(|name| name.parse::<IpAddr>().is_err());
            let mut known = self.known.borrow_mut();
            known.entry(addr).or_insert_with(|| if self.resolver { ask() } else { None }).clone()
        })
    }

    /// The name of a port.
    pub fn port(&self, port: u16, transport: Transport) -> Option<&str> {
        let wanted = |known: &&ServiceName| known.port == port && known.protocol == transport.name();
        self.services.iter().find(wanted).map(|known| known.names[0].as_str())
    }

    /// The port of a service name or alias.
    pub fn port_of(&self, name: &str, transport: Transport) -> Option<u16> {
        let wanted = |known: &&ServiceName| {
            known.protocol == transport.name() && known.names.iter().any(|known| known == name)
        };
        self.services.iter().find(wanted).map(|known| known.port)
    }
}

fn lines(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.lines().map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    })
}

fn host(mut words: Vec<String>) -> Option<(IpAddr, Vec<String>)> {
    if words.len() < 2 {
        return None;
    }
    let names = words.split_off(1);
    Some((words[0].parse().ok()?, names))
}

fn service(mut words: Vec<String>) -> Option<ServiceName> {
    if words.len() < 2 {
        return None;
    }
    let number = words.remove(1);
    let (port, protocol) = number.split_once('/')?;
    Some(ServiceName { names: words, port: port.parse().ok()?, protocol: protocol.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::from_texts(
            "# hosts\n127.0.0.1 localhost\n::1\tlocalhost ip6-localhost\n10.0.0.12 web2.example.test web2 # x\n\
             2001:db8::1 vip6\nbroken\n",
            "http 80/tcp www\ndomain 53/tcp\ndomain 53/udp\ntftp\t69/udp\nbroken\nx y/z\n",
        )
    }

    #[test]
    fn hosts_have_their_first_name_and_all_their_aliases() {
        let names = names();
        assert_eq!(names.host("10.0.0.12".parse().unwrap()).as_deref(), Some("web2.example.test"));
        assert_eq!(names.host("::1".parse().unwrap()).as_deref(), Some("localhost"));
        assert_eq!(names.host("10.0.0.99".parse().unwrap()), None);
        assert_eq!(names.ipv4("WEB2"), Some(Ipv4Addr::new(10, 0, 0, 12)));
        assert_eq!(names.ipv4("ip6-localhost"), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(names.ipv4("vip6"), None);
    }

    #[test]
    fn ports_have_names_of_their_protocol_only() {
        let names = names();
        assert_eq!(names.port(80, Transport::Tcp), Some("http"));
        assert_eq!(names.port(80, Transport::Sctp), None);
        assert_eq!(names.port_of("www", Transport::Tcp), Some(80));
        assert_eq!(names.port_of("tftp", Transport::Tcp), None);
        assert_eq!(names.port_of("domain", Transport::Udp), Some(53));
    }
}
