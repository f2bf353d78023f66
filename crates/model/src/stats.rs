// SPDX-License-Identifier: Apache-2.0
//! Numbers about services, servers, ports and drops.

use std::ops::AddAssign;

use bincode::{Decode, Encode};
use serde::{Serialize, Serializer};

/// What a service or server has carried since the last `-Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Counters {
    /// Connections scheduled.
    pub conns: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// IP bytes from clients.
    pub in_bytes: u64,
    /// IP bytes to clients.
    pub out_bytes: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.conns += other.conns;
        self.in_packets += other.in_packets;
        self.out_packets += other.out_packets;
        self.in_bytes += other.in_bytes;
        self.out_bytes += other.out_bytes;
    }
}

/// The two-second exponential average of [`Counters`], per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Rates {
    /// Connections.
    pub cps: u64,
    /// Packets from clients.
    pub in_pps: u64,
    /// Packets to clients.
    pub out_pps: u64,
    /// Bytes from clients.
    pub in_bps: u64,
    /// Bytes to clients.
    pub out_bps: u64,
}

/// What a device counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct PortCounters {
    /// Packets received.
    pub ipackets: u64,
    /// Packets sent.
    pub opackets: u64,
    /// Bytes received.
    pub ibytes: u64,
    /// Bytes sent.
    pub obytes: u64,
    /// Received with an error.
    pub ierrors: u64,
    /// Failed to send.
    pub oerrors: u64,
    /// Lost because nobody fetched them in time.
    pub imissed: u64,
    /// Lost for want of a buffer.
    pub rx_nombuf: u64,
}

/// Where every packet went: `rx + generated = tx + sum(drops) + consumed + kernel + held + in_ring`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Traffic {
    /// Taken from devices.
    pub rx: u64,
    /// Made by the director: answers to nobody's packet, such as ARP requests and ICMP errors.
    pub generated: u64,
    /// Given to devices.
    pub tx: u64,
    /// Thrown away, by reason; reasons that never occurred are left out.
    #[serde(serialize_with = "as_map")]
    pub drops: Vec<(String, u64)>,
    /// Ended inside the director: neighbour answers learned from.
    pub consumed: u64,
    /// Handed to the host's own stack.
    pub kernel: u64,
    /// Waiting for a neighbour right now.
    pub held: u64,
    /// On the way from one worker to another right now.
    pub in_ring: u64,
}

/// What the SYN proxy before one service did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct SynProxyStats {
    /// Workers on which it stands there, of a service that has it under load.
    pub standing: u16,
    /// What it has counted, by name; what never occurred is left out.
    #[serde(serialize_with = "as_map")]
    pub counters: Vec<(String, u64)>,
}

/// What the SYN proxy did, all services together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct SynProxyTotals {
    /// Connections it keeps numbers for.
    pub sessions: u64,
    /// Packets that wait for servers to answer.
    pub held: u64,
    /// Bytes of them.
    pub held_bytes: u64,
    /// Everything it has counted, by name.
    #[serde(serialize_with = "as_map")]
    pub counters: Vec<(String, u64)>,
}

/// Serialises names and values as one map, in their order.
pub(crate) fn as_map<S: Serializer, V: Serialize>(pairs: &[(String, V)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}
