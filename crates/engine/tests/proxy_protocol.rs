// SPDX-License-Identifier: Apache-2.0
//! The PROXY protocol's header towards servers. Tests named `rowNNN_` are about a numbered row of the behaviours that operators know.
//!
//! The server here is one that reassembles what it hears by sequence number, as a real one does.

mod seen;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use engine::sim::Sim;
use engine::sim::world::{self, CLIENT, DIRECTOR, Names, PORT, V4, V6, at, ip, server_mac};
use engine::verdict::DropReason;
use model::options::{ProxyProtocol, ProxyVersion};
use packet::build::{self, Segment};
use seen::{ACK, FIN, RST, SYN, Seen, from_client, see, tagged};

const V1: ProxyProtocol = ProxyProtocol { version: ProxyVersion::V1, insecure: false };
const V2: ProxyProtocol = ProxyProtocol { version: ProxyVersion::V2, insecure: false };
const V1_TRUSTING: ProxyProtocol = ProxyProtocol { insecure: true, ..V1 };
const V2_TRUSTING: ProxyProtocol = ProxyProtocol { insecure: true, ..V2 };

const LINE: &str = "PROXY TCP4 10.1.0.1 10.1.0.100 40000 80\r\n";
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\0\x01\x0a\x01\0\x64\x9c\x40\0\x50";

fn sim(workers: u16, header: ProxyProtocol) -> Sim {
    let mut sim = world::sim(workers);
    let mut snap = world::snapshot();
    snap.services.iter_mut().flatten().for_each(|svc| svc.proxy_protocol = Some(header));
    sim.publish(snap.index());
    sim
}

/// One connection from both ends.
struct Conn {
    sim: Sim,
    client: SocketAddr,
    vip: SocketAddr,
    /// The server and the local address, once the SYN came through.
    server: SocketAddr,
    local: SocketAddr,
    /// The client's next number, and the server's.
    snd: u32,
    rcv: u32,
    /// The first number of the client's data, as the server counts, and what the server heard by its place in the stream.
    base: u32,
    stream: BTreeMap<u32, Vec<u8>>,
    server_seq: u32,
    /// What the client was told last.
    told: Option<Seen>,
}

const CLIENT_ISN: u32 = 0xffff_ff80;
const SERVER_ISN: u32 = 7000;

impl Conn {
    fn open(header: ProxyProtocol, names: Names) -> Conn {
        let mut sim = sim(1, header);
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        sim.receive(
            0,
            PORT,
            &from_client(client, vip, Segment { seq: CLIENT_ISN, flags: SYN, ..Default::default() }),
        );
        let syn = see(&sim.sent_one());
        let base = syn.tcp().sequence_number.wrapping_add(1);
        let mut conn = Conn {
            sim,
            client,
            vip,
            server: syn.dst,
            local: syn.src,
            snd: CLIENT_ISN.wrapping_add(1),
            rcv: SERVER_ISN + 1,
            base,
            stream: BTreeMap::new(),
            server_seq: SERVER_ISN,
            told: None,
        };
        conn.server_says(SYN | ACK, b"");
        let told = conn.told.take().expect("the SYN-ACK");
        assert_eq!(told.tcp().acknowledgment_number, conn.snd);
        conn.server_seq += 1;
        conn
    }

    /// Everything the director sent since: to the server, kept; to the client, the last.
    fn collect(&mut self) {
        for frame in self.sim.sent() {
            let seen = see(&frame);
            if seen.dst != self.server {
                self.told = Some(seen);
                continue;
            }
            assert_eq!(seen.src, self.local);
            let place = seen.tcp().sequence_number.wrapping_sub(self.base);
            if !seen.payload.is_empty() {
                self.stream.insert(place, seen.payload);
            }
        }
    }

    fn client_says_at(&mut self, offset: u32, flags: u8, payload: &[u8]) {
        let seq = CLIENT_ISN.wrapping_add(1).wrapping_add(offset);
        let segment = Segment { seq, ack: self.rcv, flags, payload, ..Default::default() };
        self.sim.receive(0, PORT, &from_client(self.client, self.vip, segment));
        self.collect();
    }

    /// The next of the client's stream.
    fn client_says(&mut self, payload: &[u8]) {
        let offset = self.snd.wrapping_sub(CLIENT_ISN.wrapping_add(1));
        self.client_says_at(offset, ACK, payload);
        self.snd = self.snd.wrapping_add(payload.len() as u32);
    }

    /// What the server has in a row from the beginning.
    fn heard(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for (place, bytes) in &self.stream {
            let have = all.len() as u32;
            if *place <= have && place + bytes.len() as u32 > have {
                all.extend(&bytes[(have - place) as usize..]);
            }
        }
        all
    }

    /// The server acknowledges what it has, and says something.
    fn server_says(&mut self, flags: u8, payload: &[u8]) {
        let ack = self.base.wrapping_add(self.heard().len() as u32);
        let segment = Segment { seq: self.server_seq, ack, flags, payload, ..Default::default() };
        let macs = (DIRECTOR, server_mac(1));
        self.sim.receive(0, PORT, &tagged(build::tcp(macs, self.server, self.local, segment)));
        self.server_seq += payload.len() as u32;
        self.collect();
    }

    fn told_ack(&mut self) -> u32 {
        self.told.take().expect("the client is told").tcp().acknowledgment_number
    }

    /// Takes everything away that the server heard since: it was lost.
    fn lose(&mut self) {
        self.stream.clear();
    }
}

#[test]
fn row140_the_header_is_there_before_the_client_says_a_word() {
    let six = b"PROXY TCP6 fd01::1 fd01::100 40000 80\r\n";
    for (header, names, wanted) in [(V1, V4, LINE.as_bytes()), (V2, V4, BINARY), (V1, V6, six)] {
        let mut conn = Conn::open(header, names);
        assert_eq!(conn.heard(), b"", "not before the client is known to be there");
        conn.client_says(b"");
        assert_eq!(conn.heard(), wanted);
        conn.client_says(b"hello");
        assert_eq!(conn.heard(), [wanted, b"hello"].concat());
    }
}

#[test]
fn row141_neither_end_hears_of_the_shift() {
    let mut conn = Conn::open(V2, V4);
    conn.client_says(b"");
    conn.server_says(ACK, b"220 ready");
    let told = conn.told.take().expect("the greeting");
    assert_eq!((told.tcp().sequence_number, told.payload.as_slice()), (SERVER_ISN + 1, &b"220 ready"[..]));
    assert_eq!(told.tcp().acknowledgment_number, CLIENT_ISN.wrapping_add(1));
    for n in 1..100u32 {
        conn.client_says(b"twelve bytes");
        conn.server_says(ACK, b"");
        assert_eq!(conn.told_ack(), CLIENT_ISN.wrapping_add(1 + 12 * n));
    }
    assert_eq!(conn.heard().len(), BINARY.len() + 12 * 99);
    conn.client_says_at(12 * 99, FIN | ACK, b"");
    let segment = Segment {
        seq: conn.server_seq,
        ack: conn.base.wrapping_add(BINARY.len() as u32 + 1189),
        flags: RST | ACK,
        ..Default::default()
    };
    conn.sim.receive(
        0,
        PORT,
        &tagged(build::tcp((DIRECTOR, server_mac(1)), conn.server, conn.local, segment)),
    );
    conn.collect();
    assert_eq!(conn.told_ack(), CLIENT_ISN.wrapping_add(1190));
}

/// Selective acknowledgements of the server are about its own numbers.
#[test]
fn row141_selective_acknowledgements_are_shifted_too() {
    let mut conn = Conn::open(V1, V4);
    conn.client_says(b"");
    conn.server_says(ACK, b"");
    conn.client_says_at(100, ACK, b"later");
    let behind = conn.base.wrapping_add(LINE.len() as u32);
    let mut options = vec![1, 1, 5, 10];
    options.extend(behind.wrapping_add(100).to_be_bytes());
    options.extend(behind.wrapping_add(105).to_be_bytes());
    let segment = Segment { seq: conn.server_seq, ack: behind, flags: ACK, options: &options, payload: b"" };
    conn.sim.receive(
        0,
        PORT,
        &tagged(build::tcp((DIRECTOR, server_mac(1)), conn.server, conn.local, segment)),
    );
    conn.collect();
    let told = conn.told.take().expect("the client is told");
    let edges = [CLIENT_ISN.wrapping_add(101), CLIENT_ISN.wrapping_add(106)].map(u32::to_be_bytes).concat();
    assert_eq!(told.options()[4..], edges[..]);
}

/// On purpose unlike DPVS, which loses the header with the packet it is in.
#[test]
fn row145_a_lost_header_is_sent_again_when_the_server_misses_it() {
    let mut conn = Conn::open(V1, V4);
    conn.client_says(b"");
    conn.lose();
    conn.client_says(b"data");
    assert_eq!(conn.heard(), b"", "there is a hole");
    conn.server_says(ACK, b"");
    assert_eq!(conn.heard(), [LINE.as_bytes(), b"data"].concat());
    assert_eq!(
        conn.told_ack(),
        CLIENT_ISN.wrapping_add(1),
        "the client is not told of numbers before its own"
    );
    conn.server_says(ACK, b"");
    assert_eq!(conn.told_ack(), CLIENT_ISN.wrapping_add(5));
}

#[test]
fn row145_a_lost_header_is_sent_again_after_a_second_of_silence() {
    let mut conn = Conn::open(V1, V4);
    conn.client_says(b"");
    let mut came = Vec::new();
    for second in 1..40 {
        conn.lose();
        conn.sim.pass(1000);
        conn.collect();
        if conn.heard() == LINE.as_bytes() {
            came.push(second);
        }
    }
    // After 1, 2, 4, 8 and 16 seconds and up to a second of jitter each.
    assert_eq!(came.len(), 5, "{came:?}");
    assert!(came.windows(2).all(|pair| pair[1] - pair[0] >= 2), "{came:?}");
    conn.server_says(ACK, b"");
    conn.sim.pass(40_000);
    assert_eq!(conn.sim.conns(), 0, "nobody answered");
}

#[test]
fn a_server_that_has_the_header_is_left_alone() {
    let mut conn = Conn::open(V1, V4);
    conn.client_says(b"");
    conn.server_says(ACK, b"hi");
    conn.lose();
    conn.sim.pass(60_000);
    conn.collect();
    assert_eq!((conn.heard(), conn.sim.conns()), (b"".to_vec(), 1), "established connections idle for 90 s");
}

#[test]
fn row142_a_header_of_the_clients_own_is_cut_out() {
    let fake: &[&[u8]] = &[
        b"PROXY TCP4 9.9.9.9 9.9.9.9 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\x09\x09\x09\x09\x09\x09\x09\x09\0\x01\0\x02TLV",
    ];
    for (header, own) in [(V1, LINE.as_bytes()), (V2, BINARY)] {
        for &fake in fake {
            let mut conn = Conn::open(header, V4);
            conn.client_says(b"");
            conn.client_says(&[fake, b"hello"].concat());
            assert_eq!(conn.heard(), [own, b"hello"].concat());
            conn.server_says(ACK, b"");
            assert_eq!(conn.told_ack(), conn.snd);
            // Sent again, as a whole and in part.
            conn.client_says_at(0, ACK, &[fake, b"hello"].concat());
            conn.client_says_at(fake.len() as u32 + 2, ACK, b"llo");
            conn.client_says(b" world");
            assert_eq!(conn.heard(), [own, b"hello world"].concat());
            conn.server_says(ACK, b"");
            assert_eq!(conn.told_ack(), conn.snd);
        }
    }
}

#[test]
fn row142_a_header_alone_in_its_segment_leaves_an_acknowledgement() {
    let mut conn = Conn::open(V1, V4);
    let fake = b"PROXY TCP4 9.9.9.9 9.9.9.9 1 2\r\n";
    conn.client_says(fake);
    assert_eq!(conn.heard(), LINE.as_bytes());
    conn.client_says(b"hello");
    assert_eq!(conn.heard(), [LINE.as_bytes(), b"hello"].concat());
}

/// If the header is lost, what the client put there must not be taken for it.
#[test]
fn row142_a_false_header_never_takes_the_place_of_the_true_one() {
    let mut conn = Conn::open(V1, V4);
    let fake = b"PROXY TCP4 9.9.9.9 9.9.9.9 1 2\r\n";
    conn.client_says(b"");
    conn.lose();
    conn.client_says(&[&fake[..], b"hello"].concat());
    conn.client_says_at(0, ACK, &[&fake[..], b"hello"].concat());
    assert_eq!(conn.heard(), b"");
    conn.server_says(ACK, b"");
    assert_eq!(conn.heard(), [LINE.as_bytes(), b"hello"].concat());
}

#[test]
fn row142_data_that_overtakes_the_first_waits_for_it() {
    let mut conn = Conn::open(V1, V4);
    conn.client_says(b"");
    conn.client_says_at(5, ACK, b"world");
    assert_eq!(conn.sim.drops(DropReason::ProxyHeader), 1);
    conn.client_says_at(0, ACK, b"hello");
    conn.client_says_at(5, ACK, b"world");
    assert_eq!(conn.heard(), [LINE.as_bytes(), b"helloworld"].concat());
}

#[test]
fn row142_trusted_headers_are_kept_or_translated() {
    let line = b"PROXY TCP4 9.9.9.9 8.8.8.8 258 772\r\n";
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x09\x09\x09\x09\x08\x08\x08\x08\x01\x02\x03\x04";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
    let cases: [(ProxyProtocol, &[u8], &[u8]); 7] = [
        (V1_TRUSTING, line, line),
        (V2_TRUSTING, binary, binary),
        (V1_TRUSTING, binary, line),
        (V2_TRUSTING, line, binary),
        (V1_TRUSTING, b"", LINE.as_bytes()),
        (V2_TRUSTING, b"PROXY UNKNOWN\r\n", BINARY),
        (V2_TRUSTING, local, local),
    ];
    for (header, sent, wanted) in cases {
        let mut conn = Conn::open(header, V4);
        conn.client_says(b"");
        assert_eq!(conn.heard(), b"", "it is not known yet whether the client has one");
        conn.client_says(&[sent, b"hello"].concat());
        conn.client_says(b" world");
        let heard = conn.heard();
        assert_eq!(heard, [wanted, b"hello world"].concat(), "{}", String::from_utf8_lossy(&heard));
        conn.server_says(ACK, b"");
        assert_eq!(conn.told_ack(), conn.snd);
        conn.client_says(b"!");
        assert_eq!(conn.heard().last(), Some(&b'!'));
    }
}

#[test]
fn row143_a_segment_as_long_as_the_link_takes_stays_as_it_is() {
    let mut conn = Conn::open(V1, V6);
    conn.client_says(&[b'x'; 1440]);
    let heard = conn.heard();
    assert!(heard.starts_with(b"PROXY TCP6 ") && heard.ends_with(&[b'x'; 1440]));
}

fn datagram(sim: &mut Sim, names: Names, payload: &[u8]) -> Vec<Seen> {
    let macs = (DIRECTOR, CLIENT);
    sim.receive(0, PORT, &build::udp(macs, at(names.client, 40_000), at(names.vip, 80), payload));
    sim.sent().iter().map(|frame| see(frame)).collect()
}

#[test]
fn row144_the_first_datagram_of_a_flow_has_the_header() {
    for names in [V4, V6] {
        let mut sim = sim(1, V2);
        let first = datagram(&mut sim, names, b"question");
        let fixed = if names.client == V4.client { 28 } else { 52 };
        assert_eq!((first.len(), first[0].payload.len()), (1, fixed + 8));
        assert_eq!(first[0].payload[13], if fixed == 28 { 0x12 } else { 0x22 });
        assert!(first[0].payload.ends_with(b"question"));
        assert_eq!(datagram(&mut sim, names, b"again")[0].payload, b"again");
    }
}

#[test]
fn row143_a_datagram_that_is_full_lets_the_header_go_ahead() {
    for len in [1444, 1445, 1472] {
        let mut sim = sim(1, V2);
        let seen = datagram(&mut sim, V4, &vec![b'x'; len]);
        let lens: Vec<usize> = seen.iter().map(|seen| seen.payload.len()).collect();
        assert_eq!(lens, if len == 1444 { vec![1472] } else { vec![28, len] });
        assert!(seen[0].payload.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x12"));
        assert!(seen.iter().all(|seen| seen.src.ip() == ip(V4.laddr)));
    }
}

#[test]
fn row142_headers_in_datagrams_are_replaced_or_trusted() {
    let theirs = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x09\x09\x09\x09\x08\x08\x08\x08\x01\x02\x03\x04";
    let question = [&theirs[..], b"question"].concat();
    let own = datagram(&mut sim(1, V2), V4, &question);
    assert_eq!(own[0].payload, [&BINARY[..13], &[0x12], &BINARY[14..], b"question"].concat());
    assert_eq!(datagram(&mut sim(1, V2_TRUSTING), V4, &question)[0].payload, question);
    let line = [&b"PROXY TCP4 9.9.9.9 8.8.8.8 258 772\r\n"[..], b"question"].concat();
    assert_eq!(datagram(&mut sim(1, V2_TRUSTING), V4, &line)[0].payload, question);
}

#[test]
fn a_damaged_segment_gets_no_new_checksum() {
    let mut conn = Conn::open(V1, V4);
    let segment =
        Segment { seq: conn.snd, ack: conn.rcv, flags: ACK, payload: b"hello", ..Default::default() };
    let mut frame = from_client(conn.client, conn.vip, segment);
    *frame.last_mut().expect("data") ^= 1;
    conn.sim.receive(0, PORT, &frame);
    assert_eq!((conn.sim.drops(DropReason::L4Checksum), conn.sim.sent().len()), (1, 0));
}

/// The client's segment that proves it is kept meanwhile, and goes behind the header.
#[test]
fn behind_the_syn_proxy_the_header_comes_first_as_well() {
    for (names, wanted) in [(V4, LINE.as_bytes()), (V6, b"PROXY TCP6 fd01::1 fd01::100 40000 80\r\n")] {
        let mut sim = sim(1, V1);
        let mut snap = sim.snap.clone();
        snap.services.iter_mut().flatten().for_each(|svc| svc.syn_proxy = true);
        sim.publish(snap.index());
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7];
        let say = |sim: &mut Sim, segment: Segment| {
            sim.receive(0, PORT, &from_client(client, vip, segment));
            sim.sent().iter().map(|frame| see(frame)).collect::<Vec<_>>()
        };
        let answer =
            say(&mut sim, Segment { seq: 1000, flags: SYN, options: &options, ..Default::default() });
        let (cookie, stamp) = (answer[0].tcp().sequence_number, answer[0].options()[8..12].to_vec());
        let stamps = [&[1, 1, 8, 10, 0, 0, 1, 4][..], &stamp].concat();
        let data = Segment {
            seq: 1001,
            ack: cookie.wrapping_add(1),
            flags: ACK,
            options: &stamps,
            payload: b"hello",
        };
        let syn = say(&mut sim, data).remove(0);
        let isn = syn.tcp().sequence_number;
        let server_options = [
            2,
            4,
            5,
            0xb4,
            4,
            2,
            8,
            10,
            0,
            0,
            9,
            9,
            syn.options()[8],
            syn.options()[9],
            syn.options()[10],
            syn.options()[11],
            1,
            3,
            3,
            9,
        ];
        let macs = (DIRECTOR, server_mac(1));
        let hear = |sim: &mut Sim, segment: Segment| {
            sim.receive(0, PORT, &tagged(build::tcp(macs, syn.dst, syn.src, segment)));
            sim.sent().iter().map(|frame| see(frame)).collect::<Vec<_>>()
        };
        let there = hear(
            &mut sim,
            Segment {
                seq: 5000,
                ack: isn.wrapping_add(1),
                flags: SYN | ACK,
                options: &server_options,
                payload: b"",
            },
        );
        let all: Vec<&Seen> =
            there.iter().filter(|seen| seen.dst == syn.dst && !seen.payload.is_empty()).collect();
        assert_eq!(all.len(), 2, "{there:?}");
        assert_eq!((all[0].payload.as_slice(), all[1].payload.as_slice()), (wanted, &b"hello"[..]));
        let len = wanted.len() as u32;
        let numbers =
            [all[0], all[1]].map(|seen| (seen.tcp().sequence_number, seen.tcp().acknowledgment_number));
        assert_eq!(numbers, [(isn.wrapping_add(1), 5001), (isn.wrapping_add(1 + len), 5001)]);
        assert_eq!(all[0].options(), all[1].options(), "timestamps of the client's, in the server's numbers");
        let back = hear(
            &mut sim,
            Segment {
                seq: 5001,
                ack: isn.wrapping_add(1 + len + 5),
                flags: ACK,
                payload: b"hi",
                ..Default::default()
            },
        );
        let back =
            back.iter().find(|seen| seen.dst == client && !seen.payload.is_empty()).expect("passed on");
        assert_eq!(
            (back.tcp().acknowledgment_number, back.tcp().sequence_number),
            (1006, cookie.wrapping_add(1))
        );
    }
}

#[test]
fn clients_of_the_other_family_are_named_by_their_own() {
    let mut sim = sim(1, V2);
    let mut snap = sim.snap.clone();
    for svc in snap.services.iter_mut().flatten().filter(|svc| svc.vip.ip() == ip(V6.vip)) {
        svc.laddrs = vec![ip(V4.laddr)];
        for id in &svc.dests {
            snap.dests[id.index()].as_mut().expect("it is there").addr = at(V4.servers[0], 8080);
        }
    }
    sim.publish(snap.index());
    let (client, vip) = (at(V6.client, 40_000), at(V6.vip, 80));
    sim.receive(0, PORT, &from_client(client, vip, Segment { seq: 1, flags: SYN, ..Default::default() }));
    let syn = see(&sim.sent_one());
    sim.receive(
        0,
        PORT,
        &from_client(
            client,
            vip,
            Segment { seq: 2, ack: 9, flags: ACK, payload: b"hi", ..Default::default() },
        ),
    );
    let there: Vec<Seen> = sim.sent().iter().map(|frame| see(frame)).collect();
    assert_eq!((there[0].dst, there[0].payload.len(), there[0].payload[13]), (syn.dst, 52, 0x21));
    assert_eq!(there[1].payload, b"hi");
    let first = syn.tcp().sequence_number.wrapping_add(1);
    assert_eq!(
        [&there[0], &there[1]].map(|seen| seen.tcp().sequence_number),
        [first, first.wrapping_add(52)]
    );
    let question = datagram(&mut sim, V6, b"question");
    assert_eq!(
        (question[0].dst, question[0].payload.len(), question[0].payload[13]),
        (at(V4.servers[0], 8080), 60, 0x22)
    );
}
