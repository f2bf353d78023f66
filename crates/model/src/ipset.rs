// SPDX-License-Identifier: Apache-2.0
//! Sets of addresses, networks and ports: what `dpip ipset` keeps and access lists ask.

use std::fmt;
use std::net::IpAddr;

use bincode::{Decode, Encode};
use serde::Serialize;

use crate::addr::{Family, MacAddr, Prefix};
use crate::service::Transport;

/// What the elements of a set are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
pub enum SetKind {
    /// IPv4 addresses of a range.
    #[serde(rename = "bitmap:ip")]
    BitmapIp,
    /// IPv4 addresses of a range, each perhaps with the Ethernet address that alone may use it.
    #[serde(rename = "bitmap:ip,mac")]
    BitmapIpMac,
    /// Ports of a range.
    #[serde(rename = "bitmap:port")]
    BitmapPort,
    /// Addresses.
    #[serde(rename = "hash:ip")]
    HashIp,
    /// Networks.
    #[serde(rename = "hash:net")]
    HashNet,
    /// Addresses with a port.
    #[serde(rename = "hash:ip,port")]
    HashIpPort,
    /// Networks with a port.
    #[serde(rename = "hash:net,port")]
    HashNetPort,
    /// Networks with a port and the link packets come in by.
    #[serde(rename = "hash:net,port,iface")]
    HashNetPortIface,
    /// Addresses with a port and another address.
    #[serde(rename = "hash:ip,port,ip")]
    HashIpPortIp,
    /// Addresses with a port and a network.
    #[serde(rename = "hash:ip,port,net")]
    HashIpPortNet,
    /// Networks with a port and another network.
    #[serde(rename = "hash:net,port,net")]
    HashNetPortNet,
    /// Networks with a port, and other networks with another port.
    #[serde(rename = "hash:net,port,net,port")]
    HashNetPortNetPort,
}

impl SetKind {
    /// Every kind with its name.
    pub const NAMES: [(&'static str, SetKind); 12] = [
        ("bitmap:ip", SetKind::BitmapIp),
        ("bitmap:ip,mac", SetKind::BitmapIpMac),
        ("bitmap:port", SetKind::BitmapPort),
        ("hash:ip", SetKind::HashIp),
        ("hash:net", SetKind::HashNet),
        ("hash:ip,port", SetKind::HashIpPort),
        ("hash:net,port", SetKind::HashNetPort),
        ("hash:net,port,iface", SetKind::HashNetPortIface),
        ("hash:ip,port,ip", SetKind::HashIpPortIp),
        ("hash:ip,port,net", SetKind::HashIpPortNet),
        ("hash:net,port,net", SetKind::HashNetPortNet),
        ("hash:net,port,net,port", SetKind::HashNetPortNetPort),
    ];

    /// The name operators write.
    pub fn name(self) -> &'static str {
        SetKind::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether its elements lie in a range that is fixed when it is made.
    pub fn is_bitmap(self) -> bool {
        matches!(self, SetKind::BitmapIp | SetKind::BitmapIpMac | SetKind::BitmapPort)
    }

    /// Whether the first address of an element is a network.
    pub fn begins_with_net(self) -> bool {
        self.name().starts_with("hash:net")
    }

    /// Whether an element has a second address, and whether that is a network.
    pub fn second(self) -> Option<bool> {
        match self {
            SetKind::HashIpPortIp => Some(false),
            SetKind::HashIpPortNet | SetKind::HashNetPortNet | SetKind::HashNetPortNetPort => Some(true),
            _ => None,
        }
    }

    /// Whether an element has a port.
    pub fn has_port(self) -> bool {
        self.name().contains("port")
    }
}

impl fmt::Display for SetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a bitmap can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(untagged)]
pub enum SetRange {
    /// A network.
    Net(Prefix),
    /// Addresses from one to another, both included.
    Addrs(IpAddr, IpAddr),
    /// Ports from one to another, both included.
    Ports(u16, u16),
}

impl fmt::Display for SetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetRange::Net(net) => write!(f, "{net}"),
            SetRange::Addrs(first, last) => write!(f, "{first}-{last}"),
            SetRange::Ports(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// Everything configured about a set but its elements.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct SetSpec {
    /// Its name, 1 to 31 characters.
    pub name: String,
    /// What it is made of.
    pub kind: SetKind,
    /// The family of its addresses.
    pub family: Family,
    /// Elements may have comments.
    pub comment: bool,
    /// Kept for scripts: sets grow by themselves.
    pub hashsize: u32,
    /// Elements it holds at most.
    pub maxelem: u32,
    /// What a bitmap can hold.
    pub range: Option<SetRange>,
}

/// An address with the number of its last bits that do not count. Ordered as sets list them: the narrower first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    /// Bits that do not count.
    pub free: u8,
    /// The address; bits that do not count are zero.
    pub addr: IpAddr,
}

impl From<Prefix> for Net {
    fn from(prefix: Prefix) -> Self {
        let Prefix { addr, len } = prefix.network();
        Net { free: Family::of(addr).bits() - len, addr }
    }
}

impl Net {
    /// Its length, with the address.
    pub fn prefix(self) -> Prefix {
        Prefix { addr: self.addr, len: Family::of(self.addr).bits() - self.free }
    }
}

/// What a set is searched for. Which parts there are depends on its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// The first address.
    pub first: Option<Net>,
    /// The first port.
    pub port: u16,
    /// The protocol of the ports; `None` for any.
    pub transport: Option<Transport>,
    /// The second address.
    pub second: Option<Net>,
    /// The second port.
    pub second_port: u16,
    /// Name of the link.
    pub iface: Option<String>,
}

impl Element {
    /// As elements of a set of that kind are written.
    pub fn text(&self, kind: SetKind, mac: Option<MacAddr>) -> String {
        let addr = |net: Net, is_net: bool| match is_net {
            true => net.prefix().to_string(),
            false => net.addr.to_string(),
        };
        let port = |number: u16| format!("{}:{number}", self.transport.map_or("unspec", protocol));
        let mut parts: Vec<String> =
            self.first.map(|net| addr(net, kind.begins_with_net())).into_iter().collect();
        if kind.has_port() {
            parts.push(port(self.port));
        }
        parts.extend(self.second.map(|net| addr(net, kind.second() == Some(true))));
        if kind == SetKind::HashNetPortNetPort {
            parts.push(port(self.second_port));
        }
        parts.extend(self.iface.clone());
        parts.extend(mac.map(|mac| mac.to_string()));
        parts.join(",")
    }
}

/// The word for a protocol in front of a port.
fn protocol(transport: Transport) -> &'static str {
    if transport == Transport::Icmpv6 { "icmp6" } else { transport.name() }
}

/// What is kept with an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The Ethernet address that alone may use it.
    pub mac: Option<MacAddr>,
    /// For people.
    pub comment: Option<String>,
    /// What it holds is not in the set, although a wider element holds it too.
    pub nomatch: bool,
}
