// SPDX-License-Identifier: Apache-2.0
//! Routes, compiled for lookup: one hash table for each prefix length in use, longest first.
//!
//! A director has few prefix lengths (hosts, a network or two, the default), so a lookup is one to four probes.

use std::net::IpAddr;

use crate::flat::FlatMap;
use crate::ids::LinkId;
use crate::link::{mask4, mask6};

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To this director.
    Local,
    /// To the host's own stack.
    Kernel,
    /// Out of a link: to the gateway if there is one, else to the station itself.
    Out,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it matches: address and length; host bits do not count.
    pub prefix: (IpAddr, u8),
    /// The gateway, if any.
    pub via: Option<IpAddr>,
    /// The link.
    pub link: LinkId,
    /// Source of packets the director makes.
    pub src: Option<IpAddr>,
    /// MTU in bytes; 0 for the link's.
    pub mtu: u16,
    /// Where it leads.
    pub kind: Kind,
    /// Lower wins among equal prefixes; among equal metrics, the one that came first.
    pub metric: u32,
}

/// Routes of both families.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    v4: Vec<(u32, FlatMap<u32>)>,
    v6: Vec<(u128, FlatMap<u128>)>,
}

impl RouteTable {
    /// Compiles routes.
    pub fn compile(routes: impl IntoIterator<Item = Route>) -> RouteTable {
        let mut routes: Vec<Route> = routes.into_iter().collect();
        // Longest first, then the lower metric; the sort is stable, and of equal keys a map keeps the first.
        routes.sort_by_key(|route| (std::cmp::Reverse(route.prefix.1), route.metric));
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for part in (0u32..).zip(&routes).collect::<Vec<_>>().chunk_by(|a, b| a.1.prefix.1 == b.1.prefix.1) {
            let len = part[0].1.prefix.1;
            let of4 = part.iter().filter_map(|(at, route)| Some((bits4(route.prefix.0)? & mask4(len), *at)));
            let of6 = part.iter().filter_map(|(at, route)| Some((bits6(route.prefix.0)? & mask6(len), *at)));
            let (of4, of6): (Vec<_>, Vec<_>) = (of4.collect(), of6.collect());
            if !of4.is_empty() {
                v4.push((mask4(len), of4.into_iter().collect()));
            }
            if !of6.is_empty() {
                v6.push((mask6(len), of6.into_iter().collect()));
            }
        }
        RouteTable { routes, v4, v6 }
    }

    /// Every route, longest prefix first.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// The route of an IPv4 address.
    #[inline]
    pub fn find4(&self, addr: u32) -> Option<&Route> {
        let hit = self.v4.iter().find_map(|(mask, map)| map.get(addr & mask));
        hit.map(|at| &self.routes[at as usize])
    }

    /// The route of an IPv6 address.
    #[inline]
    pub fn find6(&self, addr: u128) -> Option<&Route> {
        let hit = self.v6.iter().find_map(|(mask, map)| map.get(addr & mask));
        hit.map(|at| &self.routes[at as usize])
    }

    /// The route of an address.
    #[inline]
    pub fn find(&self, addr: IpAddr) -> Option<&Route> {
        match addr {
            IpAddr::V4(addr) => self.find4(addr.to_bits()),
            IpAddr::V6(addr) => self.find6(addr.to_bits()),
        }
    }
}

fn bits4(addr: IpAddr) -> Option<u32> {
    if let IpAddr::V4(addr) = addr { Some(addr.to_bits()) } else { None }
}

fn bits6(addr: IpAddr) -> Option<u128> {
    if let IpAddr::V6(addr) = addr { Some(addr.to_bits()) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::link::same_net;

    fn route(prefix: &str, len: u8, link: u16) -> Route {
        let prefix = (prefix.parse().expect("a literal address"), len);
        Route { prefix, via: None, link: LinkId(link), src: None, mtu: 0, kind: Kind::Out, metric: 0 }
    }

    fn link(table: &RouteTable, addr: &str) -> Option<u16> {
        table.find(addr.parse().expect("a literal address")).map(|r| r.link.0)
    }

    #[test]
    fn the_longest_prefix_wins_in_any_order() {
        let mut routes = vec![
            route("0.0.0.0", 0, 0),
            route("10.0.0.0", 8, 1),
            route("10.1.0.0", 16, 2),
            route("10.1.0.5", 32, 3),
            route("::", 0, 4),
            route("fd00::", 64, 5),
        ];
        for _ in 0..2 {
            let table = RouteTable::compile(routes.clone());
            assert_eq!(link(&table, "10.1.0.5"), Some(3));
            assert_eq!(link(&table, "10.1.0.6"), Some(2));
            assert_eq!(link(&table, "10.2.0.6"), Some(1));
            assert_eq!(link(&table, "11.0.0.1"), Some(0));
            assert_eq!(link(&table, "fd00::1"), Some(5));
            assert_eq!(link(&table, "fd01::1"), Some(4));
            routes.reverse();
        }
    }

    #[test]
    fn among_equal_prefixes_the_lower_metric_wins_and_then_the_first() {
        let slow = Route { metric: 5, ..route("10.0.0.0", 8, 1) };
        let table = RouteTable::compile([slow, route("10.0.0.0", 8, 2), route("10.0.0.0", 8, 3)]);
        assert_eq!(link(&table, "10.0.0.1"), Some(2));
    }

    #[test]
    fn without_a_default_some_addresses_have_no_route() {
        assert_eq!(link(&RouteTable::compile([route("10.0.0.0", 8, 1)]), "11.0.0.1"), None);
        assert_eq!(link(&RouteTable::default(), "::1"), None);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_linear_search(nets in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..20), addr: u32) {
            // Few distinct leading bits, so that prefixes nest.
            let nets: Vec<_> = nets.into_iter().map(|(net, len)| (net & 0xc000_ff0f, len)).collect();
            let addr = IpAddr::V4((addr & 0xc000_ff0f).into());
            let routes = nets.iter().enumerate().map(|(n, &(net, len))| Route {
                prefix: (IpAddr::V4(net.into()), len), link: LinkId(n as u16), ..route("0.0.0.0", 0, 0)
            });
            let table = RouteTable::compile(routes.clone());
            let naive = routes.filter(|r| same_net(addr, r.prefix.0, r.prefix.1)).rev().max_by_key(|r| r.prefix.1);
            prop_assert_eq!(table.find(addr).map(|r| r.link), naive.map(|r| r.link));
        }
    }
}
