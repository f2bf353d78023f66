// SPDX-License-Identifier: Apache-2.0
//! Real servers behind a service.

use bincode::{Decode, Encode};
use serde::Serialize;

/// How packets reach a server and how answers return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Forwarding {
    /// Destination rewritten; answers pass the director (`-m`, Masq).
    Nat,
    /// Source and destination rewritten (`-b`, FullNat).
    FullNat,
    /// Only the Ethernet destination changes (`-g`, Route).
    DirectRouting,
    /// Another header in front (`-i`, Tunnel).
    Tunnel(TunnelKind),
    /// Source rewritten for hosts behind the director (`-J`, SNAT).
    Snat,
    /// The director itself (stock `Local`).
    Local,
}

/// What is put in front of a tunnelled packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelKind {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP destination port, 1 to 65535.
        port: u16,
        /// How the outer UDP checksum is made.
        csum: TunnelCsum,
    },
    /// GRE.
    Gre {
        /// With or without the GRE checksum; `Remote` is refused.
        csum: TunnelCsum,
    },
}

/// Checksum of an encapsulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelCsum {
    /// None (`--tun-nocsum`).
    #[default]
    None,
    /// Computed (`--tun-csum`).
    Full,
    /// Remote checksum offload (`--tun-remcsum`).
    Remote,
}

/// Everything configured about a server but its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct DestSpec {
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Share of new connections, 0 to 2147483647; 0 takes none.
    pub weight: u32,
    /// Connections above which it takes no new ones; 0 for no limit.
    pub upper: u32,
    /// Connections below which it takes new ones again after `upper` was reached; 0 for three quarters of `upper`.
    pub lower: u32,
}

impl Default for DestSpec {
    fn default() -> Self {
        DestSpec { forwarding: Forwarding::DirectRouting, weight: 1, upper: 0, lower: 0 }
    }
}
