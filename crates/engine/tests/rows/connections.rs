// SPDX-License-Identifier: Apache-2.0
//! What connections are, and how long: rows 34 to 49.

use crate::*;

#[test]
fn row034_a_connection_is_found_from_both_sides_and_each_packet_has_its_direction() {
    for names in [V4, V6] {
        let mut tcp = Tcp::open(world::sim(1), names, 40_000);
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        let (server, local) = (tcp.syn.dst, tcp.syn.src);
        for (source, target) in [(client, vip), (server, local)] {
            let found = tcp.sim.lcores[0].find_conn(Transport::Tcp, source, target, tcp.sim.now);
            let found = found.expect("it is there");
            assert_eq!((found.client, found.virt, found.local, found.dest), (client, vip, local, server));
        }
        for (source, target) in [(vip, client), (local, server)] {
            assert!(tcp.sim.lcores[0].find_conn(Transport::Tcp, source, target, tcp.sim.now).is_none());
        }
        let (there, back) = (tcp.client(1001, ACK, b"question"), tcp.server(5001, ACK, b"answer"));
        assert_eq!((there.src, there.dst), (local, server));
        assert_eq!((back.src, back.dst), (vip, client));
        assert_eq!(tcp.sim.conns(), 1);
    }
}

/// Tables are each worker's own; an answer that reaches another worker is handed to the one that has the connection.
#[test]
fn row035_an_answer_at_another_worker_finds_its_connection() {
    for names in [V4, V6] {
        for (client_at, server_at) in [(0, 1), (1, 0)] {
            let mut sim = world::sim(2);
            sim.receive(client_at, PORT, &datagram(names, 40_000, 80));
            let there = see(&sim.sent_one());
            let answer = tagged(build::udp((DIRECTOR, there.dst_mac), there.dst, there.src, b"answer"));
            sim.receive(server_at, PORT, &answer);
            let back = see(&sim.sent_one());
            assert_eq!((back.src, back.dst), (at(names.vip, 80), at(names.client, 40_000)));
            let traffic = |at: usize| sim.lcores[at].traffic().clone();
            assert_eq!((traffic(server_at).ring_out, traffic(client_at).ring_in), (1, 1));
            assert_eq!((sim.lcores[client_at].conn_count(), sim.lcores[server_at].conn_count()), (1, 0));
        }
    }
}

/// Whole seconds, and up to one more that spreads expiry.
#[test]
fn row038_each_state_has_its_idle_time() {
    type Steps = &'static [(bool, u32, u8)];
    const OPEN: &[(bool, u32, u8)] = &[(false, 5000, SYN | ACK), (true, 1001, ACK)];
    let cases: [(ConnState, u64, Steps); 7] = [
        (ConnState::SynRecv, 30, &[]),
        (ConnState::Established, 90, &[]),
        (ConnState::FinWait, 7, &[(false, 5001, FIN | ACK)]),
        (ConnState::CloseWait, 7, &[(true, 1001, FIN | ACK)]),
        (ConnState::TimeWait, 7, &[(true, 1001, FIN | ACK), (false, 5001, FIN | ACK)]),
        (ConnState::Close, 3, &[(false, 5001, RST | ACK)]),
        (ConnState::Close, 3, &[(true, 1001, RST | ACK)]),
    ];
    for names in [V4, V6] {
        for (state, secs, steps) in cases {
            let mut tcp = Tcp::ask(world::sim(1), names, 40_000);
            let opening = if state == ConnState::SynRecv { &[][..] } else { OPEN };
            for &(client, seq, flags) in opening.iter().chain(steps) {
                if client {
                    tcp.client(seq, flags, b"")
                } else {
                    tcp.server(seq, flags, b"")
                };
            }
            assert_eq!(tcp.state(), Some(state));
            tcp.sim.pass(secs * 1000 - 500);
            assert_eq!(tcp.sim.conns(), 1, "{state:?} lasts {secs} s");
            tcp.sim.pass(2_500);
            assert_eq!(tcp.sim.conns(), 0, "{state:?} lasts {secs} s");
        }
    }
}

#[test]
fn row038_a_changed_time_counts_from_the_next_change_of_state_on() {
    let mut tcp = Tcp::open(world::sim(1), V4, 40_000);
    let mut snap = tcp.sim.snap.clone();
    snap.version += 1;
    snap.timeouts.tcp[1] = 5;
    snap.timeouts.tcp[4] = 20;
    tcp.sim.publish(snap.index());
    tcp.sim.pass(60_000);
    assert_eq!(tcp.state(), Some(ConnState::Established), "opened with 90 s");
    tcp.server(5001, FIN | ACK, b"");
    tcp.sim.pass(19_000);
    assert_eq!(tcp.state(), Some(ConnState::FinWait), "20 s now");
    tcp.sim.pass(3_000);
    assert_eq!(tcp.sim.conns(), 0);
}

#[test]
fn row039_the_services_own_time_is_for_established_connections_and_datagrams() {
    let own = || changed(|snap| snap.services.iter_mut().flatten().for_each(|svc| svc.conn_timeout = 12));
    for names in [V4, V6] {
        let mut tcp = Tcp::ask(own(), names, 40_000);
        tcp.sim.pass(20_000);
        assert_eq!(tcp.state(), Some(ConnState::SynRecv), "30 s as ever");
        let mut tcp = Tcp::open(own(), names, 40_000);
        tcp.sim.pass(11_000);
        assert_eq!(tcp.state(), Some(ConnState::Established));
        tcp.server(5001, FIN | ACK, b"");
        tcp.sim.pass(9_500);
        assert_eq!(tcp.sim.conns(), 0, "FIN_WAIT has 7 s as ever");
        let mut sim = own();
        sim.receive(0, PORT, &datagram(names, 40_000, 80));
        sim.pass(11_000);
        assert_eq!(sim.conns(), 1);
        sim.pass(3_000);
        assert_eq!((sim.conns(), sim.sent().len()), (0, 1));
    }
}

/// 90 seconds idle end an established connection; an error about it is not use of it.
#[test]
fn row041_packets_of_both_sides_restart_the_time_and_errors_do_not() {
    for names in [V4, V6] {
        let mut tcp = Tcp::open(world::sim(1), names, 40_000);
        tcp.sim.pass(80_000);
        tcp.client(1001, ACK, b"x");
        tcp.sim.pass(80_000);
        tcp.server(5001, ACK, b"y");
        tcp.sim.pass(80_000);
        assert_eq!(tcp.sim.conns(), 1);
        // The server's host says that its port is closed, and quotes what it got.
        let (macs, local, server) = ((DIRECTOR, tcp.syn.dst_mac), tcp.syn.src, tcp.syn.dst);
        let quoted = build::tcp(macs, local, server, Segment { flags: ACK, ..Segment::default() });
        let (kind, proto) = if local.is_ipv4() { ([3, 3], 1) } else { ([1, 4], 58) };
        let message = [&kind[..], &[0; 6], &quoted[14..]].concat();
        let error = build::ip(macs, server.ip(), local.ip(), proto, message, Some(2));
        tcp.sim.receive(0, PORT, &tagged(error));
        assert_eq!(tcp.sim.sent().len(), 1, "its client hears of it");
        tcp.sim.pass(9_000);
        assert_eq!(tcp.sim.conns(), 1);
        tcp.sim.pass(4_000);
        assert_eq!(tcp.sim.conns(), 0);
    }
}
