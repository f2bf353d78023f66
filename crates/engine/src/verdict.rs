// SPDX-License-Identifier: Apache-2.0
//! What may become of a packet. Every drop has a name and, by it, a counter.

use std::ops::ControlFlow;

use crate::conn::ConnId;
use crate::ids::{LcoreId, LinkId};
use crate::neigh::NeighId;

/// One step of the pipeline: go on with a value, or end with a verdict.
pub type Step<T> = ControlFlow<Verdict, T>;

/// How the pipeline ended for one packet.
///
/// Every payload is one 32-bit number, so that a verdict is two registers for the compiler and never goes through memory: writing it in
/// parts and reading it back whole costs as much as the rest of a dropped packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Complete frame, out of this link.
    Forward(Goal),
    /// Complete IPv4 frame longer than the MTU: out of this link in pieces.
    Fragment(Goal),
    /// Complete frame but for the destination: wait in this neighbour entry until it resolves.
    Hold(Goal),
    /// For the host's own stack; where nothing leads there, dropped for this reason.
    Kernel(DropReason),
    /// Waits until the server of this connection has answered the SYN proxy.
    Await(ConnId),
    /// The server's answer to the SYN proxy: it ends here, and what waited for it goes on.
    Release(ConnId),
    /// Another worker owns the flow.
    Redirect(Goal),
    /// Another worker may own the flow of this packet, or the one this error is about: it goes from one to the next until all were
    /// asked. Or the fragments of a datagram go another worker's way.
    HandOn(Goal),
    /// Served its purpose inside the director (an ARP reply, a neighbour solicitation).
    Consumed,
    /// Thrown away, with the reason.
    Drop(DropReason),
}

/// Where a packet goes on: a link, a neighbour or a worker, and the longest IP packet it takes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal(u32);

impl Goal {
    /// Out of a link that takes packets of up to `mtu` bytes.
    #[inline(always)]
    pub fn of_link(link: LinkId, mtu: u16) -> Goal {
        Goal(u32::from(mtu) << 16 | u32::from(link.0))
    }

    /// To a neighbour that takes packets of up to `mtu` bytes. A neighbour table has at most 65536 slots.
    #[inline(always)]
    pub fn of_neigh(neigh: NeighId, mtu: u16) -> Goal {
        Goal(u32::from(mtu) << 16 | neigh.0 & 0xffff)
    }

    /// To another worker.
    #[inline(always)]
    pub fn of_worker(worker: LcoreId) -> Goal {
        Goal(u32::from(worker.0))
    }

    /// The link, if it is one.
    #[inline(always)]
    pub fn link(self) -> LinkId {
        LinkId(self.0 as u16)
    }

    /// The neighbour, if it is one.
    #[inline(always)]
    pub fn neigh(self) -> NeighId {
        NeighId(self.0 & 0xffff)
    }

    /// The worker, if it is one.
    #[inline(always)]
    pub fn worker(self) -> LcoreId {
        LcoreId(self.0 as u16)
    }

    /// Bytes of the longest IP packet.
    #[inline(always)]
    pub fn mtu(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// Ends the pipeline with a drop.
#[inline(always)]
pub fn drop<T>(reason: DropReason) -> Step<T> {
    ControlFlow::Break(Verdict::Drop(reason))
}

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// Why a packet was thrown away.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)*];

            /// The name operators see.
            pub fn name(self) -> &'static str {
                match self { $(DropReason::$name => $text,)* }
            }
        }
    };
}

drop_reasons! {
    /// Shorter than its headers.
    Truncated => "truncated",
    /// Ethernet destination is another station's.
    OtherHost => "other_host",
    /// VLAN tag without a link of that identifier.
    UnknownVlan => "unknown_vlan",
    /// Ethernet type nobody handles, without a kernel path.
    EtherType => "ether_type",
    /// The link is administratively down.
    LinkDown => "link_down",
    /// IP version, header length or total length contradicts itself (RFC 1812 5.2.2, RFC 8200 3).
    IpHeader => "ip_header",
    /// IPv4 header checksum wrong.
    IpChecksum => "ip_checksum",
    /// Source or destination address that may not be on the wire (RFC 1812 5.3.7, RFC 4291 2).
    Martian => "martian",
    /// A fragment that the director cannot pass on: it opens a TCP or SCTP connection, quotes what would have to change, or changing it takes
    /// the whole packet.
    Fragment => "fragment",
    /// A fragment that overlaps others of its datagram, or one of those; a copy.
    FragmentOverlap => "fragment_overlap",
    /// A first fragment without a whole header of the upper layer, or one that reaches into it.
    FragmentTiny => "fragment_tiny",
    /// More fragmented datagrams, or fragments that wait for the first one, than there is room for.
    FragmentTableFull => "fragment_table_full",
    /// Its first fragment did not come in time.
    FragmentTimeout => "fragment_timeout",
    /// Its first fragment was dropped, so that it is of no use.
    FragmentNoFirst => "fragment_no_first",
    /// IPv6 extension header chain malformed, too long, or with an unsupported header.
    ExtensionHeader => "extension_header",
    /// The sender says by which routers it goes (RFC 791 3.1, RFC 5095), or that is not known to the other family (RFC 7915 5.1).
    SourceRoute => "source_route",
    /// TCP, UDP, SCTP or ICMP header malformed.
    L4Header => "l4_header",
    /// TCP, UDP, SCTP or ICMP checksum wrong.
    L4Checksum => "l4_checksum",
    /// ARP packet malformed or not for us.
    Arp => "arp",
    /// Neighbour discovery packet malformed or not for us.
    NeighbourDiscovery => "neighbour_discovery",
    /// ICMP message for us that nobody handles.
    Icmp => "icmp",
    /// ICMP error tied to no connection.
    IcmpUnrelated => "icmp_unrelated",
    /// ICMP error that the family of its receiver has no word for (RFC 7915 4.2, 5.2).
    IcmpFamily => "icmp_family",
    /// ICMP error whose quoted packet is malformed, too short, or of another protocol.
    IcmpQuote => "icmp_quote",
    /// ICMP error told to somebody who did not send the packet it quotes.
    IcmpForeign => "icmp_foreign",
    /// ICMP error that dpvs.conf keeps back.
    IcmpPolicy => "icmp_policy",
    /// ICMP error too many towards one neighbourhood.
    IcmpLimited => "icmp_limited",
    /// ICMP error of our own too many, in all or towards one neighbourhood; it counts as made here.
    ErrorLimited => "error_limited",
    /// A query that the service at its address leaves unanswered.
    EchoPolicy => "echo_policy",
    /// More queries than one neighbourhood may ask.
    EchoLimited => "echo_limited",
    /// TTL or hop limit used up.
    Ttl => "ttl",
    /// Longer than the MTU and not to be fragmented.
    TooBig => "too_big",
    /// Longer than the link it came in by carries, and than the next one: merged from several packets on the way (GRO, LRO, TSO of a
    /// virtual cable). Its sender cannot help it; switch the offload off.
    Merged => "merged",
    /// The link to the server has no address that could stand in an outer header.
    NoSource => "no_source",
    /// No route to the destination.
    NoRoute => "no_route",
    /// Not for us, and forwarding is off.
    NotForwarding => "not_forwarding",
    /// For one of our addresses, but no service and no kernel path.
    NoService => "no_service",
    /// Of a connection whose server has weight 0 or is gone, of a service that ends such connections.
    Quiesced => "quiesced",
    /// Beyond the bandwidth of its service.
    Bandwidth => "bandwidth",
    /// Of the share of its service's packets that is not let through.
    Proportion => "proportion",
    /// TCP segment without connection that may not open one.
    NotSyn => "not_syn",
    /// A SYN that ends or resets what it begins.
    BadFlags => "bad_flags",
    /// A client cannot have port 0, nor a service of TCP.
    PortZero => "port_zero",
    /// A packet to a service that claims to come from it.
    OwnSource => "own_source",
    /// A SYN whose options rule out a proxy, such as signatures, or leave no room for an answer.
    SynProxyOption => "syn_proxy_option",
    /// A SYN not answered because its neighbourhood had enough answers.
    SynProxyLimited => "syn_proxy_limited",
    /// An acknowledgement that proves nothing, not answered because its neighbourhood had enough answers.
    SynProxyBadAck => "syn_proxy_bad_ack",
    /// An acknowledgement without data where the server is only asked for data.
    SynProxyNullAck => "syn_proxy_null_ack",
    /// More packets of a client than are kept until its server answers.
    SynProxyQueue => "syn_proxy_queue",
    /// A reset of a proxied connection that its receiver would not believe.
    SynProxyReset => "syn_proxy_reset",
    /// From a server that was asked something else, or for one that did not answer.
    SynProxyServer => "syn_proxy_server",
    /// One acknowledgement too many of a storm.
    SynProxyStorm => "syn_proxy_storm",
    /// The client is in the service's list of clients to refuse.
    AccessBlocked => "access_blocked",
    /// The client is not in the service's list of clients to accept.
    AccessNotAllowed => "access_not_allowed",
    /// The service has no usable server.
    NoDest => "no_dest",
    /// The server's address is of another family than its forwarding mode can reach.
    Family => "family",
    /// The service has no local address that fits the server's family.
    NoLaddr => "no_laddr",
    /// Every local port towards the server is leased.
    LportExhausted => "lport_exhausted",
    /// An SCTP packet that ends or answers an association there is none of.
    NotInit => "not_init",
    /// A client's data overtook that which the PROXY protocol's header belongs before, or too many headers are on their way.
    ProxyHeader => "proxy_header",
    /// TCP to an address of TCP services that none of them wants, where dpvs.conf says so.
    DefenceTcp => "defence_tcp",
    /// UDP to an address of services none of which is of UDP, where dpvs.conf says so.
    DefenceUdp => "defence_udp",
    /// The connection table is full.
    ConnTableFull => "conn_table_full",
    /// Too many client networks are remembered already.
    TemplatesFull => "templates_full",
    /// A connection with that tuple exists already.
    ConnClash => "conn_clash",
    /// The neighbour table is full.
    NeighTableFull => "neigh_table_full",
    /// Too many packets wait for this neighbour.
    NeighQueueFull => "neigh_queue_full",
    /// The neighbour did not answer.
    NeighUnreachable => "neigh_unreachable",
    /// No room in front of the packet for another header.
    NoHeadroom => "no_headroom",
    /// The ring to the worker that owns the flow is full.
    RedirectRing => "redirect_ring",
    /// Came from a redirect ring although this worker does not own it either.
    RedirectLoop => "redirect_loop",
    /// A tunnel's packet has a GRE header of another kind than RFC 2784's, or no IP packet inside.
    TunnelHeader => "tunnel_header",
    /// The GRE checksum of a tunnel's packet is wrong, or not there.
    TunnelChecksum => "tunnel_checksum",
    /// A tunnel's packet is not newer than those before it, or has no number.
    TunnelSequence => "tunnel_sequence",
    /// A tunnel's packet met congestion and holds one whose ends do not understand that (RFC 6040 4.2).
    TunnelEcn => "tunnel_ecn",
    /// A tunnel's packet holds another tunnel's.
    TunnelNested => "tunnel_nested",
    /// There is no way to the other end of a tunnel.
    TunnelRoute => "tunnel_route",
    /// No buffer for a packet of our own.
    NoBuffer => "no_buffer",
    /// The device did not take it.
    TxQueueFull => "tx_queue_full",
}

/// Number of drop reasons.
pub const DROP_REASONS: usize = DropReason::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_keep_what_they_are_made_of() {
        let goal = Goal::of_link(LinkId(65_535), 1500);
        assert_eq!((goal.link(), goal.mtu()), (LinkId(65_535), 1500));
        let goal = Goal::of_neigh(NeighId(65_535), 65_535);
        assert_eq!((goal.neigh(), goal.mtu()), (NeighId(65_535), 65_535));
        assert_eq!(Goal::of_worker(LcoreId(7)).worker(), LcoreId(7));
    }
}
