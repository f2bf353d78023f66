// SPDX-License-Identifier: Apache-2.0
//! IPv6 neighbour discovery: answers for own addresses, questions for others, announcements (RFC 4861).

use packet::nd::{HOP_LIMIT, Kind, LEN, Message};
use packet::{Buffer, ether, ipv6, proto};

use crate::link::{Link, Mac};

/// All nodes of the link.
const ALL_NODES: u128 = 0xff02 << 112 | 1;

/// Writes a question for `target`: to its solicited-node group, or straight to `mac`. `None` when the packet has no room.
pub fn solicit<P: Buffer>(pkt: &mut P, link: &Link, src: u128, target: u128, mac: Option<Mac>) -> Option<()> {
    let (dst, mac) = match mac {
        Some(mac) => (target, mac),
        None => (ipv6::solicited_node(target), ipv6::multicast_mac(ipv6::solicited_node(target))),
    };
    let message = Message { kind: Kind::Solicitation, target, mac: Some(link.mac) };
    write(pkt, link, mac, src, dst, message)
}

/// Writes an unsolicited advertisement of an own address, which everybody hears.
pub fn announce<P: Buffer>(pkt: &mut P, link: &Link, addr: u128) -> Option<()> {
    let kind = Kind::Advertisement { solicited: false, overrides: true };
    let message = Message { kind, target: addr, mac: Some(link.mac) };
    write(pkt, link, ipv6::multicast_mac(ALL_NODES), addr, ALL_NODES, message)
}

/// Writes the answer to a question from `src` into an empty packet. Who has no address yet (`src` is unspecified) is
/// probing for duplicates and hears it with everybody else.
pub fn answer<P: Buffer>(pkt: &mut P, link: &Link, target: u128, src: u128, mac: Mac) -> Option<()> {
    let nobody = src == 0;
    let (dst, to) = if nobody { (ALL_NODES, ipv6::multicast_mac(ALL_NODES)) } else { (src, mac) };
    let kind = Kind::Advertisement { solicited: !nobody, overrides: true };
    write(pkt, link, to, target, dst, Message { kind, target, mac: Some(link.mac) })
}

fn write<P: Buffer>(pkt: &mut P, link: &Link, to: Mac, src: u128, dst: u128, message: Message) -> Option<()> {
    let at = ether::header_len(link.vlan);
    let data = pkt.append(at + ipv6::LEN + LEN)?;
    ether::write(data, to, link.mac, link.vlan, ether::IPV6).then_some(())?;
    let header = ipv6::Repr { src, dst, next_header: proto::ICMPV6, hop_limit: HOP_LIMIT, payload_len: LEN };
    header.emit(&mut data[at..])?;
    message.emit(&mut data[at + ipv6::LEN..], src, dst)
}
