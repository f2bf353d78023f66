// SPDX-License-Identifier: Apache-2.0
//! What addresses and routes hang on: a port, a VLAN of a port, or a tunnel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ids::{LinkId, PortId};
use crate::tunnel::Tunnel;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// How a port treats the checksums of received packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxCsum {
    /// Believe the sender and the device; check only what makes state.
    Trust,
    /// Check in software what the device did not check.
    #[default]
    Verify,
    /// Compute anew: repairs the half-made checksums that containers and veth pairs on one host send.
    Recompute,
}

/// One link, as workers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its own number: the position in the snapshot's table.
    pub id: LinkId,
    /// Its name, as operators write it (`dpdk0`, `dpdk0.102`).
    pub name: String,
    /// The port frames leave by and come from.
    pub port: PortId,
    /// The 802.1Q identifier (1 to 4094) frames carry on the wire, if this link is a VLAN.
    pub vlan: Option<u16>,
    /// Its Ethernet address.
    pub mac: Mac,
    /// The longest IP packet it carries, in bytes.
    pub mtu: u16,
    /// Whether the operator has it up.
    pub up: bool,
    /// How received checksums are treated.
    pub rx_csum: RxCsum,
    /// What makes it a tunnel, if it is one. Its `port` and `mac` are those of the link its packets travel by.
    pub tunnel: Option<Tunnel>,
    /// Own addresses with their prefix lengths.
    pub addrs: Vec<(IpAddr, u8)>,
}

impl Link {
    /// Whether `addr` is one of this link's own addresses.
    pub fn owns(&self, addr: IpAddr) -> bool {
        self.addrs.iter().any(|&(own, _)| own == addr)
    }

    /// Whether `addr` means everybody on this link.
    pub fn is_broadcast(&self, addr: IpAddr) -> bool {
        let IpAddr::V4(addr) = addr else { return false };
        let everybody = |own: Ipv4Addr, len| own.to_bits() | !mask4(len) == addr.to_bits();
        // Prefixes of 31 and 32 bits have no address to spare (RFC 3021).
        self.addrs.iter().any(|&(own, len)| matches!(own, IpAddr::V4(own) if len < 31 && everybody(own, len)))
    }

    /// The source to use towards `dst`: an address whose prefix covers it, else the first of the family.
    pub fn source_for(&self, dst: IpAddr) -> Option<IpAddr> {
        let family = self.addrs.iter().filter(|(own, _)| own.is_ipv4() == dst.is_ipv4());
        family
            .clone()
            .find(|&&(own, len)| same_net(own, dst, len))
            .or_else(|| family.clone().next())
            .map(|&(own, _)| own)
    }
}

/// Whether `a` and `b` agree in their first `len` bits.
pub fn same_net(a: IpAddr, b: IpAddr, len: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()) & mask4(len) == 0,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()) & mask6(len) == 0,
        _ => false,
    }
}

/// The netmask of an IPv4 prefix; lengths over 32 count as 32.
pub fn mask4(len: u8) -> u32 {
    u32::MAX.checked_shl(u32::from(Ipv4Addr::BITS as u8 - len.min(32))).unwrap_or(0)
}

/// The netmask of an IPv6 prefix; lengths over 128 count as 128.
pub fn mask6(len: u8) -> u128 {
    u128::MAX.checked_shl(u32::from(Ipv6Addr::BITS as u8 - len.min(128))).unwrap_or(0)
}
