// SPDX-License-Identifier: Apache-2.0
//! ARP: answers for own addresses, questions for others (RFC 826), announcements (RFC 5227 3).

use packet::arp::{LEN, Operation, Packet};
use packet::{Buffer, ether};

use crate::link::{Link, Mac};

/// Writes a question for `target`: to everybody, or straight to `mac`. `None` when the packet has no room.
pub fn solicit<P: Buffer>(pkt: &mut P, link: &Link, src: u32, target: u32, mac: Option<Mac>) -> Option<()> {
    let packet = Packet {
        operation: Operation::Request,
        sender_mac: link.mac,
        sender: src,
        target_mac: [0; 6],
        target,
    };
    write(pkt, link, mac.unwrap_or(ether::BROADCAST), packet)
}

/// Writes a gratuitous ARP: a question for an own address, which everybody hears.
pub fn announce<P: Buffer>(pkt: &mut P, link: &Link, addr: u32) -> Option<()> {
    solicit(pkt, link, addr, addr, None)
}

/// Turns a question into its answer, in place. `eth_len` is where the ARP packet begins.
pub fn answer<P: Buffer>(pkt: &mut P, eth_len: usize, link: &Link, question: Packet) -> Option<()> {
    let packet = Packet {
        operation: Operation::Reply,
        sender_mac: link.mac,
        sender: question.target,
        target_mac: question.sender_mac,
        target: question.sender,
    };
    let data = pkt.data_mut();
    ether::write(data, question.sender_mac, link.mac, link.vlan, ether::ARP).then_some(())?;
    packet.emit(data.get_mut(eth_len..)?)
}

fn write<P: Buffer>(pkt: &mut P, link: &Link, to: Mac, packet: Packet) -> Option<()> {
    let at = ether::header_len(link.vlan);
    let data = pkt.append(at + LEN)?;
    ether::write(data, to, link.mac, link.vlan, ether::ARP).then_some(())?;
    packet.emit(&mut data[at..])
}
