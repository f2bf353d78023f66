// SPDX-License-Identifier: Apache-2.0
//! What a director must know of VRRP: which addresses live where.

use std::net::IpAddr;

use crate::span::Span;

/// `vrrp_instance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpInstance {
    /// Its name.
    pub name: String,
    /// `MASTER` or `BACKUP`, where it is given.
    pub state: Option<String>,
    /// The device that VRRP runs on.
    pub interface: Option<String>,
    /// The port that gets the addresses.
    pub dpdk_interface: Option<String>,
    /// 1 to 255, where it is given.
    pub virtual_router_id: Option<u32>,
    /// 1 to 255.
    pub priority: u32,
    /// Its addresses.
    pub vips: Vec<Vip>,
    /// Its place.
    pub span: Span,
}

/// A virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub addr: IpAddr,
    /// Bits of the prefix.
    pub prefix_len: u32,
    /// The device it is put on, where it is given.
    pub dev: Option<String>,
    /// Whether VRRP's packets leave it out.
    pub excluded: bool,
    /// Its place.
    pub span: Span,
}
