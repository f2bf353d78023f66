// SPDX-License-Identifier: Apache-2.0
//! Which service a packet is for: rows 22 to 33.

use crate::*;

#[test]
fn row022_a_service_is_at_its_port_and_no_other() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        sim.receive(0, PORT, &datagram(names, 40_000, 81));
        assert_eq!((sim.sent().len(), sim.conns(), sim.drops(DropReason::NoService)), (0, 0, 1));
        sim.receive(0, PORT, &datagram(names, 40_000, 80));
        assert_eq!((sim.sent().len(), sim.conns()), (1, 1));
    }
}

#[test]
fn row024_protocols_at_one_port_are_services_of_their_own() {
    for names in [V4, V6] {
        // The datagram service alone has its servers' second one only.
        let sim = changed(|snap| {
            let udp = |svc: &&mut engine::snapshot::Service| svc.transport == Transport::Udp;
            for svc in snap.services.iter_mut().flatten().filter(udp) {
                svc.dests.remove(0);
            }
        });
        let mut tcp = Tcp::ask(sim, names, 40_000);
        assert_eq!(tcp.syn.dst, at(names.servers[0], 8080));
        tcp.sim.receive(0, PORT, &datagram(names, 40_000, 80));
        assert_eq!(see(&tcp.sim.sent_one()).dst, at(names.servers[1], 8080));
        assert_eq!(tcp.sim.conns(), 2);
    }
}
