// SPDX-License-Identifier: Apache-2.0
//! What connections are, and how long: rows 34 to 49.

use crate::*;

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
