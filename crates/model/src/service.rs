// SPDX-License-Identifier: Apache-2.0
//! Virtual services: what clients address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use bincode::{Decode, Encode};
use serde::{Serialize, Serializer};

use crate::addr::Family;
use crate::options::ServiceOptions;
use crate::rule::MatchRule;

/// What runs above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
    /// SCTP, IP protocol 132.
    Sctp,
    /// ICMP, IP protocol 1.
    Icmp,
    /// ICMPv6, next header 58.
    Icmpv6,
}

impl Transport {
    /// The number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Sctp => 132,
            Transport::Icmp => 1,
            Transport::Icmpv6 => 58,
        }
    }

    /// The name in lower case, as in the services database.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Sctp => "sctp",
            Transport::Icmp => "icmp",
            Transport::Icmpv6 => "icmpv6",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a service is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceKey {
    /// By protocol, address and port; port 0 belongs to ICMP and to any-port persistent services.
    Endpoint {
        /// The protocol.
        transport: Transport,
        /// Address and port clients send to.
        vip: SocketAddr,
    },
    /// By a mark that a match rule put on the packet.
    FwMark {
        /// Family of the packets.
        family: Family,
        /// The mark, never 0.
        mark: NonZeroU32,
    },
    /// By what its packets look like.
    Match(MatchRule),
}

impl ServiceKey {
    /// The service of `transport` at `addr:port`.
    pub fn endpoint(transport: Transport, addr: IpAddr, port: u16) -> Self {
        ServiceKey::Endpoint { transport, vip: SocketAddr::new(addr, port) }
    }

    /// The family of its clients.
    pub fn family(&self) -> Family {
        match self {
            ServiceKey::Endpoint { vip, .. } => Family::of(vip.ip()),
            ServiceKey::FwMark { family, .. } => *family,
            ServiceKey::Match(rule) => rule.family,
        }
    }
}

impl fmt::Display for ServiceKey {
    /// For messages: `tcp 192.0.2.1:80`, `fwmark 7`, `match tcp,oif=dpdk1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Endpoint { transport, vip } => write!(f, "{transport} {vip}"),
            ServiceKey::FwMark { family: Family::Inet, mark } => write!(f, "fwmark {mark}"),
            ServiceKey::FwMark { family: Family::Inet6, mark } => write!(f, "fwmark {mark} (IPv6)"),
            ServiceKey::Match(rule) => write!(f, "match {rule}"),
        }
    }
}

/// Stickiness of a client network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Persistence {
    /// Seconds a client network is remembered after its last connection.
    pub timeout: u32,
    /// Which clients share a network.
    pub granularity: Granularity,
}

/// Which part of a client's address makes its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Granularity {
    /// The IPv4 bits that count. Scripts rely on any bits being accepted, in a row or not.
    Inet(Ipv4Addr),
    /// The number of leading IPv6 bits that count, 1 to 128.
    Inet6(u8),
}

impl Granularity {
    /// Every client by itself.
    pub fn host(family: Family) -> Self {
        match family {
            Family::Inet => Granularity::Inet(Ipv4Addr::BROADCAST),
            Family::Inet6 => Granularity::Inet6(128),
        }
    }

    /// Whether every client stands by itself.
    pub fn is_host(self) -> bool {
        matches!(self, Granularity::Inet(Ipv4Addr::BROADCAST) | Granularity::Inet6(128))
    }

    /// The family it is for.
    pub fn family(self) -> Family {
        match self {
            Granularity::Inet(_) => Family::Inet,
            Granularity::Inet6(_) => Family::Inet6,
        }
    }

    /// The network of `client`; `client` itself where the family is another.
    pub fn network(self, client: IpAddr) -> IpAddr {
        match (self, client) {
            (Granularity::Inet(mask), IpAddr::V4(addr)) => IpAddr::V4(addr & mask),
            (Granularity::Inet6(len), IpAddr::V6(addr)) => {
                let mask = u128::MAX.checked_shl(u32::from(128 - len.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() & mask))
            }
            _ => client,
        }
    }
}

impl fmt::Display for Granularity {
    /// As `-M` takes it: `255.255.255.0`, or `64` for IPv6.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Granularity::Inet(mask) => write!(f, "{mask}"),
            Granularity::Inet6(len) => write!(f, "{len}"),
        }
    }
}

impl Serialize for Granularity {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// How a service chooses servers: what `ipvsadm -E` replaces as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Scheduling {
    /// Name of the scheduler; the daemon knows which exist.
    pub scheduler: String,
    /// The scheduler's flags 1 to 3, bits 0 to 2.
    pub flags: u8,
    /// Stickiness, if any.
    pub persistence: Option<Persistence>,
    /// Every datagram is scheduled anew (UDP and marks only).
    pub one_packet: bool,
    /// Name of the persistence engine, if any.
    pub pe: Option<String>,
}

impl Default for Scheduling {
    fn default() -> Self {
        Scheduling { scheduler: "wlc".to_owned(), flags: 0, persistence: None, one_packet: false, pe: None }
    }
}

/// Everything configured about a service but its key and servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ServiceSpec {
    /// How it chooses servers.
    pub scheduling: Scheduling,
    /// What DPVS adds.
    pub options: ServiceOptions,
}

/// The three idle timeouts of `ipvsadm --set`, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_one_network_share_it() {
        let net =
            |granularity: Granularity, client: &str| granularity.network(client.parse().unwrap()).to_string();
        let by_24 = Granularity::Inet(Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(net(by_24, "192.0.2.77"), "192.0.2.0");
        assert_eq!(net(Granularity::Inet(Ipv4Addr::new(0, 0, 0, 24)), "192.0.2.31"), "0.0.0.24");
        assert_eq!(net(Granularity::Inet6(64), "2001:db8::1:2:3:4"), "2001:db8::");
        assert_eq!(net(Granularity::Inet6(1), "ffff::1"), "8000::");
        assert_eq!(net(Granularity::host(Family::Inet6), "2001:db8::1"), "2001:db8::1");
        assert!(Granularity::host(Family::Inet).is_host() && !by_24.is_host());
    }
}
