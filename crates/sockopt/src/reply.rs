// SPDX-License-Identifier: Apache-2.0
//! What the daemon answers.

use std::net::{IpAddr, SocketAddr};

use bincode::{Decode, Encode};
use model::ipset::SetSpec;
use model::link::{CpuInfo, LinkInfo, LinkStats, VlanSpec};
use model::net::{IfAddr, NeighEntry, RouteSpec, SaPool, VrrpRole};
use model::options::{AccessSubject, SynProxy};
use model::stats::{SynProxyStats, SynProxyTotals, Traffic};
use model::tunnel::TunnelSpec;
use model::{ConnEntry, Counters, DestSpec, Prefix, Rates, ServiceKey, ServiceSpec, Timeouts};
use serde::Serialize;

use crate::status::Status;

/// What a client receives.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Reply {
    /// The change is made.
    Done,
    /// The transaction would do this, one line a step; nothing was changed.
    Plan(Vec<String>),
    /// Refused; nothing was changed.
    Refused(Status),
    /// To [`crate::Get::Daemon`].
    Daemon(DaemonInfo),
    /// To [`crate::Get::Services`] and [`crate::Get::Service`].
    Services(Page<ServiceEntry>),
    /// To [`crate::Get::Conns`] and [`crate::Get::Conn`].
    Conns(Page<ConnEntry>),
    /// To [`crate::Get::Timeouts`].
    Timeouts(Timeouts),
    /// To [`crate::Get::Addrs`].
    Addrs(Vec<AddrEntry>),
    /// To [`crate::Get::Routes`].
    Routes(Vec<RouteSpec>),
    /// To [`crate::Get::Neighs`].
    Neighs(Vec<NeighEntry>),
    /// To [`crate::Get::Links`].
    Links(Vec<LinkInfo>),
    /// To [`crate::Get::LinkStats`].
    LinkStats(Vec<LinkStats>),
    /// To [`crate::Get::Cpus`].
    Cpus(Vec<CpuInfo>),
    /// To [`crate::Get::Traffic`].
    Traffic(Traffic),
    /// To [`crate::Get::SynProxy`].
    SynProxy(SynProxyInfo),
    /// To [`crate::Get::Vlans`].
    Vlans(Vec<VlanSpec>),
    /// To [`crate::Get::Tunnels`].
    Tunnels(Vec<TunnelSpec>),
    /// To [`crate::Get::Sets`].
    Sets(Page<SetEntry>),
    /// To [`crate::Get::TestSet`].
    IsInSet(bool),
    /// The change is made; what an operator should know of it, a line each.
    Told(Vec<String>),
    /// To [`crate::Files::Instances`].
    Vrrp(Vec<VrrpEntry>),
    /// To [`crate::Files::Health`].
    Health(Vec<HealthEntry>),
}

/// A `virtual_server` of the keepalived.conf.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct HealthEntry {
    /// What clients address, as the file has it.
    pub service: String,
    /// Whether it has the weight it needs.
    pub quorum: bool,
    /// Whether its sorry server serves.
    pub sorry: bool,
    /// Its real servers, in file order.
    pub servers: Vec<ServerHealth>,
}

/// A real server of the keepalived.conf.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ServerHealth {
    /// Its address, as the file has it.
    pub server: SocketAddr,
    /// Whether none of its checkers has failed.
    pub alive: bool,
    /// Its weight, with what checkers add to it.
    pub weight: u32,
    /// Checkers, whatever they say.
    pub checkers: u32,
    /// Of those that have failed, the reasons.
    pub failed: Vec<String>,
}

/// A VRRP instance of the keepalived.conf.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct VrrpEntry {
    /// Its name.
    pub instance: String,
    /// What it is.
    pub role: VrrpRole,
    /// Its addresses on links of the director.
    pub addresses: Vec<VrrpAddress>,
}

/// An address of a VRRP instance.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct VrrpAddress {
    /// Address and length.
    pub prefix: Prefix,
    /// Name of the link.
    pub dev: String,
}

/// A part of a long listing.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// What to ask for next; `None` at the end.
    pub next: Option<u64>,
}

/// About the daemon.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize)]
pub struct DaemonInfo {
    /// Its version.
    pub version: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Workers.
    pub workers: u16,
    /// Entries the connection tables hold, all workers together.
    pub conn_table_size: u64,
}

/// A service with its servers.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize)]
pub struct ServiceEntry {
    /// Its key.
    pub key: ServiceKey,
    /// What is configured.
    pub spec: ServiceSpec,
    /// What it carried.
    pub counters: Counters,
    /// Its rates.
    pub rates: Rates,
    /// Its servers, in the order they were added.
    pub dests: Vec<DestEntry>,
    /// Its local addresses, in the order they were added.
    pub laddrs: Vec<LaddrEntry>,
    /// Clients that are refused.
    pub block: Vec<AccessSubject>,
    /// Clients that alone are accepted, if any is named.
    pub allow: Vec<AccessSubject>,
    /// What the SYN proxy before it did, if it has one.
    pub syn_proxy: Option<SynProxyStats>,
}

/// What the SYN proxy did.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode, Serialize)]
pub struct SynProxyInfo {
    /// All services together, gone ones included.
    #[serde(flatten)]
    pub totals: SynProxyTotals,
    /// Services that have it.
    pub services: Vec<SynProxyEntry>,
}

/// What the SYN proxy before a service did.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize)]
pub struct SynProxyEntry {
    /// The service.
    pub service: ServiceKey,
    /// What is configured.
    pub synproxy: SynProxy,
    /// What it did.
    #[serde(flatten)]
    pub stats: SynProxyStats,
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize)]
pub struct DestEntry {
    /// Its address.
    pub addr: SocketAddr,
    /// What is configured.
    pub spec: DestSpec,
    /// What it carried.
    pub counters: Counters,
    /// Its rates.
    pub rates: Rates,
    /// Connections in state established.
    pub active: u32,
    /// All other connections.
    pub inactive: u32,
    /// Persistence templates that point at it.
    pub persistent: u32,
    /// Takes no new connections because a check found it dead.
    pub inhibited: bool,
    /// Takes no new connections because it has as many as it may.
    pub overloaded: bool,
}

/// A local address of a service.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize)]
pub struct LaddrEntry {
    /// The address.
    pub addr: IpAddr,
    /// Name of the link it is on.
    pub dev: String,
    /// Lease attempts that found every port taken.
    pub conflicts: u64,
    /// Connections that use it.
    pub conns: u64,
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize)]
pub struct AddrEntry {
    /// The address.
    #[serde(flatten)]
    pub addr: IfAddr,
    /// Its source ports, if it serves as a local address.
    pub pool: Option<SaPool>,
}

/// A set with its elements.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize)]
pub struct SetEntry {
    /// What is configured.
    #[serde(flatten)]
    pub spec: SetSpec,
    /// Bytes it takes in the memory of workers.
    pub bytes: u64,
    /// Access lists that name it.
    pub references: u32,
    /// Its elements, the narrowest first.
    pub members: Vec<SetMember>,
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize)]
pub struct SetMember {
    /// As it is written.
    pub entry: String,
    /// For people.
    pub comment: Option<String>,
    /// What it holds is not in the set, although a wider element holds it too.
    pub nomatch: bool,
}
