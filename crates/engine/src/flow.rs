// SPDX-License-Identifier: Apache-2.0
//! The first pass over a burst: what each packet is, without changing anything.

use packet::{Buffer, ether, ipv4, ipv6, proto, tcp, udp};

use crate::conn::{ConnTable, Probe, Tuple, Tuple4, Tuple6};
use crate::ids::{LinkId, PortId};
use crate::l3::{self, Ip};
use crate::snapshot::Snapshot;
use crate::verdict::DropReason;

/// A packet after the first pass.
#[derive(Clone, Copy, Debug)]
pub struct Parsed {
    /// The link it came in by; only bad packets may have none.
    pub link: Option<LinkId>,
    /// Where the network layer begins.
    pub l3: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a packet is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// TCP or UDP to this station, whole: the director's business.
    Flow(Ip, Probe),
    /// ICMP or ICMPv6 to this station or a group.
    Icmp(Ip),
    /// IP of any other sort.
    Other(Ip),
    /// ARP.
    Arp,
    /// No protocol of the director.
    Foreign,
    /// To be thrown away.
    Bad(DropReason),
}

/// Looks at a frame that came in by `port`.
#[inline(always)]
pub fn parse<P: Buffer>(pkt: &P, port: PortId, snap: &Snapshot, conns: &ConnTable) -> Parsed {
    let data = pkt.data();
    let Some(eth) = ether::Header::parse(data) else { return Parsed::bad(DropReason::Truncated) };
    let Some(link) = snap.link_of(port, eth.vlan) else {
        return Parsed::bad(if eth.vlan.is_some() { DropReason::UnknownVlan } else { DropReason::LinkDown });
    };
    let parsed = |kind| Parsed { link: Some(link.id), l3: eth.len, kind };
    if !link.up {
        return parsed(Kind::Bad(DropReason::LinkDown));
    }
    let group = ether::is_group(eth.dst);
    if eth.dst != link.mac && !group {
        return parsed(Kind::Bad(DropReason::OtherHost));
    }
    let bytes = &data[eth.len..];
    let ip = match eth.kind {
        ether::IPV4 => l3::accept4(bytes, pkt.rx().l3_csum, link.rx_csum),
        ether::IPV6 => l3::accept6(bytes),
        ether::ARP => return parsed(Kind::Arp),
        _ => return parsed(Kind::Foreign),
    };
    parsed(match ip {
        Err(reason) => Kind::Bad(reason),
        Ok(ip) if ip.proto == proto::ICMP && !ip.six || ip.proto == proto::ICMPV6 && ip.six => Kind::Icmp(ip),
        // A group address is nobody's service, and the ports of a fragment may be in another one.
        Ok(ip) if group || ip.fragment => Kind::Other(ip),
        Ok(ip) => match tuple(bytes, &ip) {
            Some(Ok(tuple)) => Kind::Flow(ip, conns.probe(tuple, ip.proto)),
            Some(Err(reason)) => Kind::Bad(reason),
            None => Kind::Other(ip),
        },
    })
}

impl Parsed {
    fn bad(reason: DropReason) -> Parsed {
        Parsed { link: None, l3: 0, kind: Kind::Bad(reason) }
    }
}

/// Addresses and ports of a whole TCP or UDP packet; `None` for other protocols.
#[inline(always)]
fn tuple(bytes: &[u8], ip: &Ip) -> Option<Result<Tuple, DropReason>> {
    // The header rules have made sure of both bounds.
    let l4 = bytes.get(usize::from(ip.header_len)..usize::from(ip.total_len))?;
    let ports = match ip.proto {
        proto::TCP => tcp::Header::parse(l4).map(|h| (h.sport(), h.dport())),
        proto::UDP => udp::Header::parse(l4)
            .filter(|h| (udp::LEN..=l4.len()).contains(&h.len()))
            .map(|h| (h.sport(), h.dport())),
        _ => return None,
    };
    let Some((sport, dport)) = ports else { return Some(Err(DropReason::L4Header)) };
    let tuple = if ip.six {
        let h = ipv6::Header::parse(bytes)?;
        Tuple::V6(Tuple6 { src: h.src(), dst: h.dst(), sport, dport })
    } else {
        let h = ipv4::Header::parse(bytes)?;
        Tuple::V4(Tuple4 { src: h.src(), dst: h.dst(), sport, dport })
    };
    Some(Ok(tuple))
}
