// SPDX-License-Identifier: Apache-2.0
//! Row 15 of the checklist: segments in fragments pass nobody by.

use super::seen::parts::{cut, joined, part};
use super::*;

fn ack_of(client: &Client) -> u32 {
    client.cookie.wrapping_add(1)
}

/// A fragmented SYN neither reaches a server nor gets an answer that its sender could not have asked for.
#[test]
fn r15_a_fragmented_syn_passes_nobody_by() {
    for names in [V4, V6] {
        let mut sim = proxied(1, |_| {});
        let frame = from_client(
            at(names.client, 1),
            at(names.vip, 80),
            Segment { seq: C, flags: SYN, options: &LINUX, ..Segment::default() },
        );
        for part in &cut(&frame, 1, 24)[..1] {
            sim.receive(0, PORT, part);
        }
        // A first fragment with all of the header, and more to come.
        sim.receive(0, PORT, &part(&frame, 2, 0, 40, true));
        assert!(sim.sent().is_empty());
        assert_eq!((sim.conns(), counter(&sim, "SYNPROXY_SYN_ACK")), (0, 0));
        assert_eq!((sim.drops(DropReason::FragmentTiny), sim.drops(DropReason::Fragment)), (1, 1));
    }
}

/// Neither the acknowledgement that proves a client, nor the server's answer, comes in fragments; what follows may, and is shifted.
#[test]
fn r15_segments_of_an_open_connection_pass_in_fragments() {
    for names in [V4, V6] {
        let mut sim = proxied(1, |_| {});
        let payload: Vec<u8> = (0..3000_u16).map(|n| n as u8).collect();
        let (client, _) = Client::syn(&mut sim, names, 1, &PLAIN);
        let early = Segment { seq: C + 1, ack: ack_of(&client), flags: ACK, payload: &payload, options: &[] };
        for part in cut(&client.frame(early), 1, 1400) {
            sim.receive(0, PORT, &part);
        }
        assert_eq!((sim.sent().len(), sim.conns(), sim.drops(DropReason::Fragment)), (0, 0, 1));
        let server = client.proves(&mut sim);
        let answer = Segment { seq: R, ack: server.ack(0), flags: SYN | ACK, options: &PLAIN, payload: &[] };
        let frame = build::tcp((DIRECTOR, server.syn.dst_mac), server.syn.dst, server.syn.src, answer);
        sim.receive(0, PORT, &tagged(part(&frame, 2, 0, 32, true)));
        assert_eq!((sim.sent().len(), sim.drops(DropReason::Fragment)), (0, 2));
        server.accepts(&mut sim, &PLAIN);
        sim.sent();
        for part in cut(&client.frame(early), 3, 1400) {
            sim.receive(0, PORT, &part);
        }
        let there = joined(&sim.sent());
        assert_eq!((there.tcp().acknowledgment_number, &there.payload), (R + 1, &payload));
        let data = Segment { seq: R + 1, ack: server.ack(3000), flags: ACK, payload: &payload, options: &[] };
        let frame = build::tcp((DIRECTOR, server.syn.dst_mac), server.syn.dst, server.syn.src, data);
        for part in cut(&frame, 4, 1400) {
            sim.receive(0, PORT, &tagged(part));
        }
        let back = joined(&sim.sent());
        assert_eq!(
            (back.tcp().sequence_number, back.tcp().acknowledgment_number),
            (ack_of(&client), C + 3001)
        );
        assert_eq!(back.payload, payload);
    }
}
