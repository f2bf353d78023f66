// SPDX-License-Identifier: Apache-2.0
//! A set of addresses, networks and ports, as workers search it.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::RandomState;
use model::Family;
use model::ipset::{Element, Member, Net, SetKind};

use crate::ids::LinkId;
use crate::link::Mac;

/// What a packet shows a set.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes.
    pub target: SocketAddr,
    /// Its IP protocol.
    pub proto: u8,
    /// The Ethernet address of its sender, and the link it came in by.
    pub frame: Option<(Mac, LinkId)>,
}

/// What is sought in a set: of the parts its kind has, all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sought {
    /// The first address.
    pub first: Option<IpAddr>,
    /// The second address.
    pub second: Option<IpAddr>,
    /// The first port.
    pub port: u16,
    /// The second port.
    pub second_port: u16,
    /// IP protocol of the ports; 0 for none in particular.
    pub proto: u8,
    /// Who sent it.
    pub mac: Option<Mac>,
    /// The link it came in by.
    pub link: Option<LinkId>,
}

/// A set. Searched with the widths its elements have, the narrowest first: the first hit decides.
#[derive(Clone, Debug)]
pub struct Set {
    kind: SetKind,
    family: Family,
    /// Pairs of bits that do not count in the first and second address.
    widths: Vec<(u8, u8)>,
    elements: HashMap<Key, Value, RandomState>,
}

/// An element, its addresses as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    first: u128,
    second: u128,
    widths: (u8, u8),
    /// IP protocol of the ports; 0 for any.
    proto: u8,
    port: u16,
    second_port: u16,
    link: u16,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    nomatch: bool,
    mac: Option<Mac>,
}

impl Set {
    /// The set of these elements; `link` finds links by name, and an element of a link that is not there is in no set.
    pub fn compile<'e>(
        kind: SetKind,
        family: Family,
        elements: impl Iterator<Item = (&'e Element, &'e Member)>,
        link: impl Fn(&str) -> Option<LinkId>,
    ) -> Set {
        let mut widths = BTreeSet::new();
        let mut compiled = HashMap::default();
        for (element, member) in elements {
            let link = match element.iface.as_deref().map(&link) {
                None => 0,
                Some(Some(link)) => link.0,
                Some(None) => continue,
            };
            let number = |net: Option<Net>| net.map_or((0, 0), |net| (bits(net.addr), net.free));
            let (first, free) = number(element.first);
            let (second, second_free) = number(element.second);
            let key = Key {
                first,
                second,
                widths: (free, second_free),
                proto: element.transport.map_or(0, |transport| transport.number()),
                port: element.port,
                second_port: element.second_port,
                link,
            };
            widths.insert(key.widths);
            compiled.insert(key, Value { nomatch: member.nomatch, mac: member.mac.map(|mac| mac.0) });
        }
        Set { kind, family, widths: widths.into_iter().collect(), elements: compiled }
    }

    /// Whether a packet is in the set. Sets of three parts but for links begin with the service's address and port, the others with
    /// the client's.
    pub fn contains(&self, seen: &Seen) -> bool {
        let (first, second) = match self.kind {
            SetKind::HashIpPortIp | SetKind::HashIpPortNet | SetKind::HashNetPortNet => {
                (seen.target, seen.source)
            }
            _ => (seen.source, seen.target),
        };
        self.holds(&Sought {
            first: Some(first.ip()),
            second: Some(second.ip()),
            port: first.port(),
            second_port: second.port(),
            proto: seen.proto,
            mac: seen.frame.map(|(sender, _)| sender),
            link: seen.frame.map(|(_, link)| link),
        })
    }

    /// Whether it holds that. The parts its kind has not are not looked at.
    pub fn holds(&self, sought: &Sought) -> bool {
        let has_first = self.kind != SetKind::BitmapPort;
        if has_first && sought.first.is_none_or(|addr| Family::of(addr) != self.family) {
            return false;
        }
        let number = |is_there: bool, addr: Option<IpAddr>| addr.filter(|_| is_there).map_or(0, bits);
        let first = number(has_first, sought.first);
        let second = number(self.kind.second().is_some(), sought.second);
        let has_port = self.kind.has_port();
        let has_link = self.kind == SetKind::HashNetPortIface;
        let has_second_port = self.kind == SetKind::HashNetPortNetPort;
        let protos: &[u8] = if has_port { &[sought.proto, 0] } else { &[0] };
        for &widths in &self.widths {
            for &proto in protos {
                let key = Key {
                    first: clear(first, widths.0),
                    second: clear(second, widths.1),
                    widths,
                    proto,
                    port: if has_port { sought.port } else { 0 },
                    second_port: if has_second_port { sought.second_port } else { 0 },
                    link: sought.link.filter(|_| has_link).map_or(0, |link| link.0),
                };
                if let Some(value) = self.elements.get(&key) {
                    return !value.nomatch && value.mac.is_none_or(|mac| sought.mac == Some(mac));
                }
            }
        }
        false
    }

    /// Whether it asks for more than addresses and ports.
    pub fn looks_at_frames(&self) -> bool {
        matches!(self.kind, SetKind::BitmapIpMac | SetKind::HashNetPortIface)
    }

    /// Bytes it takes, about.
    pub fn bytes(&self) -> usize {
        self.elements.capacity() * (size_of::<Key>() + size_of::<Value>() + 1)
    }
}

fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => addr.to_bits().into(),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

/// Without its last `free` bits.
fn clear(addr: u128, free: u8) -> u128 {
    match u32::from(free) {
        free @ 0..128 => addr >> free << free,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{MacAddr, Prefix, Transport};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn net(text: &str) -> Option<Net> {
        Some(text.parse::<Prefix>().unwrap().into())
    }

    fn set(kind: SetKind, family: Family, elements: &[(Element, Member)]) -> Set {
        let link = |name: &str| (name == "dpdk1").then_some(LinkId(1));
        Set::compile(kind, family, elements.iter().map(|(element, member)| (element, member)), link)
    }

    fn tcp(source: &str, target: &str) -> Seen {
        Seen {
            source: at(source),
            target: at(target),
            proto: 6,
            frame: Some(([2, 0, 0, 0, 0, 1], LinkId(1))),
        }
    }

    fn plain(element: Element) -> (Element, Member) {
        (element, Member::default())
    }

    #[test]
    fn the_narrowest_network_decides_also_against() {
        let except = Member { nomatch: true, ..Member::default() };
        let nets = set(
            SetKind::HashNet,
            Family::Inet,
            &[
                plain(Element { first: net("10.0.0.0/8"), ..Element::default() }),
                (Element { first: net("10.1.0.0/16"), ..Element::default() }, except),
                plain(Element { first: net("10.1.2.0/24"), ..Element::default() }),
            ],
        );
        for (source, inside) in
            [("10.2.3.4:1", true), ("10.1.3.4:1", false), ("10.1.2.4:1", true), ("11.0.0.1:1", false)]
        {
            assert_eq!(nets.contains(&tcp(source, "192.0.2.1:80")), inside, "{source}");
        }
        assert!(!nets.contains(&tcp("[::a00:1]:1", "[2001:db8::1]:80")), "the same bits in another family");
        let all = set(
            SetKind::HashNet,
            Family::Inet6,
            &[plain(Element { first: net("::/0"), ..Element::default() })],
        );
        assert!(all.contains(&tcp("[2001:db8::7]:1", "[2001:db8::1]:80")));
    }

    #[test]
    fn ports_are_of_their_protocol_or_of_any() {
        let element =
            |transport| Element { first: net("10.1.0.1/32"), port: 4000, transport, ..Element::default() };
        let of_tcp = set(SetKind::HashIpPort, Family::Inet, &[plain(element(Some(Transport::Tcp)))]);
        let of_any = set(SetKind::HashIpPort, Family::Inet, &[plain(element(None))]);
        let seen = tcp("10.1.0.1:4000", "192.0.2.1:80");
        let datagram = Seen { proto: 17, ..seen };
        assert!(of_tcp.contains(&seen) && of_any.contains(&seen) && of_any.contains(&datagram));
        assert!(!of_tcp.contains(&datagram) && !of_any.contains(&tcp("10.1.0.1:4001", "192.0.2.1:80")));
        let ports = set(
            SetKind::BitmapPort,
            Family::Inet,
            &[plain(Element { first: None, ..element(Some(Transport::Tcp)) })],
        );
        assert!(ports.contains(&seen) && ports.contains(&tcp("[2001:db8::7]:4000", "[2001:db8::1]:80")));
    }

    #[test]
    fn sets_with_two_addresses_begin_with_the_service() {
        let element = Element {
            first: net("192.0.2.1/32"),
            port: 80,
            transport: Some(Transport::Tcp),
            second: net("10.1.0.0/16"),
            ..Element::default()
        };
        let three = set(SetKind::HashIpPortNet, Family::Inet, &[plain(element)]);
        assert!(three.contains(&tcp("10.1.9.9:4000", "192.0.2.1:80")));
        assert!(
            !three.contains(&tcp("10.1.9.9:80", "192.0.2.1:81"))
                && !three.contains(&tcp("10.2.9.9:4000", "192.0.2.1:80"))
        );
        let element = Element {
            first: net("10.1.0.0/16"),
            port: 4000,
            transport: Some(Transport::Tcp),
            second: net("192.0.2.0/24"),
            second_port: 80,
            ..Element::default()
        };
        let four = set(SetKind::HashNetPortNetPort, Family::Inet, &[plain(element)]);
        assert!(
            four.contains(&tcp("10.1.9.9:4000", "192.0.2.1:80"))
                && !four.contains(&tcp("10.1.9.9:4000", "192.0.2.1:81"))
        );
    }

    #[test]
    fn stations_and_links_are_looked_at() {
        let element = Element { first: net("10.1.0.1/32"), ..Element::default() };
        let of = |mac| Member { mac: Some(MacAddr(mac)), ..Member::default() };
        let mine = set(SetKind::BitmapIpMac, Family::Inet, &[(element.clone(), of([2, 0, 0, 0, 0, 1]))]);
        let other = set(SetKind::BitmapIpMac, Family::Inet, &[(element.clone(), of([2, 0, 0, 0, 0, 9]))]);
        let seen = tcp("10.1.0.1:4000", "192.0.2.1:80");
        assert!(mine.contains(&seen) && !other.contains(&seen));
        let by = |iface: &str| Element { port: 4000, iface: Some(iface.into()), ..element.clone() };
        let there = set(SetKind::HashNetPortIface, Family::Inet, &[plain(by("dpdk1"))]);
        let gone = set(SetKind::HashNetPortIface, Family::Inet, &[plain(by("dpdk9"))]);
        assert!(there.contains(&seen) && !gone.contains(&seen));
        assert!(!there.contains(&Seen { frame: Some(([2, 0, 0, 0, 0, 1], LinkId(0))), ..seen }));
    }
}
