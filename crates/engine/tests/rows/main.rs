// SPDX-License-Identifier: Apache-2.0
//! Behaviours that operators of such directors know, by their numbers in the table of `../README.md`, where no other file has them.

mod choice;
mod connections;
mod datagrams;
mod local;
mod modes;
mod pipeline;
mod requirements;
#[path = "../seen/mod.rs"]
mod seen;
mod services;
#[path = "../table/mod.rs"]
mod table;
mod tcp;
mod workers;

use engine::ids::LinkId;
use engine::route::RouteTable;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::Snapshot;
use engine::verdict::DropReason;
use model::{ConnState, Transport};
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, Seen, from_client, see, tagged};

/// One TCP connection; the client's first number is 1000, the server's 5000.
struct Tcp {
    sim: Sim,
    names: Names,
    port: u16,
    syn: Seen,
}

impl Tcp {
    fn ask(mut sim: Sim, names: Names, port: u16) -> Tcp {
        let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(names.client, port), at(names.vip, 80), syn));
        let syn = see(&sim.sent_one());
        Tcp { sim, names, port, syn }
    }

    fn open(sim: Sim, names: Names, port: u16) -> Tcp {
        let mut tcp = Tcp::ask(sim, names, port);
        tcp.server(5000, SYN | ACK, b"");
        tcp.client(1001, ACK, b"");
        tcp
    }

    fn client(&mut self, seq: u32, flags: u8, payload: &[u8]) -> Seen {
        let segment = Segment { seq, ack: 5001, flags, payload, ..Segment::default() };
        let frame = from_client(at(self.names.client, self.port), at(self.names.vip, 80), segment);
        self.sim.receive(0, PORT, &frame);
        see(&self.sim.sent_one())
    }

    fn server(&mut self, seq: u32, flags: u8, payload: &[u8]) -> Seen {
        let ack = self.syn.tcp().sequence_number.wrapping_add(1);
        let segment = Segment { seq, ack, flags, payload, ..Segment::default() };
        let macs = (DIRECTOR, self.syn.dst_mac);
        self.sim.receive(0, PORT, &tagged(build::tcp(macs, self.syn.dst, self.syn.src, segment)));
        see(&self.sim.sent_one())
    }

    fn state(&self) -> Option<ConnState> {
        let (client, vip) = (at(self.names.client, self.port), at(self.names.vip, 80));
        let conn = self.sim.lcores[0].find_conn(Transport::Tcp, client, vip, self.sim.now);
        conn.map(|conn| conn.state)
    }
}

fn changed(change: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut snap = world::snapshot();
    change(&mut snap);
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    sim
}

fn datagram(names: Names, sport: u16, dport: u16) -> Vec<u8> {
    build::udp((DIRECTOR, CLIENT), at(names.client, sport), at(names.vip, dport), b"question")
}

/// A whole IPv4 header changed, its checksum right again.
fn with_header4(mut frame: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let len = usize::from(frame[14] & 15) * 4;
    change(&mut frame[14..14 + len]);
    frame[24..26].fill(0);
    let sum = packet::checksum::checksum(&frame[14..14 + len]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The same packet with another TTL or hop limit.
fn with_ttl(mut frame: Vec<u8>, ttl: u8) -> Vec<u8> {
    if frame[14] >> 4 == 6 {
        frame[21] = ttl;
        return frame;
    }
    with_header4(frame, |header| header[8] = ttl)
}

/// Type, code and the four bytes behind the checksum of an error to the client, and what it quotes; its checksum is judged.
fn error_of(frame: &[u8]) -> ([u8; 6], Vec<u8>) {
    assert_eq!(
        (&frame[..12], packet::ether::Header::parse(frame).map(|eth| eth.vlan)),
        (&[CLIENT, DIRECTOR].concat()[..], Some(None))
    );
    let six = frame[14] >> 4 == 6;
    let message = &frame[if six { 54 } else { 34 }..];
    let pseudo = if six {
        let word = |at: usize| u128::from_be_bytes(frame[at..at + 16].try_into().expect("16 bytes"));
        packet::checksum::pseudo6(word(22), word(38), 58, message.len())
    } else {
        0
    };
    assert_eq!(packet::checksum::fold(pseudo + packet::checksum::sum(message)), 0xffff, "ICMP checksum");
    let head = [message[0], message[1], message[4], message[5], message[6], message[7]];
    (head, message[8..].to_vec())
}

/// The same IPv4 packet with options, whole words of them.
fn with_options4(mut frame: Vec<u8>, options: &[u8]) -> Vec<u8> {
    frame.splice(34..34, options.iter().copied());
    frame[14] += (options.len() / 4) as u8;
    let len = (frame.len() - 14) as u16;
    with_header4(frame, |header| header[2..4].copy_from_slice(&len.to_be_bytes()))
}
