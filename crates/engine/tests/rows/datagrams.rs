// SPDX-License-Identifier: Apache-2.0
//! UDP: row 63; SNAT's half of it is in `snat.rs`, where the outside is the one that answers.

use crate::*;

/// One way until the server has answered, then normal for good, whoever speaks.
#[test]
fn row063_an_answer_makes_the_state_of_datagrams_normal() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        let state =
            |sim: &Sim| sim.lcores[0].find_conn(Transport::Udp, client, vip, sim.now).map(|conn| conn.state);
        let mut there = None;
        for _ in 0..2 {
            sim.receive(0, PORT, &datagram(names, 40_000, 80));
            there = Some(see(&sim.sent_one()));
            assert_eq!(state(&sim), Some(ConnState::UdpOneWay));
        }
        let there = there.expect("it went to the server");
        let answer = tagged(build::udp((DIRECTOR, there.dst_mac), there.dst, there.src, b"answer"));
        sim.receive(0, PORT, &answer);
        assert_eq!(see(&sim.sent_one()).payload, b"answer");
        assert_eq!(state(&sim), Some(ConnState::UdpNormal));
        sim.receive(0, PORT, &datagram(names, 40_000, 80));
        sim.sent_one();
        assert_eq!(state(&sim), Some(ConnState::UdpNormal));
    }
}
