// SPDX-License-Identifier: Apache-2.0
//! Whatever comes in: no panic, no packet lost from the books, no allocation per packet.

mod seen;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use arrayvec::ArrayVec;
use engine::ids::{LcoreId, PortId};
use engine::lcore::{BURST, Config, Lcore};
use engine::pipeline::Origin;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, V6, at, ip};
use engine::sink::{Event, Sink};
use engine::snapshot::Snapshot;
use engine::tick::Tick;
use packet::build::{self, Segment};
use packet::{Buffer, Frame};
use proptest::prelude::*;
use seen::{see, tagged};

/// Counts allocations of the thread that asks for it.
struct Counting;

thread_local! {
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

// SAFETY: hands every call to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get().map(|n| n + 1)));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A sink that keeps the packets for the next round.
struct Loop(ArrayVec<Frame, 64>);

impl Sink<Frame> for Loop {
    fn forward(&mut self, pkt: Frame, _: PortId) {
        self.0.push(pkt);
    }
    fn kernel(&mut self, pkt: Frame, _: PortId) -> Result<(), Frame> {
        Err(pkt)
    }
    fn redirect(&mut self, pkt: Frame, _: PortId, _: LcoreId) -> Result<(), Frame> {
        Err(pkt)
    }
    fn discard(&mut self, pkt: Frame) {
        self.0.push(pkt);
    }
    fn fresh(&mut self) -> Option<Frame> {
        None
    }
    fn event(&mut self, _: Event) {}
}

fn samples() -> Vec<Vec<u8>> {
    let macs = (DIRECTOR, CLIENT);
    let mut all = Vec::new();
    for names in [V4, V6] {
        let (client, vip) = (at(names.client, 40_000), at(names.vip, 80));
        let options = [2, 4, 5, 0xb4, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        all.push(build::tcp(
            macs,
            client,
            vip,
            Segment { flags: 2, options: &options, ..Segment::default() },
        ));
        all.push(build::tcp(
            macs,
            client,
            vip,
            Segment { flags: 16, payload: b"data", ..Segment::default() },
        ));
        all.push(build::udp(macs, client, vip, b"question"));
        all.push(build::echo(macs, ip(names.client), ip(names.own), 1, 2, b"echo"));
        all.push(seen::tagged(build::udp(
            macs,
            at(names.servers[0], 8080),
            at(names.laddr, 1025),
            b"answer",
        )));
    }
    let mut arp = vec![0; 42];
    packet::ether::write(&mut arp, [0xff; 6], CLIENT, None, packet::ether::ARP);
    let question = packet::arp::Packet {
        operation: packet::arp::Operation::Request,
        sender_mac: CLIENT,
        sender: 0x0a01_0001,
        target_mac: [0; 6],
        target: 0x0a01_00fe,
    };
    question.emit(&mut arp[14..]).expect("28 bytes");
    all.push(arp);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn damaged_packets_hurt_nobody(
        steps in proptest::collection::vec((0usize..11, 0usize..2, proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4), any::<u16>()), 1..12)
    ) {
        // The simulation itself checks after every packet that none went missing.
        let mut sim = world::sim(2);
        let samples = samples();
        for (which, worker, damage, cut) in steps {
            let mut frame = samples[which].clone();
            for (at, value) in damage {
                let at = usize::from(at) % frame.len();
                frame[at] = value;
            }
            if cut % 4 == 0 {
                frame.truncate(usize::from(cut / 4) % (frame.len() + 1));
            }
            sim.receive(worker, PORT, &frame);
        }
        sim.pass(2_000);
    }

    #[test]
    fn random_bytes_hurt_nobody(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8)) {
        let mut sim = world::sim(1);
        for mut frame in frames {
            if frame.len() > 14 && frame[0] & 1 == 0 {
                frame[..6].copy_from_slice(&DIRECTOR);
                let ether = if frame[14] & 1 == 0 { [8, 0] } else { [0x86, 0xdd] };
                frame[12..14].copy_from_slice(&ether);
            }
            sim.receive(0, PORT, &frame);
        }
    }
}

/// A worker that knows its servers, and the network it works in.
fn worker() -> (Lcore<Frame>, Snapshot, Loop) {
    let config = Config { id: LcoreId(0), workers: 1, conns: 1024, neighs: 16, held: 16, seed: 1 };
    let mut lcore: Lcore<Frame> = Lcore::new(config);
    let mut snap = world::snapshot();
    for server in V4.servers.iter().chain(&V6.servers) {
        snap.neighs.push((engine::ids::LinkId(1), ip(server), [2; 6]));
    }
    let mut out = Loop(ArrayVec::new());
    lcore.adopt(&snap, Tick(0), &mut out);
    (lcore, snap, out)
}

/// One datagram and one SYN of a client with each port.
fn openings(ports: impl Iterator<Item = u16>) -> Vec<Vec<u8>> {
    let macs = (DIRECTOR, CLIENT);
    let syn = Segment { flags: 2, ..Segment::default() };
    let both = |port| {
        [
            build::udp(macs, at(V4.client, port), at(V4.vip, 80), b"q"),
            build::tcp(macs, at(V6.client, port), at(V6.vip, 80), syn),
        ]
    };
    ports.flat_map(both).collect()
}

/// What no service takes: another port, no SYN, another address, and questions to the director itself.
fn refused() -> Vec<Vec<u8>> {
    let macs = (DIRECTOR, CLIENT);
    let of = |names: world::Names| {
        let client = at(names.client, 40_000);
        [
            build::udp(macs, client, at(names.vip, 81), b"q"),
            build::tcp(macs, client, at(names.vip, 80), Segment { flags: 16, ..Segment::default() }),
            build::udp(macs, client, at(names.servers[0], 53), b"q"),
            build::echo(macs, ip(names.client), ip(names.own), 1, 2, b"echo"),
        ]
    };
    [of(V4), of(V6)].concat()
}

/// Allocations while a burst of these frames is processed and time passes.
fn allocations(
    lcore: &mut Lcore<Frame>,
    frames: &[Vec<u8>],
    snap: &Snapshot,
    now: Tick,
    out: &mut Loop,
) -> u64 {
    let mut burst: ArrayVec<Frame, BURST> = frames.iter().map(|bytes| Frame::new(bytes)).collect();
    COUNT.set(Some(0));
    lcore.process(PORT, Origin::Wire, &mut burst, snap, now, out);
    lcore.tick(snap, now, out);
    COUNT.replace(None).expect("it was set above")
}

#[test]
fn a_packet_of_a_connection_allocates_nothing() {
    let (mut lcore, snap, mut out) = worker();
    let frames = openings(5000..5016);
    for (round, now) in (0..10u64).map(|n| (n, Tick(n * 100))) {
        let count = allocations(&mut lcore, &frames, &snap, now, &mut out);
        assert!(round == 0 || count == 0, "round {round}: {count} allocations");
        assert_eq!(out.0.iter().filter(|pkt| pkt.data()[..6] == [2; 6]).count(), 32, "all were passed on");
        out.0.clear();
    }
    assert_eq!((lcore.traffic().tx, lcore.conn_count()), (320, 32));
}

#[test]
fn opening_expiring_and_refusing_allocate_nothing() {
    let (mut lcore, snap, mut out) = worker();
    // The first packets to a server set a range of local ports aside.
    allocations(&mut lcore, &openings(5000..5002), &snap, Tick(0), &mut out);
    for round in 1..20u16 {
        let mut frames = openings(5000 + 10 * round..5010 + 10 * round);
        frames.extend(refused());
        // A datagram's connection lives for five minutes, one that saw a SYN only for half a minute.
        let now = Tick(u64::from(round) * 40_000);
        assert_eq!(allocations(&mut lcore, &frames, &snap, now, &mut out), 0, "round {round}");
        out.0.clear();
    }
    assert!(lcore.dest_counters().iter().map(|c| c.conns).sum::<u64>() > 380);
    assert!(lcore.conn_count() < 130, "{} are left", lcore.conn_count());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// The decoder of the tests judges every checksum; the translation back must give what the client sent.
    #[test]
    fn checksums_updated_in_part_equal_checksums_made_anew(
        payload in proptest::collection::vec(any::<u8>(), 0..1400),
        options in proptest::collection::vec(any::<u8>(), 0..10),
        (cport, seq, ack, flags) in (1u16.., any::<u32>(), any::<u32>(), 0u8..64),
    ) {
        for names in [V4, V6] {
            let mut sim = world::sim(1);
            let (client, vip) = (at(names.client, cport), at(names.vip, 80));
            sim.receive(0, PORT, &build::udp((DIRECTOR, CLIENT), client, vip, &payload));
            let there = see(&sim.sent_one());
            let answer = build::udp((DIRECTOR, there.dst_mac), there.dst, there.src, &payload);
            sim.receive(0, PORT, &tagged(answer));
            let back = see(&sim.sent_one());
            prop_assert_eq!((back.src, back.dst, &back.payload, &there.payload), (vip, client, &payload, &payload));

            let syn = Segment { seq, flags: 2, ..Segment::default() };
            sim.receive(0, PORT, &build::tcp((DIRECTOR, CLIENT), client, vip, syn));
            let syn = see(&sim.sent_one());
            let options: Vec<u8> = options.iter().flat_map(|&kind| [kind % 9, 4, 1, kind]).collect();
            let segment = Segment { seq, ack, flags, options: &options, payload: &payload };
            sim.receive(0, PORT, &build::tcp((DIRECTOR, CLIENT), client, vip, segment));
            let there = see(&sim.sent_one());
            prop_assert_eq!(there.tcp().sequence_number, syn.tcp().sequence_number);
            let answer = Segment { seq: ack, ack: there.tcp().sequence_number, flags: 16, options: &options, payload: &payload };
            sim.receive(0, PORT, &tagged(build::tcp((DIRECTOR, syn.dst_mac), syn.dst, syn.src, answer)));
            let back = see(&sim.sent_one());
            prop_assert_eq!((back.tcp().sequence_number, back.tcp().acknowledgment_number), (ack, seq));
            prop_assert_eq!((back.src, back.dst, back.payload), (vip, client, payload.clone()));
        }
    }
}
