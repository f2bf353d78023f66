// SPDX-License-Identifier: Apache-2.0
//! Whatever comes in: no panic, no packet lost from the books, no allocation per packet.

mod seen;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use arrayvec::ArrayVec;
use engine::ids::{LcoreId, PortId};
use engine::lcore::{BURST, Config, Event, Lcore, Sink};
use engine::pipeline::Origin;
use engine::sim::world::{self, CLIENT, DIRECTOR, PORT, V4, V6, at, ip};
use engine::tick::Tick;
use packet::build::{self, Segment};
use packet::{Buffer, Frame};
use proptest::prelude::*;

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
    #![proptest_config(ProptestConfig::with_cases(2000))]

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

#[test]
fn a_packet_of_a_connection_allocates_nothing() {
    let config = Config { id: LcoreId(0), workers: 1, conns: 1024, neighs: 16, held: 16, seed: 1 };
    let mut lcore: Lcore<Frame> = Lcore::new(config);
    let mut snap = world::snapshot();
    for server in V4.servers.iter().chain(&V6.servers) {
        snap.neighs.push((engine::ids::LinkId(1), ip(server), [2; 6]));
    }
    let mut out = Loop(ArrayVec::new());
    lcore.adopt(&snap, Tick(0), &mut out);
    let frames: Vec<Vec<u8>> = (0..16)
        .flat_map(|n| {
            let macs = (DIRECTOR, CLIENT);
            let syn = Segment { flags: 2, ..Segment::default() };
            [
                build::udp(macs, at(V4.client, 5000 + n), at(V4.vip, 80), b"q"),
                build::tcp(macs, at(V6.client, 5000 + n), at(V6.vip, 80), syn),
            ]
        })
        .collect();
    let mut burst: ArrayVec<Frame, BURST> = ArrayVec::new();
    for (round, now) in (0..10u64).map(|n| (n, Tick(n * 100))) {
        burst.extend(frames.iter().map(|bytes| Frame::new(bytes)));
        COUNT.set(Some(0));
        lcore.process(PORT, Origin::Wire, &mut burst, &snap, now, &mut out);
        lcore.tick(&snap, now, &mut out);
        let count = COUNT.replace(None).expect("it was set above");
        assert!(round == 0 || count == 0, "round {round}: {count} allocations");
        assert_eq!(out.0.iter().filter(|pkt| pkt.data()[..6] == [2; 6]).count(), 32, "all were passed on");
        out.0.clear();
    }
    assert_eq!((lcore.traffic().tx, lcore.conn_count()), (320, 32));
}
