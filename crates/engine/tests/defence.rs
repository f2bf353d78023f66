// SPDX-License-Identifier: Apache-2.0
//! What no service wants and the host is not to get either. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.

mod seen;

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, at};
use engine::verdict::DropReason;
use model::Transport;
use packet::build::{self, Segment};
use seen::{ACK, FIN, SYN, from_client};

/// The host's own stack takes what it is given. The usual services, or those of one protocol only.
fn sim(defend: bool, only: Option<Transport>) -> Sim {
    let mut sim = world::sim(1);
    sim.kernel = true;
    let mut snap = world::snapshot();
    (snap.options.defend_tcp, snap.options.defend_udp) = (defend, defend);
    for svc in &mut snap.services {
        svc.take_if(|svc| only.is_some_and(|only| svc.transport != only));
    }
    sim.publish(snap.index());
    sim
}

/// Packets the host got.
fn handed(sim: &Sim) -> u64 {
    sim.lcores[0].traffic().kernel
}

fn segment(sim: &mut Sim, port: u16, flags: u8) {
    let segment = Segment { seq: 1, ack: 1, flags, ..Default::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 4000), at(V4.vip, port), segment));
}

fn datagram(sim: &mut Sim, to: &str, port: u16) {
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, 4000), at(to, port), b"q"));
}

/// Drops of a SYN and of others at a port of a virtual address that no service has; what is not dropped is the host's.
fn refused(flags: &[u8], drops: u64) {
    for (defend, only, drops) in [(false, None, 0), (true, None, drops), (true, Some(Transport::Udp), 0)] {
        let mut sim = sim(defend, only);
        for &flags in flags {
            segment(&mut sim, 81, flags);
        }
        let rest = flags.len() as u64 - drops;
        assert_eq!((sim.drops(DropReason::DefenceTcp), handed(&sim)), (drops, rest));
    }
}

#[test]
fn row031_syns_that_no_service_wants_are_dropped_at_addresses_of_tcp_services() {
    refused(&[SYN], 1);
}

#[test]
fn row032_other_segments_that_no_service_wants_are_dropped_there_too() {
    refused(&[FIN | ACK, ACK, FIN, 0], 4);
}

#[test]
fn row033_datagrams_are_dropped_at_addresses_of_other_services_only() {
    for (defend, only, drops) in [
        (false, Some(Transport::Tcp), 0),
        (true, Some(Transport::Tcp), 1),
        // There is a UDP service at another port.
        (true, None, 0),
    ] {
        let mut sim = sim(defend, only);
        datagram(&mut sim, V4.vip, 81);
        assert_eq!((sim.drops(DropReason::DefenceUdp), handed(&sim)), (drops, 1 - drops));
    }
}

#[test]
fn addresses_without_services_are_the_hosts() {
    let mut sim = sim(true, None);
    datagram(&mut sim, V4.own, 81);
    let segment = Segment { seq: 1, flags: SYN, ..Default::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 4000), at(V4.own, 22), segment));
    assert_eq!(handed(&sim), 2);
}
