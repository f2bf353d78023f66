// SPDX-License-Identifier: Apache-2.0
//! Errors in every forwarding mode, about every protocol, in both families and both directions, with and without SYN proxy: whoever sent the
//! packet finds it in the quote as it was, one hop older, whatever the director had made of it.
//!
//! ```text
//!   requester ── request ──> director ── forwarded ──> router: an error quotes forwarded, the requester hears of request
//!             <─── back ────          <─── answer ────
//!   router: an error quotes back, the other side hears of answer
//! ```
//!
//! Not in the table, because there is no such thing: with direct routing and tunnels answers do not pass the director, so that no error can
//! quote what it made of them; SNAT and 6 to 4 have the families they have, and the SYN proxy is for TCP whose answers come back.

use std::net::{IpAddr, SocketAddr};

use engine::conn::Tuple;
use engine::forward::Forwarding;
use engine::forward::snat::Rule;
use engine::ids::{LcoreId, LinkId};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::snapshot::Snapshot;
use engine::steer::{KEY_LEN, Rss};
use engine::verdict::DropReason;
use model::rule::EndpointRange;
use model::{Transport, TunnelKind};
use packet::build::{self, Segment};
use proptest::prelude::*;

use super::seen::{ACK, SYN, tagged};
use super::{error, error_seen, hop_older, ip_of};

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    Tcp,
    ProxiedTcp,
    Udp,
    Sctp,
    Icmp,
}

const ALL: [Inside; 5] = [Inside::Tcp, Inside::ProxiedTcp, Inside::Udp, Inside::Sctp, Inside::Icmp];

/// How packets reach the other side.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub forwarding: Forwarding,
    pub inside: Inside,
    /// Where requests come from.
    pub near: Names,
    /// Where they go.
    pub far: Names,
    pub workers: u16,
    /// The device spreads packets by their ports, and the director knows how.
    pub rss: bool,
}

impl Case {
    /// UDP, one worker.
    pub fn simple(forwarding: Forwarding, near: Names, far: Names) -> Case {
        Case { forwarding, inside: Inside::Udp, near, far, workers: 1, rss: false }
    }
}

impl Case {
    fn transport(&self) -> Transport {
        match self.inside {
            Inside::Tcp | Inside::ProxiedTcp => Transport::Tcp,
            Inside::Udp => Transport::Udp,
            Inside::Sctp => Transport::Sctp,
            Inside::Icmp if is_v4(self.near) => Transport::Icmp,
            Inside::Icmp => Transport::Icmpv6,
        }
    }

    fn port(&self) -> u16 {
        if self.inside == Inside::Icmp { 0 } else { 80 }
    }

    /// Where requests come from and go to.
    fn requests(&self) -> (SocketAddr, SocketAddr) {
        match self.snat() {
            true => (at(self.near.servers[0], 40_000), at(self.near.client, 80)),
            false => (at(self.near.client, 40_000), at(self.near.vip, 80)),
        }
    }

    fn snat(&self) -> bool {
        self.forwarding == Forwarding::Snat
    }

    /// One service, or rule, with one server.
    pub fn snapshot(&self) -> Snapshot {
        let mut snap = world::snapshot();
        let (near, far) = (self.near, self.far);
        for svc in &mut snap.services {
            let Some(kept) =
                svc.as_mut().filter(|s| s.transport == Transport::Udp && s.vip.ip() == ip(near.vip))
            else {
                *svc = None;
                continue;
            };
            kept.transport = self.transport();
            kept.vip.set_port(self.port());
            kept.dests.truncate(1);
            kept.laddrs = vec![ip(far.laddr)];
            kept.syn_proxy = self.inside == Inside::ProxiedTcp;
            let dest = snap.dests[kept.dests[0].index()].as_mut().expect("it is there");
            (dest.forwarding, dest.addr) = (self.forwarding, at(far.servers[0], self.port()));
            if self.snat() {
                dest.addr = at(near.own, 0);
                kept.rule = Some(Rule {
                    six: !is_v4(near),
                    src: Some(EndpointRange {
                        first: ip(near.servers[0]),
                        last: ip(near.servers[1]),
                        first_port: 0,
                        last_port: 0,
                    }),
                    dst: None,
                    iif: Some(LinkId(1)),
                    oif: Some(LinkId(0)),
                });
            }
        }
        if self.rss {
            snap.ports[0].rss = self.device();
        }
        snap.index()
    }

    fn device(&self) -> Option<Rss> {
        let workers = (0..128).map(|n| LcoreId(n % self.workers)).collect();
        Rss::new(&std::array::from_fn::<u8, KEY_LEN, _>(|n| (n * 91 + 57) as u8), workers)
    }

    pub fn sim(&self) -> Sim {
        let mut sim = world::sim(self.workers);
        sim.publish(self.snapshot());
        sim
    }

    /// A frame of the near side, or of the far one.
    pub fn side(&self, near: bool, frame: Vec<u8>) -> Vec<u8> {
        if near == self.snat() { tagged(frame) } else { frame }
    }
}

pub fn is_v4(names: Names) -> bool {
    names.client == V4.client
}

/// Where a packet of TCP, UDP or SCTP comes from and goes to; of a query, the identifier stands for both ports.
fn ends(packet: &[u8]) -> (SocketAddr, SocketAddr) {
    let (src, dst, l4): (IpAddr, IpAddr, &[u8]) = if packet[0] >> 4 == 4 {
        let addr = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).expect("four"));
        (addr(12), addr(16), &packet[20..])
    } else {
        let addr = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).expect("sixteen"));
        (addr(8), addr(24), &packet[40..])
    };
    let word = |at: usize| u16::from_be_bytes([l4[at], l4[at + 1]]);
    let query = matches!(if packet[0] >> 4 == 4 { packet[9] } else { packet[6] }, 1 | 58);
    if query {
        return ((src, word(4)).into(), (dst, word(4)).into());
    }
    ((src, word(0)).into(), (dst, word(2)).into())
}

fn seq_of(packet: &[u8]) -> u32 {
    let at = if packet[0] >> 4 == 4 { 24 } else { 44 };
    u32::from_be_bytes(packet[at..at + 4].try_into().expect("four"))
}

/// An echo reply.
fn pong(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let (kind, proto) = if from.is_ipv4() { (0, 1) } else { (129, 58) };
    let message = [&[kind, 0, 0, 0][..], &from.port().to_be_bytes(), &[0, 1], payload].concat();
    build::ip((DIRECTOR, server_mac(1)), from.ip(), to.ip(), proto, message, Some(2))
}

/// What was sent and what became of it, as IP packets: request, forwarded, answer, back.
pub fn exchange(sim: &mut Sim, case: &Case, worker: usize, payload: &[u8]) -> [Vec<u8>; 4] {
    let (from, to) = case.requests();
    let near_mac = if case.snat() { server_mac(1) } else { CLIENT };
    let far_mac = if case.snat() { CLIENT } else { server_mac(1) };
    let (near, far) = ((DIRECTOR, near_mac), (DIRECTOR, far_mac));
    let one = |sim: &mut Sim, is_near: bool, frame: Vec<u8>| {
        sim.receive(worker, PORT, &case.side(is_near, frame));
        ip_of(&sim.sent_one())
    };
    match case.inside {
        Inside::Udp | Inside::Sctp | Inside::Icmp => {
            let request = match case.inside {
                Inside::Udp => build::udp(near, from, to, payload),
                Inside::Sctp => build::sctp(near, from, to, 7, &INIT),
                _ => build::echo(near, from.ip(), to.ip(), from.port(), 1, payload),
            };
            let forwarded = one(sim, true, request.clone());
            let (src, dst) = ends(&forwarded);
            let answer = match case.inside {
                Inside::Udp => build::udp(far, dst, src, payload),
                Inside::Sctp => build::sctp(far, dst, src, 9, &INIT_ACK),
                _ => pong(dst, src, payload),
            };
            let back = one(sim, false, answer.clone());
            [ip_of(&request), forwarded, ip_of(&answer), back]
        }
        Inside::Tcp | Inside::ProxiedTcp => {
            let syn = Segment { seq: 1000, flags: SYN, ..Segment::default() };
            let mut first = one(sim, true, build::tcp(near, from, to, syn));
            let mut client = Segment { seq: 1001, ack: 0, flags: ACK, ..Segment::default() };
            if case.inside == Inside::ProxiedTcp {
                // That was the answer with the cookie.
                client.ack = seq_of(&first).wrapping_add(1);
                first = one(sim, true, build::tcp(near, from, to, client));
            } else {
                client.ack = 5001;
            }
            let (src, dst) = ends(&first);
            let server = Segment {
                seq: 5000,
                ack: seq_of(&first).wrapping_add(1),
                flags: SYN | ACK,
                ..Segment::default()
            };
            sim.receive(worker, PORT, &case.side(false, build::tcp(far, dst, src, server)));
            sim.sent();
            let request = build::tcp(near, from, to, Segment { payload, ..client });
            let forwarded = one(sim, true, request.clone());
            let heard = server.ack.wrapping_add(payload.len() as u32);
            let answer =
                build::tcp(far, dst, src, Segment { seq: 5001, ack: heard, flags: ACK, payload, ..server });
            let back = one(sim, false, answer.clone());
            [ip_of(&request), forwarded, ip_of(&answer), back]
        }
    }
}

const INIT: [u8; 20] = [1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 5];
const INIT_ACK: [u8; 4] = [2, 0, 0, 4];

/// An error: type and code, and the rest of its header.
type Said = ([u8; 2], u32);

/// What routers of IPv4 say, and what that is in IPv6.
const OF_IPV4: [(Said, Option<Said>); 7] = [
    (([3, 1], 0), Some(([1, 0], 0))),
    (([3, 3], 0), Some(([1, 4], 0))),
    (([3, 4], 1300), Some(([2, 0], 1320))),
    (([3, 13], 0), Some(([1, 1], 0))),
    (([11, 0], 0), Some(([3, 0], 0))),
    (([12, 0], 9 << 24), Some(([4, 0], 6))),
    (([4, 0], 0), None),
];

/// What routers of IPv6 say, and what that is in IPv4.
const OF_IPV6: [(Said, Option<Said>); 6] = [
    (([1, 0], 0), Some(([3, 1], 0))),
    (([1, 4], 0), Some(([3, 3], 0))),
    (([2, 0], 1300), Some(([3, 4], 1280))),
    (([3, 0], 0), Some(([11, 0], 0))),
    (([4, 0], 7), Some(([12, 0], 8 << 24))),
    (([4, 2], 40), None),
];

/// Errors about `about`, and what its sender, who sent `original`, hears of them.
fn hear(sim: &mut Sim, case: &Case, near_sent: bool, worker: usize, about: &[u8], original: &[u8]) {
    let table: &[(Said, Option<Said>)] = if about[0] >> 4 == 4 { &OF_IPV4 } else { &OF_IPV6 };
    for &said in table {
        for upper in [8, 20, 1000] {
            hear_one(sim, case, near_sent, worker, (about, original), said, upper);
        }
    }
}

/// One of them, that quotes `upper` bytes of the upper layer.
fn hear_one(
    sim: &mut Sim,
    case: &Case,
    near_sent: bool,
    worker: usize,
    (about, original): (&[u8], &[u8]),
    ((kind, rest), across): (Said, Option<Said>),
    upper: usize,
) {
    let (told, _) = ends(about);
    let (sender, other) = ends(original);
    let router = match (told.is_ipv4(), near_sent == case.snat()) {
        (true, true) => "10.1.0.77",
        (true, false) => "10.2.0.77",
        (false, true) => "fd01::77",
        (false, false) => "fd02::77",
    };
    let header_len = |packet: &[u8]| if packet[0] >> 4 == 4 { 20 } else { 40 };
    let quoted = (header_len(about) + upper).min(about.len());
    let frame = error((DIRECTOR, [2; 6]), ip(router), told.ip(), kind, rest, about, quoted);
    sim.receive(worker, PORT, &case.side(!near_sent, frame));
    let expected = if told.is_ipv4() == sender.is_ipv4() { Some((kind, rest)) } else { across };
    let Some((kind, rest)) = expected else {
        assert!(sim.sent().is_empty(), "{case:?} {kind:?}");
        return;
    };
    let (src, dst, seen_kind, seen_rest, quote) = error_seen(&sim.sent_one());
    let why = format!("{case:?} {kind:?} {upper}");
    assert_eq!((src, dst, seen_kind, seen_rest), (other.ip(), sender.ip(), kind, rest), "{why}");
    let mut whole = hop_older(original.to_vec());
    whole.truncate(quoted - header_len(about) + header_len(original));
    // What would make an error too long for its family is cut.
    let most = if sender.is_ipv4() { 576 - 28 } else { 1280 - 48 };
    if told.is_ipv4() != sender.is_ipv4() {
        whole.truncate(most);
    }
    assert_eq!(quote, whole, "{why}");
}

pub fn both_directions(case: &Case) {
    for home in 0..usize::from(case.workers) {
        for lands in 0..usize::from(case.workers) {
            let mut sim = case.sim();
            let [request, forwarded, answer, back] =
                exchange(&mut sim, case, home, b"some payload of odd length.");
            let conns = sim.conns();
            hear(&mut sim, case, true, lands, &forwarded, &request);
            hear(&mut sim, case, false, lands, &back, &answer);
            assert_eq!(sim.conns(), conns, "errors open and close nothing");
        }
    }
}

fn cases(forwarding: Forwarding, families: &[(Names, Names)], inside: &[Inside]) {
    for &(near, far) in families {
        for &inside in inside {
            for workers in [1, 2] {
                both_directions(&Case { forwarding, inside, near, far, workers, rss: false });
            }
        }
    }
}

#[test]
fn icmp_04_errors_are_told_through_fullnat() {
    cases(Forwarding::FullNat, &[(V4, V4), (V6, V6)], &ALL);
}

#[test]
fn icmp_04_errors_are_told_through_nat() {
    cases(Forwarding::Nat, &[(V4, V4), (V6, V6)], &ALL);
}

#[test]
fn icmp_04_errors_are_told_through_snat() {
    let without_proxy = [Inside::Tcp, Inside::Udp, Inside::Sctp, Inside::Icmp];
    cases(Forwarding::Snat, &[(V4, V4), (V6, V6)], &without_proxy);
}

#[test]
fn icmp_04_errors_are_told_across_families() {
    cases(Forwarding::FullNat, &[(V6, V4), (V4, V6)], &ALL);
}

/// The answer of a server that has the service's address passes the director by. An error about it does not: it is for that address.
#[test]
fn icmp_04_direct_routing_and_tunnels_pass_on_what_answers_met() {
    for forwarding in [Forwarding::DirectRouting, Forwarding::Tunnel(TunnelKind::Ipip)] {
        for names in [V4, V6] {
            for inside in [Inside::Tcp, Inside::Udp, Inside::Sctp, Inside::Icmp] {
                for (workers, home, lands) in [(1, 0, 0), (2, 0, 1), (2, 1, 0), (2, 1, 1)] {
                    let case = Case { forwarding, inside, near: names, far: names, workers, rss: false };
                    let mut sim = case.sim();
                    let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
                    let macs = (DIRECTOR, CLIENT);
                    let (request, answer) = match inside {
                        Inside::Udp => {
                            (build::udp(macs, client, vip, b"q"), build::udp(macs, vip, client, b"answer"))
                        }
                        Inside::Sctp => (
                            build::sctp(macs, client, vip, 7, &INIT),
                            build::sctp(macs, vip, client, 7, &INIT_ACK),
                        ),
                        Inside::Icmp => {
                            let answered = SocketAddr::new(vip.ip(), client.port());
                            (
                                build::echo(macs, client.ip(), vip.ip(), client.port(), 1, b""),
                                pong(answered, client, b""),
                            )
                        }
                        _ => {
                            let segment = |flags| Segment { seq: 1, ack: 2, flags, ..Segment::default() };
                            (
                                build::tcp(macs, client, vip, segment(SYN)),
                                build::tcp(macs, vip, client, segment(SYN | ACK)),
                            )
                        }
                    };
                    sim.receive(home, PORT, &request);
                    sim.sent_one();
                    let router = if is_v4(names) { "10.1.0.77" } else { "fd01::77" };
                    let table: &[(Said, Option<Said>)] = if is_v4(names) { &OF_IPV4 } else { &OF_IPV6 };
                    for &((kind, rest), _) in table {
                        let frame = error(macs, ip(router), vip.ip(), kind, rest, &ip_of(&answer), 1000);
                        sim.receive(lands, PORT, &frame);
                        let sent = sim.sent_one();
                        assert_eq!(sent[..6], server_mac(1), "{case:?}");
                        let sent = ip_of(&sent);
                        let outer_len = match forwarding {
                            Forwarding::DirectRouting => 0,
                            _ if is_v4(names) => 20,
                            _ => 40,
                        };
                        assert_eq!(sent[outer_len..], ip_of(&frame), "{case:?} {kind:?}");
                        if outer_len > 0 {
                            assert_eq!(ends(&sent).1.ip(), ip(names.servers[0]));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn icmp_03_an_error_for_somebody_who_did_not_send_the_packet_is_dropped() {
    for (names, router) in [(V4, "10.1.0.77"), (V6, "fd01::77")] {
        let case = Case::simple(Forwarding::FullNat, names, names);
        let mut sim = case.sim();
        let [_, forwarded, _, back] = exchange(&mut sim, &case, 0, b"payload");
        // Each about what the other address had sent.
        for (told, about) in [(names.vip, &forwarded), (names.laddr, &back), (names.own, &back)] {
            let before = sim.drops(DropReason::IcmpForeign);
            let frame = error(
                (DIRECTOR, CLIENT),
                ip(router),
                ip(told),
                if is_v4(names) { [3, 1] } else { [1, 0] },
                0,
                about,
                100,
            );
            sim.receive(0, PORT, &frame);
            assert_eq!((sim.sent().len(), sim.drops(DropReason::IcmpForeign)), (0, before + 1), "{told}");
        }
    }
}

#[test]
fn icmp_05_a_router_that_does_not_say_what_fits_is_spoken_for() {
    let case = Case::simple(Forwarding::FullNat, V4, V4);
    let mut sim = case.sim();
    let [request, forwarded, ..] = exchange(&mut sim, &case, 0, &[7; 1000]);
    let frame = error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), [3, 4], 0, &forwarded, 28);
    sim.receive(0, PORT, &tagged(frame));
    let (_, _, kind, rest, quote) = error_seen(&sim.sent_one());
    // 1028 bytes did not fit: 1006 is the next plateau of RFC 1191.
    assert_eq!((kind, rest, quote), ([3, 4], 1006, hop_older(request)[..28].to_vec()));
    let case = Case { near: V6, ..case };
    let mut sim = case.sim();
    let [_, forwarded, ..] = exchange(&mut sim, &case, 0, &[7; 1452]);
    let frame = error((DIRECTOR, [2; 6]), ip("10.2.0.77"), ip(V4.laddr), [3, 4], 0, &forwarded, 28);
    sim.receive(0, PORT, &tagged(frame));
    let (_, _, kind, rest, _) = error_seen(&sim.sent_one());
    assert_eq!(
        (kind, rest),
        ([2, 0], 1280),
        "1480 bytes of IPv4 did not fit: 1006 would be too few for IPv6"
    );
}

#[test]
fn icmp_11_errors_find_the_connection_that_the_device_chose_a_worker_for() {
    for (forwarding, families) in [
        (Forwarding::FullNat, &[(V4, V4), (V6, V6), (V6, V4)][..]),
        (Forwarding::Nat, &[(V4, V4), (V6, V6)]),
        (Forwarding::Snat, &[(V4, V4), (V6, V6)]),
    ] {
        for &(near, far) in families {
            for inside in [Inside::Tcp, Inside::Udp] {
                for lands in 0..4 {
                    let case = Case { forwarding, inside, near, far, workers: 4, rss: true };
                    let (from, to) = case.requests();
                    let tuple = Tuple::new(from, to).expect("one family");
                    let home = case.device().expect("a device").worker(&tuple).0.into();
                    let mut sim = case.sim();
                    let [request, forwarded, answer, back] = exchange(&mut sim, &case, home, b"payload");
                    hear(&mut sim, &case, true, lands, &forwarded, &request);
                    hear(&mut sim, &case, false, lands, &back, &answer);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// There and back: what the director made of a packet, quoted to it, is the packet again, but for hops. Quotes are of whole words: one
    /// that ends inside a number tells nobody that number.
    #[test]
    fn icmp_04_whatever_was_made_of_a_packet_its_sender_finds_it_in_the_quote(
        payload in proptest::collection::vec(any::<u8>(), 0..1300),
        words in 2usize..335,
        way in 0usize..8,
        inside in 0usize..5,
        which in 0usize..6,
        near_sent: bool,
    ) {
        let (forwarding, near, far) = [
            (Forwarding::FullNat, V4, V4),
            (Forwarding::FullNat, V6, V6),
            (Forwarding::FullNat, V6, V4),
            (Forwarding::FullNat, V4, V6),
            (Forwarding::Nat, V4, V4),
            (Forwarding::Nat, V6, V6),
            (Forwarding::Snat, V4, V4),
            (Forwarding::Snat, V6, V6),
        ][way];
        let inside = ALL[inside];
        prop_assume!(forwarding != Forwarding::Snat || inside != Inside::ProxiedTcp);
        let case = Case { inside, ..Case::simple(forwarding, near, far) };
        let mut sim = case.sim();
        let [request, forwarded, answer, back] = exchange(&mut sim, &case, 0, &payload);
        let (about, original) = if near_sent { (forwarded, request) } else { (back, answer) };
        let table: &[(Said, Option<Said>)] = if about[0] >> 4 == 4 { &OF_IPV4 } else { &OF_IPV6 };
        hear_one(&mut sim, &case, near_sent, 0, (&about, &original), table[which], 4 * words);
    }
}
