// SPDX-License-Identifier: Apache-2.0
//! Addresses on links, routes and neighbours.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use bincode::{Decode, Encode};
use serde::{Serialize, Serializer};

use crate::addr::{Family, MacAddr, Prefix};

/// What a VRRP instance is at the moment: its addresses are here while it is master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VrrpRole {
    /// It has the addresses.
    Master,
    /// Another director has them.
    Backup,
    /// Something is wrong here: another director should have them.
    Fault,
}

impl VrrpRole {
    /// All, in the words of notify scripts.
    pub const ALL: [(&'static str, VrrpRole); 3] =
        [("master", VrrpRole::Master), ("backup", VrrpRole::Backup), ("fault", VrrpRole::Fault)];
}

impl std::fmt::Display for VrrpRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = VrrpRole::ALL.iter().find(|(_, role)| role == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

/// How far an address is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum AddrScope {
    /// On this machine.
    Host,
    /// On the link.
    Link,
    /// On the site.
    Site,
    /// Everywhere.
    #[default]
    Global,
    /// Any other number.
    Other(u8),
}

impl fmt::Display for AddrScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddrScope::Host => f.write_str("host"),
            AddrScope::Link => f.write_str("link"),
            AddrScope::Site => f.write_str("site"),
            AddrScope::Global => f.write_str("global"),
            AddrScope::Other(number) => number.fmt(f),
        }
    }
}

impl Serialize for AddrScope {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct IfAddr {
    /// Address and prefix length.
    pub prefix: Prefix,
    /// Name of the link.
    pub dev: String,
    /// IPv4 broadcast address, if given.
    pub broadcast: Option<Ipv4Addr>,
    /// How far it is valid.
    pub scope: AddrScope,
    /// Seconds it is valid; 0 for ever.
    pub valid_lft: u32,
    /// Seconds it is preferred; 0 for ever.
    pub preferred_lft: u32,
    /// Whether it was declared a pool of source ports. Every address can be one; the word is kept for scripts.
    pub sapool: bool,
}

/// Source ports of one address, summed over workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct SaPool {
    /// Leases in use.
    pub used: u64,
    /// Leases still free towards one server.
    pub free: u64,
    /// Leases asked for and not found.
    pub miss: u64,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteScope {
    /// To this director.
    Host,
    /// To the host's own stack.
    KniHost,
    /// To a station on the link.
    Link,
    /// To a gateway.
    Global,
}

impl fmt::Display for RouteScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RouteScope::Host => "host",
            RouteScope::KniHost => "kni_host",
            RouteScope::Link => "link",
            RouteScope::Global => "global",
        })
    }
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct RouteSpec {
    /// What it matches; the default route has length 0.
    pub dst: Prefix,
    /// The gateway, if any.
    pub via: Option<IpAddr>,
    /// Name of the link.
    pub dev: String,
    /// Source of locally made packets.
    pub src: Option<IpAddr>,
    /// MTU in bytes; 0 for the link's.
    pub mtu: u16,
    /// Where it leads; `None` lets the daemon decide: global with a gateway, else link.
    pub scope: Option<RouteScope>,
    /// Lower wins among equal prefixes.
    pub metric: u32,
}

/// What deletes a route: all that is named must agree.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct RouteKey {
    /// What it matches.
    pub dst: Prefix,
    /// Name of the link, if named.
    pub dev: Option<String>,
    /// The gateway, if named.
    pub via: Option<IpAddr>,
    /// Where it leads, if named.
    pub scope: Option<RouteScope>,
}

/// A neighbour entered by hand.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct NeighSpec {
    /// Its address.
    pub addr: IpAddr,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Name of the link.
    pub dev: String,
}

/// A neighbour of one worker's table.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct NeighEntry {
    /// Its address.
    pub addr: IpAddr,
    /// Its Ethernet address, once known.
    pub mac: Option<MacAddr>,
    /// Name of the link.
    pub dev: String,
    /// State word: NONE, SEND, REACHABLE, PROBE or DELAY.
    pub state: String,
    /// CPU of the worker.
    pub core: u16,
    /// Entered by hand: never ages.
    pub fixed: bool,
}

/// Chooses a family or both.
pub type FamilyFilter = Option<Family>;
