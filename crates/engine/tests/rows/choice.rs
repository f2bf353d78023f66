// SPDX-License-Identifier: Apache-2.0
//! Servers chosen, counted and refused: rows 146 to 158.

use crate::*;

#[test]
fn row156_what_each_server_carried_is_exact() {
    for names in [V4, V6] {
        let mut tcp = Tcp::open(world::sim(1), names, 40_000);
        tcp.client(1001, ACK, b"hello");
        tcp.server(5001, ACK, b"good morning");
        let headers = if names.client == V4.client { 40 } else { 60 };
        let all = tcp.sim.lcores[0].dest_counters();
        let dest = all.iter().find(|dest| dest.conns > 0).expect("one carried something");
        // SYN, ACK, data; SYN-ACK, data; IP bytes as they came.
        assert_eq!((dest.conns, dest.in_packets, dest.out_packets), (1, 3, 2));
        assert_eq!((dest.in_bytes, dest.out_bytes), (3 * headers + 5, 2 * headers + 12));
        assert_eq!(all.iter().map(|dest| dest.conns).sum::<u64>(), 1);
    }
}
