// SPDX-License-Identifier: Apache-2.0
//! The SYN proxy on virtual time, segment by segment, judged by an independent decoder. Tests named `rNN_` are about a numbered
//! requirement of it.
//!
//! ```text
//!   client 10.1.0.1 ── dpdk0 ── director, vip 10.1.0.100:80 ── dpdk0.102 ── servers 10.2.0.1:8080, .2:8080
//! ```

mod auto;
mod checklist;
mod example;
mod fragments;
mod numbers;
mod requirements;
#[path = "../seen/mod.rs"]
mod seen;
mod strength;
#[path = "../table/mod.rs"]
mod table;

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at};
use engine::snapshot::Snapshot;
use engine::synproxy::config::{Config, MasterKey, Reuse};
use engine::verdict::DropReason;
use model::{ConnState, Transport};
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, Seen, from_client, see, tagged};

/// Client's first sequence number.
const C: u32 = 1000;
/// Server's first sequence number.
const R: u32 = 700_000;

/// MSS 1460, SACK, timestamp 256, window scale 7: what Linux offers.
const LINUX: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7];
/// The same without timestamps.
const PLAIN: [u8; 12] = [2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7];

fn proxied(workers: u16, change: impl FnOnce(&mut Config)) -> Sim {
    let mut sim = world::sim(workers);
    let snap = with(&sim.snap, |snap| {
        snap.options.syn_proxy = Config {
            key: MasterKey(*b"a secret of ours"),
            epoch_ms: 1_767_225_610_000 - 1_000_000,
            ..Config::default()
        };
        change(&mut snap.options.syn_proxy);
        for svc in snap.services.iter_mut().flatten().filter(|svc| svc.transport == Transport::Tcp) {
            svc.syn_proxy = true;
        }
    });
    sim.publish(snap);
    sim
}

fn with(snap: &Snapshot, change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut snap = snap.clone();
    snap.version += 1;
    change(&mut snap);
    snap.index()
}

/// A client and what it knows.
#[derive(Clone, Copy)]
struct Client {
    names: Names,
    port: u16,
    at: usize,
    /// Our first sequence number.
    cookie: u32,
    /// Our timestamp, to be echoed.
    stamp: Option<u32>,
}

impl Client {
    /// Sends a SYN and hears the answer.
    fn syn(sim: &mut Sim, names: Names, port: u16, options: &[u8]) -> (Client, Seen) {
        let syn = Segment { seq: C, flags: SYN, options, payload: &[], ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(names.client, port), at(names.vip, 80), syn));
        let answer = see(&sim.sent_one());
        let tcp = answer.tcp();
        assert!(tcp.syn && tcp.ack && !tcp.rst && !tcp.fin, "{answer:?}");
        let stamp = tcp.options_iterator().flatten().find_map(|option| match option {
            etherparse::TcpOptionElement::Timestamp(value, _) => Some(value),
            _ => None,
        });
        (Client { names, port, at: 0, cookie: tcp.sequence_number, stamp }, answer)
    }

    fn frame(&self, segment: Segment) -> Vec<u8> {
        from_client(at(self.names.client, self.port), at(self.names.vip, 80), segment)
    }

    fn sends(&self, sim: &mut Sim, segment: Segment) {
        sim.receive(self.at, PORT, &self.frame(segment));
    }

    fn stamps(&self, value: u32) -> Vec<u8> {
        match self.stamp {
            Some(echo) => [&[1, 1, 8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat(),
            None => Vec::new(),
        }
    }

    /// Acknowledges the SYN-ACK, and returns the SYN that its server gets.
    fn proves(&self, sim: &mut Sim) -> Server {
        let options = self.stamps(300);
        self.sends(
            sim,
            Segment {
                seq: C + 1,
                ack: self.cookie.wrapping_add(1),
                flags: ACK,
                options: &options,
                payload: &[],
            },
        );
        Server { syn: see(&sim.sent_one()), at: 0 }
    }

    fn state(&self, sim: &Sim) -> Option<ConnState> {
        let (client, vip) = (at(self.names.client, self.port), at(self.names.vip, 80));
        sim.lcores.iter().find_map(|l| l.find_conn(Transport::Tcp, client, vip, sim.now)).map(|c| c.state)
    }
}

/// A server, known by the SYN it got.
struct Server {
    syn: Seen,
    at: usize,
}

impl Server {
    fn sends(&self, sim: &mut Sim, segment: Segment) {
        let frame = build::tcp((DIRECTOR, self.syn.dst_mac), self.syn.dst, self.syn.src, segment);
        sim.receive(self.at, PORT, &tagged(frame));
    }

    /// Its acknowledgement of `n` bytes after the SYN.
    fn ack(&self, n: u32) -> u32 {
        self.syn.tcp().sequence_number.wrapping_add(1 + n)
    }

    fn accepts(&self, sim: &mut Sim, options: &[u8]) {
        self.sends(sim, Segment { seq: R, ack: self.ack(0), flags: SYN | ACK, options, payload: &[] });
    }
}

fn sent(sim: &mut Sim) -> Vec<Seen> {
    sim.sent().iter().map(|frame| see(frame)).collect()
}

fn one(sim: &mut Sim) -> Seen {
    see(&sim.sent_one())
}

/// Sequence number, acknowledgement, and data of a segment.
fn numbers(seen: &Seen) -> (u32, u32, &[u8]) {
    (seen.tcp().sequence_number, seen.tcp().acknowledgment_number, &seen.payload)
}

/// A connection with both sides open.
fn open(sim: &mut Sim, names: Names, port: u16, offered: &[u8], answered: &[u8]) -> (Client, Server) {
    let (client, _) = Client::syn(sim, names, port, offered);
    let server = client.proves(sim);
    server.accepts(sim, answered);
    assert_eq!(numbers(&one(sim)), (server.ack(0), R + 1, &[][..]));
    (client, server)
}

fn counter(sim: &Sim, name: &str) -> u64 {
    let counted = |l: &engine::lcore::Lcore<packet::Frame>| {
        l.proxy_counters().named().find(|(counter, _)| *counter == name).map_or(0, |(_, n)| n)
    };
    sim.lcores.iter().map(counted).sum()
}

#[test]
fn six_packets_open_a_connection_and_the_server_sees_what_the_client_offered() {
    for names in [V4, V6] {
        let mut sim = proxied(1, |_| {});
        let (client, answer) = Client::syn(&mut sim, names, 40_000, &LINUX);
        assert_eq!((answer.src, answer.dst, answer.ttl), (at(names.vip, 80), at(names.client, 40_000), 64));
        assert_eq!((answer.dst_mac, answer.src_mac, answer.vlan), (CLIENT, DIRECTOR, None));
        assert_eq!(answer.tcp().acknowledgment_number, C + 1);
        let mss = if names.client == V4.client { [2, 4, 5, 0xb4] } else { [2, 4, 5, 0xa0] };
        assert_eq!(answer.options()[..4], mss);
        assert_eq!(answer.options()[4..8], [4, 2, 8, 10]);
        assert_eq!(answer.options()[12..20], [0, 0, 1, 0, 1, 3, 3, 7], "the echo, and our scale");
        assert_eq!(sim.conns(), 0);

        let server = client.proves(&mut sim);
        let syn = server.syn.tcp();
        assert_eq!((syn.syn, syn.ack, syn.acknowledgment_number), (true, false, 0));
        assert_eq!(server.syn.src.ip(), world::ip(names.laddr));
        let remembered = if names.client == V4.client { [2, 4, 5, 0xb4] } else { [2, 4, 5, 0xa0] };
        assert_eq!(server.syn.options()[..4], remembered);
        assert_eq!(server.syn.options()[4..8], [4, 2, 8, 10]);
        assert_eq!(server.syn.options()[12..20], [0, 0, 0, 0, 1, 3, 3, 7], "no echo, the client's own scale");
        assert_eq!(client.state(&sim), Some(ConnState::SynSent));

        server.accepts(&mut sim, &LINUX);
        let sixth = one(&mut sim);
        assert_eq!((sixth.dst, numbers(&sixth)), (server.syn.dst, (server.ack(0), R + 1, &[][..])));
        assert_eq!(client.state(&sim), Some(ConnState::Established));
        assert_eq!(sim.conns(), 1);
    }
}

#[test]
fn numbers_are_shifted_both_ways_as_long_as_the_connection_lives() {
    for names in [V4, V6] {
        let mut sim = proxied(1, |_| {});
        let (client, server) = open(&mut sim, names, 40_000, &PLAIN, &PLAIN);
        let k = client.cookie.wrapping_add(1);
        client
            .sends(&mut sim, Segment { seq: C + 1, ack: k, flags: ACK, payload: b"question", options: &[] });
        assert_eq!(numbers(&one(&mut sim)), (server.ack(0), R + 1, &b"question"[..]));
        server.sends(
            &mut sim,
            Segment { seq: R + 1, ack: server.ack(8), flags: ACK, payload: b"answer", options: &[] },
        );
        assert_eq!(numbers(&one(&mut sim)), (k, C + 9, &b"answer"[..]));
        // Both ends close.
        client.sends(
            &mut sim,
            Segment { seq: C + 9, ack: k.wrapping_add(6), flags: FIN | ACK, ..Segment::default() },
        );
        assert_eq!(numbers(&one(&mut sim)), (server.ack(8), R + 7, &[][..]));
        server.sends(
            &mut sim,
            Segment { seq: R + 7, ack: server.ack(9), flags: FIN | ACK, ..Segment::default() },
        );
        assert_eq!(numbers(&one(&mut sim)), (k.wrapping_add(6), C + 10, &[][..]));
        client.sends(
            &mut sim,
            Segment { seq: C + 10, ack: k.wrapping_add(7), flags: ACK, ..Segment::default() },
        );
        assert_eq!(numbers(&one(&mut sim)), (server.ack(9), R + 8, &[][..]));
        sim.pass(20_000);
        assert_eq!((sim.conns(), sim.lcores[0].held()), (0, 0));
    }
}

#[test]
fn r01_a_syn_and_a_bad_ack_leave_nothing_behind() {
    let mut sim = proxied(1, |config| config.reset_rate = 0);
    for port in 1..2000 {
        let (client, _) = Client::syn(&mut sim, V4, port, &LINUX);
        client.sends(
            &mut sim,
            Segment { seq: C + 1, ack: client.cookie.wrapping_add(2), flags: ACK, ..Segment::default() },
        );
        let reset = one(&mut sim);
        assert!(reset.tcp().rst && !reset.tcp().ack);
        assert_eq!(reset.tcp().sequence_number, client.cookie.wrapping_add(2));
        assert_eq!((reset.src, reset.dst), (at(V4.vip, 80), at(V4.client, port)));
    }
    assert_eq!((sim.conns(), sim.lcores[0].held()), (0, 0));
    assert_eq!(
        [
            counter(&sim, "SYNPROXY_SYN_CNT"),
            counter(&sim, "SYNPROXY_BAD_ACK"),
            counter(&sim, "SYNPROXY_RESET")
        ],
        [1999; 3]
    );
}

#[test]
fn r03_a_cookie_outlives_one_change_of_key() {
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &LINUX);
    let (late, _) = Client::syn(&mut sim, V4, 2, &LINUX);
    sim.pass(100_000);
    client.proves(&mut sim);
    sim.pass(20_000);
    sim.sent();
    late.sends(
        &mut sim,
        Segment {
            seq: C + 1,
            ack: late.cookie.wrapping_add(1),
            flags: ACK,
            options: &late.stamps(1),
            payload: &[],
        },
    );
    assert!(one(&mut sim).tcp().rst);
    assert_eq!(counter(&sim, "SYNPROXY_EXPIRED_ACK"), 1);
}

#[test]
fn late_cookies_count_as_bad_ones_once_nobody_is_answered_any_more() {
    let mut sim = proxied(1, |config| config.reset_rate = 1);
    let clients = [1, 2].map(|port| Client::syn(&mut sim, V4, port, &PLAIN).0);
    sim.pass(120_000);
    sim.sent();
    for client in &clients {
        let ack = client.cookie.wrapping_add(1);
        client.sends(&mut sim, Segment { seq: C + 1, ack, flags: ACK, options: &[], payload: &[] });
    }
    assert_eq!(sim.sent().len(), 1, "one reset a second");
    let counted = ["SYNPROXY_EXPIRED_ACK", "SYNPROXY_BAD_ACK", "SYNPROXY_LIMITED", "SYNPROXY_RESET"];
    assert_eq!(counted.map(|name| counter(&sim, name)), [1, 1, 1, 1]);
}

#[test]
fn r05_scale_zero_and_none_are_told_apart() {
    for (offered, expected) in [(&[2u8, 4, 5, 0xb4, 1, 3, 3, 0][..], Some(0)), (&[2, 4, 5, 0xb4][..], None)] {
        let mut sim = proxied(1, |_| {});
        let (client, answer) = Client::syn(&mut sim, V4, 1, offered);
        let scale = |seen: &Seen| {
            seen.tcp().options_iterator().flatten().find_map(|option| match option {
                etherparse::TcpOptionElement::WindowScale(shift) => Some(shift),
                _ => None,
            })
        };
        assert_eq!(scale(&answer), expected.map(|_| 7));
        assert_eq!(scale(&client.proves(&mut sim).syn), expected);
    }
}

#[test]
fn r06_windows_are_scaled_anew_when_the_server_uses_another_shift_and_the_next_minute_announces_it() {
    let mut sim = proxied(1, |_| {});
    let nine = [2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 9];
    let (client, server) = open(&mut sim, V4, 1, &PLAIN, &nine);
    // 64240 << 9 does not fit what 16 bits << 7 can say: as much as can be said.
    server
        .sends(&mut sim, Segment { seq: R + 1, ack: server.ack(0), flags: ACK, payload: b"x", options: &[] });
    assert_eq!(one(&mut sim).tcp().window_size, 65_535);
    let _ = client;
    let (_, answer) = Client::syn(&mut sim, V4, 2, &PLAIN);
    assert_eq!(answer.options()[8..], [1, 3, 3, 7], "the same all through the minute");
    sim.pass(60_000);
    let (third, answer) = Client::syn(&mut sim, V4, 3, &PLAIN);
    assert_eq!(answer.options()[8..], [1, 3, 3, 9]);
    // Five: 64240 << 5 is 64240 >> 4 in units of 1 << 9.
    let server = third.proves(&mut sim);
    server.accepts(&mut sim, &[2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 5]);
    one(&mut sim);
    server
        .sends(&mut sim, Segment { seq: R + 1, ack: server.ack(0), flags: ACK, payload: b"x", options: &[] });
    assert_eq!(one(&mut sim).tcp().window_size, 64_240 >> 4);
}

#[test]
fn r06_a_server_without_scaling_gets_windows_it_understands() {
    let mut sim = proxied(1, |_| {});
    let (client, server) = open(&mut sim, V4, 1, &PLAIN, &[2, 4, 5, 0xb4]);
    client.sends(
        &mut sim,
        Segment { seq: C + 1, ack: client.cookie.wrapping_add(1), flags: ACK, payload: b"x", options: &[] },
    );
    assert_eq!(one(&mut sim).tcp().window_size, 65_535);
    server
        .sends(&mut sim, Segment { seq: R + 1, ack: server.ack(1), flags: ACK, payload: b"x", options: &[] });
    assert_eq!(one(&mut sim).tcp().window_size, 64_240 >> 7);
}

/// The timestamps of a segment.
fn stamps(seen: &Seen) -> Option<(u32, u32)> {
    seen.tcp().options_iterator().flatten().find_map(|option| match option {
        etherparse::TcpOptionElement::Timestamp(value, echo) => Some((value, echo)),
        _ => None,
    })
}

#[test]
fn r07_timestamps_are_consistent_end_to_end() {
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &LINUX);
    let ours = client.stamp.expect("timestamps are agreed on");
    let server = client.proves(&mut sim);
    let (told, _) = stamps(&server.syn).expect("the server is offered timestamps");
    let answered =
        |value: u32, echo: u32| [&[1, 1, 8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat();
    let accept = [&[2, 4, 5, 0xb4][..], &answered(9_000_000, told)].concat();
    server.accepts(&mut sim, &accept);
    // The server hears its own timestamp echoed, and the client's clock as it heard it in the SYN.
    assert_eq!(stamps(&one(&mut sim)), Some((told, 9_000_000)));
    // Seven milliseconds later at the server: seven after ours at the client. The client hears its own clock.
    let data = Segment {
        seq: R + 1,
        ack: server.ack(0),
        flags: ACK,
        options: &answered(9_000_007, told + 4),
        payload: b"x",
    };
    server.sends(&mut sim, data);
    assert_eq!(stamps(&one(&mut sim)), Some((ours + 7, 304)));
    let back = [&[1, 1, 8, 10][..], &310u32.to_be_bytes(), &(ours + 7).to_be_bytes()].concat();
    client.sends(
        &mut sim,
        Segment { seq: C + 1, ack: client.cookie.wrapping_add(2), flags: ACK, options: &back, payload: b"y" },
    );
    assert_eq!(stamps(&one(&mut sim)), Some((told + 10, 9_000_007)));
}

#[test]
fn r07_timestamps_the_server_declines_are_declined_to_later_clients() {
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &LINUX);
    let server = client.proves(&mut sim);
    server.accepts(&mut sim, &PLAIN);
    assert_eq!(stamps(&one(&mut sim)), None, "nothing half: taken out on the way to the server");
    // From the very next client on, and as long as servers do not say otherwise.
    for wait in [0, 60_000] {
        sim.pass(wait);
        let (_, answer) = Client::syn(&mut sim, V4, 2, &LINUX);
        assert_eq!(stamps(&answer), None);
    }
}

#[test]
fn r08_selective_acknowledgements_are_shifted_both_ways() {
    let mut sim = proxied(1, |_| {});
    let (client, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
    let block = |low: u32, high: u32| [&[1, 1, 5, 10][..], &low.to_be_bytes(), &high.to_be_bytes()].concat();
    let edges = |seen: &Seen| {
        let options = seen.options();
        assert_eq!(options[..4], [1, 1, 5, 10]);
        let number = |at: usize| u32::from_be_bytes(options[at..at + 4].try_into().expect("four bytes"));
        (number(4), number(8))
    };
    let k = client.cookie;
    let told = block(k.wrapping_add(101), k.wrapping_add(201));
    client.sends(
        &mut sim,
        Segment { seq: C + 1, ack: k.wrapping_add(1), flags: ACK, options: &told, payload: &[] },
    );
    assert_eq!(edges(&one(&mut sim)), (R + 101, R + 201));
    let told = block(server.ack(100), server.ack(200));
    server.sends(
        &mut sim,
        Segment { seq: R + 1, ack: server.ack(0), flags: ACK, options: &told, payload: &[] },
    );
    assert_eq!(edges(&one(&mut sim)), (C + 101, C + 201));
}

#[test]
fn r09_a_window_held_closed_is_probed_and_opened_once() {
    let mut sim = proxied(1, |config| config.close_client_window = true);
    let (client, answer) = Client::syn(&mut sim, V4, 1, &LINUX);
    assert_eq!(answer.tcp().window_size, 0);
    let server = client.proves(&mut sim);
    let k = client.cookie.wrapping_add(1);
    let options = client.stamps(301);
    client.sends(&mut sim, Segment { seq: C + 1, ack: k, flags: ACK, payload: b"p", options: &options });
    let probed = one(&mut sim);
    assert_eq!((numbers(&probed), probed.tcp().window_size), ((k, C + 1, &[][..]), 0));
    assert_eq!(stamps(&probed), client.stamp.map(|ours| (ours, 301)));
    let mut accept = LINUX;
    accept[11] = 1;
    server.accepts(&mut sim, &accept);
    // The client's Ethernet address had to be asked for: the way of the answer is no proof of the way back.
    let [sixth, update] = &sent(&mut sim)[..] else { panic!("two segments") };
    assert_eq!((update.dst, numbers(update)), (at(V4.client, 1), (k, C + 1, &[][..])));
    assert_eq!(update.tcp().window_size, 64_240 >> 7);
    assert_eq!((sixth.dst, numbers(sixth)), (server.syn.dst, (server.ack(0), R + 1, &[][..])));
}

#[test]
fn r10_what_a_client_sends_early_is_kept_in_order_within_bounds() {
    let mut sim = proxied(1, |config| config.max_ack_saved = 3);
    let (client, answer) = Client::syn(&mut sim, V4, 1, &PLAIN);
    assert_eq!(answer.tcp().window_size, 3 * 1460, "no more may come than is kept");
    let k = client.cookie.wrapping_add(1);
    // The acknowledgement itself was lost: the first data prove as much.
    client.sends(&mut sim, Segment { seq: C + 1, ack: k, flags: ACK, payload: b"one", options: &[] });
    let server = Server { syn: one(&mut sim), at: 0 };
    for (seq, payload) in [(4, b"two"), (7, b"thr"), (10, b"fou")] {
        client.sends(&mut sim, Segment { seq: C + seq, ack: k, flags: ACK, payload, options: &[] });
    }
    assert_eq!(sim.lcores[0].held(), 3);
    assert_eq!((counter(&sim, "SYNPROXY_SYNSEND_QLEN"), sim.drops(DropReason::SynProxyQueue)), (1, 1));
    server.accepts(&mut sim, &PLAIN);
    let data: Vec<_> = sent(&mut sim)
        .iter()
        .map(|seen| (seen.tcp().sequence_number.wrapping_sub(server.ack(0)), seen.payload.clone()))
        .collect();
    assert_eq!(data, [(0, b"one".to_vec()), (3, b"two".to_vec()), (6, b"thr".to_vec())]);
    assert_eq!(sim.lcores[0].held(), 0);
}

#[test]
fn r11_a_server_that_speaks_first_is_heard_at_once() {
    let mut sim = proxied(1, |_| {});
    let (client, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
    server.sends(
        &mut sim,
        Segment { seq: R + 1, ack: server.ack(0), flags: ACK, payload: b"220 ready", options: &[] },
    );
    assert_eq!(numbers(&one(&mut sim)), (client.cookie.wrapping_add(1), C + 1, &b"220 ready"[..]));
}

#[test]
fn r11_deferring_waits_for_data_and_says_so_in_a_counter() {
    let mut sim = proxied(1, |config| config.defer_rs_syn = true);
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let k = client.cookie.wrapping_add(1);
    client.sends(&mut sim, Segment { seq: C + 1, ack: k, flags: ACK, ..Segment::default() });
    assert!(sim.sent().is_empty());
    assert_eq!((counter(&sim, "SYNPROXY_NULL_ACK"), sim.conns()), (1, 0));
    client.sends(&mut sim, Segment { seq: C + 1, ack: k, flags: ACK, payload: b"hello", options: &[] });
    assert!(one(&mut sim).tcp().syn);
}

#[test]
fn r12_a_silent_server_is_asked_again_with_growing_pauses_and_then_the_client_is_told() {
    let mut sim = proxied(1, |config| config.rs_other = 0);
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let first = client.proves(&mut sim).syn;
    let mut asked = Vec::new();
    let mut reset = None;
    for quarter in 1..100 {
        sim.pass(250);
        for frame in sim.sent() {
            // Questions for the silent server's Ethernet address are no segments.
            if frame[12..14] == [8, 6] || frame[16..18] == [8, 6] {
                continue;
            }
            let seen = see(&frame);
            match seen.tcp().rst {
                true => reset = Some((quarter, seen)),
                false => {
                    assert_eq!(numbers(&seen), numbers(&first));
                    asked.push(quarter);
                }
            }
        }
    }
    // One, two and four seconds apart, up to a second later for the spread of timers.
    let gaps: Vec<u32> = std::iter::once(&0).chain(&asked).zip(&asked).map(|(a, b)| b - a).collect();
    assert!(matches!(gaps[..], [4..=8, 8..=12, 16..=20]), "{gaps:?}");
    let (when, reset) = reset.expect("the client is told");
    assert!((32..=36).contains(&(when - asked[2])), "{when} {asked:?}");
    assert_eq!(
        (reset.dst, numbers(&reset)),
        (at(V4.client, 1), (client.cookie.wrapping_add(1), C + 1, &[][..]))
    );
    assert_eq!((sim.conns(), sim.lcores[0].held()), (0, 0));
    assert_eq!((counter(&sim, "SYNPROXY_RS_ERROR"), counter(&sim, "SYNPROXY_RS_TIMEOUT")), (3, 1));
}

#[test]
fn r12_a_refusing_server_becomes_the_clients_reset() {
    let mut sim = proxied(1, |config| config.rs_other = 0);
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let server = client.proves(&mut sim);
    server.sends(&mut sim, Segment { seq: 0, ack: server.ack(0), flags: RST | ACK, ..Segment::default() });
    let reset = one(&mut sim);
    assert!(reset.tcp().rst);
    assert_eq!(
        (reset.dst, numbers(&reset)),
        (at(V4.client, 1), (client.cookie.wrapping_add(1), C + 1, &[][..]))
    );
    assert_eq!((counter(&sim, "SYNPROXY_RS_REFUSED"), sim.lcores[0].held()), (1, 0));
    assert_eq!(client.state(&sim), Some(ConnState::Close));
}

#[test]
fn r12_another_server_is_asked_in_place_of_one_that_refuses_or_is_silent() {
    for names in [V4, V6] {
        for refuses in [true, false] {
            let mut sim = proxied(1, |config| config.rs_syn_max_retry = 0);
            let (client, _) = Client::syn(&mut sim, names, 1, &PLAIN);
            let k = client.cookie.wrapping_add(1);
            client.sends(&mut sim, Segment { seq: C + 1, ack: k, flags: ACK, payload: b"q", options: &[] });
            let first = Server { syn: one(&mut sim), at: 0 };
            match refuses {
                true => first.sends(
                    &mut sim,
                    Segment { seq: 0, ack: first.ack(0), flags: RST | ACK, ..Segment::default() },
                ),
                false => sim.pass(2_500),
            }
            let second = Server { syn: one(&mut sim), at: 0 };
            assert!(second.syn.tcp().syn, "the client hears nothing of it");
            assert_ne!(second.syn.dst, first.syn.dst);
            assert_eq!(second.syn.options(), first.syn.options());
            // An answer of the first one comes too late.
            first.accepts(&mut sim, &PLAIN);
            assert!(sim.sent().is_empty());
            second.accepts(&mut sim, &PLAIN);
            assert_eq!(
                numbers(&one(&mut sim)),
                (second.ack(0), R + 1, &b"q"[..]),
                "what the client sent waited"
            );
            assert_eq!((sim.conns(), counter(&sim, "SYNPROXY_RS_OTHER")), (1, 1));
            second.sends(
                &mut sim,
                Segment { seq: R + 1, ack: second.ack(1), flags: ACK, payload: b"a", options: &[] },
            );
            assert_eq!(numbers(&one(&mut sim)), (k, C + 2, &b"a"[..]));
        }
    }
}

#[test]
fn r12_no_more_servers_are_asked_than_may_be() {
    let mut sim = proxied(1, |config| config.rs_other = 1);
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let mut server = client.proves(&mut sim);
    for _ in 0..2 {
        server
            .sends(&mut sim, Segment { seq: 0, ack: server.ack(0), flags: RST | ACK, ..Segment::default() });
        server = Server { syn: one(&mut sim), at: 0 };
    }
    assert!(server.syn.tcp().rst, "the client is told");
    assert_eq!(server.syn.dst, at(V4.client, 1));
    assert_eq!((counter(&sim, "SYNPROXY_RS_REFUSED"), counter(&sim, "SYNPROXY_RS_OTHER")), (2, 1));
}

#[test]
fn a_blind_reset_ends_nothing_and_a_true_one_does() {
    for (from_server, true_one) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut sim = proxied(1, |_| {});
        let (client, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
        let off = if true_one { 0 } else { 0x7000_0000 };
        match from_server {
            true => server.sends(
                &mut sim,
                Segment { seq: (R + 1).wrapping_add(off), flags: RST, ..Segment::default() },
            ),
            false => client.sends(&mut sim, Segment { seq: C + 1 + off, flags: RST, ..Segment::default() }),
        }
        assert_eq!(sim.sent().len(), usize::from(true_one));
        assert_eq!(counter(&sim, "SYNPROXY_BAD_RESET"), u64::from(!true_one));
        assert_eq!(sim.drops(DropReason::SynProxyReset), u64::from(!true_one));
        let expected = if true_one { ConnState::Close } else { ConnState::Established };
        assert_eq!(client.state(&sim), Some(expected));
    }
}

#[test]
fn answers_to_earlier_connections_do_not_open_ours() {
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let server = client.proves(&mut sim);
    for flags in [ACK, SYN | ACK, RST | ACK] {
        server.sends(&mut sim, Segment { seq: 5, ack: server.ack(77), flags, ..Segment::default() });
    }
    assert!(sim.sent().is_empty());
    assert_eq!(sim.drops(DropReason::SynProxyServer), 3);
    server.accepts(&mut sim, &PLAIN);
    assert_eq!(numbers(&one(&mut sim)), (server.ack(0), R + 1, &[][..]));
}

#[test]
fn r13_the_same_acknowledgement_again_opens_nothing_more() {
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let server = client.proves(&mut sim);
    let again = Segment { seq: C + 1, ack: client.cookie.wrapping_add(1), flags: ACK, ..Segment::default() };
    client.sends(&mut sim, again);
    assert!(sim.sent().is_empty());
    assert_eq!((sim.conns(), sim.lcores[0].held()), (1, 1));
    server.accepts(&mut sim, &PLAIN);
    one(&mut sim);
    client.sends(&mut sim, again);
    assert_eq!(numbers(&one(&mut sim)), (server.ack(0), R + 1, &[][..]));
    assert_eq!((sim.conns(), counter(&sim, "SYNPROXY_OK_ACK")), (1, 1));
}

#[test]
fn r14_answers_are_bounded_and_never_longer_than_the_question() {
    let mut sim = proxied(1, |config| (config.synack_rate, config.reset_rate) = (5, 3));
    let mut answered = 0;
    for port in 1..=20 {
        let frame = from_client(
            at(V4.client, port),
            at(V4.vip, 80),
            Segment { seq: C, flags: SYN, options: &LINUX, payload: b"fast open", ..Segment::default() },
        );
        sim.receive(0, PORT, &frame);
        let sent = sim.sent();
        answered += sent.len();
        assert!(sent.iter().all(|answer| answer.len() <= frame.len()));
    }
    assert_eq!((answered, sim.drops(DropReason::SynProxyLimited)), (5, 15));
    for port in 1..=20 {
        let ack = Segment { seq: 5, ack: 6, flags: ACK, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(V4.client, port), at(V4.vip, 80), ack));
    }
    assert_eq!((sim.sent().len(), sim.drops(DropReason::SynProxyBadAck)), (3, 17));
    // A bare SYN gets an answer of the same length: no option fits.
    sim.pass(10_000);
    let bare =
        from_client(at(V4.client, 1), at(V4.vip, 80), Segment { seq: C, flags: SYN, ..Segment::default() });
    sim.receive(0, PORT, &bare);
    assert_eq!(sim.sent_one().len(), bare.len());
}

#[test]
fn r14_a_service_without_the_proxy_resets_nobody() {
    let mut sim = world::sim(1);
    let ack = Segment { seq: 5, ack: 6, flags: ACK, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 1), at(V4.vip, 80), ack));
    assert!(sim.sent().is_empty());
    assert_eq!(sim.drops(DropReason::NotSyn), 1);
}

#[test]
fn r15_garbage_is_dropped_by_name() {
    let mut sim = proxied(1, |_| {});
    let syn = Segment { seq: C, flags: SYN, ..Segment::default() };
    let frame = |src: &str, sport, dport, segment| from_client(at(src, sport), at(V4.vip, dport), segment);
    let mut wrong = frame(V4.client, 1, 80, syn);
    *wrong.last_mut().expect("bytes") ^= 1;
    for (frame, reason) in [
        (wrong, DropReason::L4Checksum),
        (frame(V4.client, 1, 80, Segment { flags: SYN | FIN, ..syn }), DropReason::BadFlags),
        (frame(V4.client, 1, 80, Segment { flags: SYN | RST, ..syn }), DropReason::BadFlags),
        (frame(V4.client, 0, 80, syn), DropReason::PortZero),
        (frame(V4.vip, 80, 80, syn), DropReason::OwnSource),
        (frame("224.0.0.1", 1, 80, syn), DropReason::Martian),
    ] {
        let before = sim.drops(reason);
        sim.receive(0, PORT, &frame);
        assert!(sim.sent().is_empty(), "{reason:?}");
        assert_eq!(sim.drops(reason), before + 1, "{reason:?}");
    }
    assert_eq!(counter(&sim, "SYNPROXY_SYN_ACK"), 0);
}

#[test]
fn r18_a_new_handshake_replaces_a_closing_connection() {
    for (allowed, replaced) in
        [(Reuse::default(), true), (Reuse { time_wait: false, ..Reuse::default() }, false)]
    {
        let mut sim = proxied(1, |config| config.reuse = allowed);
        let (old, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
        let k = old.cookie.wrapping_add(1);
        old.sends(&mut sim, Segment { seq: C + 1, ack: k, flags: FIN | ACK, ..Segment::default() });
        server.sends(
            &mut sim,
            Segment { seq: R + 1, ack: server.ack(1), flags: FIN | ACK, ..Segment::default() },
        );
        sim.sent();
        assert_eq!(old.state(&sim), Some(ConnState::TimeWait));
        // The same ports again, with another first sequence number.
        let syn = Segment { seq: 50_000, flags: SYN, options: &PLAIN, ..Segment::default() };
        old.sends(&mut sim, syn);
        let cookie = one(&mut sim).tcp().sequence_number;
        old.sends(
            &mut sim,
            Segment { seq: 50_001, ack: cookie.wrapping_add(1), flags: ACK, ..Segment::default() },
        );
        let next = one(&mut sim);
        assert_eq!(next.tcp().syn, replaced);
        assert_eq!(counter(&sim, "SYNPROXY_CONN_REUSED_TIMEWAIT"), u64::from(replaced));
        assert_eq!(sim.conns(), 1);
    }
}

#[test]
fn r19_unknown_options_are_left_out_and_signatures_refused() {
    let mut sim = proxied(1, |_| {});
    // Fast Open with a cookie, and MP_CAPABLE.
    let options = [2, 4, 5, 0xb4, 34, 6, 1, 2, 3, 4, 30, 4, 0, 1, 1, 1];
    let syn = Segment { seq: C, flags: SYN, options: &options, payload: b"early", ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 1), at(V4.vip, 80), syn));
    let answer = one(&mut sim);
    assert_eq!(
        (answer.options(), numbers(&answer).1),
        (&[2, 4, 5, 0xb4][..], C + 1),
        "data of a SYN are not acknowledged"
    );
    let mut md5 = [0; 20];
    md5[..2].copy_from_slice(&[19, 18]);
    let syn = Segment { seq: C, flags: SYN, options: &md5, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 1), at(V4.vip, 80), syn));
    assert!(sim.sent().is_empty());
    assert_eq!(sim.drops(DropReason::SynProxyOption), 1);
}

#[test]
fn a_service_whose_servers_all_weigh_nothing_answers_nobody() {
    let mut sim = proxied(1, |_| {});
    let snap = with(&sim.snap, |snap| snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = 0));
    sim.publish(snap);
    let syn = Segment { seq: C, flags: SYN, options: &LINUX, ..Segment::default() };
    sim.receive(0, PORT, &from_client(at(V4.client, 1), at(V4.vip, 80), syn));
    assert!(sim.sent().is_empty());
    assert_eq!((counter(&sim, "SYNPROXY_NO_DEST"), sim.drops(DropReason::NoDest)), (1, 1));
}

#[test]
fn equal_acknowledgements_without_end_are_stopped() {
    let mut sim = proxied(1, |config| config.ack_storm_thresh = 10);
    let (_, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
    let ack = Segment { seq: R + 1, ack: server.ack(0), flags: ACK, ..Segment::default() };
    for _ in 0..20 {
        server.sends(&mut sim, ack);
    }
    assert_eq!((sim.sent().len(), counter(&sim, "SYNPROXY_ACK_STORM")), (11, 9));
    server.sends(&mut sim, Segment { payload: b"x", ..ack });
    assert_eq!(sim.sent().len(), 1);
}

#[test]
fn two_workers_find_the_connection_wherever_packets_come_in() {
    for (client_at, server_at) in [(0, 1), (1, 0), (1, 1)] {
        let mut sim = proxied(2, |_| {});
        let (client, _) = Client::syn(&mut sim, V4, 1, &LINUX);
        let client = Client { at: client_at, ..client };
        let server = Server { at: server_at, ..client.proves(&mut sim) };
        server.accepts(&mut sim, &LINUX);
        assert_eq!(numbers(&one(&mut sim)), (server.ack(0), R + 1, &[][..]));
        server.sends(
            &mut sim,
            Segment { seq: R + 1, ack: server.ack(0), flags: ACK, payload: b"x", options: &[] },
        );
        assert_eq!(numbers(&one(&mut sim)), (client.cookie.wrapping_add(1), C + 1, &b"x"[..]));
    }
}

#[test]
fn a_client_whose_packets_change_workers_keeps_its_connection() {
    for workers in [2, 4] {
        for lands in 1..workers {
            let mut sim = proxied(workers, |_| {});
            let (client, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
            let moved = Client { at: usize::from(lands), ..client };
            let ack = client.cookie.wrapping_add(1);
            moved.sends(&mut sim, Segment { seq: C + 1, ack, flags: ACK, payload: b"moved", options: &[] });
            assert_eq!(numbers(&one(&mut sim)), (server.ack(0), R + 1, &b"moved"[..]));
            // What belongs to nobody is reset once all have been asked, and counted once.
            let stranger = Segment { seq: 5, ack: 6, flags: ACK, ..Segment::default() };
            let frame = from_client(at(V4.client, 77), at(V4.vip, 80), stranger);
            sim.receive(usize::from(lands), PORT, &frame);
            assert!(one(&mut sim).tcp().rst);
            assert_eq!(counter(&sim, "SYNPROXY_BAD_ACK"), 1);
        }
    }
}

#[test]
fn a_tagged_syn_is_answered_with_its_tag() {
    let mut sim = proxied(1, |_| {});
    let syn = Segment { seq: C, flags: SYN, options: &LINUX, ..Segment::default() };
    let frame = from_client(at("10.2.0.9", 1), at(V4.vip, 80), syn);
    sim.receive(0, PORT, &tagged(frame));
    let answer = one(&mut sim);
    assert_eq!((answer.vlan, answer.dst_mac, answer.dst), (Some(102), CLIENT, at("10.2.0.9", 1)));
}
