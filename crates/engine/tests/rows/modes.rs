// SPDX-License-Identifier: Apache-2.0
//! The ways to servers: rows 66 to 77.

use crate::*;

#[test]
fn row077_without_a_route_packets_are_dropped_and_the_connection_stays() {
    for names in [V4, V6] {
        let mut tcp = Tcp::open(world::sim(1), names, 40_000);
        let mut snap = tcp.sim.snap.clone();
        let with = world::routes(&snap.links);
        (snap.version, snap.routing) = (snap.version + 1, snap.routing + 1);
        snap.routes = RouteTable::compile(
            with.iter().filter(|route| route.link != LinkId(1)).cloned().collect::<Vec<_>>(),
        );
        tcp.sim.publish(snap.clone().index());
        let data = Segment { seq: 1001, ack: 5001, flags: ACK, payload: b"data", ..Segment::default() };
        let frame = from_client(at(names.client, 40_000), at(names.vip, 80), data);
        tcp.sim.receive(0, PORT, &frame);
        assert_eq!((tcp.sim.sent().len(), tcp.sim.drops(DropReason::NoRoute), tcp.sim.conns()), (0, 1, 1));
        (snap.version, snap.routing) = (snap.version + 1, snap.routing + 1);
        snap.routes = RouteTable::compile(with);
        tcp.sim.publish(snap.index());
        assert_eq!(tcp.client(1001, ACK, b"data").payload, b"data");
    }
}
