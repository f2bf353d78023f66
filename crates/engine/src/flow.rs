// SPDX-License-Identifier: Apache-2.0
//! The first pass over a burst: what each packet is, without changing anything.

use packet::{Buffer, ether, ipv4, ipv6, proto, sctp, tcp, udp};

use crate::conn::{ConnTable, Probe, Tuple, Tuple4, Tuple6};
use crate::ids::{LinkId, PortId, ServiceId};
use crate::l3::{self, Ip};
use crate::link::Link;
use crate::proto::tcp::{ACK, FIN, RST, SYN};
use crate::snapshot::{Service, Snapshot};
use crate::verdict::DropReason;

/// A packet after the first pass.
#[derive(Clone, Copy, Debug)]
pub struct Parsed {
    /// What it is.
    pub kind: Kind,
    /// The link it came in by; only bad packets may have none.
    pub link: Option<LinkId>,
    /// Where the network layer begins.
    pub l3: usize,
    /// Its IP header; of flows, ICMP and other IP packets.
    pub ip: Ip,
    /// What its connection is searched with; of flows. Of those the SYN proxy answers, only the tuple counts.
    pub probe: Probe,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP, UDP or SCTP to this station, whole: the director's business.
    Flow,
    /// Of these, a SYN to a service the SYN proxy stands before: answered whatever connections there are, so that none is searched.
    Proxied(ServiceId),
    /// ICMP or ICMPv6 to this station, whole, or to a group.
    Icmp,
    /// One of several fragments of a packet to this station.
    Fragment,
    /// IP of any other sort.
    Other,
    /// ARP.
    Arp,
    /// No protocol of the director.
    Foreign,
    /// To be thrown away.
    Bad(DropReason),
}

impl Parsed {
    /// Before a packet was looked at.
    pub const NOTHING: Parsed = Parsed {
        kind: Kind::Bad(DropReason::Truncated),
        link: None,
        l3: 0,
        ip: Ip::NOTHING,
        probe: Probe::NOTHING,
    };
}

/// What the packets of one burst have in common.
#[derive(Clone, Copy)]
pub struct Entrance<'a> {
    snap: &'a Snapshot,
    port: PortId,
    /// The link of untagged frames.
    untagged: Option<&'a Link>,
}

impl<'a> Entrance<'a> {
    /// For frames that came in by `port`.
    pub fn new(snap: &'a Snapshot, port: PortId) -> Self {
        Entrance { snap, port, untagged: snap.link_of(port, None) }
    }

    /// For a frame that came in by a link that is not a port's own.
    pub(crate) fn by(snap: &'a Snapshot, link: &'a Link) -> Self {
        Entrance { snap, port: link.port, untagged: Some(link) }
    }

    /// Looks at a frame, into `parsed`.
    #[inline(always)]
    pub fn parse<P: Buffer>(&self, pkt: &P, conns: &ConnTable, parsed: &mut Parsed) {
        parsed.link = None;
        parsed.kind = match self.classify(pkt, conns, parsed) {
            Ok(kind) => kind,
            Err(reason) => Kind::Bad(reason),
        };
    }

    #[inline(always)]
    fn classify<P: Buffer>(
        &self,
        pkt: &P,
        conns: &ConnTable,
        parsed: &mut Parsed,
    ) -> Result<Kind, DropReason> {
        let data = pkt.data();
        let head = data.first_chunk::<{ ether::LEN }>().ok_or(DropReason::Truncated)?;
        let mut kind = u16::from_be_bytes([head[12], head[13]]);
        let mut link = self.untagged;
        parsed.l3 = ether::LEN;
        if kind == ether::VLAN {
            (kind, link) = self.tagged(data)?;
            parsed.l3 += ether::TAG_LEN;
        }
        let link = link.ok_or(DropReason::LinkDown)?;
        parsed.link = Some(link.id);
        if !link.up {
            return Err(DropReason::LinkDown);
        }
        let group = head[0] & 1 == 1;
        if head[..6] != link.mac && !group {
            return Err(DropReason::OtherHost);
        }
        let bytes = &data[parsed.l3..];
        match kind {
            ether::IPV4 => {
                let ip = l3::accept4(bytes, pkt.rx().l3_csum, link.rx_csum)?;
                self.sort::<4>(bytes, ip, group, link, conns, parsed)
            }
            ether::IPV6 => self.sort::<6>(bytes, l3::accept6(bytes)?, group, link, conns, parsed),
            ether::ARP => Ok(Kind::Arp),
            _ => Ok(Kind::Foreign),
        }
    }

    /// What an accepted IP packet is. For each family by itself, so that a tuple is made in its place and not in a place for either; `ip`
    /// is worked with in registers: reading back what was just written would wait for it.
    #[inline(always)]
    fn sort<const FAMILY: u8>(
        &self,
        bytes: &[u8],
        ip: Ip,
        group: bool,
        link: &Link,
        conns: &ConnTable,
        parsed: &mut Parsed,
    ) -> Result<Kind, DropReason> {
        let ip = Ip { six: FAMILY == 6, ..ip };
        parsed.ip = ip;
        if ip.proto == if ip.six { proto::ICMPV6 } else { proto::ICMP } {
            return Ok(if ip.fragment && !group { Kind::Fragment } else { Kind::Icmp });
        }
        // A group address is nobody's service, and the ports of a fragment may be in another one.
        if group || ip.fragment || !matches!(ip.proto, proto::TCP | proto::UDP | proto::SCTP) {
            return Ok(if ip.fragment && !group { Kind::Fragment } else { Kind::Other });
        }
        let (sport, dport) = ports(bytes, &ip).ok_or(DropReason::L4Header)?;
        let tuple = match FAMILY {
            4 => tuple4(bytes, sport, dport).map(Tuple::V4),
            _ => tuple6(bytes, sport, dport).map(Tuple::V6),
        };
        let tuple = tuple.ok_or(DropReason::Truncated)?;
        if self.snap.lookup.proxied
            && is_syn(tcp_flags(bytes, &ip))
            && let Some(svc) = proxied(&tuple, link, self.snap)
            && !svc.proxying.auto
        {
            parsed.probe = Probe::unhashed(tuple, ip.proto);
            return Ok(Kind::Proxied(svc.id));
        }
        parsed.probe = conns.probe(tuple, ip.proto);
        Ok(Kind::Flow)
    }

    /// Type of the payload and link of a frame with an 802.1Q tag.
    #[inline(never)]
    fn tagged(&self, data: &[u8]) -> Result<(u16, Option<&'a Link>), DropReason> {
        let eth = ether::Header::parse(data).ok_or(DropReason::Truncated)?;
        let link = self.snap.link_of(self.port, eth.vlan).ok_or(DropReason::UnknownVlan)?;
        Ok((eth.kind, Some(link)))
    }
}

/// Ports of a whole TCP, UDP or SCTP packet; `None` when its header is malformed.
#[inline(always)]
fn ports(bytes: &[u8], ip: &Ip) -> Option<(u16, u16)> {
    let l4 = bytes.get(usize::from(ip.header_len)..usize::from(ip.total_len))?;
    if ip.proto == proto::TCP {
        return tcp::Header::parse(l4).map(|h| (h.sport(), h.dport()));
    }
    if ip.proto == proto::SCTP {
        return sctp::Header::parse(l4).map(|h| (h.sport(), h.dport()));
    }
    let header = udp::Header::parse(l4)?;
    (udp::LEN..=l4.len()).contains(&header.len()).then_some((header.sport(), header.dport()))
}

/// The service at a packet's target, if the SYN proxy stands before it.
#[inline(always)]
pub(crate) fn proxied<'s>(tuple: &Tuple, link: &Link, snap: &'s Snapshot) -> Option<&'s Service> {
    let target = snap.lookup.target(tuple.target_ip());
    let svc = snap.service_of(target, proto::TCP, tuple.target_port()).filter(|svc| svc.syn_proxy)?;
    if snap.lookup.has_marks() {
        // A copy, so that the tuple itself need not be in memory where there are none.
        let tuple = *tuple;
        return snap.lookup.marked(proto::TCP, &tuple, Some(link.id)).is_none().then_some(svc);
    }
    Some(svc)
}

/// The flag byte of a TCP segment, 0 for other protocols.
#[inline(always)]
pub(crate) fn tcp_flags(bytes: &[u8], ip: &Ip) -> u8 {
    match ip.proto {
        proto::TCP => bytes.get(usize::from(ip.header_len) + 13).copied().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a segment asks for a connection, and does nothing else.
#[inline(always)]
pub(crate) fn is_syn(flags: u8) -> bool {
    flags & (SYN | ACK | FIN | RST) == SYN
}

/// The tuple of an accepted packet with these ports.
#[inline(always)]
pub(crate) fn tuple(bytes: &[u8], ip: &Ip, sport: u16, dport: u16) -> Option<Tuple> {
    match ip.six {
        true => tuple6(bytes, sport, dport).map(Tuple::V6),
        false => tuple4(bytes, sport, dport).map(Tuple::V4),
    }
}

#[inline(always)]
fn tuple4(bytes: &[u8], sport: u16, dport: u16) -> Option<Tuple4> {
    let h = ipv4::Header::parse(bytes)?;
    Some(Tuple4 { src: h.src(), dst: h.dst(), sport, dport })
}

#[inline(always)]
fn tuple6(bytes: &[u8], sport: u16, dport: u16) -> Option<Tuple6> {
    let h = ipv6::Header::parse(bytes)?;
    Some(Tuple6 { src: h.src(), dst: h.dst(), sport, dport })
}
