// SPDX-License-Identifier: Apache-2.0
//! Answers into text. Scripts know these layouts: widths stand beside the titles they belong to, and nothing here asks
//! the daemon anything.

pub mod access;
pub mod conns;
pub mod json;
pub mod save;
pub mod services;

use std::net::{IpAddr, SocketAddr};

use model::{Family, ServiceKey, Transport};

use crate::names::Names;

/// How addresses and ports are written.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a>(pub Option<&'a Names>);

impl Labels<'_> {
    /// An address and port: names where they are wanted and known; IPv6 addresses always in brackets.
    ///
    /// Without a protocol the port is a number.
    pub fn end(&self, end: SocketAddr, transport: Option<Transport>) -> String {
        let host = self.0.and_then(|names| names.host(end.ip()));
        let port = match (self.0, transport) {
            (Some(names), Some(transport)) => names.port(end.port(), transport),
            _ => None,
        };
        let host = host.unwrap_or_else(|| end.ip().to_string());
        let port = port.map_or_else(|| end.port().to_string(), str::to_owned);
        match end.ip() {
            IpAddr::V4(_) => format!("{host}:{port}"),
            IpAddr::V6(_) => format!("[{host}]:{port}"),
        }
    }

    /// The same, cut to `width` characters as listings cut names of IPv4.
    pub fn cut_end(&self, end: SocketAddr, transport: Option<Transport>, width: usize) -> String {
        let text = self.end(end, transport);
        match end.ip() {
            IpAddr::V4(_) => text.chars().take(width).collect(),
            IpAddr::V6(_) => text,
        }
    }
}

/// The protocol whose names the ports of a service and its servers have.
pub fn transport(key: &ServiceKey) -> Option<Transport> {
    match key {
        ServiceKey::Endpoint { transport, .. } => Some(*transport),
        ServiceKey::FwMark { .. } | ServiceKey::Match(_) => None,
    }
}

/// What listings call a protocol.
fn protocol(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Sctp => "SCTP",
        Transport::Icmp => "ICMP",
        Transport::Icmpv6 => "ICMPv6",
    }
}

/// Address and port of a service; all zero for one without.
fn vip(key: &ServiceKey) -> SocketAddr {
    match key {
        ServiceKey::Endpoint { vip, .. } => *vip,
        ServiceKey::FwMark { .. } | ServiceKey::Match(_) => SocketAddr::new(Family::Inet.unspecified(), 0),
    }
}
