// SPDX-License-Identifier: Apache-2.0
//! Fragments that do not fit, or of which some never come (RFC 1858, RFC 3128, RFC 5722, RFC 8200 4.5).

use std::collections::HashMap;

use engine::forward::Forwarding;
use engine::sim::Sim;
use engine::sim::world::{CLIENT, DIRECTOR, Names, PORT, V4, V6, at};
use engine::verdict::DropReason::{self, *};
use packet::build::{self, Segment};
use proptest::prelude::*;

use super::seen::SYN;
use super::seen::parts::{cut, joined, part, read};
use super::{ROOM, body, each, receive, sim, snapshot};

fn question(names: Names, len: usize) -> Vec<u8> {
    build::udp((DIRECTOR, CLIENT), at(names.client, 40_001), at(names.vip, 80), &body(len))
}

fn held(sim: &Sim) -> usize {
    sim.lcores.iter().map(|lcore| lcore.held()).sum()
}

/// Drops of these reasons.
fn drops<const N: usize>(sim: &Sim, reasons: [DropReason; N]) -> [u64; N] {
    reasons.map(|reason| sim.drops(reason))
}

#[test]
fn row007_nothing_of_a_datagram_goes_on_once_fragments_overlap() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let frame = question(names, 4000);
        let whole = 8 + 4000;
        let overlapping = [
            part(&frame, 1, 0, 1440, true),
            part(&frame, 1, 1432, 1440, true),
            part(&frame, 1, 2872, whole - 2872, false),
        ];
        // Known to overlap by the second; the third one is of the same datagram.
        let sent = receive(&mut sim, &overlapping, &[0, 1, 2]);
        assert_eq!((sent.len(), drops(&sim, [FragmentOverlap])), (1, [2]));
        // Before the first one: what waits goes as well, and so does what comes.
        let late: Vec<_> =
            [(1440, 1440), (2872, 56), (0, 1440)].map(|(at, len)| part(&frame, 2, at, len, true)).into();
        assert!(receive(&mut sim, &late, &[0, 1, 2]).is_empty());
        assert_eq!((held(&sim), drops(&sim, [FragmentOverlap])), (0, [5]));
        // The next datagram is another matter.
        assert_eq!(joined(&receive(&mut sim, &cut(&frame, 3, ROOM), &[0, 1, 2])).payload, body(4000));
    });
}

#[test]
fn row007_copies_go_no_further_and_harm_nothing() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let frames = cut(&question(names, 4000), 1, ROOM);
        let sent = receive(&mut sim, &frames, &[2, 2, 0, 0, 2, 1]);
        assert_eq!(joined(&sent).payload, body(4000));
        assert_eq!((held(&sim), drops(&sim, [FragmentOverlap])), (0, [3]));
    });
}

#[test]
fn row007_a_datagram_has_one_end() {
    for names in [V4, V6] {
        let mut sim = sim(2, Forwarding::FullNat, true);
        let frame = question(names, 4000);
        for (id, bad) in [(1, part(&frame, 1, 2400, 80, false)), (2, part(&frame, 2, 3200, 160, true))] {
            let sent = receive(
                &mut sim,
                &[part(&frame, id, 0, 800, true), part(&frame, id, 2400, 800, false), bad],
                &[0, 1, 2],
            );
            assert_eq!(sent.len(), 2);
        }
        assert_eq!(drops(&sim, [FragmentOverlap]), [2]);
    }
}

#[test]
fn row007_tiny_first_fragments_and_what_reaches_into_the_first_are_dropped() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let (client, vip) = (at(names.client, 40_001), at(names.vip, 80));
        let segment = Segment { seq: 1, flags: SYN, payload: &body(64), ..Segment::default() };
        let tcp = build::tcp((DIRECTOR, CLIENT), client, vip, segment);
        // The flags of the segment are not in its first fragment, or would be replaced by another one.
        assert!(
            receive(&mut sim, &[part(&tcp, 1, 0, 8, true), part(&tcp, 1, 8, 64, false)], &[0, 1]).is_empty()
        );
        assert!(receive(&mut sim, &[part(&tcp, 2, 16, 64, false)], &[0]).is_empty());
        assert_eq!(drops(&sim, [FragmentTiny, FragmentNoFirst, Fragment]), [3, 0, 0]);
        // A header that says it is longer than what is there; then the rest.
        let options = Segment { seq: 1, flags: SYN, options: &[1; 20], ..Segment::default() };
        let tcp = build::tcp((DIRECTOR, CLIENT), client, vip, options);
        assert!(
            receive(&mut sim, &[part(&tcp, 3, 0, 24, true), part(&tcp, 3, 24, 16, false)], &[1, 0])
                .is_empty()
        );
        assert_eq!(drops(&sim, [FragmentTiny, FragmentNoFirst]), [4, 1]);
        // Eight bytes are all that UDP needs.
        let frame = question(names, 40);
        let sent = receive(&mut sim, &[part(&frame, 4, 0, 8, true), part(&frame, 4, 8, 40, false)], &[0, 1]);
        assert_eq!(joined(&sent).payload, body(40));
        assert_eq!((held(&sim), sim.drops(FragmentTiny)), (0, 4));
    });
}

#[test]
fn row004_fragments_that_contradict_themselves_are_dropped() {
    for names in [V4, V6] {
        let mut sim = sim(1, Forwarding::FullNat, false);
        let frame = question(names, 3000);
        // Not of whole units, though others follow; and beyond the longest packet.
        let long = [body(1400), body(1400)].concat();
        let mut far = part(
            &build::udp((DIRECTOR, CLIENT), at(names.client, 1), at(names.vip, 80), &long),
            2,
            0,
            1400,
            false,
        );
        let at = if names.client == V4.client { 20 } else { 56 };
        let word: u16 = if at == 20 { 0x1fff } else { 0xfff8 };
        far[at..at + 2].copy_from_slice(&word.to_be_bytes());
        if at == 20 {
            far[24..26].fill(0);
            let sum = packet::checksum::checksum(&far[14..34]);
            far[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        assert!(receive(&mut sim, &[part(&frame, 1, 0, 1001, true), far], &[0, 1]).is_empty());
        assert_eq!(drops(&sim, [IpHeader]), [2]);
    }
}

#[test]
fn row007_fragments_wait_for_the_first_one_and_not_for_ever() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let frames = cut(&question(names, 4000), 1, ROOM);
        assert!(receive(&mut sim, &frames, &[2, 1]).is_empty());
        assert_eq!(held(&sim), 2);
        sim.pass(9_000);
        assert_eq!((held(&sim), drops(&sim, [FragmentTimeout])), (2, [0]));
        assert_eq!(joined(&receive(&mut sim, &frames, &[0])).payload, body(4000));

        assert!(receive(&mut sim, &cut(&question(names, 4000), 2, ROOM), &[2, 1]).is_empty());
        // How long is configured.
        let mut snap = snapshot(workers, Forwarding::FullNat, predicted);
        snap.options.fragment_ttl = 1;
        sim.publish(snap);
        assert!(receive(&mut sim, &cut(&question(names, 4000), 3, ROOM), &[2]).is_empty());
        sim.pass(1_500);
        assert_eq!((held(&sim), drops(&sim, [FragmentTimeout])), (2, [1]));
        sim.pass(10_000);
        assert_eq!((held(&sim), drops(&sim, [FragmentTimeout])), (0, [3]));
    });
}

#[test]
fn row007_what_waits_is_bounded_and_the_oldest_datagrams_make_room() {
    for workers in [1, 2, 4] {
        let mut sim = sim(workers, Forwarding::FullNat, false);
        // Later fragments of ever other datagrams: nothing but memory is asked of the director.
        let frame = question(V4, 3000);
        for id in 0..20_000 {
            sim.receive(id as usize % usize::from(workers), PORT, &part(&frame, id, 1480, 8, true));
        }
        assert_eq!(held(&sim), 256 * usize::from(workers));
        assert_eq!(drops(&sim, [FragmentTableFull]), [20_000 - 256 * u64::from(workers)]);
        // Others get through while it lasts, in their order at least.
        let sent = receive(&mut sim, &cut(&question(V6, 4000), 1, ROOM), &[0, 1, 2]);
        assert_eq!(joined(&sent).payload, body(4000));
        sim.pass(20_000);
        assert_eq!(held(&sim), 0);
    }
}

#[test]
fn row007_what_follows_a_dropped_first_fragment_is_dropped() {
    each(|names, workers, predicted| {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let mut snap = snapshot(workers, Forwarding::FullNat, predicted);
        snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = 0);
        sim.publish(snap.index());
        let stranger =
            build::udp((DIRECTOR, CLIENT), at(names.client, 40_009), at(names.vip, 80), &body(4000));
        assert!(receive(&mut sim, &cut(&stranger, 1, ROOM), &[2, 0, 1]).is_empty());
        assert_eq!((held(&sim), drops(&sim, [NoDest, FragmentNoFirst])), (0, [1, 2]));
    });
}

/// What is noted of a datagram is looked up anew where routes have changed between its fragments.
#[test]
fn row007_fragments_find_their_way_when_routes_change_between_them() {
    for (workers, predicted) in [(1, false), (2, true), (4, false)] {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let frames = cut(&question(V4, 4000), 1, ROOM);
        let mut sent = receive(&mut sim, &frames, &[0]);
        let mut snap = snapshot(workers, Forwarding::FullNat, predicted);
        snap.links[1].as_mut().expect("the VLAN").mtu = 1280;
        snap.routing = 2;
        sim.publish(snap);
        let rest = receive(&mut sim, &frames, &[2, 1]);
        assert!(rest.iter().all(|frame| frame.len() <= 18 + 1280), "of the link as it is now");
        sent.extend(rest);
        assert_eq!(joined(&sent).payload, body(4000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, at whichever worker: no packet is lost count of, and no receiver gets a byte of a datagram twice.
    #[test]
    fn row007_no_byte_goes_on_twice(
        parts in proptest::collection::vec((0_u32..3, 0_usize..30, 1_usize..12, any::<bool>(), any::<bool>()), 1..60),
        workers in 1_u16..5,
        predicted: bool,
    ) {
        let mut sim = sim(workers, Forwarding::FullNat, predicted);
        let mut seen: HashMap<(Vec<u8>, u32), [u8; 64]> = HashMap::new();
        for (n, (id, start, len, more, six)) in parts.into_iter().enumerate() {
            let frame = question(if six { V6 } else { V4 }, 400);
            sim.receive(n % usize::from(workers), PORT, &part(&frame, id, start * 8, len * 8, more));
            for sent in sim.sent() {
                let part = read(&sent).expect("a fragment");
                let units = seen.entry((part.head[18..].to_vec(), part.id)).or_insert([0; 64]);
                for unit in &mut units[part.offset / 8..][..part.body.len() / 8] {
                    *unit += 1;
                    prop_assert!(*unit == 1, "{:?}", part.body);
                }
            }
        }
        sim.pass(11_000);
        prop_assert_eq!(held(&sim), 0);
    }
}
