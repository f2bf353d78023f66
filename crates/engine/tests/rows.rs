// SPDX-License-Identifier: Apache-2.0
//! Behaviours that operators of such directors know, by their numbers in the table of `README.md` here, where no other file has them.

mod seen;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use engine::ids::LinkId;
use engine::route::RouteTable;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip};
use engine::snapshot::Snapshot;
use engine::verdict::DropReason;
use model::{ConnState, Transport};
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, Seen, from_client, see, tagged};

/// One TCP connection; the client's first number is 1000, the server's 5000.
struct Tcp {
    sim: Sim,
    names: Names,
    port: u16,
    syn: Seen,
}

impl Tcp {
    fn ask(mut sim: Sim, names: Names, port: u16) -> Tcp {
        let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(names.client, port), at(names.vip, 80), syn));
        let syn = see(&sim.sent_one());
        Tcp { sim, names, port, syn }
    }

    fn open(sim: Sim, names: Names, port: u16) -> Tcp {
        let mut tcp = Tcp::ask(sim, names, port);
        tcp.server(5000, SYN | ACK, b"");
        tcp.client(1001, ACK, b"");
        tcp
    }

    fn client(&mut self, seq: u32, flags: u8, payload: &[u8]) -> Seen {
        let segment = Segment { seq, ack: 5001, flags, payload, ..Segment::default() };
        let frame = from_client(at(self.names.client, self.port), at(self.names.vip, 80), segment);
        self.sim.receive(0, PORT, &frame);
        see(&self.sim.sent_one())
    }

    fn server(&mut self, seq: u32, flags: u8, payload: &[u8]) -> Seen {
        let ack = self.syn.tcp().sequence_number.wrapping_add(1);
        let segment = Segment { seq, ack, flags, payload, ..Segment::default() };
        let macs = (DIRECTOR, self.syn.dst_mac);
        self.sim.receive(0, PORT, &tagged(build::tcp(macs, self.syn.dst, self.syn.src, segment)));
        see(&self.sim.sent_one())
    }

    fn state(&self) -> Option<ConnState> {
        let (client, vip) = (at(self.names.client, self.port), at(self.names.vip, 80));
        let conn = self.sim.lcores[0].find_conn(Transport::Tcp, client, vip, self.sim.now);
        conn.map(|conn| conn.state)
    }
}

fn changed(change: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut snap = world::snapshot();
    change(&mut snap);
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    sim
}

fn datagram(names: Names, sport: u16, dport: u16) -> Vec<u8> {
    build::udp((DIRECTOR, CLIENT), at(names.client, sport), at(names.vip, dport), b"question")
}

#[test]
fn row005_what_fills_up_a_frame_is_no_part_of_the_packet() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let mut frame = datagram(names, 40_000, 80);
        let len = frame.len();
        frame.resize(len + 18, 0xee);
        sim.receive(0, PORT, &frame);
        let sent = sim.sent_one();
        // The servers' network has a tag of four bytes.
        assert_eq!((sent.len(), see(&sent).payload.as_slice()), (len + 4, &b"question"[..]));
    }
}

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

#[test]
fn row082_local_addresses_take_turns() {
    let second = "10.2.0.201";
    let mut sim = changed(|snap| {
        snap.laddrs.insert(ip(second), LinkId(1));
        for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.is_ipv4()) {
            svc.laddrs.push(ip(second));
        }
    });
    let mut sources = Vec::new();
    for port in 40_000..40_040 {
        sim.receive(0, PORT, &datagram(V4, port, 80));
        sources.push(see(&sim.sent_one()).src.ip());
    }
    let count = |addr: &str| sources.iter().filter(|&&source| source == ip(addr)).count();
    assert_eq!((count(V4.laddr), count(second)), (20, 20));
}

#[test]
fn row084_connections_of_a_local_address_that_is_gone_go_on() {
    for names in [V4, V6] {
        let mut tcp = Tcp::open(world::sim(1), names, 40_000);
        let mut snap = tcp.sim.snap.clone();
        snap.version += 1;
        snap.services.iter_mut().flatten().for_each(|svc| svc.laddrs.clear());
        snap.laddrs.clear();
        tcp.sim.publish(snap.index());
        assert_eq!(tcp.client(1001, ACK, b"data").payload, b"data");
        assert_eq!(tcp.server(5001, ACK, b"answer").payload, b"answer");
        // A new one finds none.
        let syn = Segment { seq: 1, flags: SYN, ..Segment::default() };
        tcp.sim.receive(0, PORT, &from_client(at(names.client, 40_001), at(names.vip, 80), syn));
        assert_eq!((tcp.sim.sent().len(), tcp.sim.drops(DropReason::NoLaddr)), (0, 1));
        tcp.sim.pass(95_000);
        assert_eq!(tcp.sim.conns(), 0);
    }
}

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

/// Every test that `README.md` names is somewhere in the workspace.
#[test]
fn the_table_names_tests_that_exist() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut functions = HashSet::new();
    let mut dirs: Vec<PathBuf> =
        ["crates", "dpvsd", "dpip-rs", "ipvsadm-rs", "tests"].iter().map(|dir| top.join(dir)).collect();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let names =
                    text.lines().filter_map(|line| line.trim_start().strip_prefix("fn ")?.split('(').next());
                functions.extend(names.map(str::to_owned));
            }
        }
    }
    let table = include_str!("README.md");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    let mut numbers = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let number: u32 = cells[0].trim_matches(['|', ' ']).parse().expect("a number");
        numbers.push(number);
        let named: Vec<&str> = cells[2].split('`').skip(1).step_by(2).collect();
        let missing: Vec<_> = named.iter().filter(|name| !functions.contains(**name)).collect();
        assert!(missing.is_empty(), "row {number}: {missing:?}");
        assert!(
            !named.is_empty() || cells[2].contains("not here:"),
            "row {number} has neither test nor reason"
        );
    }
    let all: Vec<u32> = (1..=90).chain(134..=160).collect();
    assert_eq!(numbers, all, "rows of the SYN proxy and of ICMP have tables of their own");
}
