// SPDX-License-Identifier: Apache-2.0
//! Servers that passing packets show to be dead. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.

mod seen;

use engine::forward::Forwarding;
use engine::health::{Check, Health};
use engine::sched::Scheduler;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, at, server_mac};
use model::options::{PassiveCheck, Recovery};
use packet::build::{self, Segment};
use seen::{ACK, RST, SYN, Seen, from_client, see, tagged};

const ONCE: PassiveCheck =
    PassiveCheck { down: 1, wait: 3, recovery: Some(Recovery { up: 1, min: 5, max: 3600 }) };

/// Every server is judged by `rule`.
fn checked(workers: u16, rule: PassiveCheck, change: impl FnOnce(&mut engine::snapshot::Snapshot)) -> Sim {
    let mut sim = world::sim(workers);
    let mut snap = world::snapshot();
    for dest in snap.dests.iter_mut().flatten() {
        dest.check = Some(Check { rule, health: Health::new(&snap.clock) });
    }
    change(&mut snap);
    sim.publish(snap.index());
    sim.pass(1);
    sim
}

/// A client's SYN; what the server hears, and which server it is.
fn syn(sim: &mut Sim, worker: usize, port: u16) -> Option<(Seen, usize)> {
    let segment = Segment { seq: 100, flags: SYN, ..Default::default() };
    sim.receive(worker, PORT, &from_client(at(V4.client, port), at(V4.vip, 80), segment));
    let seen = see(sim.sent().first()?);
    let server = V4.servers.iter().position(|server| at(server, 8080) == seen.dst)?;
    Some((seen, server))
}

fn servers(sim: &mut Sim, ports: std::ops::Range<u16>) -> Vec<usize> {
    ports.filter_map(|port| syn(sim, 0, port)).map(|(_, server)| server).collect()
}

fn answer(sim: &mut Sim, heard: &Seen, flags: u8) {
    let segment =
        Segment { seq: 900, ack: heard.tcp().sequence_number.wrapping_add(1), flags, ..Default::default() };
    sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, server_mac(1)), heard.dst, heard.src, segment)));
    sim.sent();
}

/// Opens a connection and has its server refuse it.
fn refused(sim: &mut Sim, port: u16) -> usize {
    let (heard, server) = syn(sim, 0, port).expect("forwarded");
    answer(sim, &heard, RST | ACK);
    server
}

#[test]
fn row152_a_server_that_refuses_is_left_out_and_tried_again() {
    let mut sim = checked(1, ONCE, |_| ());
    assert_eq!(refused(&mut sim, 1), 0);
    assert_eq!(servers(&mut sim, 10..14), [1; 4]);
    sim.pass(5_000);
    assert_eq!(servers(&mut sim, 20..24), [0, 1, 0, 1]);
    assert_eq!(refused(&mut sim, 2), 0);
    sim.pass(9_000);
    assert_eq!(servers(&mut sim, 30..34), [1; 4], "twice as long");
    sim.pass(1_000);
    assert!(servers(&mut sim, 40..44).contains(&0));
}

#[test]
fn row152_success_after_an_inhibition_shortens_the_next() {
    let mut sim = checked(1, ONCE, |_| ());
    assert_eq!(refused(&mut sim, 1), 0);
    assert_eq!(servers(&mut sim, 9..10), [1]);
    sim.pass(5_000);
    let (heard, server) = syn(&mut sim, 0, 2).expect("forwarded");
    assert_eq!(server, 0);
    answer(&mut sim, &heard, SYN | ACK);
    let ack = Segment { seq: 101, ack: 901, flags: ACK, ..Default::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 2), at(V4.vip, 80), ack));
    sim.sent();
    assert_eq!(servers(&mut sim, 3..4), [1]);
    assert_eq!(refused(&mut sim, 4), 0);
    sim.pass(5_000);
    assert!(servers(&mut sim, 10..14).contains(&0), "five seconds again");
}

#[test]
fn row152_a_silent_server_is_dead_and_a_silent_client_is_not() {
    // As many servers are inhibited as never answered.
    let mut sim = checked(1, ONCE, |_| ());
    assert_eq!(servers(&mut sim, 1..2), [0]);
    let (heard, server) = syn(&mut sim, 0, 2).expect("forwarded");
    assert_eq!(server, 1);
    answer(&mut sim, &heard, SYN | ACK);
    // SYN_RECV lives for 30 s and a second of jitter.
    sim.pass(31_500);
    assert_eq!(sim.conns(), 0);
    assert_eq!(
        servers(&mut sim, 10..14),
        [1; 4],
        "on purpose unlike DPVS, where floods of SYNs make servers dead"
    );
}

#[test]
fn row152_datagrams_without_answer_count_too() {
    let mut sim = checked(1, ONCE, |snap| snap.timeouts.udp = [2, 10, 10]);
    let ask = |sim: &mut Sim, port: u16| {
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, port), at(V4.vip, 80), b"q"));
        let seen = see(&sim.sent_one());
        V4.servers.iter().position(|server| at(server, 8080) == seen.dst)
    };
    assert_eq!(ask(&mut sim, 1), Some(0));
    sim.pass(11_500);
    assert_eq!([2, 3, 4].map(|port| ask(&mut sim, port)), [Some(1); 3]);
}

#[test]
fn row152_workers_judge_together() {
    let rule = PassiveCheck { down: 3, ..ONCE };
    let mut sim = checked(3, rule, |snap| {
        snap.services.iter_mut().flatten().for_each(|svc| svc.scheduler = Scheduler::Fo);
    });
    for (worker, port) in [(0, 1), (1, 2), (2, 3)] {
        let (heard, server) = syn(&mut sim, worker, port).expect("forwarded");
        assert_eq!(server, 1, "the one of weight 2");
        answer(&mut sim, &heard, RST | ACK);
    }
    for (worker, port) in [(0, 11), (1, 12), (2, 13)] {
        assert_eq!(syn(&mut sim, worker, port).map(|(_, server)| server), Some(0));
    }
}

/// On purpose unlike DPVS, whose tables know nothing of it and refuse the clients of such a server.
#[test]
fn row153_clients_of_a_dead_server_go_to_others_with_every_scheduler_that_reweighs() {
    for scheduler in
        [Scheduler::Mh, Scheduler::Conhash, Scheduler::Wrr, Scheduler::Wlc, Scheduler::Fo, Scheduler::Twos]
    {
        let mut sim = checked(1, ONCE, |snap| {
            snap.services.iter_mut().flatten().for_each(|svc| svc.scheduler = scheduler);
        });
        let dead = refused(&mut sim, 1);
        let after = servers(&mut sim, 10..40);
        assert_eq!(after, vec![1 - dead; 30], "{scheduler:?}");
    }
}

#[test]
fn row153_other_services_are_not_concerned() {
    let mut sim = checked(1, ONCE, |_| ());
    assert_eq!(refused(&mut sim, 1), 0);
    sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, 5), at(V4.vip, 80), b"q"));
    assert_eq!(see(&sim.sent_one()).dst, at(V4.servers[0], 8080));
}

#[test]
fn behind_the_syn_proxy_refusals_and_silence_count() {
    for refuse in [true, false] {
        let long = PassiveCheck { recovery: Some(Recovery { up: 1, min: 300, max: 3600 }), ..ONCE };
        let mut sim = checked(1, long, |snap| {
            snap.services.iter_mut().flatten().for_each(|svc| svc.syn_proxy = true);
            snap.options.syn_proxy.rs_other = 0;
        });
        let connect = |sim: &mut Sim, port: u16| {
            let say = |sim: &mut Sim, seq, ack, flags| {
                let segment = Segment { seq, ack, flags, ..Default::default() };
                sim.receive(0, PORT, &from_client(at(V4.client, port), at(V4.vip, 80), segment));
                see(&sim.sent_one())
            };
            let cookie = say(sim, 1000, 0, SYN).tcp().sequence_number;
            say(sim, 1001, cookie.wrapping_add(1), ACK)
        };
        let heard = connect(&mut sim, 1);
        if refuse {
            answer(&mut sim, &heard, RST | ACK);
        } else {
            sim.pass(60_000);
            sim.sent();
        }
        for port in 10..14 {
            assert_ne!(connect(&mut sim, port).dst, heard.dst, "refused: {refuse}");
        }
    }
}

#[test]
fn a_server_reached_directly_is_not_judged_by_datagrams() {
    let mut sim = checked(1, ONCE, |snap| {
        snap.timeouts.udp = [2, 10, 10];
        snap.dests.iter_mut().flatten().for_each(|dest| dest.forwarding = Forwarding::DirectRouting);
    });
    for port in 1..5 {
        sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), at(V4.client, port), at(V4.vip, 80), b"q"));
    }
    sim.pass(12_000);
    assert!(sim.snap.dests.iter().flatten().all(|dest| !dest.is_inhibited()), "its answers never pass");
}
