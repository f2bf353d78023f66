// SPDX-License-Identifier: Apache-2.0
//! Virtual services: what clients address.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use bincode::{Decode, Encode};
use serde::Serialize;

use crate::addr::Family;

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
        }
    }
}

impl fmt::Display for ServiceKey {
    /// For messages: `tcp 192.0.2.1:80`, `fwmark 7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Endpoint { transport, vip } => write!(f, "{transport} {vip}"),
            ServiceKey::FwMark { family: Family::Inet, mark } => write!(f, "fwmark {mark}"),
            ServiceKey::FwMark { family: Family::Inet6, mark } => write!(f, "fwmark {mark} (IPv6)"),
        }
    }
}

/// Stickiness of a client network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Persistence {
    /// Seconds a client network is remembered after its last connection.
    pub timeout: u32,
    /// Leading bits of the client address that make its network: 0 to 32 or 1 to 128.
    pub prefix_len: u8,
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

/// What DPVS adds to a service: `ipvsadm -E` leaves alone what is not named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ServiceOptions {
    /// Idle seconds of an established TCP or any UDP connection, instead of the daemon's.
    pub conn_timeout: Option<u32>,
}

/// A change of [`ServiceOptions`]; `None` leaves the option as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ServiceOptionsPatch {
    /// `Some(0)` returns to the daemon's timeouts.
    pub conn_timeout: Option<u32>,
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
