// SPDX-License-Identifier: Apache-2.0
//! One connection: what both directions of a flow share, in two cache lines.

use crate::forward::{Forwarding, Plan};
use crate::ids::{DestId, LinkId, ServiceId};
use crate::neigh::NeighRef;
use crate::preface::Preface;
use crate::proto::tcp::{ACK, SYN};

use super::tuple::{Tuple, Tuple4};

/// A slot of the worker's connection table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId(pub u32);

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Dir {
    /// From the client to the server.
    Inbound,
    /// From the server to the client.
    Outbound,
}

impl Dir {
    /// The other way.
    pub fn opposite(self) -> Dir {
        match self {
            Dir::Inbound => Dir::Outbound,
            Dir::Outbound => Dir::Inbound,
        }
    }
}

/// Where packets of one direction leave, looked up once and kept while the snapshot's routing is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// The next hop.
    pub neigh: NeighRef,
    /// The link.
    pub link: LinkId,
    /// Longest IP packet towards there, in bytes.
    pub mtu: u16,
}

/// What is configured about a connection when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct NewConn {
    /// IP protocol.
    pub proto: u8,
    /// What the client's packets carry.
    pub inbound: Tuple,
    /// What the server's packets carry.
    pub outbound: Tuple,
    /// The service that took it.
    pub service: ServiceId,
    /// Its server.
    pub dest: DestId,
    /// Tells the server from a later one in the same slot.
    pub dest_generation: u32,
    /// How packets reach the server.
    pub forwarding: Forwarding,
    /// What is done to packets, by direction.
    pub plans: [Plan; 2],
    /// Idle seconds of the established state instead of the protocol's; 0 for the protocol's.
    pub conn_timeout: u32,
    /// The range its local port was leased from, if it was.
    pub lease: Option<u32>,
    /// It is for this packet and what answers it; the client's next one is scheduled anew.
    pub one_packet: bool,
    /// What it begins with.
    pub preface: Preface,
}

impl Egress {
    /// Not looked up.
    pub(crate) const UNKNOWN: Egress = Egress { neigh: NeighRef::NONE, link: LinkId(0), mtu: 0 };
}

/// What few connections have; the rest of it is in the table, by slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits(pub(super) u8);

impl Traits {
    /// It is for one packet of the client and what answers that.
    pub(super) const ONE_PACKET: u8 = 1;
    /// A template is held for it.
    pub(super) const PERSISTENT: u8 = 2;
    /// It has an idle time of its own.
    pub(super) const OWN_TIMEOUT: u8 = 4;

    #[inline(always)]
    pub(super) fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// How far a TCP server has come, in its own numbers: what it and its client expect to hear next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The number behind the last that it sent.
    pub seq: u32,
    /// The last that it acknowledged.
    pub ack: u32,
}

impl Ends {
    /// Notes a segment of the server that takes `len` numbers. What comes late moves nothing back.
    #[inline(always)]
    pub(crate) fn note(&mut self, flags: u8, seq: u32, ack: u32, len: u32) {
        let end = seq.wrapping_add(len);
        let first = flags & SYN != 0;
        if first || end.wrapping_sub(self.seq) as i32 > 0 {
            self.seq = end;
        }
        if flags & ACK != 0 && (first || self.ack == 0 || ack.wrapping_sub(self.ack) as i32 > 0) {
            self.ack = ack;
        }
    }
}

/// One connection.
///
/// The first line has what every packet needs, the second what either direction adds. IPv6 addresses do
/// not fit: they have a line of their own in a side table, under the same number.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Conn {
    /// Ports, and addresses where they are of IPv4.
    pub(super) tuples: [Tuple4; 2],
    /// IP protocol; 0 marks a free slot.
    pub(super) proto: u8,
    /// State number of the protocol.
    pub state: u8,
    /// Counted as active (established), not inactive, with its server.
    pub active: bool,
    /// How packets reach the server.
    pub forwarding: Forwarding,
    /// What is done to packets, by direction.
    pub(crate) plans: [Plan; 2],
    /// The server.
    pub dest: DestId,
    /// Tells the server from a later one in the same slot.
    pub dest_generation: u32,
    /// When it was last used, in wheel ticks.
    pub last_seen: u32,
    /// Idle time after which it expires, in wheel ticks.
    pub timeout: u32,
    /// What changes in TCP and UDP checksums, by direction (RFC 1624).
    pub l4_delta: [u16; 2],
    /// What changes in the IPv4 header checksum by the addresses, by direction.
    pub l3_delta: [u16; 2],
    /// Added to the client's sequence numbers towards the server.
    pub seq_delta: u32,
    /// Where packets leave, by direction.
    pub egress: [Egress; 2],
    /// The snapshot's routing number that both were looked up under; 0 for never.
    pub routing: u32,
    /// How far the server has come, unless the SYN proxy keeps that itself (TCP).
    pub(crate) ends: Ends,
    /// The service that took it.
    pub service: ServiceId,
    /// The range its local port was leased from.
    pub(super) lease: u32,
    /// Its session with the SYN proxy, if that opened it; see [`Conn::is_proxied`].
    pub session: u32,
    /// What few connections have.
    pub(super) traits: Traits,
    /// What it has to do with the PROXY protocol.
    pub(crate) preface: Preface,
    /// Up to a second that spreads expiry, in wheel ticks.
    pub(super) jitter: u8,
    /// Which directions are of IPv6.
    pub(super) six: [bool; 2],
    pub(super) slot: u16,
    pub(super) next: u32,
    pub(super) prev: u32,
}

/// Marks the end of a list of slots.
pub(super) const NIL: u32 = u32::MAX;

impl Conn {
    pub(super) const FREE: Conn = Conn {
        tuples: [Tuple4 { src: 0, dst: 0, sport: 0, dport: 0 }; 2],
        proto: 0,
        state: 0,
        active: false,
        forwarding: Forwarding::FullNat,
        plans: [Plan::Rewrite; 2],
        dest: DestId(0),
        dest_generation: 0,
        last_seen: 0,
        timeout: 0,
        l4_delta: [0; 2],
        l3_delta: [0; 2],
        seq_delta: 0,
        egress: [Egress::UNKNOWN; 2],
        routing: 0,
        ends: Ends { seq: 0, ack: 0 },
        service: ServiceId(0),
        lease: NIL,
        session: NIL,
        traits: Traits(0),
        preface: Preface::None,
        jitter: 0,
        six: [false; 2],
        slot: 0,
        next: NIL,
        prev: NIL,
    };

    /// IP protocol.
    #[inline(always)]
    pub fn proto(&self) -> u8 {
        self.proto
    }

    /// The range its local port was leased from, if it was.
    pub fn lease(&self) -> Option<u32> {
        (self.lease != NIL).then_some(self.lease)
    }

    /// Whether it is for one packet of the client and what answers that.
    pub fn is_one_packet(&self) -> bool {
        self.traits.has(Traits::ONE_PACKET)
    }

    /// Whether the SYN proxy opened it.
    #[inline(always)]
    pub fn is_proxied(&self) -> bool {
        self.session != NIL
    }

    /// Leaves its session with the SYN proxy to another connection.
    pub(crate) fn part(&mut self) {
        self.session = NIL;
    }

    /// Whether packets of a direction come in as IPv6.
    #[inline(always)]
    pub fn is_ipv6(&self, dir: Dir) -> bool {
        self.six[dir as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_fits_two_cache_lines() {
        assert_eq!(std::mem::size_of::<Conn>(), 128);
    }
}
