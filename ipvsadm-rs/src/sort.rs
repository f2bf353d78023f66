// SPDX-License-Identifier: Apache-2.0
//! The order of listings.
//!
//! Scripts compare listings, so the order is that of ipvsadm down to its oddity: addresses are compared, 32 bits at a
//! time, by the sign of their difference, which puts 200.0.0.1 before 10.0.0.1. Such an order is not transitive, so the sort is a
//! merge sort of our own: it ends with any comparison, and with the same result as the one that scripts know.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use model::{Family, ServiceKey};
use sockopt::reply::{DestEntry, ServiceEntry};

use crate::args::Style;

/// Sorts services: those with an address first, by protocol, address and port; then by firewall mark.
pub fn services(entries: &mut Vec<ServiceEntry>) {
    merge_sort(entries, &|a, b| compare_keys(&a.key, &b.key));
}

/// Sorts servers by family, address and port. Stock has IPv4 first, DPVS IPv6.
pub fn dests(entries: &mut Vec<DestEntry>, style: Style) {
    let family = |entry: &DestEntry| (style == Style::Dpvs) == entry.addr.is_ipv4();
    merge_sort(entries, &|a, b| family(a).cmp(&family(b)).then(compare_ends(a.addr, b.addr)));
}

fn compare_keys(a: &ServiceKey, b: &ServiceKey) -> Ordering {
    let mark = |key: &ServiceKey| match key {
        ServiceKey::FwMark { mark, .. } => mark.get(),
        ServiceKey::Endpoint { .. } | ServiceKey::Match(_) => 0,
    };
    let protocol = |key: &ServiceKey| match key {
        ServiceKey::Endpoint { transport, .. } => transport.number(),
        ServiceKey::Match(rule) => rule.transport.number(),
        ServiceKey::FwMark { .. } => 0,
    };
    let end = |key: &ServiceKey| match key {
        ServiceKey::Endpoint { vip, .. } => *vip,
        ServiceKey::FwMark { family, .. } => SocketAddr::new(family.unspecified(), 0),
        ServiceKey::Match(rule) => SocketAddr::new(rule.family.unspecified(), 0),
    };
    mark(a)
        .cmp(&mark(b))
        .then(a.family().cmp(&b.family()))
        .then(protocol(a).cmp(&protocol(b)))
        .then(compare_ends(end(a), end(b)))
        .then_with(|| match (a, b) {
            (ServiceKey::Match(a), ServiceKey::Match(b)) => a.cmp(b),
            _ => Ordering::Equal,
        })
}

fn compare_ends(a: SocketAddr, b: SocketAddr) -> Ordering {
    let addrs = match (a.ip(), b.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => difference(a.to_bits(), b.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let word = |addr: Ipv6Addr, at: u32| (addr.to_bits() >> (96 - 32 * at)) as u32;
            (0..4).fold(Ordering::Equal, |so_far, at| so_far.then(difference(word(a, at), word(b, at))))
        }
        (a, b) => Family::of(a).cmp(&Family::of(b)),
    };
    addrs.then(a.port().cmp(&b.port()))
}

fn difference(a: u32, b: u32) -> Ordering {
    (a.wrapping_sub(b) as i32).cmp(&0)
}

fn merge_sort<T>(items: &mut Vec<T>, compare: &impl Fn(&T, &T) -> Ordering) {
    if items.len() < 2 {
        return;
    }
    let mut right = items.split_off(items.len() / 2);
    let mut left = std::mem::take(items);
    merge_sort(&mut left, compare);
    merge_sort(&mut right, compare);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if compare(a, b).is_le() { left.next() } else { right.next() };
        items.extend(next);
    }
    items.extend(left);
    items.extend(right);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(ends: &[&str]) -> Vec<String> {
        let mut ends: Vec<SocketAddr> = ends.iter().map(|end| end.parse().unwrap()).collect();
        merge_sort(&mut ends, &|a, b| compare_ends(*a, *b));
        ends.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_are_compared_by_the_sign_of_their_difference() {
        assert_eq!(
            sorted(&["10.0.0.20:80", "10.0.0.3:8080", "10.0.0.3:79", "192.168.0.1:80", "9.0.0.1:80"]),
            ["192.168.0.1:80", "9.0.0.1:80", "10.0.0.3:79", "10.0.0.3:8080", "10.0.0.20:80"]
        );
        assert_eq!(
            sorted(&["[::1]:80", "200.0.0.1:80", "100.0.0.1:80"]),
            ["100.0.0.1:80", "200.0.0.1:80", "[::1]:80"]
        );
    }

    #[test]
    fn so_are_the_words_of_ipv6_addresses() {
        assert_eq!(
            sorted(&["[2001:db8:a::ffff]:80", "[2001:db8:aaaa::1]:80", "[ff02::1]:80", "[fe80::1]:80"]),
            ["[fe80::1]:80", "[ff02::1]:80", "[2001:db8:aaaa::1]:80", "[2001:db8:a::ffff]:80"]
        );
    }

    #[test]
    fn a_circular_order_still_ends_and_loses_nothing() {
        let circle = ["0.0.0.1:1", "90.0.0.1:1", "180.0.0.1:1", "220.0.0.1:1", "30.0.0.1:1"];
        let mut seen = sorted(&circle);
        seen.sort();
        let mut all = circle.map(str::to_owned).to_vec();
        all.sort();
        assert_eq!(seen, all);
    }
}
