// SPDX-License-Identifier: Apache-2.0
//! The proxy only under load.

use engine::synproxy::config::Auto;

use super::*;

fn guarded(auto: Auto) -> Sim {
    let mut sim = proxied(1, |config| config.auto = auto);
    let snap = with(&sim.snap, |snap| {
        snap.services.iter_mut().flatten().for_each(|svc| svc.proxying.auto = svc.syn_proxy);
    });
    sim.publish(snap);
    sim
}

/// A SYN of some client: whether the proxy answered, or the server got it.
fn answered(sim: &mut Sim, client: &str, port: u16) -> bool {
    let syn = Segment { seq: C, flags: SYN, options: &LINUX, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(client, port), at(V4.vip, 80), syn));
    let seen = one(sim);
    match seen.dst == at(client, port) {
        true => assert!(seen.tcp().syn && seen.tcp().ack),
        false => assert!(seen.tcp().syn && !seen.tcp().ack && seen.dst.port() == 8080, "{seen:?}"),
    }
    seen.tcp().ack
}

#[test]
fn r17_without_load_servers_are_asked_at_once() {
    let mut sim = guarded(Auto::default());
    assert!(!answered(&mut sim, V4.client, 1));
    assert_eq!(
        (sim.conns(), counter(&sim, "SYNPROXY_PASSED_BY"), counter(&sim, "SYNPROXY_SYN_CNT")),
        (1, 1, 0)
    );
    // Nor are there cookies that an acknowledgement could carry: nobody is reset for one.
    let ack = Segment { seq: 5, ack: 6, flags: ACK, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 9), at(V4.vip, 80), ack));
    assert!(sim.sent().is_empty());
    assert_eq!(sim.drops(DropReason::NotSyn), 1);
}

#[test]
fn r17_many_syns_bring_it_on_and_calm_sends_it_off() {
    let mut sim = guarded(Auto { syn_rate: 100, half_open: 100, calm: 5, known: 0 });
    let by_proxy = (1..=300).filter(|&port| answered(&mut sim, "10.1.0.9", port)).count();
    assert_eq!(by_proxy, 201, "from the hundredth on");
    assert_eq!((sim.conns(), counter(&sim, "SYNPROXY_AUTO_ON")), (99, 1));
    let front = |sim: &Sim| sim.lcores[0].proxy_report(sim.now).services[0].standing;
    assert!(front(&sim));
    // It stays while the rate is half of that, and goes when there was less for as long as it takes.
    sim.pass(1_000);
    sim.sent();
    for second in 0..8 {
        for port in 0..50 {
            assert!(answered(&mut sim, "10.1.0.10", 1000 + second * 50 + port), "second {second}");
        }
        sim.pass(1_000);
        sim.sent();
    }
    sim.pass(6_000);
    sim.sent();
    assert!(!front(&sim));
    assert!(!answered(&mut sim, "10.1.0.11", 1));
    assert_eq!(counter(&sim, "SYNPROXY_AUTO_OFF"), 1);
}

#[test]
fn r17_handshakes_left_half_open_bring_it_on() {
    let mut sim = guarded(Auto { syn_rate: 0, half_open: 50, calm: 5, known: 0 });
    for port in 1..=100 {
        assert!(!answered(&mut sim, "10.1.0.9", port));
    }
    sim.pass(1_000);
    sim.sent();
    assert!(answered(&mut sim, "10.1.0.9", 999));
}

#[test]
fn r17_handshakes_that_are_completed_do_not() {
    let mut sim = guarded(Auto { syn_rate: 0, half_open: 50, calm: 5, known: 0 });
    for port in 1..=100 {
        let syn = Segment { seq: C, flags: SYN, options: &PLAIN, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(V4.client, port), at(V4.vip, 80), syn));
        let server = Server { syn: one(&mut sim), at: 0 };
        server.accepts(&mut sim, &PLAIN);
        assert_eq!(numbers(&one(&mut sim)).0, R, "not shifted: the proxy has nothing to do with it");
        let ack = Segment { seq: C + 1, ack: R + 1, flags: ACK, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(V4.client, port), at(V4.vip, 80), ack));
        sim.sent();
    }
    sim.pass(1_000);
    sim.sent();
    assert!(!answered(&mut sim, "10.1.0.9", 999));
}

#[test]
fn r17_who_proved_himself_lately_passes_by_it() {
    let mut sim = guarded(Auto { syn_rate: 10, half_open: 100, calm: 60, known: 30 });
    // 10.2.0.0/24 is another neighbourhood: its clients come by the servers' network.
    for port in 1..=10 {
        answered(&mut sim, V4.client, port);
    }
    let (client, _) = Client::syn(&mut sim, V4, 100, &LINUX);
    assert!(client.proves(&mut sim).syn.tcp().syn);
    assert!(!answered(&mut sim, "10.1.0.77", 1), "a neighbour of a client that is real");
    sim.pass(31_000);
    sim.sent();
    assert!(answered(&mut sim, "10.1.0.77", 2), "half a minute later it has to prove itself again");
}

#[test]
fn r17_a_cookie_is_good_when_the_proxy_has_stepped_aside() {
    let mut sim = guarded(Auto { syn_rate: 10, half_open: 100, calm: 2, known: 0 });
    for port in 1..=10 {
        answered(&mut sim, V4.client, port);
    }
    let (client, _) = Client::syn(&mut sim, V4, 100, &LINUX);
    sim.pass(5_000);
    sim.sent();
    assert!(!answered(&mut sim, V4.client, 200));
    assert!(client.proves(&mut sim).syn.tcp().syn);
}

#[test]
fn r09_a_service_may_hold_clients_where_others_do_not() {
    for (config, service, closed) in
        [(false, Some(true), true), (true, Some(false), false), (true, None, true), (false, None, false)]
    {
        let mut sim = proxied(1, |options| options.close_client_window = config);
        let snap = with(&sim.snap, |snap| {
            snap.services.iter_mut().flatten().for_each(|svc| svc.proxying.hold = service);
        });
        sim.publish(snap);
        let (client, answer) = Client::syn(&mut sim, V4, 1, &PLAIN);
        assert_eq!(answer.tcp().window_size == 0, closed);
        let server = client.proves(&mut sim);
        server.accepts(&mut sim, &PLAIN);
        assert_eq!(sent(&mut sim).len(), 1 + usize::from(closed), "an update only where it was closed");
    }
}

#[test]
fn r20_what_happens_is_counted_by_service() {
    let mut sim = proxied(1, |config| (config.rs_other, config.reset_rate) = (0, 0));
    for names in [V4, V6] {
        let (client, _) = Client::syn(&mut sim, names, 1, &PLAIN);
        client.sends(
            &mut sim,
            Segment { seq: C + 1, ack: client.cookie.wrapping_add(5), flags: ACK, ..Segment::default() },
        );
        one(&mut sim);
    }
    let (client, _) = Client::syn(&mut sim, V6, 1, &PLAIN);
    let ack = client.cookie.wrapping_add(1);
    client.sends(&mut sim, Segment { seq: C + 1, ack, flags: ACK, payload: b"1234", options: &[] });
    let server = Server { syn: one(&mut sim), at: 0 };
    let report = sim.lcores[0].proxy_report(sim.now);
    assert_eq!((report.sessions, report.held), (1, 1));
    assert_eq!(report.held_bytes, 14 + 40 + 20 + 4);
    let of = |names: Names| {
        let svc = sim.snap.find_service(Transport::Tcp, world::ip(names.vip), 80).expect("a service");
        let told = report.services[svc.id.index()];
        assert_eq!(told.generation, svc.generation);
        (told.counters.syn, told.counters.syn_ack, told.counters.bad_ack, told.counters.ok_ack)
    };
    assert_eq!((of(V4), of(V6)), ((1, 1, 1, 0), (2, 2, 1, 1)));
    server.sends(&mut sim, Segment { seq: 0, ack: server.ack(0), flags: RST | ACK, ..Segment::default() });
    assert_eq!(counter(&sim, "SYNPROXY_RS_REFUSED"), 1);
    // What a service has counted stays in the sum when it is gone.
    let before = counter(&sim, "SYNPROXY_SYN_CNT");
    let snap = with(&sim.snap, |snap| snap.services.iter_mut().flatten().for_each(|svc| svc.generation += 1));
    sim.publish(snap);
    assert_eq!(counter(&sim, "SYNPROXY_SYN_CNT"), before);
    assert_eq!(sim.lcores[0].proxy_report(sim.now).services[0].counters.syn, 0);
}
