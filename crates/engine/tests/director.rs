// SPDX-License-Identifier: Apache-2.0
//! TCP and UDP through the director, on virtual time, judged by an independent decoder.

mod seen;

use engine::ids::{DestId, LcoreId};
use engine::proto::tcp::TIMEOUTS;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, server_mac};
use engine::verdict::DropReason;
use model::{ConnState, Transport};
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, Seen, from_client, see, tagged};

/// The worker that gets packets of the client, and the one that gets the server's.
const PATHS: [(u16, usize, usize); 3] = [(1, 0, 0), (2, 0, 1), (2, 1, 0)];

struct Tcp {
    names: Names,
    cport: u16,
    client_at: usize,
    server_at: usize,
    /// What the server saw of the first SYN.
    syn: Seen,
}

impl Tcp {
    /// A client's SYN, as its server sees it.
    fn open(sim: &mut Sim, names: Names, cport: u16, (client_at, server_at): (usize, usize)) -> Tcp {
        let options = [2, 4, 5, 0xa0, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
        let syn = Segment { seq: 1000, flags: SYN, options: &options, ..Segment::default() };
        sim.receive(client_at, PORT, &from_client(at(names.client, cport), at(names.vip, 80), syn));
        let syn = see(&sim.sent_one());
        Tcp { names, cport, client_at, server_at, syn }
    }

    fn client(&self, sim: &mut Sim, segment: Segment) -> Seen {
        let frame = from_client(at(self.names.client, self.cport), at(self.names.vip, 80), segment);
        sim.receive(self.client_at, PORT, &frame);
        see(&sim.sent_one())
    }

    fn server(&self, sim: &mut Sim, segment: Segment) -> Seen {
        let frame = tagged(build::tcp((DIRECTOR, self.syn.dst_mac), self.syn.dst, self.syn.src, segment));
        sim.receive(self.server_at, PORT, &frame);
        see(&sim.sent_one())
    }

    /// How much the director adds to the client's sequence numbers.
    fn shift(&self) -> u32 {
        self.syn.tcp().sequence_number.wrapping_sub(1000)
    }

    fn state(&self, sim: &Sim) -> Option<ConnState> {
        let (client, vip) = (at(self.names.client, self.cport), at(self.names.vip, 80));
        sim.lcores.iter().find_map(|l| l.find_conn(Transport::Tcp, client, vip, sim.now)).map(|c| c.state)
    }

    fn establish(&self, sim: &mut Sim) {
        let isn = self.syn.tcp().sequence_number;
        self.server(
            sim,
            Segment { seq: 5000, ack: isn.wrapping_add(1), flags: SYN | ACK, ..Segment::default() },
        );
        self.client(sim, Segment { seq: 1001, ack: 5001, flags: ACK, ..Segment::default() });
    }
}

#[test]
fn row066_a_tcp_connection_is_translated_in_both_directions() {
    for (names, (workers, client_at, server_at)) in [V4, V6].iter().flat_map(|&n| PATHS.map(|p| (n, p))) {
        let mut sim = world::sim(workers);
        let tcp = Tcp::open(&mut sim, names, 40_000, (client_at, server_at));
        let syn = &tcp.syn;
        assert_eq!(
            (syn.src.ip(), syn.dst),
            (world::ip(names.laddr), at(names.servers[client_at], 8080)),
            "each worker begins with another server"
        );
        assert_eq!(
            (syn.src_mac, syn.dst_mac, syn.vlan, syn.ttl),
            (DIRECTOR, server_mac(client_at as u8 + 1), Some(102), 63)
        );
        assert_eq!(syn.options()[6..16], [1; 10], "no timestamps towards the server");
        assert_eq!(syn.options()[..6], [2, 4, 5, 0xa0, 4, 2]);
        assert_eq!(
            usize::from(syn.src.port() % workers),
            client_at % usize::from(workers),
            "the port is this worker's"
        );

        let isn = syn.tcp().sequence_number;
        let answer = Segment { seq: 5000, ack: isn.wrapping_add(1), flags: SYN | ACK, ..Segment::default() };
        let back = tcp.server(&mut sim, answer);
        assert_eq!((back.src, back.dst), (at(names.vip, 80), at(names.client, 40_000)));
        assert_eq!((back.dst_mac, back.vlan), (CLIENT, None));
        assert_eq!((back.tcp().sequence_number, back.tcp().acknowledgment_number), (5000, 1001));

        let data = tcp.client(
            &mut sim,
            Segment { seq: 1001, ack: 5001, flags: ACK, payload: b"hello", ..Segment::default() },
        );
        assert_eq!(data.payload, b"hello");
        assert_eq!(data.tcp().sequence_number, isn.wrapping_add(1));
        assert_eq!(tcp.state(&sim), Some(ConnState::Established));
        assert_eq!(sim.conns(), 1);
    }
}

#[test]
fn row086_a_client_whose_packets_change_workers_keeps_its_connection() {
    for names in [V4, V6] {
        for (workers, home, lands) in [(2, 0, 1), (2, 1, 0), (4, 2, 1), (4, 1, 3)] {
            let mut sim = world::sim(workers);
            let tcp = Tcp::open(&mut sim, names, 40_000, (home, home));
            tcp.establish(&mut sim);
            let moved = Tcp { client_at: lands, ..tcp };
            let data = Segment { seq: 1001, ack: 5001, flags: ACK, payload: b"moved", ..Segment::default() };
            assert_eq!(moved.client(&mut sim, data).payload, b"moved");
            // What belongs to nobody is dropped once all have been asked.
            let stray = from_client(at(names.client, 77), at(names.vip, 80), data);
            sim.receive(lands, PORT, &stray);
            assert!(sim.sent().is_empty());
            assert_eq!((sim.drops(DropReason::NotSyn), sim.conns()), (1, 1));
        }
    }
}

#[test]
fn row057_acknowledgements_to_the_client_are_shifted_selective_ones_too() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let tcp = Tcp::open(&mut sim, names, 40_000, (0, 0));
        tcp.establish(&mut sim);
        let edge = |n: u32| n.wrapping_add(tcp.shift()).to_be_bytes();
        let options = [&[1, 1, 5, 10][..], &edge(2000), &edge(3000)].concat();
        let segment = Segment {
            seq: 5001,
            ack: 1001u32.wrapping_add(tcp.shift()),
            flags: ACK,
            options: &options,
            ..Segment::default()
        };
        let seen = tcp.server(&mut sim, segment);
        assert_eq!(seen.options(), [1, 1, 5, 10, 0, 0, 7, 0xd0, 0, 0, 0x0b, 0xb8]);
        assert_eq!(seen.tcp().acknowledgment_number, 1001);
    }
}

#[test]
fn row050_states_follow_both_sides_and_a_closed_connection_expires() {
    for names in [V4, V6] {
        // The first server of its TCP service.
        let first = if names.client == V4.client { 0 } else { 4 };
        let mut sim = world::sim(2);
        let tcp = Tcp::open(&mut sim, names, 40_000, (0, 1));
        assert_eq!(tcp.state(&sim), Some(ConnState::SynRecv));
        tcp.establish(&mut sim);
        let active = |sim: &Sim| sim.lcores[0].dest_counters()[first].active;
        assert_eq!((tcp.state(&sim), active(&sim)), (Some(ConnState::Established), 1));
        let shifted = |n: u32| n.wrapping_add(tcp.shift());
        tcp.client(&mut sim, Segment { seq: 1001, ack: 5001, flags: FIN | ACK, ..Segment::default() });
        assert_eq!((tcp.state(&sim), active(&sim)), (Some(ConnState::CloseWait), 0));
        tcp.server(
            &mut sim,
            Segment { seq: 5001, ack: shifted(1002), flags: FIN | ACK, ..Segment::default() },
        );
        assert_eq!(tcp.state(&sim), Some(ConnState::TimeWait));
        sim.pass(6_500);
        assert_eq!(sim.conns(), 1, "TIME_WAIT lasts seven seconds");
        sim.pass(2_500);
        assert_eq!(sim.conns(), 0);
        assert_eq!(sim.lcores[0].usage(world::ip(names.laddr)).used, 0, "the local port is free again");
        let counters = sim.lcores[0].dest_counters()[first];
        assert_eq!((counters.conns, counters.active, counters.inactive), (1, 0, 0));
        assert_eq!((counters.in_packets, counters.out_packets), (3, 2));
    }
}

#[test]
fn an_established_connection_lives_while_it_is_used() {
    let mut sim = world::sim(1);
    let tcp = Tcp::open(&mut sim, V4, 40_000, (0, 0));
    tcp.establish(&mut sim);
    for _ in 0..5 {
        sim.pass(60_000);
        tcp.client(&mut sim, Segment { seq: 1001, ack: 5001, flags: ACK, ..Segment::default() });
    }
    assert_eq!(sim.conns(), 1);
    sim.pass(u64::from(TIMEOUTS[1]) * 1000 + 2000);
    assert_eq!(sim.conns(), 0);
}

#[test]
fn the_timeout_of_the_service_replaces_the_established_one() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.services.iter_mut().flatten().for_each(|svc| svc.conn_timeout = 10);
    sim.publish(snap.index());
    let tcp = Tcp::open(&mut sim, V4, 40_000, (0, 0));
    tcp.establish(&mut sim);
    sim.pass(9_000);
    assert_eq!(sim.conns(), 1);
    sim.pass(3_000);
    assert_eq!(sim.conns(), 0);
}

#[test]
fn a_syn_on_a_finished_connection_opens_a_new_one() {
    let mut sim = world::sim(1);
    let tcp = Tcp::open(&mut sim, V4, 40_000, (0, 0));
    let reset = Segment {
        seq: 0,
        ack: tcp.syn.tcp().sequence_number.wrapping_add(1),
        flags: RST | ACK,
        ..Segment::default()
    };
    tcp.server(&mut sim, reset);
    assert_eq!(tcp.state(&sim), Some(ConnState::Close));
    let again = Tcp::open(&mut sim, V4, 40_000, (0, 0));
    assert_eq!(again.syn.dst, at(V4.servers[1], 8080), "the scheduler was asked again");
    assert_eq!((again.state(&sim), sim.conns()), (Some(ConnState::SynRecv), 1));
}

#[test]
fn a_retransmitted_syn_stays_on_its_connection() {
    let mut sim = world::sim(1);
    let first = Tcp::open(&mut sim, V4, 40_000, (0, 0));
    let second = Tcp::open(&mut sim, V4, 40_000, (0, 0));
    assert_eq!(
        (first.syn.src, first.syn.dst, first.shift()),
        (second.syn.src, second.syn.dst, second.shift())
    );
    assert_eq!(sim.conns(), 1);
}

#[test]
fn the_initial_sequence_number_of_a_reused_tuple_grows() {
    let mut snap = world::snapshot();
    snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = u32::from(dest.id == DestId(0)));
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    let first = Tcp::open(&mut sim, V4, 40_000, (0, 0)).syn;
    // The same local port comes round again after all the others.
    sim.pass(60_000);
    assert_eq!(sim.conns(), 0);
    let mut lport = 0;
    let mut second = None;
    for round in 0..64_511u32 {
        let tcp = Tcp::open(&mut sim, V4, 2000 + (round % 60_000) as u16, (0, 0));
        lport = tcp.syn.src.port();
        let reset = Segment {
            ack: tcp.syn.tcp().sequence_number.wrapping_add(1),
            flags: RST | ACK,
            ..Segment::default()
        };
        tcp.server(&mut sim, reset);
        if lport == first.src.port() {
            second = Some(tcp.syn);
            break;
        }
        if round % 500 == 0 {
            sim.pass(5_000);
        }
    }
    let second = second.unwrap_or_else(|| panic!("the port came round, last {lport}"));
    assert_eq!(first.src, second.src);
    let grown = second.tcp().sequence_number.wrapping_sub(first.tcp().sequence_number);
    assert_eq!(grown, ((sim.now.0 - 1_000_000) as u32).wrapping_mul(15_625));
}

#[test]
fn datagrams_of_both_families_are_translated_and_counted() {
    for (names, (workers, client_at, server_at)) in [V4, V6].iter().flat_map(|&n| PATHS.map(|p| (n, p))) {
        let mut sim = world::sim(workers);
        let (client, vip) = (at(names.client, 5353), at(names.vip, 80));
        for payload in [&b""[..], b"q", &[7; 1400]] {
            sim.receive(client_at, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, payload));
            let out = see(&sim.sent_one());
            assert_eq!((out.dst, out.payload.as_slice()), (at(names.servers[client_at], 8080), payload));
            let answer = tagged(build::udp((DIRECTOR, out.dst_mac), out.dst, out.src, payload));
            sim.receive(server_at, PORT, &answer);
            let back = see(&sim.sent_one());
            assert_eq!((back.src, back.dst, back.payload.as_slice()), (vip, client, payload));
        }
        let udp = if names.client == V4.client { 2 } else { 6 };
        let counters = sim.lcores[client_at].dest_counters()[udp + client_at];
        let header = if names.client == V4.client { 28 } else { 48 };
        assert_eq!((counters.conns, counters.in_packets, counters.out_packets), (1, 3, 3));
        assert_eq!((counters.in_bytes, counters.out_bytes), (1401 + 3 * header, 1401 + 3 * header));
        assert_eq!((counters.active, counters.inactive), (0, 1));
    }
}

#[test]
fn a_datagram_without_checksum_stays_without() {
    let mut sim = world::sim(1);
    let mut frame = build::udp((DIRECTOR, CLIENT), at(V4.client, 5353), at(V4.vip, 80), b"q");
    frame[40..42].fill(0);
    sim.receive(0, PORT, &frame);
    let out = sim.sent_one();
    assert_eq!(out[44..46], [0, 0]);
}

#[test]
fn what_may_not_open_a_connection_is_dropped_with_its_reason() {
    let client = at(V4.client, 40_000);
    let cases: [(Vec<u8>, DropReason); 5] = [
        (
            from_client(client, at(V4.vip, 80), Segment { flags: ACK, ..Segment::default() }),
            DropReason::NotSyn,
        ),
        (
            from_client(client, at(V4.vip, 80), Segment { flags: SYN | ACK, ..Segment::default() }),
            DropReason::NotSyn,
        ),
        (
            from_client(client, at(V4.vip, 81), Segment { flags: SYN, ..Segment::default() }),
            DropReason::NoService,
        ),
        (build::udp((DIRECTOR, CLIENT), client, at("10.9.0.1", 80), b""), DropReason::NoRoute),
        (
            {
                let mut frame =
                    from_client(client, at(V4.vip, 80), Segment { flags: SYN, ..Segment::default() });
                frame[50] ^= 1;
                frame
            },
            DropReason::L4Checksum,
        ),
    ];
    for (frame, reason) in cases {
        let mut sim = world::sim(1);
        sim.receive(0, PORT, &frame);
        assert_eq!((sim.drops(reason), sim.conns(), sim.sent().len()), (1, 0, 0), "{reason:?}");
    }
}

#[test]
fn a_service_without_server_or_local_address_drops() {
    let syn =
        || from_client(at(V4.client, 40_000), at(V4.vip, 80), Segment { flags: SYN, ..Segment::default() });
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = 0);
    sim.publish(snap.index());
    sim.receive(0, PORT, &syn());
    assert_eq!(sim.drops(DropReason::NoDest), 1);
    let mut snap = world::snapshot();
    snap.services.iter_mut().flatten().for_each(|svc| svc.laddrs = vec![world::ip(V6.laddr)]);
    sim.publish(snap.index());
    sim.receive(0, PORT, &syn());
    assert_eq!(sim.drops(DropReason::NoLaddr), 1);
}

#[test]
fn row036_a_full_table_refuses_new_connections_and_keeps_the_old() {
    let mut sim = Sim::new(1, 4, world::snapshot());
    sim.stations = world::sim(1).stations;
    let connections: Vec<Tcp> = (0..4).map(|n| Tcp::open(&mut sim, V4, 40_000 + n, (0, 0))).collect();
    let syn = Segment { flags: SYN, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 50_000), at(V4.vip, 80), syn));
    assert_eq!((sim.drops(DropReason::ConnTableFull), sim.conns()), (1, 4));
    assert_eq!(sim.lcores[0].usage(world::ip(V4.laddr)).used, 4, "the refused one gave its port back");
    connections.iter().for_each(|tcp| tcp.establish(&mut sim));
}

#[test]
fn weights_split_connections_and_a_weight_of_zero_drains() {
    let mut sim = world::sim(1);
    let mut snap = sim.snap.clone();
    snap.services.iter_mut().flatten().for_each(|svc| svc.scheduler = engine::sched::Scheduler::Wrr);
    sim.publish(snap.clone().index());
    let mut count = [0, 0];
    let mut last = None;
    for n in 0..30 {
        let tcp = Tcp::open(&mut sim, V4, 40_000 + n, (0, 0));
        count[usize::from(tcp.syn.dst.ip() == world::ip(V4.servers[1]))] += 1;
        last = Some(tcp);
    }
    assert_eq!(count, [10, 20]);
    let last = last.expect("thirty were opened");
    let drained = if last.syn.dst.ip() == world::ip(V4.servers[0]) { 0 } else { 1 };
    snap.dests[drained].as_mut().expect("it is there").weight = 0;
    snap.services.iter_mut().flatten().for_each(|svc| svc.revision += 1);
    sim.publish(snap.index());
    last.establish(&mut sim);
    for n in 0..10 {
        let tcp = Tcp::open(&mut sim, V4, 50_000 + n, (0, 0));
        assert_eq!(tcp.syn.dst.ip(), world::ip(V4.servers[1 - drained]));
    }
}

#[test]
fn connections_of_a_removed_service_go_on_until_they_end() {
    let mut sim = world::sim(1);
    let tcp = Tcp::open(&mut sim, V4, 40_000, (0, 0));
    let mut snap = sim.snap.clone();
    (snap.services[0], snap.dests[0], snap.dests[1]) = (None, None, None);
    sim.publish(snap.index());
    tcp.establish(&mut sim);
    assert_eq!(tcp.state(&sim), Some(ConnState::Established));
    let syn = Segment { flags: SYN, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 40_001), at(V4.vip, 80), syn));
    assert_eq!(sim.drops(DropReason::NoService), 1);
}

#[test]
fn row067_a_changed_route_moves_connections_at_once() {
    for names in [V4, V6] {
        let mut sim = world::sim(1);
        let tcp = Tcp::open(&mut sim, names, 40_000, (0, 0));
        let mut snap = sim.snap.clone();
        let mut routes = world::routes(&snap.links);
        routes.push(engine::route::Route {
            prefix: (world::ip(names.servers[0]), if names.client == V4.client { 32 } else { 128 }),
            via: Some(world::ip(names.client)),
            link: engine::ids::LinkId(0),
            src: None,
            mtu: 0,
            kind: engine::route::Kind::Out,
            metric: 0,
        });
        snap.routes = engine::route::RouteTable::compile(routes);
        snap.routing += 1;
        sim.publish(snap.index());
        let seen = tcp.client(&mut sim, Segment { seq: 1000, flags: SYN, ..Segment::default() });
        assert_eq!((seen.dst_mac, seen.vlan), (CLIENT, None), "through the gateway on the other link now");
    }
}

#[test]
fn row087_a_packet_that_finds_no_owner_does_not_circle() {
    let mut sim = world::sim(2);
    // Returns to worker 0 with an odd port: worker 1 owns it, and has no connection for it.
    let frame =
        tagged(build::udp((DIRECTOR, server_mac(1)), at(V4.servers[0], 8080), at(V4.laddr, 2001), b""));
    sim.receive(0, PORT, &frame);
    assert_eq!(sim.lcores[1].traffic().ring_in, 1);
    assert_eq!(sim.drops(DropReason::NoService), 1);
    assert_eq!(sim.lcores[1].traffic().drops_for(DropReason::NoService), 1);
}

#[test]
fn row078_with_a_predictable_device_the_port_is_chosen_for_this_worker() {
    for names in [V4, V6] {
        let mut snap = world::snapshot();
        let key: Vec<u8> = (0..40).map(|n| (n * 37 + 11) as u8).collect();
        let rss = engine::steer::Rss::new(&key, vec![LcoreId(0), LcoreId(1), LcoreId(0), LcoreId(1)])
            .expect("four entries");
        snap.ports[0].rss = Some(rss.clone());
        let mut sim = Sim::new(2, 1024, snap);
        sim.stations = world::sim(1).stations;
        for n in 0..20 {
            let tcp = Tcp::open(&mut sim, names, 40_000 + n, (1, 1));
            let back = engine::conn::Tuple::new(tcp.syn.dst, tcp.syn.src).expect("one family");
            assert_eq!(rss.worker(&back), LcoreId(1));
            tcp.establish(&mut sim);
        }
        assert_eq!(sim.lcores[0].traffic().ring_in, 0, "nothing needed the ring");
    }
}
