// SPDX-License-Identifier: Apache-2.0
//! How much a cookie proves, seen from outside.

use super::*;

/// Cookies and timestamps computed beside this program, with another implementation of SipHash.
#[test]
fn r02_cookies_are_siphash_over_everything_the_same_way_in_both_families() {
    for (names, options, cookie, stamp) in [
        (V4, &PLAIN[..], 0x053c_9f9e, None),
        (V4, &LINUX[..], 0x07d5_6afc, Some(0x76da_ceef)),
        (V6, &PLAIN[..], 0x6f32_7b9e, None),
        (V6, &LINUX[..], 0x963f_b67c, Some(0x76da_ceef)),
    ] {
        let mut sim = proxied(1, |config| config.ecn = true);
        let syn = Segment { seq: C, flags: SYN, options, ..Segment::default() };
        let mut frame = from_client(at(names.client, 40_000), at(names.vip, 80), syn);
        if stamp.is_some() {
            // The vectors have every bit of the timestamp in use.
            frame = with_ecn(frame, names);
        }
        sim.receive(0, PORT, &frame);
        let answer = one(&mut sim);
        assert_eq!(answer.tcp().sequence_number, cookie, "{:?}", names.client);
        assert_eq!(stamps(&answer).map(|(ours, _)| ours), stamp);
        assert_eq!(answer.tcp().ece, stamp.is_some());
    }
}

/// A SYN that asks for classic ECN.
fn with_ecn(mut frame: Vec<u8>, names: Names) -> Vec<u8> {
    let l4 = 14 + if names.client == V4.client { 20 } else { 40 };
    frame[l4 + 13] |= 0xc0;
    // The flags are the low byte of a word of the sum.
    let old = u16::from_be_bytes([frame[l4 + 16], frame[l4 + 17]]);
    let sum = u32::from(!old) + 0xc0;
    let new = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[l4 + 16..l4 + 18].copy_from_slice(&new.to_be_bytes());
    frame
}

/// Two directors with one secret, whose clocks differ by seconds: the second opens the connection whose SYN the first answered.
#[test]
fn r03_directors_with_one_secret_accept_each_others_cookies() {
    for names in [V4, V6] {
        for options in [&LINUX[..], &PLAIN[..]] {
            let mut one = proxied(1, |_| {});
            let mut other = proxied(1, |config| config.epoch_ms += 7_000);
            let mut stranger = proxied(1, |config| config.key = MasterKey(*b"another secret!!"));
            let (client, _) = Client::syn(&mut one, names, 40_000, options);
            let syn = client.proves(&mut other).syn;
            assert!(syn.tcp().syn && syn.options().len() == options.len());
            let stamps = client.stamps(300);
            let ack = Segment {
                seq: C + 1,
                ack: client.cookie.wrapping_add(1),
                flags: ACK,
                options: &stamps,
                payload: &[],
            };
            client.sends(&mut stranger, ack);
            assert!(super::one(&mut stranger).tcp().rst);
            assert_eq!((other.conns(), stranger.conns()), (1, 0));
        }
    }
}

/// A handshake begun under one key is completed under the next, and a new secret ends those under way.
#[test]
fn r03_keys_change_and_handshakes_under_way_do_not_notice() {
    let mut sim = proxied(1, |_| {});
    // Ten seconds of the minute have passed: one client every five seconds, each answers half a minute later.
    for n in 0..30 {
        let (client, _) = Client::syn(&mut sim, V4, 1000 + n, &LINUX);
        let mut later = proxied(1, |_| {});
        later.pass(u64::from(n) * 5_000 + 30_000);
        client.proves(&mut later);
        sim.pass(5_000);
        sim.sent();
    }
    let (client, _) = Client::syn(&mut sim, V4, 1, &LINUX);
    let snap = with(&sim.snap, |snap| snap.options.syn_proxy.key = MasterKey(*b"a new secret now"));
    sim.publish(snap);
    let stamps = client.stamps(300);
    let ack = client.cookie.wrapping_add(1);
    client.sends(&mut sim, Segment { seq: C + 1, ack, flags: ACK, options: &stamps, payload: &[] });
    assert!(one(&mut sim).tcp().rst);
}

/// Any bit of what the client sends back that counts.
#[test]
fn r04_a_forged_bit_opens_nothing() {
    for names in [V4, V6] {
        for options in [&LINUX[..], &PLAIN[..]] {
            let mut sim = proxied(1, |config| config.reset_rate = 0);
            let (client, _) = Client::syn(&mut sim, names, 40_000, options);
            let ours = client.stamp.unwrap_or_default();
            for bit in 0..32 {
                let forged = 1_u32 << bit;
                let stamps = client.stamps(300);
                let ack = client.cookie.wrapping_add(1);
                let honest = Segment { seq: C + 1, ack, flags: ACK, options: &stamps, payload: &[] };
                let others = Client { port: 40_000 ^ (forged as u16), ..client };
                client.sends(&mut sim, Segment { ack: (client.cookie ^ forged).wrapping_add(1), ..honest });
                client.sends(&mut sim, Segment { seq: (C ^ forged) + 1, ..honest });
                let mut expected = 2;
                if bit < 16 {
                    others.sends(&mut sim, honest);
                    expected += 1;
                }
                // The six bits of data, and those that are more than two minutes.
                if client.stamp.is_some() && !(6..18).contains(&bit) {
                    let echo = Client { stamp: Some(ours ^ forged), ..client }.stamps(300);
                    client.sends(&mut sim, Segment { options: &echo, ..honest });
                    expected += 1;
                }
                let sent = sent(&mut sim);
                assert!(sent.len() == expected && sent.iter().all(|seen| seen.tcp().rst), "bit {bit}");
            }
            assert_eq!((sim.conns(), counter(&sim, "SYNPROXY_OK_ACK")), (0, 0));
            client.proves(&mut sim);
        }
    }
}
