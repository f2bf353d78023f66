// SPDX-License-Identifier: Apache-2.0
//! States and numbers: rows 50 to 65.

use engine::health::{Check, Health};
use model::options::{PassiveCheck, Recovery};

use crate::*;

#[test]
fn row054_active_connections_are_the_established_ones() {
    for names in [V4, V6] {
        let mut tcp = Tcp::ask(world::sim(1), names, 40_000);
        let counts = |tcp: &Tcp| {
            let all = tcp.sim.lcores[0].dest_counters();
            all.iter()
                .fold((0, 0), |(active, inactive), dest| (active + dest.active, inactive + dest.inactive))
        };
        assert_eq!(counts(&tcp), (0, 1), "half open");
        tcp.server(5000, SYN | ACK, b"");
        tcp.client(1001, ACK, b"");
        assert_eq!(counts(&tcp), (1, 0));
        tcp.client(1001, FIN | ACK, b"");
        assert_eq!(counts(&tcp), (0, 1), "closing");
        tcp.sim.pass(10_000);
        assert_eq!(counts(&tcp), (0, 0));
    }
}

#[test]
fn row059_numbers_go_round_at_the_end_of_their_range() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        let syn = Segment { seq: u32::MAX - 1, flags: SYN, ..Segment::default() };
        sim.receive(0, PORT, &from_client(client, vip, syn));
        let syn = see(&sim.sent_one());
        let isn = syn.tcp().sequence_number;
        let answer =
            Segment { seq: u32::MAX, ack: isn.wrapping_add(1), flags: SYN | ACK, ..Segment::default() };
        sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, syn.dst_mac), syn.dst, syn.src, answer)));
        let back = see(&sim.sent_one());
        assert_eq!((back.tcp().sequence_number, back.tcp().acknowledgment_number), (u32::MAX, u32::MAX));
        let data = Segment { seq: u32::MAX, ack: 0, flags: ACK, payload: b"over", ..Segment::default() };
        sim.receive(0, PORT, &from_client(client, vip, data));
        let there = see(&sim.sent_one());
        assert_eq!(
            (there.tcp().sequence_number, there.tcp().acknowledgment_number),
            (isn.wrapping_add(1), 0)
        );
        let last = Segment { seq: 0, ack: isn.wrapping_add(5), flags: ACK, ..Segment::default() };
        sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, syn.dst_mac), syn.dst, syn.src, last)));
        assert_eq!(see(&sim.sent_one()).tcp().acknowledgment_number, 3);
    }
}

#[test]
fn row055_timestamps_are_taken_out_of_the_clients_syn_and_nothing_else() {
    let options = [2, 4, 5, 0xa0, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let syn = Segment { seq: 1000, flags: SYN, options: &options, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(names.client, 40_000), at(names.vip, 80), syn));
        let seen = see(&sim.sent_one());
        assert_eq!(seen.options(), [2, 4, 5, 0xa0, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 7]);
    }
}

#[test]
fn row056_the_first_number_is_replaced_once_and_a_syn_sent_again_has_the_same() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
        let frame = from_client(at(names.client, 40_000), at(names.vip, 80), syn);
        sim.receive(0, PORT, &frame);
        let first = see(&sim.sent_one());
        sim.pass(1_000);
        sim.receive(0, PORT, &frame);
        let again = see(&sim.sent_one());
        assert_ne!(first.tcp().sequence_number, 1000);
        let tell = |seen: &Seen| (seen.src, seen.dst, seen.tcp().sequence_number);
        assert_eq!((tell(&again), sim.conns()), (tell(&first), 1));
    }
}

/// The client hears of it, the connection is about to go, and the server counts as one that failed.
#[test]
fn row053_a_server_that_refuses_closes_the_connection() {
    for names in [V4, V6] {
        let mut snap = world::snapshot();
        let check = Check {
            rule: PassiveCheck { down: 1, wait: 3, recovery: Some(Recovery { up: 1, min: 5, max: 3600 }) },
            health: Health::new(&snap.clock),
        };
        // Each family's TCP service has its own server 1.
        for dest in snap.dests.iter_mut().flatten().filter(|dest| dest.addr == at(names.servers[0], 8080)) {
            dest.check = Some(check.clone());
        }
        let mut sim = world::sim(1);
        sim.publish(snap.index());
        let mut tcp = Tcp::ask(sim, names, 40_000);
        assert_eq!((tcp.syn.dst, tcp.state()), (at(names.servers[0], 8080), Some(ConnState::SynRecv)));
        let told = tcp.server(0, RST | ACK, b"");
        assert!(told.tcp().rst);
        assert_eq!((told.dst, told.tcp().acknowledgment_number), (at(names.client, 40_000), 1001));
        assert_eq!(tcp.state(), Some(ConnState::Close));
        let mut next = |port| {
            let syn = Segment { seq: 7, flags: SYN, ..Segment::default() };
            tcp.sim.receive(0, PORT, &from_client(at(names.client, port), at(names.vip, 80), syn));
            see(&tcp.sim.sent_one()).dst
        };
        assert_eq!([next(1), next(2), next(3)], [at(names.servers[1], 8080); 3], "it is left out");
    }
}

#[test]
fn row052_a_segment_without_flags_closes_from_either_side() {
    for names in [V4, V6] {
        for client in [true, false] {
            let mut tcp = Tcp::open(world::sim(1), names, 40_000);
            let passed = if client { tcp.client(1001, 0, b"") } else { tcp.server(5001, 0, b"") };
            assert_eq!((passed.tcp().ack, tcp.state()), (false, Some(ConnState::Close)));
        }
    }
}
