// SPDX-License-Identifier: Apache-2.0
//! Servers behind FULLNAT are told who the client is: TOA in segments, UOA in datagrams. Tests named `rowNNN_` are about a numbered row
//! of the behaviours that operators know.

mod seen;

use std::net::SocketAddr;

use engine::identity::{Identity, Uoa};
use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, Seen, from_client, see, tagged};

/// Clients and servers: of one family each, and IPv6 clients before IPv4 servers.
const WAYS: [(Names, Names); 3] = [(V4, V4), (V6, V6), (V6, V4)];

fn sim((clients, servers): (Names, Names), identity: Identity) -> Sim {
    let mut snap = world::snapshot();
    snap.options.identity = identity;
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(clients.vip)) {
        svc.laddrs = vec![ip(servers.laddr)];
        for id in &svc.dests {
            snap.dests[id.index()].as_mut().expect("it is there").addr = at(servers.servers[0], 8080);
        }
    }
    let mut sim = world::sim(1);
    sim.publish(snap.index());
    sim
}

fn toa() -> Identity {
    Identity { toa: true, ..Identity::default() }
}

/// Port 40000 and the client's address, written out.
fn told(clients: Names) -> Vec<u8> {
    if clients.client == V4.client {
        vec![254, 8, 0x9c, 0x40, 10, 1, 0, 1]
    } else {
        let mut told = vec![254, 20, 0x9c, 0x40];
        told.extend([0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        told
    }
}

struct Conn {
    sim: Sim,
    client: SocketAddr,
    vip: SocketAddr,
    server: SocketAddr,
    local: SocketAddr,
    /// The client's first number, as the server counts.
    isn: u32,
}

const C: u32 = 1000;
const R: u32 = 0xffff_fff0;

impl Conn {
    /// A SYN, and the server's SYN-ACK with these options; also what the client got.
    fn open(way: (Names, Names), options: &[u8]) -> (Conn, Seen) {
        let mut sim = sim(way, toa());
        let (client, vip) = (at(way.0.client, 40_000), at(way.0.vip, 80));
        sim.receive(0, PORT, &from_client(client, vip, Segment { seq: C, flags: SYN, ..Segment::default() }));
        let syn = see(&sim.sent_one());
        assert_eq!(syn.options(), [] as [u8; 0], "a SYN tells nothing");
        let isn = syn.tcp().sequence_number;
        let mut conn = Conn { sim, client, vip, server: syn.dst, local: syn.src, isn };
        let answer = Segment { seq: R, flags: SYN | ACK, options, ..Segment::default() };
        let told = conn.server_says(answer);
        (conn, told)
    }

    fn server_says(&mut self, segment: Segment) -> Seen {
        let segment = Segment { ack: self.isn.wrapping_add(1), ..segment };
        let frame = build::tcp((DIRECTOR, server_mac(1)), self.server, self.local, segment);
        self.sim.receive(0, PORT, &tagged(frame));
        see(&self.sim.sent_one())
    }

    /// What the server gets of a client's segment, `acked` bytes behind the SYN-ACK.
    fn client_says(&mut self, acked: u32, segment: Segment) -> Seen {
        let segment = Segment { seq: C + 1, ack: R.wrapping_add(1).wrapping_add(acked), ..segment };
        self.sim.receive(0, PORT, &from_client(self.client, self.vip, segment));
        let seen = see(&self.sim.sent_one());
        assert_eq!((seen.src, seen.dst), (self.local, self.server));
        assert_eq!(seen.tcp().sequence_number, self.isn.wrapping_add(1));
        assert_eq!(seen.payload, segment.payload);
        seen
    }
}

#[test]
fn row134_segments_tell_the_client_until_it_has_heard_from_the_server() {
    for way in WAYS {
        let (mut conn, _) = Conn::open(way, &[]);
        let told = told(way.0);
        assert_eq!(conn.client_says(0, Segment { flags: ACK, ..Segment::default() }).options(), told);
        // And again: whatever gets lost. An end of the stream may tell it too.
        for payload in [&b"GET /"[..], b"odd"] {
            let data = Segment { flags: ACK, payload, ..Segment::default() };
            assert_eq!(conn.client_says(0, data).options(), told);
        }
        let end = Segment { flags: ACK | FIN, ..Segment::default() };
        assert_eq!(conn.client_says(0, end).options(), told);
        // The server speaks, the client acknowledges: it is enough.
        let said = conn.server_says(Segment {
            seq: R.wrapping_add(1),
            flags: ACK,
            payload: b"200",
            ..Segment::default()
        });
        assert_eq!((said.payload.as_slice(), said.options()), (&b"200"[..], &[][..]));
        for acked in [3, 0] {
            let later = Segment { flags: ACK, payload: b"more", ..Segment::default() };
            assert_eq!(conn.client_says(acked, later).options(), [] as [u8; 0]);
        }
    }
}

#[test]
fn row134_a_reset_tells_nothing() {
    let (mut conn, _) = Conn::open(WAYS[0], &[]);
    let reset = Segment { flags: RST | ACK, ..Segment::default() };
    assert_eq!(conn.client_says(0, reset).options(), [] as [u8; 0]);
}

#[test]
fn row135_options_make_room_but_timestamps_never() {
    let stamps = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    let mut full = stamps.to_vec();
    full.extend([1, 1, 5, 26]);
    full.extend(7..31);
    assert_eq!(full.len(), 40);
    let (mut conn, _) = Conn::open(WAYS[0], &[]);
    let ack = Segment { flags: ACK, ..Segment::default() };
    let seen = conn.client_says(0, Segment { options: &stamps, ..ack });
    assert_eq!(seen.options(), [told(V4), stamps.to_vec()].concat());
    let seen = conn.client_says(0, Segment { options: &full, payload: b"data", ..ack });
    let expected = [&told(V4)[..], &stamps[2..], &[0, 0]].concat();
    assert_eq!(seen.options(), expected, "without blocks and padding");
    // Nothing that could go: 20 bytes do not fit beside 30 of timestamps, in a list that says so three times.
    let (mut conn, _) = Conn::open(WAYS[1], &[]);
    let stubborn = [&stamps[..], &stamps, &stamps].concat();
    let seen = conn.client_says(0, Segment { options: &stubborn, ..ack });
    assert_eq!(seen.options(), stubborn, "it goes without");
}

#[test]
fn row136_no_segment_becomes_longer_than_the_way_takes() {
    for (way, headers, option) in [(WAYS[0], 40, 8), (WAYS[1], 60, 20)] {
        let (mut conn, _) = Conn::open(way, &[]);
        let data = vec![7; 1500 - headers];
        let fits = Segment { flags: ACK, payload: &data[option..], ..Segment::default() };
        assert_eq!(conn.client_says(0, fits).options(), told(way.0));
        let tight = Segment { flags: ACK, payload: &data[option - 1..], ..Segment::default() };
        assert_eq!(conn.client_says(0, tight).options(), [] as [u8; 0]);
        // Where something can go for it, it fits.
        let padded = Segment { options: &[1; 20], payload: &data[20..], ..tight };
        assert_eq!(conn.client_says(0, padded).options(), told(way.0));
    }
}

#[test]
fn an_option_that_a_client_forges_does_not_reach_the_server() {
    let (mut conn, _) = Conn::open(WAYS[0], &[]);
    let forged = [254, 8, 0, 22, 127, 0, 0, 1];
    let seen = conn.client_says(0, Segment { flags: ACK, options: &forged, ..Segment::default() });
    assert_eq!(seen.options(), told(V4));
}

#[test]
fn row058_the_servers_segment_size_leaves_room_for_the_option() {
    let said = |mss: u16| [&[2, 4][..], &mss.to_be_bytes(), &[1, 3, 3, 7]].concat();
    for (way, cases) in [
        // 1500 less 40 of headers and 8; less 60 and 20.
        (WAYS[0], [(1460, 1452), (536, 528), (8960, 1452), (66, 64), (60, 60)]),
        (WAYS[1], [(1440, 1420), (1220, 1200), (8940, 1420), (70, 64), (64, 64)]),
    ] {
        for (mss, expected) in cases {
            let (_, answer) = Conn::open(way, &said(mss));
            assert_eq!(answer.options(), said(expected), "{mss}");
        }
    }
}

#[test]
fn the_clients_segment_size_is_bounded_by_the_way_to_it() {
    for (names, expected) in [(V4, 1460), (V6, 1440)] {
        let mut sim = sim((names, names), toa());
        let options = [2, 4, 0x23, 0x00];
        let syn = Segment { seq: C, flags: SYN, options: &options, ..Segment::default() };
        sim.receive(0, PORT, &from_client(at(names.client, 40_000), at(names.vip, 80), syn));
        let there = see(&sim.sent_one());
        assert_eq!(there.options(), [&[2, 4][..], &u16::to_be_bytes(expected)].concat());
    }
}

#[test]
fn behind_the_syn_proxy_it_is_the_same() {
    for names in [V4, V6] {
        let mut sim = sim((names, names), toa());
        let mut snap = sim.snap.clone();
        snap.services.iter_mut().flatten().for_each(|svc| svc.syn_proxy = true);
        sim.publish(snap.index());
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        let options = [2, 4, 5, 0xb4];
        let syn = Segment { seq: C, flags: SYN, options: &options, ..Segment::default() };
        sim.receive(0, PORT, &from_client(client, vip, syn));
        let answer = see(&sim.sent_one());
        let mss = if names.client == V4.client { 1452_u16 } else { 1420 };
        assert_eq!(answer.options(), [&[2, 4][..], &mss.to_be_bytes()].concat());
        let cookie = answer.tcp().sequence_number;
        let ack = Segment {
            seq: C + 1,
            ack: cookie.wrapping_add(1),
            flags: ACK,
            payload: b"GET",
            ..Segment::default()
        };
        sim.receive(0, PORT, &from_client(client, vip, ack));
        let syn = see(&sim.sent_one());
        let isn = syn.tcp().sequence_number;
        let answer = Segment { seq: R, ack: isn.wrapping_add(1), flags: SYN | ACK, ..Segment::default() };
        sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, server_mac(1)), syn.dst, syn.src, answer)));
        let there = see(&sim.sent_one());
        assert_eq!(there.options(), told(names));
        assert_eq!(
            (there.payload.as_slice(), there.tcp().acknowledgment_number),
            (&b"GET"[..], R.wrapping_add(1))
        );
    }
}

/// A datagram with what tells its client, taken apart by hand: its protocol, and what is before the UDP header behind 20 or 40 bytes.
struct Datagram {
    proto: u8,
    added: Vec<u8>,
    ports: (u16, u16),
    checksum: u16,
    payload: Vec<u8>,
}

/// Takes a tagged frame apart. The sum over an IPv4 header with its options and the one over UDP are judged.
fn datagram(frame: &[u8], added: usize) -> Datagram {
    let packet = &frame[18..];
    let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let (six, fixed) = (packet[0] >> 4 == 6, if packet[0] >> 4 == 6 { 40 } else { 20 });
    let (proto, header_len) = match six {
        true => (packet[6], 40),
        false => (packet[9], usize::from(packet[0] & 15) * 4),
    };
    let total = if six { usize::from(word(4)) + 40 } else { usize::from(word(2)) };
    assert_eq!(packet.len(), total, "the length in the header");
    let sum = |words: &mut dyn Iterator<Item = u16>| {
        let sum: u32 = words.map(u32::from).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        ((sum & 0xffff) + (sum >> 16)) as u16
    };
    if !six {
        assert_eq!(sum(&mut (0..header_len / 2).map(|n| word(2 * n))), 0xffff, "IPv4 header checksum");
    }
    let udp = fixed + added;
    let len = usize::from(word(udp + 4));
    assert_eq!(udp + len, total, "the length in the UDP header");
    let checksum = word(udp + 6);
    if checksum != 0 {
        let addrs = if six { 8..40 } else { 12..20 };
        let mut covered: Vec<u8> = packet[addrs].to_vec();
        covered.extend([0, 17]);
        covered.extend((len as u16).to_be_bytes());
        covered.extend(&packet[udp..]);
        covered.resize(covered.len().next_multiple_of(2), 0);
        let mut words = covered.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        assert_eq!(sum(&mut words), 0xffff, "UDP checksum");
    }
    Datagram {
        proto,
        added: packet[fixed..udp].to_vec(),
        ports: (word(udp), word(udp + 2)),
        checksum,
        payload: packet[udp + 8..].to_vec(),
    }
}

fn ask(sim: &mut Sim, names: Names, payload: &[u8]) -> Vec<Vec<u8>> {
    let frame = build::udp((DIRECTOR, CLIENT), at(names.client, 40_000), at(names.vip, 80), payload);
    sim.receive(0, PORT, &frame);
    sim.sent()
}

fn uoa(uoa: Uoa, trail: u8) -> Identity {
    Identity { uoa, uoa_trail: trail, ..Identity::default() }
}

#[test]
fn row137_a_header_between_ip_and_udp_tells_the_client_in_the_first_datagrams() {
    for way in WAYS {
        let mut sim = sim(way, uoa(Uoa::Header, 3));
        let mut option = told(way.0);
        option[0] = 0x1f;
        let version = if way.0.client == V4.client { [0x10, 17, 0, 12] } else { [0x20, 17, 0, 24] };
        let expected = [&version[..], &option].concat();
        for n in 0..5 {
            let sent = ask(&mut sim, way.0, b"question");
            assert_eq!(sent.len(), 1);
            if n >= 3 {
                assert_eq!(see(&sent[0]).payload, b"question");
                continue;
            }
            let seen = datagram(&sent[0], expected.len());
            assert_eq!((seen.proto, &seen.added), (248, &expected));
            assert_eq!((seen.ports.1, seen.payload.as_slice()), (8080, &b"question"[..]));
            // Row 139: none over IPv4, a right one over IPv6.
            assert_eq!(seen.checksum != 0, way.1.client == V6.client);
        }
    }
}

/// None over IPv4, where a zero says so; over IPv6 one is required, and it is judged by the reader of these datagrams.
#[test]
fn row139_a_datagram_that_tells_its_client_has_a_checksum_over_ipv6_alone() {
    for (way, checksum) in [(WAYS[0], false), (WAYS[1], true), (WAYS[2], false)] {
        let mut sim = sim(way, uoa(Uoa::Header, 1));
        let added = if way.0.client == V4.client { 12 } else { 24 };
        let sent = ask(&mut sim, way.0, b"question");
        assert_eq!(datagram(&sent[0], added).checksum != 0, checksum);
        // The next one tells nothing, and its own checksum goes on as it is.
        assert_ne!(datagram(&ask(&mut sim, way.0, b"question")[0], 0).checksum, 0);
    }
}

#[test]
fn row137_an_ipv4_option_tells_it_where_clients_and_servers_have_ipv4() {
    let mut sim = sim(WAYS[0], uoa(Uoa::Option, 1));
    let sent = ask(&mut sim, V4, b"question");
    let seen = datagram(&sent[0], 8);
    assert_eq!(seen.added, [0x1f, 8, 0x9c, 0x40, 10, 1, 0, 1]);
    assert_eq!((seen.proto, sent[0][18]), (17, 0x47));
    assert_ne!(seen.checksum, 0);
    assert_eq!(see(&ask(&mut sim, V4, b"next")[0]).payload, b"next");
    for way in &WAYS[1..] {
        let mut sim = self::sim(*way, uoa(Uoa::Option, 1));
        assert_eq!(see(&ask(&mut sim, way.0, b"question")[0]).payload, b"question");
    }
}

#[test]
fn row137_none_are_told_where_nothing_is_asked_for() {
    let mut sim = sim(WAYS[0], Identity::default());
    assert_eq!(see(&ask(&mut sim, V4, b"question")[0]).payload, b"question");
}

#[test]
fn row138_what_would_be_too_long_with_it_has_it_sent_ahead() {
    for (way, how, headers, added) in [
        (WAYS[0], Uoa::Header, 28, 12),
        (WAYS[0], Uoa::Option, 28, 8),
        (WAYS[1], Uoa::Header, 48, 24),
        (WAYS[2], Uoa::Header, 28, 24),
    ] {
        let mut sim = sim(way, uoa(how, 2));
        // As long as the client's family allows.
        let most = if way.0.client == V4.client { 1500 - 28 } else { 1500 - 48 };
        let payload = vec![5; most.min(1500 - headers - added)];
        assert_eq!(datagram(&ask(&mut sim, way.0, &payload)[0], added).payload, payload);
        if most == payload.len() {
            continue;
        }
        let payload = vec![5; payload.len() + 1];
        let sent = ask(&mut sim, way.0, &payload);
        assert_eq!(sent.len(), 2, "{how:?}");
        let ahead = datagram(&sent[0], added);
        let behind = see(&sent[1]);
        assert_eq!((ahead.payload.len(), ahead.ports.1), (0, 8080));
        assert_eq!(ahead.ports.0, behind.src.port());
        assert_eq!(behind.payload, payload);
        assert_eq!(ask(&mut sim, way.0, &payload).len(), 1, "two were told");
    }
}
