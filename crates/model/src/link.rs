// SPDX-License-Identifier: Apache-2.0
//! Ports, VLANs and workers, as listings show them and commands change them.

use bincode::{Decode, Encode};
use serde::Serialize;

use crate::addr::MacAddr;
use crate::stats::PortCounters;

/// One thing `dpip link set` changes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkChange {
    /// Receive frames of all stations.
    Promisc(bool),
    /// Receive all multicast frames.
    AllMulticast(bool),
    /// Administratively up or down.
    Up(bool),
    /// Longest IP packet in bytes, 68 to 9000.
    Mtu(u16),
    /// Ethernet address.
    Mac(MacAddr),
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LinkKind {
    /// A DPDK device.
    Port {
        /// Its driver, such as `net_af_packet`.
        driver: String,
        /// Its bus address, or `vdev`.
        bus: String,
    },
    /// A tunnel over other links.
    Tunnel {
        /// How packets travel: `ipip` or `gre`.
        mode: String,
    },
    /// A VLAN of a port.
    Vlan {
        /// Name of the port.
        dev: String,
        /// 802.1Q identifier, 1 to 4094.
        id: u16,
    },
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct LinkInfo {
    /// Number in listings, from 1.
    pub index: u16,
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: LinkKind,
    /// NUMA node.
    pub socket: u16,
    /// Longest IP packet in bytes.
    pub mtu: u16,
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Up: by the operator and by the device.
    pub up: bool,
    /// Megabits per second.
    pub speed: u32,
    /// Both directions at once.
    pub full_duplex: bool,
    /// Speed agreed with the peer.
    pub autoneg: bool,
    /// Receives frames of all stations.
    pub promisc: bool,
    /// Receives all multicast frames.
    pub allmulticast: bool,
    /// Ethernet address.
    pub mac: MacAddr,
    /// Offloads in use, as listings name them (`OF_RX_IP_CSUM`).
    pub offloads: Vec<String>,
    /// `rx0-tx0 cpu1-cpu1` rows: queue number and the CPU that serves it.
    pub queue_cpus: Vec<u16>,
    /// What the device can do, as title and value, in the order of `dpip -v link show`.
    #[serde(serialize_with = "crate::stats::as_map")]
    pub capabilities: Vec<(String, String)>,
}

/// Counters of one link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct LinkStats {
    /// Name of the link.
    pub name: String,
    /// What the device counts; for a VLAN, what its frames count.
    pub counters: PortCounters,
    /// Free packet buffers.
    pub mbuf_avail: u32,
    /// Packet buffers in use.
    pub mbuf_inuse: u32,
    /// The driver's own counters.
    #[serde(serialize_with = "crate::stats::as_map")]
    pub xstats: Vec<(String, u64)>,
}

/// One CPU of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct CpuInfo {
    /// The CPU's number in listings: 0 is the control thread, workers follow.
    pub cpu: u16,
    /// NUMA node.
    pub socket: u16,
    /// Whether it moves packets.
    pub worker: bool,
    /// Names of receive and transmit queues it serves, as `dpdk0:rx0`.
    pub queues: Vec<String>,
    /// What its loop counted.
    pub counters: CpuCounters,
}

/// What a worker's loop counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct CpuCounters {
    /// Times round the loop.
    pub lcore_loop: u64,
    /// Receive calls.
    pub pktburst: u64,
    /// Receive calls that found nothing.
    pub zpktburst: u64,
    /// Receive calls that found a full burst.
    pub fpktburst: u64,
    /// Receive calls that found up to half a burst.
    pub z2hpktburst: u64,
    /// Receive calls that found more than half a burst.
    pub h2fpktburst: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Packets received.
    pub ipackets: u64,
    /// Bytes received.
    pub ibytes: u64,
    /// Packets sent.
    pub opackets: u64,
    /// Bytes sent.
    pub obytes: u64,
}

/// A VLAN, as created and shown.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct VlanSpec {
    /// Name; `None` makes it the port's name, a dot and the identifier.
    pub name: Option<String>,
    /// Name of the port.
    pub dev: String,
    /// 802.1Q identifier, 1 to 4094.
    pub id: u16,
}
