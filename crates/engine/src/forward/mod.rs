// SPDX-License-Identifier: Apache-2.0
//! The forwarding modes: how packets of a connection are changed on their way.
//!
//! ```text
//!   mode            client -> server                          server -> client
//!   FULLNAT         laddr:lport -> daddr:dport                vaddr:vport -> caddr:cport
//!   FULLNAT 6 to 4  the same, behind an IPv4 header            the same, behind an IPv6 header
//!   NAT             caddr:cport -> daddr:dport                vaddr:vport -> caddr:cport
//!   direct routing  unchanged, to the server's Ethernet addr  does not pass
//!   tunnel          unchanged, behind another header          does not pass
//! ```
//!   SNAT            rip:rport -> hip:hport                    sip:sport -> rip:rport
//!
//! With SNAT the outside takes the client's part, and a host behind the director the server's. A [`Plan`] for each direction is chosen when a connection is opened; a packet only follows it.

pub(crate) mod cross;
pub(crate) mod far;
pub mod rewrite;
pub mod snat;
pub(crate) mod tunnel;

use model::TunnelKind;
use packet::Buffer;

use crate::conn::{Conn, ConnId, Dir, Tuple};
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::output::Ttl;
use crate::snapshot::Snapshot;

/// How the server's packets return, if they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// Source and destination rewritten, answers come back to a local address.
    FullNat,
    /// Destination rewritten; the server's route to its clients leads through the director.
    Nat,
    /// Nothing rewritten: the server has the service's address too, and answers by itself.
    DirectRouting,
    /// Nothing rewritten, another header in front; the server unpacks it, has the service's address too, and answers by itself.
    Tunnel(TunnelKind),
    /// Source rewritten: the "server" is an address that hosts behind the director reach the outside with.
    Snat,
}

impl Forwarding {
    /// Whether the director sees what servers answer.
    pub fn is_two_way(self) -> bool {
        match self {
            Forwarding::FullNat | Forwarding::Nat | Forwarding::Snat => true,
            Forwarding::DirectRouting | Forwarding::Tunnel(_) => false,
        }
    }
}

/// What is done to packets of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Plan {
    /// Addresses and ports replaced, within one family.
    Rewrite,
    /// Sent as it is.
    Pass,
    /// Another header put in front.
    Wrap,
    /// A header of the other family, with other addresses and ports.
    Cross,
}

/// How long a packet may be at the next hop, as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes.
    pub(crate) mtu: u16,
    /// It must not be cut.
    pub(crate) whole: bool,
}

impl Plan {
    /// The plans of both directions of a connection.
    pub(crate) fn of(forwarding: Forwarding, inbound: &Tuple, outbound: &Tuple) -> [Plan; 2] {
        let crosses = inbound.source().is_ipv4() != outbound.source().is_ipv4();
        match forwarding {
            Forwarding::FullNat if crosses => [Plan::Cross; 2],
            Forwarding::FullNat | Forwarding::Nat | Forwarding::Snat => [Plan::Rewrite; 2],
            Forwarding::DirectRouting => [Plan::Pass; 2],
            Forwarding::Tunnel(_) => [Plan::Wrap; 2],
        }
    }
}

impl Plan {
    /// What happens to TTL and hop limit.
    #[inline(always)]
    pub(crate) fn ttl(self, snap: &Snapshot) -> Ttl {
        match self {
            Plan::Rewrite | Plan::Cross => Ttl::of_service(snap),
            // The server gets what the client sent.
            Plan::Pass | Plan::Wrap => Ttl::Keep,
        }
    }
}

impl Conn {
    /// What is done to packets of a direction.
    #[inline(always)]
    pub(crate) fn plan(&self, dir: Dir) -> Plan {
        self.plans[dir as usize]
    }
}

impl<P: Buffer> Lcore<P> {
    /// What a next hop that takes `mtu` bytes leaves for a packet of a connection.
    #[inline(always)]
    pub(crate) fn room(&self, id: ConnId, plan: Plan, ip: &Ip, mtu: u16) -> Room {
        match plan {
            Plan::Rewrite | Plan::Pass => Room { mtu, whole: ip.df },
            Plan::Wrap => self.room_in_tunnel(id, ip, mtu),
            Plan::Cross => Room { mtu: cross::room(ip, mtu), whole: true },
        }
    }

    #[inline(never)]
    fn room_in_tunnel(&self, id: ConnId, ip: &Ip, mtu: u16) -> Room {
        let Forwarding::Tunnel(kind) = self.conns.get(id).forwarding else {
            return Room { mtu, whole: ip.df };
        };
        let outer_six = self.conns.server(id).is_ipv6();
        // Outer IPv4 packets are cut; IPv6 routers do not cut.
        Room { mtu: mtu.saturating_sub(tunnel::overhead(kind, outer_six)), whole: ip.df || outer_six }
    }
}
