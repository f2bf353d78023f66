// SPDX-License-Identifier: Apache-2.0
//! Clients that stay with their server. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.

mod seen;

use std::net::SocketAddr;

use engine::forward::Forwarding;
use engine::persist::Persistence;
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::verdict::DropReason;
use model::ConnState;
use model::service::Granularity;
use packet::build::{self, Segment};
use seen::{ACK, SYN, from_client, see, tagged};

const HOST: Granularity = Granularity::Inet(std::net::Ipv4Addr::BROADCAST);

/// All services remember networks for `timeout` seconds; those of the other family remember hosts.
fn persist(sim: &mut Sim, timeout: u32, granularity: Granularity) {
    change(sim, |snap| {
        for svc in snap.services.iter_mut().flatten() {
            svc.persistence = Some(Persistence { timeout, granularity, sip: false });
        }
    });
}

fn change(sim: &mut Sim, change: impl FnOnce(&mut engine::snapshot::Snapshot)) {
    let mut snap = sim.snap.clone();
    snap.version += 1;
    snap.routing += 1;
    change(&mut snap);
    sim.publish(snap.index());
}

/// A datagram of `client` to port 80 of the service; the server that gets it, as the number of its address.
fn ask(sim: &mut Sim, worker: usize, names: Names, client: SocketAddr) -> Option<usize> {
    let target = asked(sim, worker, client, at(names.vip, 80))?;
    names.servers.iter().position(|server| ip(server) == target.ip())
}

fn asked(sim: &mut Sim, worker: usize, client: SocketAddr, target: SocketAddr) -> Option<SocketAddr> {
    sim.receive(worker, PORT, &build::udp((DIRECTOR, CLIENT), client, target, b"q"));
    let sent = sim.sent();
    assert!(sent.len() <= 1);
    Some(see(sent.first()?).dst)
}

fn servers_of(sim: &mut Sim, names: Names, client: &str, ports: std::ops::Range<u16>) -> Vec<usize> {
    ports.map(|port| ask(sim, 0, names, at(client, port)).expect("it is forwarded")).collect()
}

#[test]
fn row042_a_client_stays_and_another_has_its_turn() {
    let mut sim = world::sim(1);
    persist(&mut sim, 300, HOST);
    assert_eq!(servers_of(&mut sim, V4, "10.1.0.1", 4000..4008), [0; 8]);
    assert_eq!(servers_of(&mut sim, V4, "10.1.0.2", 4000..4008), [1; 8]);
    assert_eq!(servers_of(&mut sim, V4, "10.1.0.3", 4000..4008), [0; 8]);
    assert_eq!(servers_of(&mut sim, V4, "10.1.0.2", 5000..5008), [1; 8]);
}

#[test]
fn row042_clients_of_a_network_share_a_server() {
    let mut sim = world::sim(1);
    persist(&mut sim, 300, Granularity::Inet([255, 255, 255, 0].into()));
    let of = |sim: &mut Sim, net: u8| {
        let one = |host: u8| servers_of(sim, V4, &format!("10.7.{net}.{host}"), 4000..4002);
        (1..20).flat_map(one).collect::<Vec<_>>()
    };
    assert_eq!(of(&mut sim, 1), [0; 38]);
    assert_eq!(of(&mut sim, 2), [1; 38]);
    assert_eq!(of(&mut sim, 1), [0; 38]);
}

/// On purpose unlike DPVS, whose templates of IPv6 clients have rubbish behind the prefix.
#[test]
fn row042_a_prefix_makes_an_ipv6_network() {
    let mut sim = world::sim(1);
    persist(&mut sim, 300, Granularity::Inet6(64));
    let of = |sim: &mut Sim, net: u8| {
        let one = |host: u8| servers_of(sim, V6, &format!("fd07:0:0:{net}::{host}"), 4000..4002);
        (1..20).flat_map(one).collect::<Vec<_>>()
    };
    assert_eq!(of(&mut sim, 1), [0; 38]);
    assert_eq!(of(&mut sim, 2), [1; 38]);
    assert_eq!(of(&mut sim, 1), [0; 38]);
}

#[test]
fn row042_a_client_stays_whichever_workers_its_packets_reach() {
    let mut sim = world::sim(4);
    persist(&mut sim, 300, HOST);
    for client in 1..30 {
        let client = format!("10.1.0.{client}");
        let first = ask(&mut sim, 0, V4, at(&client, 4000));
        for port in 4001..4012 {
            assert_eq!(ask(&mut sim, usize::from(port) % 4, V4, at(&client, port)), first, "{client}");
        }
    }
    assert_eq!(sim.snap.templates.len(), 29);
}

#[test]
fn row042_templates_are_listed() {
    let mut sim = world::sim(1);
    persist(&mut sim, 300, Granularity::Inet([255, 255, 255, 0].into()));
    ask(&mut sim, 0, V4, at("10.7.1.9", 4000));
    sim.pass(10_000);
    let (listed, next) = sim.snap.templates.list(0, 100, sim.now);
    assert_eq!((listed.len(), next), (1, None));
    let template = &listed[0];
    assert!(template.template);
    assert_eq!(
        [template.client, template.virt, template.dest].map(|end| end.to_string()),
        ["10.7.1.0:0", "10.1.0.100:80", "10.2.0.1:8080"]
    );
    assert_eq!((template.expires, template.state), (290, ConnState::Established));
    let dest = sim.snap.dests[sim.snap.services[1].as_ref().expect("udp").dests[0].index()].as_ref();
    let dest = dest.expect("the first server");
    assert_eq!(sim.snap.templates.by_server().get(&(dest.id, dest.generation)), Some(&1));
}

#[test]
fn row043_a_template_ends_when_no_connection_needs_it() {
    let mut sim = world::sim(1);
    persist(&mut sim, 20, HOST);
    assert_eq!(ask(&mut sim, 0, V4, at(V4.client, 4000)), Some(0));
    // The flow lives for 300 s after its last packet, and the template with it.
    for secs in [250, 250, 200] {
        sim.pass(secs * 1000);
        assert_eq!(ask(&mut sim, 0, V4, at(V4.client, 4000)), Some(0));
        assert_eq!(sim.snap.templates.len(), 1);
    }
    sim.pass(302_000);
    assert_eq!(sim.conns(), 0);
    sim.pass(20_000);
    assert_eq!(sim.snap.templates.len(), 0);
    assert_eq!(ask(&mut sim, 0, V4, at(V4.client, 4000)), Some(1));
}

#[test]
fn row043_each_connection_begins_the_time_anew() {
    let mut sim = world::sim(1);
    persist(&mut sim, 700, HOST);
    assert_eq!(ask(&mut sim, 0, V4, at(V4.client, 4000)), Some(0));
    sim.pass(600_000);
    assert_eq!((sim.conns(), ask(&mut sim, 0, V4, at(V4.client, 4001))), (0, Some(0)));
    sim.pass(600_000);
    assert_eq!((sim.conns(), ask(&mut sim, 0, V4, at(V4.client, 4002))), (0, Some(0)));
    sim.pass(701_000);
    assert_eq!(ask(&mut sim, 0, V4, at(V4.client, 4003)), Some(1));
}

#[test]
fn row044_a_client_of_a_removed_server_gets_another() {
    let mut sim = world::sim(1);
    persist(&mut sim, 300, HOST);
    assert_eq!(ask(&mut sim, 0, V4, at(V4.client, 4000)), Some(0));
    change(&mut sim, |snap| {
        let first = at(V4.servers[0], 8080);
        for dest in snap.dests.iter_mut().filter(|dest| dest.as_ref().is_some_and(|d| d.addr == first)) {
            *dest = None;
        }
        let there: Vec<_> = snap.dests.iter().flatten().map(|dest| dest.id).collect();
        snap.services.iter_mut().flatten().for_each(|svc| svc.dests.retain(|id| there.contains(id)));
    });
    assert_eq!(servers_of(&mut sim, V4, V4.client, 4001..4004), [1; 3]);
    assert_eq!(sim.snap.templates.len(), 1);
}

#[test]
fn row044_weight_0_sends_a_client_away_only_where_operators_say_so() {
    for (quiesce, expected) in [(false, 0), (true, 1)] {
        let mut sim = world::sim(1);
        persist(&mut sim, 300, HOST);
        assert_eq!(ask(&mut sim, 0, V4, at(V4.client, 4000)), Some(0));
        change(&mut sim, |snap| {
            snap.options.expire_quiescent_template = quiesce;
            let first = at(V4.servers[0], 8080);
            snap.dests
                .iter_mut()
                .flatten()
                .filter(|dest| dest.addr == first)
                .for_each(|dest| dest.weight = 0);
        });
        assert_eq!(ask(&mut sim, 0, V4, at(V4.client, 4001)), Some(expected));
        assert_eq!(ask(&mut sim, 0, V4, at("10.1.0.9", 4001)), Some(1), "others have no reason to go there");
    }
}

/// Both services take every port, and their servers listen where the client asks.
fn every_port(sim: &mut Sim, forwarding: Forwarding) {
    persist(sim, 300, HOST);
    change(sim, |snap| {
        snap.services.iter_mut().flatten().for_each(|svc| svc.vip.set_port(0));
        for dest in snap.dests.iter_mut().flatten() {
            dest.addr.set_port(0);
            dest.forwarding = forwarding;
        }
    });
}

/// On purpose unlike DPVS, where such a service gets packets to port 0 only.
#[test]
fn row029_a_service_without_port_takes_every_port_and_a_client_stays() {
    for (names, forwarding) in
        [V4, V6].into_iter().flat_map(|names| [(names, Forwarding::FullNat), (names, Forwarding::Nat)])
    {
        let other = if names.client == V4.client { "10.1.0.7" } else { "fd01::7" };
        let mut sim = world::sim(1);
        every_port(&mut sim, forwarding);
        let one = |sim: &mut Sim, client: &str, port| asked(sim, 0, at(client, 4000), at(names.vip, port));
        for port in [1, 53, 65535] {
            assert_eq!(one(&mut sim, names.client, port), Some(at(names.servers[0], port)));
            assert_eq!(one(&mut sim, other, port), Some(at(names.servers[1], port)));
        }
        assert_eq!(sim.snap.templates.len(), 2, "one for each client, whatever ports it asks for");
    }
}

#[test]
fn a_service_at_the_port_comes_before_one_without() {
    let mut sim = world::sim(1);
    every_port(&mut sim, Forwarding::FullNat);
    change(&mut sim, |snap| {
        let mut exact = snap.services[1].clone().expect("udp");
        exact.id = engine::ids::ServiceId(snap.services.len() as u32);
        exact.vip.set_port(53);
        exact.dests.clear();
        snap.services.push(Some(exact));
    });
    assert_eq!(asked(&mut sim, 0, at(V4.client, 4000), at(V4.vip, 53)), None);
    assert_eq!(sim.drops(DropReason::NoDest), 1);
    assert!(asked(&mut sim, 0, at(V4.client, 4000), at(V4.vip, 54)).is_some());
}

/// Answers of a server reached by NAT find their connection on whichever worker it is.
#[test]
fn every_port_is_answered_from_with_nat_and_several_workers() {
    let mut sim = world::sim(3);
    every_port(&mut sim, Forwarding::Nat);
    for port in 1000..1030u16 {
        let client = at(V4.client, 4000 + port);
        let server = asked(&mut sim, usize::from(port) % 3, client, at(V4.vip, port)).expect("forwarded");
        let answer = tagged(build::udp((DIRECTOR, server_mac(1)), server, client, b"a"));
        sim.receive((usize::from(port) + 1) % 3, PORT, &answer);
        let sent = see(&sim.sent_one());
        assert_eq!((sent.src, sent.dst), (at(V4.vip, port), client));
    }
}

#[test]
fn a_client_that_does_not_complete_its_handshake_is_shown_as_unassured() {
    let mut sim = world::sim(1);
    persist(&mut sim, 300, HOST);
    let (client, vip) = (at(V4.client, 4000), at(V4.vip, 80));
    let state = |sim: &Sim| sim.snap.templates.list(0, 9, sim.now).0[0].state;
    sim.receive(0, PORT, &from_client(client, vip, Segment { seq: 100, flags: SYN, ..Default::default() }));
    let syn = see(&sim.sent_one());
    assert_eq!(state(&sim), ConnState::None);
    let answer = Segment {
        seq: 900,
        ack: syn.tcp().sequence_number.wrapping_add(1),
        flags: SYN | ACK,
        ..Default::default()
    };
    sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, server_mac(1)), syn.dst, syn.src, answer)));
    sim.receive(
        0,
        PORT,
        &from_client(client, vip, Segment { seq: 101, ack: 901, flags: ACK, ..Default::default() }),
    );
    assert_eq!(state(&sim), ConnState::Established);
}

#[test]
fn too_many_networks_are_refused_by_name() {
    let mut sim = world::sim(1);
    persist(&mut sim, 300, HOST);
    change(&mut sim, |snap| snap.templates = std::sync::Arc::new(engine::persist::Templates::new(1, 5)));
    let served =
        (1..=250).filter(|n| ask(&mut sim, 0, V4, at(&format!("10.7.0.{n}"), 4000)).is_some()).count();
    assert!((32..=64).contains(&served), "{served}");
    assert_eq!(sim.drops(DropReason::TemplatesFull), 250 - served as u64);
}
