// SPDX-License-Identifier: Apache-2.0
//! Connections whose time is up: both ends are told, by the numbers they expect. Tests named `rowNNN_` are about a numbered row of the
//! behaviours that operators know.

mod seen;

use std::net::SocketAddr;

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::Forwarding;
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, Seen, from_client, see, tagged};

/// Clients and servers.
const WAYS: [(Names, Names, Forwarding); 5] = [
    (V4, V4, Forwarding::FullNat),
    (V6, V6, Forwarding::FullNat),
    (V6, V4, Forwarding::FullNat),
    (V4, V4, Forwarding::Nat),
    (V6, V6, Forwarding::Nat),
];

const C: u32 = 1000;
/// Close to where numbers start again.
const R: u32 = 0xffff_ffec;

struct Conn {
    sim: Sim,
    client: SocketAddr,
    vip: SocketAddr,
    server: SocketAddr,
    /// Where the server answers to.
    near: SocketAddr,
    /// The client's first number, as the server counts.
    isn: u32,
}

impl Conn {
    /// A SYN, as far as the server.
    fn ask((clients, servers, forwarding): (Names, Names, Forwarding)) -> Conn {
        let mut snap = world::snapshot();
        for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(clients.vip)) {
            svc.laddrs = vec![ip(servers.laddr)];
            for id in &svc.dests {
                let dest = snap.dests[id.index()].as_mut().expect("it is there");
                (dest.addr, dest.forwarding) = (at(servers.servers[0], 8080), forwarding);
            }
        }
        let mut sim = world::sim(1);
        sim.publish(snap.index());
        let (client, vip) = (at(clients.client, 40_000), at(clients.vip, 80));
        sim.receive(0, PORT, &from_client(client, vip, Segment { seq: C, flags: SYN, ..Segment::default() }));
        let syn = see(&sim.sent_one());
        Conn { sim, client, vip, server: syn.dst, near: syn.src, isn: syn.tcp().sequence_number }
    }

    fn open(way: (Names, Names, Forwarding)) -> Conn {
        let mut conn = Conn::ask(way);
        conn.server_says(0, 0, SYN | ACK, b"");
        conn.client_says(ACK, b"");
        conn
    }

    /// The server's segment at `offset` behind its SYN-ACK, with `heard` bytes of the client's data acknowledged.
    fn server_says(&mut self, offset: u32, heard: u32, flags: u8, payload: &[u8]) {
        let seq = if flags & SYN != 0 { R } else { R.wrapping_add(1).wrapping_add(offset) };
        let ack = self.isn.wrapping_add(1).wrapping_add(heard);
        let segment = Segment { seq, ack, flags, payload, ..Segment::default() };
        let frame = build::tcp((DIRECTOR, server_mac(1)), self.server, self.near, segment);
        self.sim.receive(0, PORT, &tagged(frame));
        assert_eq!(self.sim.sent().len(), 1);
    }

    fn client_says(&mut self, flags: u8, payload: &[u8]) {
        let segment = Segment { seq: C + 1, ack: R.wrapping_add(1), flags, payload, ..Segment::default() };
        self.sim.receive(0, PORT, &from_client(self.client, self.vip, segment));
        assert_eq!(self.sim.sent().len(), 1);
    }

    /// What is sent until the connection is gone.
    fn expire(&mut self) -> Vec<Seen> {
        let mut sent = Vec::new();
        for _ in 0..200 {
            self.sim.pass(500);
            sent.extend(self.sim.sent().iter().map(|frame| see(frame)));
        }
        assert_eq!(self.sim.conns(), 0);
        sent
    }

    /// The resets that the server and the client must have got.
    fn are_told(&self, sent: &[Seen], to_server: u32, to_client: u32) {
        let [server, client] = sent else { panic!("two resets: {sent:?}") };
        assert_eq!((server.src, server.dst, server.dst_mac), (self.near, self.server, server_mac(1)));
        assert_eq!((client.src, client.dst, client.dst_mac), (self.vip, self.client, CLIENT));
        for (seen, seq) in [(server, to_server), (client, to_client)] {
            let tcp = seen.tcp();
            assert!(tcp.rst && !tcp.ack && !tcp.syn && !tcp.fin && !tcp.psh, "{seen:?}");
            assert_eq!((tcp.sequence_number, tcp.acknowledgment_number, tcp.window_size), (seq, 0, 0));
            assert_eq!((seen.ttl, seen.payload.len()), (64, 0));
        }
    }
}

#[test]
fn row060_both_ends_of_an_open_connection_are_told_by_the_numbers_they_expect() {
    for way in WAYS {
        let mut conn = Conn::open(way);
        conn.client_says(ACK, b"hello");
        // 40 bytes, over the end of the numbers.
        conn.server_says(0, 5, ACK, &[7; 20]);
        conn.server_says(20, 5, ACK, &[7; 20]);
        let sent = conn.expire();
        conn.are_told(&sent, conn.isn.wrapping_add(6), R.wrapping_add(41));
    }
}

#[test]
fn row060_who_said_nothing_is_told_as_well() {
    for way in WAYS {
        let mut conn = Conn::open(way);
        let sent = conn.expire();
        conn.are_told(&sent, conn.isn.wrapping_add(1), R.wrapping_add(1));
    }
}

#[test]
fn row061_nobody_is_told_of_connections_that_are_not_open() {
    for way in WAYS {
        let mut conn = Conn::ask(way);
        assert_eq!(conn.expire().len(), 0, "the server never answered");
        let mut conn = Conn::ask(way);
        conn.server_says(0, 0, SYN | ACK, b"");
        assert_eq!(conn.expire().len(), 0, "the client never acknowledged");
        for flags in [FIN | ACK, RST] {
            let mut conn = Conn::open(way);
            conn.server_says(0, 0, flags, b"");
            assert_eq!(conn.expire().len(), 0, "it was closed");
        }
    }
}

#[test]
fn row062_what_comes_late_moves_nothing_back() {
    for way in WAYS {
        let mut conn = Conn::open(way);
        conn.server_says(20, 5, ACK, &[7; 20]);
        conn.server_says(0, 2, ACK, &[7; 20]);
        let sent = conn.expire();
        conn.are_told(&sent, conn.isn.wrapping_add(6), R.wrapping_add(41));
    }
}
