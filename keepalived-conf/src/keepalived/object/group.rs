// SPDX-License-Identifier: Apache-2.0
//! Groups: addresses of services, local addresses, access lists, tunnels.

use std::net::IpAddr;

pub use model::addr::Family;

use crate::span::Span;

/// `virtual_server_group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Ranges of addresses.
    pub addresses: Vec<GroupAddress>,
    /// Firewall marks.
    pub marks: Vec<GroupMark>,
    /// Its place.
    pub span: Span,
}

/// A range of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAddress {
    /// First address.
    pub first: IpAddr,
    /// Last address, of the same family and not below the first.
    pub last: IpAddr,
    /// 0 for all ports.
    pub port: u16,
    /// Its place.
    pub span: Span,
}

/// A firewall mark of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMark {
    /// The mark.
    pub mark: u32,
    /// The family, where it is given.
    pub family: Option<Family>,
    /// Its place.
    pub span: Span,
}

impl Group {
    /// Whether addresses or marks of `family` are in the group.
    pub fn has(&self, family: Family) -> bool {
        self.addresses.iter().any(|range| Family::of(range.first) == family)
            || self.marks.iter().any(|mark| mark.family == Some(family))
    }
}

/// `local_address_group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalGroup {
    /// Its name.
    pub name: String,
    /// Its ranges.
    pub addresses: Vec<LocalAddress>,
    /// Its place.
    pub span: Span,
}

/// A range of local addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// First address.
    pub first: IpAddr,
    /// Last address, of the same family and not below the first.
    pub last: IpAddr,
    /// The port that has them.
    pub interface: String,
    /// Its place.
    pub span: Span,
}

/// `deny_address_group` or `allow_address_group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessGroup {
    /// Its name.
    pub name: String,
    /// Who is meant; may be nobody.
    pub members: Vec<AccessMember>,
    /// Its place.
    pub span: Span,
}

/// Clients of an access group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessMember {
    /// From the first to the last address.
    Range(IpAddr, IpAddr),
    /// Those of a set.
    Set(String),
}

/// `tunnel_entry` of a `tunnel_group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The group's name.
    pub group: String,
    /// The tunnel's name.
    pub name: String,
    /// `gre` or `ipip`.
    pub kind: Option<String>,
    /// Outer source.
    pub local: Option<IpAddr>,
    /// Outer destination.
    pub remote: Option<IpAddr>,
    /// The port it leaves by.
    pub interface: Option<String>,
    /// Its place.
    pub span: Span,
}

/// The word of a family in configurations and documents.
pub fn word(family: Family) -> &'static str {
    match family {
        Family::Inet => "inet",
        Family::Inet6 => "inet6",
    }
}
