// SPDX-License-Identifier: Apache-2.0
//! Whom a segment's numbers belong to: resets, acknowledgements and new connections of others than the two ends.

use super::*;

/// RFC 5961 3.2: a reset in the window but not in its place is for its receiver to question, and what follows from that decides.
#[test]
fn a_reset_that_is_nearly_right_is_passed_on_and_ends_nothing_yet() {
    for names in [V4, V6] {
        let mut sim = proxied(1, |_| {});
        let (client, server) = open(&mut sim, names, 1, &PLAIN, &PLAIN);
        let ack = client.cookie.wrapping_add(1);
        client.sends(&mut sim, Segment { seq: C + 1, ack, flags: ACK, payload: &[7; 100], options: &[] });
        server
            .sends(&mut sim, Segment { seq: R + 1, ack: server.ack(100), flags: ACK, ..Segment::default() });
        sim.sent();
        let reset = |seq: u32| Segment { seq, flags: RST, ..Segment::default() };
        // 64240 bytes, or with scale 7 as many times 128.
        for (seq, passes) in [(C + 100, false), (C + 102, true), (C + 101 + (64_240 << 7), true)] {
            client.sends(&mut sim, reset(seq));
            assert_eq!(sim.sent().len(), usize::from(passes), "{seq}");
        }
        client.sends(&mut sim, reset(C + 102 + (64_240 << 7)));
        assert_eq!((sim.sent().len(), counter(&sim, "SYNPROXY_BAD_RESET")), (0, 2));
        server.sends(&mut sim, reset(R + 2));
        assert_eq!(sim.sent().len(), 1);
        assert_eq!(client.state(&sim), Some(ConnState::Established));
        // What the server has sent last, whether or not the client has said that it came.
        let data = Segment { seq: R + 1, ack: server.ack(100), flags: ACK, payload: b"bye", options: &[] };
        server.sends(&mut sim, data);
        server.sends(&mut sim, reset(R + 4));
        assert_eq!(sim.sent().len(), 2);
        assert_eq!(client.state(&sim), Some(ConnState::Close));
    }
}

/// RFC 5961 5.2: an acknowledgement of what was never sent neither hides a true reset nor makes a blind one true.
#[test]
fn a_blind_acknowledgement_moves_nothing() {
    let mut sim = proxied(1, |_| {});
    let (client, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
    let ack = client.cookie.wrapping_add(1);
    client.sends(
        &mut sim,
        Segment { seq: C + 1, ack: ack.wrapping_add(1 << 30), flags: ACK, ..Segment::default() },
    );
    server
        .sends(&mut sim, Segment { seq: R + 1, ack: server.ack(1 << 30), flags: ACK, ..Segment::default() });
    sim.sent();
    for blind in [R + 1 + (1 << 30), R - (1 << 16)] {
        server.sends(&mut sim, Segment { seq: blind, flags: RST, ..Segment::default() });
    }
    client.sends(&mut sim, Segment { seq: C + 1 + (1 << 30), flags: RST, ..Segment::default() });
    assert_eq!((sim.sent().len(), client.state(&sim)), (0, Some(ConnState::Established)));
    server.sends(&mut sim, Segment { seq: R + 1, flags: RST, ..Segment::default() });
    assert_eq!((sim.sent().len(), client.state(&sim)), (1, Some(ConnState::Close)));
}

/// A client that has lost its connection (its machine began anew) comes by the same port while the old one is open.
#[test]
fn r18_a_client_that_lost_an_open_connection_gets_another() {
    for (names, allowed) in [(V4, true), (V6, true), (V4, false)] {
        let mut sim = proxied(1, |config| config.reuse.established = allowed);
        let (old, server) = open(&mut sim, names, 1, &PLAIN, &PLAIN);
        let syn = Segment { seq: 50_000, flags: SYN, options: &PLAIN, ..Segment::default() };
        old.sends(&mut sim, syn);
        let cookie = one(&mut sim).tcp().sequence_number;
        let ack = cookie.wrapping_add(1);
        old.sends(&mut sim, Segment { seq: 50_001, ack, flags: ACK, ..Segment::default() });
        let seen = sent(&mut sim);
        assert_eq!(counter(&sim, "SYNPROXY_CONN_REUSED_ESTAB"), u64::from(allowed));
        assert_eq!(sim.conns(), 1);
        if !allowed {
            assert!(seen.iter().all(|seen| !seen.tcp().syn && !seen.tcp().rst));
            continue;
        }
        let [reset, syn] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((reset.dst, reset.tcp().rst, numbers(reset).0), (server.syn.dst, true, server.ack(0)));
        let next = Server { syn: syn.clone(), at: 0 };
        next.accepts(&mut sim, &PLAIN);
        assert_eq!(numbers(&one(&mut sim)), (next.ack(0), R + 1, &[][..]));
        next.sends(
            &mut sim,
            Segment { seq: R + 1, ack: next.ack(0), flags: ACK, payload: b"anew", options: &[] },
        );
        assert_eq!(numbers(&one(&mut sim)), (ack, 50_001, &b"anew"[..]));
    }
}

/// An acknowledgement of what the server sent is no cookie, even where its number is one by chance: DPVS begins the connection anew,
/// and it hangs.
#[test]
fn r18_numbers_of_the_old_connection_begin_no_new_one() {
    let mut sim = proxied(1, |_| {});
    // A port where the cookie for another segment size is within a mebibyte of the first.
    let (port, far) = (1..)
        .find_map(|port| {
            let mut cookie = |options| Client::syn(&mut sim, V4, port, options).0.cookie;
            let small = [2, 4, 2, 0x18, 1, 1, 4, 2, 1, 3, 3, 7];
            let far = cookie(&small[..]).wrapping_sub(cookie(&PLAIN));
            (far < 1 << 20).then_some((port, far))
        })
        .expect("one in 4096 ports");
    let (client, server) = open(&mut sim, V4, port, &PLAIN, &PLAIN);
    let data = Segment { seq: R + far, ack: server.ack(0), flags: ACK, payload: b"x", options: &[] };
    server.sends(&mut sim, data);
    assert_eq!(numbers(&one(&mut sim)).0, client.cookie.wrapping_add(far));
    let ack = client.cookie.wrapping_add(1 + far);
    client.sends(&mut sim, Segment { seq: C + 1, ack, flags: ACK, ..Segment::default() });
    assert_eq!(numbers(&one(&mut sim)), (server.ack(0), R + 1 + far, &[][..]));
    assert_eq!((counter(&sim, "SYNPROXY_CONN_REUSED"), sim.conns()), (0, 1));
}
