// SPDX-License-Identifier: Apache-2.0
//! Frames as an independent decoder sees them.

#![allow(dead_code)] // every test binary uses a part of it

pub mod parts;

use std::net::{IpAddr, SocketAddr};

use engine::sim::world::{CLIENT, DIRECTOR};
use etherparse::{NetHeaders, PacketHeaders, TcpHeader, TransportHeader};
use packet::build::{self, Segment};

/// TCP flag bits.
pub const SYN: u8 = 2;
/// TCP flag bits.
pub const ACK: u8 = 16;
/// TCP flag bits.
pub const FIN: u8 = 1;
/// TCP flag bits.
pub const RST: u8 = 4;

/// A TCP or UDP frame.
#[derive(Clone, Debug)]
pub struct Seen {
    pub dst_mac: [u8; 6],
    pub src_mac: [u8; 6],
    pub vlan: Option<u16>,
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub ttl: u8,
    pub tcp: Option<TcpHeader>,
    pub payload: Vec<u8>,
}

/// Decodes a frame and judges every checksum in it.
pub fn see(frame: &[u8]) -> Seen {
    let parsed = PacketHeaders::from_ethernet_slice(frame).expect("a frame etherparse accepts");
    let vlan = parsed.vlan().map(|tag| match tag {
        etherparse::VlanHeader::Single(tag) => tag.vlan_id.value(),
        other => panic!("one tag at most: {other:?}"),
    });
    let net = parsed.net.expect("IP");
    let (src, dst, ttl): (IpAddr, IpAddr, u8) = match &net {
        NetHeaders::Ipv4(h, _) => {
            assert_eq!(h.header_checksum, h.calc_header_checksum(), "IPv4 header checksum");
            (h.source.into(), h.destination.into(), h.time_to_live)
        }
        NetHeaders::Ipv6(h, _) => (h.source.into(), h.destination.into(), h.hop_limit),
        other => panic!("no IP: {other:?}"),
    };
    let payload = parsed.payload.slice().to_vec();
    let (sport, dport, tcp) = match parsed.transport.expect("TCP or UDP") {
        TransportHeader::Tcp(h) => {
            let sum = match &net {
                NetHeaders::Ipv4(ip, _) => h.calc_checksum_ipv4(ip, &payload),
                NetHeaders::Ipv6(ip, _) => h.calc_checksum_ipv6(ip, &payload),
                _ => unreachable!("decided above"),
            };
            assert_eq!(h.checksum, sum.unwrap(), "TCP checksum");
            (h.source_port, h.destination_port, Some(h))
        }
        TransportHeader::Udp(h) => {
            let sum = match &net {
                NetHeaders::Ipv4(ip, _) => h.calc_checksum_ipv4(ip, &payload),
                NetHeaders::Ipv6(ip, _) => h.calc_checksum_ipv6(ip, &payload),
                _ => unreachable!("decided above"),
            };
            assert!(h.checksum == 0 || h.checksum == sum.unwrap(), "UDP checksum");
            (h.source_port, h.destination_port, None)
        }
        other => panic!("neither TCP nor UDP: {other:?}"),
    };
    let link = parsed.link.and_then(|l| l.ethernet2()).expect("Ethernet");
    Seen {
        dst_mac: link.destination,
        src_mac: link.source,
        vlan,
        src: (src, sport).into(),
        dst: (dst, dport).into(),
        ttl,
        tcp,
        payload,
    }
}

impl Seen {
    /// The TCP header.
    pub fn tcp(&self) -> &TcpHeader {
        self.tcp.as_ref().expect("TCP")
    }

    /// The TCP options as they are on the wire.
    pub fn options(&self) -> &[u8] {
        self.tcp().options.as_slice()
    }
}

/// A segment from the client.
pub fn from_client(src: SocketAddr, dst: SocketAddr, segment: Segment) -> Vec<u8> {
    build::tcp((DIRECTOR, CLIENT), src, dst, segment)
}

/// A frame of server `n`, tagged for the servers' network.
pub fn tagged(mut frame: Vec<u8>) -> Vec<u8> {
    frame.splice(12..12, [0x81, 0x00, 0, 102]);
    frame
}
