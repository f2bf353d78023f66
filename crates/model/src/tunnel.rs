// SPDX-License-Identifier: Apache-2.0
//! Tunnel links, as commands make and listings show them.

use std::fmt;
use std::net::Ipv4Addr;

use bincode::{Decode, Encode};
use serde::Serialize;

/// How packets travel in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelMode {
    /// IPv4 right behind the outer header (RFC 2003).
    Ipip,
    /// IPv4 or IPv6 behind a GRE header (RFC 2784).
    Gre,
}

impl fmt::Display for TunnelMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TunnelMode::Ipip => "ipip",
            TunnelMode::Gre => "gre",
        })
    }
}

/// One direction of a GRE tunnel (RFC 2890).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct TunnelEnd {
    /// Packets have this key.
    pub key: Option<u32>,
    /// Packets have a checksum.
    pub csum: bool,
    /// Packets are numbered.
    pub seq: bool,
}

/// A tunnel link.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct TunnelSpec {
    /// Its name; empty for the mode and the number of the link (`gre7`).
    pub name: String,
    /// How packets travel.
    pub mode: TunnelMode,
    /// The director's end; unspecified for any.
    pub local: Ipv4Addr,
    /// The other end; unspecified for any: then the tunnel only receives.
    pub remote: Ipv4Addr,
    /// The link outer packets leave by; `None` for the one that routes give.
    pub dev: Option<String>,
    /// TTL of outer packets; 0 for that of the packet inside.
    pub ttl: u8,
    /// Type of service of outer packets; 1 for that of the packet inside.
    pub tos: u8,
    /// Packets that come.
    pub input: TunnelEnd,
    /// Packets that leave.
    pub output: TunnelEnd,
}
