// SPDX-License-Identifier: Apache-2.0
//! What the daemon knows of its devices and tells once at start; what changes by itself is refreshed.

use engine::ids::LcoreId;
use engine::link::RxCsum;
use engine::steer::Rss;
use model::MacAddr;

/// Longest IP packet any port may be set to carry, in bytes.
pub const MAX_MTU: u16 = 9000;

/// Shortest MTU a link may have, in bytes (RFC 791).
pub const MIN_MTU: u16 = 68;

/// Shortest MTU of a link with IPv6 addresses, in bytes (RFC 8200 5).
pub const MIN_MTU6: u16 = 1280;

/// One device.
#[derive(Clone, Debug)]
pub struct PortFacts {
    /// Its name, as operators write it (`dpdk0`).
    pub name: String,
    /// Its driver, such as `net_af_packet`.
    pub driver: String,
    /// Its bus address, or `vdev`.
    pub bus: String,
    /// NUMA node.
    pub socket: u16,
    /// Ethernet address at start.
    pub mac: MacAddr,
    /// Longest IP packet at start, in bytes.
    pub mtu: u16,
    /// Longest IP packet the device can be set to carry, in bytes.
    pub max_mtu: u16,
    /// Which worker polls each receive queue, by queue number.
    pub rx: Vec<LcoreId>,
    /// Which worker sends by each transmit queue, by queue number.
    pub tx: Vec<LcoreId>,
    /// How the device spreads packets over its queues, where that can be predicted.
    pub rss: Option<Rss>,
    /// How received checksums are treated.
    pub rx_csum: RxCsum,
    /// Receives frames of all stations at start.
    pub promisc: bool,
    /// Receives all multicast frames at start.
    pub allmulticast: bool,
    /// Whether the peer is there.
    pub carrier: bool,
    /// Megabits per second.
    pub speed: u32,
    /// Both directions at once.
    pub full_duplex: bool,
    /// Speed agreed with the peer.
    pub autoneg: bool,
    /// Offloads in use, as listings name them (`OF_RX_IP_CSUM`).
    pub offloads: Vec<String>,
    /// What the device can do, as title and value, in the order of `dpip -v link show`.
    pub capabilities: Vec<(String, String)>,
}

impl PortFacts {
    /// A device of that name with one queue, polled by the first worker, and nothing special; the rest is for the daemon to fill in.
    pub fn new(name: impl Into<String>, mac: MacAddr) -> Self {
        PortFacts {
            name: name.into(),
            driver: String::new(),
            bus: "vdev".to_owned(),
            socket: 0,
            mac,
            mtu: 1500,
            max_mtu: MAX_MTU,
            rx: vec![LcoreId(0)],
            tx: vec![LcoreId(0)],
            rss: None,
            rx_csum: RxCsum::default(),
            promisc: false,
            allmulticast: false,
            carrier: true,
            speed: 10_000,
            full_duplex: true,
            autoneg: false,
            offloads: Vec::new(),
            capabilities: Vec::new(),
        }
    }
}
