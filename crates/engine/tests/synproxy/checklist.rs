// SPDX-License-Identifier: Apache-2.0
//! The rows of the checklist of behaviours that are about the SYN proxy, by their numbers. Where ours is meant to differ from DPVS, the
//! comment says how.

use super::*;

fn ack_of(client: &Client) -> u32 {
    client.cookie.wrapping_add(1)
}

fn syn(options: &[u8]) -> Segment<'_> {
    Segment { seq: C, flags: SYN, options, ..Segment::default() }
}

fn scale_of(seen: &Seen) -> Option<u8> {
    seen.tcp().options_iterator().flatten().find_map(|option| match option {
        etherparse::TcpOptionElement::WindowScale(shift) => Some(shift),
        _ => None,
    })
}

fn mss_of(seen: &Seen) -> Option<u16> {
    seen.tcp().options_iterator().flatten().find_map(|option| match option {
        etherparse::TcpOptionElement::MaximumSegmentSize(mss) => Some(mss),
        _ => None,
    })
}

fn sack_of(seen: &Seen) -> bool {
    seen.tcp()
        .options_iterator()
        .flatten()
        .any(|option| option == etherparse::TcpOptionElement::SelectiveAcknowledgementPermitted)
}

#[test]
fn c091_a_syn_gets_an_answer_and_leaves_no_connection() {
    let mut sim = proxied(1, |_| {});
    let (_, answer) = Client::syn(&mut sim, V4, 1, &LINUX);
    assert_eq!((answer.dst, sim.conns(), sim.lcores[0].held()), (at(V4.client, 1), 0, 0));
}

#[test]
fn c092_the_fields_of_the_answer() {
    let mut sim = proxied(1, |config| *config = Config { key: config.key, ..Config::dpvs() });
    let mut frame = from_client(at(V4.client, 1), at(V4.vip, 80), syn(&LINUX));
    // A type of service, and the header checksum that goes with it.
    frame[15] = 0x10;
    let sum = u16::from_be_bytes([frame[24], frame[25]]) - 0x10;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    sim.receive(0, PORT, &frame);
    let raw = sim.sent_one();
    let answer = see(&raw);
    assert_eq!((answer.dst_mac, answer.src_mac), (CLIENT, DIRECTOR));
    assert_eq!((answer.src, answer.dst, answer.ttl, raw[15]), (at(V4.vip, 80), at(V4.client, 1), 63, 0));
    assert_eq!((answer.tcp().acknowledgment_number, raw[14 + 20 + 13]), (C + 1, 0x12));
    // Not the client's own window, as in DPVS: what may come before the server answers is what is kept.
    assert_eq!(answer.tcp().window_size, 3 * 1452);
}

#[test]
fn c093_a_window_held_closed_unless_data_are_waited_for() {
    for (defer, window) in [(false, 0), (true, 10 * 1460)] {
        let mut sim = proxied(1, |c| (c.close_client_window, c.defer_rs_syn) = (true, defer));
        assert_eq!(Client::syn(&mut sim, V4, 1, &LINUX).1.tcp().window_size, window);
    }
}

/// Ours tells clients what the director and its links take; what clients offer is for the server.
#[test]
fn c094_the_segment_size_of_the_answer() {
    for (configured, offered, answered) in [
        (1400, &[2u8, 4, 5, 0xb4][..], Some(1400)),
        (8960, &[2, 4, 5, 0xb4], Some(1460)),
        (1400, &[2, 4, 2, 0], Some(1400)),
        // 0 is nonsense and counts as unsaid; who says nothing gets nothing said.
        (1400, &[2, 4, 0, 0], None),
        (1400, &[], None),
    ] {
        let mut sim = proxied(1, |config| config.mss = configured);
        assert_eq!(mss_of(&Client::syn(&mut sim, V4, 1, offered).1), answered, "{offered:?}");
    }
}

#[test]
fn c095_options_switched_off_are_left_out_and_nothing_grows() {
    for bits in 0..8 {
        let (sack, scale, ts) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
        let mut sim = proxied(1, |config| {
            (config.sack, config.timestamps, config.wscale) = (sack, ts, scale.then_some(7));
        });
        let frame = from_client(at(V4.client, 1), at(V4.vip, 80), syn(&LINUX));
        sim.receive(0, PORT, &frame);
        let raw = sim.sent_one();
        let answer = see(&raw);
        assert_eq!(
            (sack_of(&answer), scale_of(&answer).is_some(), stamps(&answer).is_some()),
            (sack, scale, ts)
        );
        assert!(raw.len() <= frame.len());
    }
}

#[test]
fn c096_the_scale_announced_is_the_one_configured() {
    for wscale in [None, Some(1), Some(9), Some(14)] {
        let mut sim = proxied(1, |config| config.wscale = wscale);
        assert_eq!(scale_of(&Client::syn(&mut sim, V4, 1, &LINUX).1), wscale);
    }
}

#[test]
fn c097_timestamps_echo_the_client_and_count_milliseconds() {
    let mut sim = proxied(1, |_| {});
    let (first, answer) = Client::syn(&mut sim, V4, 1, &LINUX);
    assert_eq!(stamps(&answer).map(|(_, echo)| echo), Some(256));
    sim.pass(10_000);
    let (second, _) = Client::syn(&mut sim, V4, 1, &LINUX);
    // The low six bits carry what was offered, here the same.
    let grown = second.stamp.zip(first.stamp).map(|(later, earlier)| later - earlier);
    assert!(grown.is_some_and(|ms| (9_937..=10_063).contains(&ms)), "{grown:?}");
}

#[test]
fn c098_a_service_without_weight_comes_before_every_other_check() {
    let mut sim = proxied(1, |_| {});
    let snap = with(&sim.snap, |snap| snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = 0));
    sim.publish(snap);
    // Malformed as well: no client has port 0.
    sim.receive(0, PORT, &from_client(at(V4.client, 0), at(V4.vip, 80), syn(&LINUX)));
    assert_eq!((sim.drops(DropReason::NoDest), sim.drops(DropReason::PortZero)), (1, 0));
    assert_eq!((counter(&sim, "SYNPROXY_NO_DEST"), counter(&sim, "SYNPROXY_SYN_ACK")), (1, 0));
}

/// Vectors are in `r02_`; here: they depend on nothing but what they should.
#[test]
fn c099_the_same_syn_gets_the_same_cookie_on_every_worker() {
    let mut sim = proxied(4, |_| {});
    let cookies: Vec<u32> = (0..4)
        .map(|worker| {
            sim.receive(worker, PORT, &from_client(at(V4.client, 7), at(V4.vip, 80), syn(&PLAIN)));
            one(&mut sim).tcp().sequence_number
        })
        .collect();
    assert!(cookies.iter().all(|cookie| *cookie == cookies[0]), "{cookies:x?}");
}

/// Two minutes, where DPVS has four.
#[test]
fn c100_how_long_a_cookie_is_good_and_for_whom() {
    // Ten seconds of the first minute have passed.
    for (ms, good) in [(0, true), (49_000, true), (51_000, true), (109_000, true), (111_000, false)] {
        let mut sim = proxied(1, |config| config.reset_rate = 0);
        let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
        sim.pass(ms);
        sim.sent();
        let honest = Segment { seq: C + 1, ack: ack_of(&client), flags: ACK, ..Segment::default() };
        for forged in [
            client.frame(Segment { seq: C + 2, ..honest }),
            client.frame(Segment { ack: honest.ack.wrapping_add(1), ..honest }),
            from_client(at("10.1.0.2", 1), at(V4.vip, 80), honest),
            from_client(at(V4.client, 2), at(V4.vip, 80), honest),
        ] {
            sim.receive(0, PORT, &forged);
            assert!(sent(&mut sim).iter().all(|seen| seen.tcp().rst));
        }
        client.sends(&mut sim, honest);
        assert!(sent(&mut sim).iter().any(|seen| seen.tcp().syn) == good, "after {ms} ms");
    }
}

/// A table of our own: eight sizes between 536 and jumbo frames.
#[test]
fn c101_the_edges_of_the_table_of_sizes() {
    for (offered, told) in [
        (1, 536),
        (535, 536),
        (536, 536),
        (1219, 536),
        (1220, 1220),
        (1299, 1220),
        (1300, 1300),
        (1359, 1300),
        (1360, 1360),
        (1399, 1360),
        (1400, 1400),
        (1439, 1400),
        (1440, 1440),
        (1459, 1440),
        (1460, 1460),
        (8959, 1460),
        (8960, 8960),
        (65_535, 8960),
    ] {
        let mut sim = proxied(1, |_| {});
        let [high, low] = u16::to_be_bytes(offered);
        let (client, _) = Client::syn(&mut sim, V4, 1, &[2, 4, high, low]);
        assert_eq!(mss_of(&client.proves(&mut sim).syn), Some(told), "{offered}");
    }
}

/// A reset without acknowledgement, as RFC 9293 3.10.7.1 has it; services without the proxy send none.
#[test]
fn c102_a_bad_acknowledgement_is_reset() {
    let mut sim = proxied(1, |_| {});
    let bad = Segment { seq: 77, ack: 88, flags: ACK, payload: b"data", options: &[] };
    sim.receive(0, PORT, &from_client(at(V4.client, 1), at(V4.vip, 80), bad));
    let reset = one(&mut sim);
    assert!(reset.tcp().rst && !reset.tcp().ack && reset.payload.is_empty());
    assert_eq!((reset.tcp().sequence_number, reset.tcp().window_size), (88, 0));
    assert_eq!(counter(&sim, "SYNPROXY_BAD_ACK"), 1);
}

#[test]
fn c103_deferring_drops_empty_acknowledgements() {
    let mut sim = proxied(1, |config| config.defer_rs_syn = true);
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let empty = Segment { seq: C + 1, ack: ack_of(&client), flags: ACK, ..Segment::default() };
    client.sends(&mut sim, empty);
    assert_eq!((sim.sent().len(), sim.drops(DropReason::SynProxyNullAck)), (0, 1));
    client.sends(&mut sim, Segment { payload: b"x", ..empty });
    assert!(one(&mut sim).tcp().syn);
}

#[test]
fn c104_all_combinations_of_options_reach_the_server() {
    for bits in 0..8 {
        let (sack, scale, ts) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
        let mut offered = vec![2, 4, 5, 0xb4];
        offered.extend(if sack { &[1u8, 1, 4, 2][..] } else { &[] });
        offered.extend(if ts { &[1u8, 1, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0][..] } else { &[] });
        offered.extend(if scale { &[1u8, 3, 3, 5][..] } else { &[] });
        let mut sim = proxied(1, |_| {});
        let (client, _) = Client::syn(&mut sim, V4, 1, &offered);
        let syn = client.proves(&mut sim).syn;
        assert_eq!((mss_of(&syn), sack_of(&syn)), (Some(1460), sack));
        assert_eq!(
            (scale_of(&syn), stamps(&syn).map(|(_, echo)| echo)),
            (scale.then_some(5), ts.then_some(0))
        );
        assert_eq!((client.state(&sim), counter(&sim, "SYNPROXY_OK_ACK")), (Some(ConnState::SynSent), 1));
    }
}

/// Timestamps go to the server too; its window is the client's, not a fixed 5000.
#[test]
fn c105_the_fields_of_the_syn_to_the_server() {
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &LINUX);
    let options = client.stamps(300);
    let ack = Segment { seq: C + 1, ack: ack_of(&client), flags: ACK, options: &options, payload: &[] };
    client.sends(&mut sim, ack);
    let raw = sim.sent_one();
    let syn = see(&raw);
    assert_eq!((syn.ttl, syn.src.ip(), syn.vlan), (64, world::ip(V4.laddr), Some(102)));
    assert_eq!(raw[18 + 6] & 0x40, 0x40, "DF");
    assert_eq!((syn.tcp().window_size, raw[18 + 20 + 13]), (65_535, 2));
    assert_ne!(syn.tcp().sequence_number, C, "the client's own number stays between it and us");
}

#[test]
fn c106_no_server_left_after_a_good_cookie() {
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let snap = with(&sim.snap, |snap| snap.dests.iter_mut().flatten().for_each(|dest| dest.weight = 0));
    sim.publish(snap);
    client.sends(&mut sim, Segment { seq: C + 1, ack: ack_of(&client), flags: ACK, ..Segment::default() });
    assert_eq!((sim.sent().len(), sim.drops(DropReason::NoDest), sim.conns()), (0, 1, 0));
}

/// With back-off, where DPVS has a constant pause; and the client is told.
#[test]
fn c107_a_silent_server_is_asked_as_often_as_configured() {
    for retries in [0, 1, 5] {
        let mut sim = proxied(1, |config| (config.rs_syn_max_retry, config.rs_other) = (retries, 0));
        let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
        client.proves(&mut sim);
        sim.pass(60_000);
        let segments: Vec<Seen> = sim
            .sent()
            .iter()
            .filter(|frame| frame[12..14] != [8, 6] && frame[16..18] != [8, 6])
            .map(|f| see(f))
            .collect();
        let syns = segments.iter().filter(|seen| seen.tcp().syn).count();
        assert_eq!((syns, segments.len()), (usize::from(retries), usize::from(retries) + 1));
        assert!(segments.last().is_some_and(|seen| seen.tcp().rst && seen.dst == at(V4.client, 1)));
        assert_eq!((sim.conns(), counter(&sim, "SYNPROXY_RS_ERROR")), (0, u64::from(retries)));
    }
}

#[test]
fn c108_the_servers_answer_is_swallowed_and_the_server_counted() {
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let server = client.proves(&mut sim);
    let counted = |sim: &Sim| {
        let all = sim.lcores[0].dest_counters();
        (all.iter().map(|c| c.active).sum::<u32>(), all.iter().map(|c| c.inactive).sum::<u32>())
    };
    assert_eq!(counted(&sim), (0, 1));
    server.accepts(&mut sim, &PLAIN);
    let sixth = one(&mut sim);
    assert_eq!((sixth.dst, numbers(&sixth)), (server.syn.dst, (server.ack(0), R + 1, &[][..])));
    assert_eq!(counted(&sim), (1, 0));
}

#[test]
fn c109_the_window_is_opened_once_and_only_where_it_was_closed() {
    for (hold, updates) in [(true, 1), (false, 0)] {
        let mut sim = proxied(1, |config| config.close_client_window = hold);
        let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
        let server = client.proves(&mut sim);
        server.accepts(&mut sim, &PLAIN);
        let to_client: Vec<Seen> =
            sent(&mut sim).into_iter().filter(|seen| seen.dst == at(V4.client, 1)).collect();
        assert_eq!(to_client.len(), updates);
        for update in to_client {
            assert_eq!(numbers(&update), (ack_of(&client), C + 1, &[][..]));
            assert!(update.options().is_empty() && update.tcp().ack && !update.tcp().syn);
            assert_eq!(update.tcp().window_size, 64_240 >> 7);
        }
    }
}

#[test]
fn c110_windows_towards_the_client_are_scaled_by_the_difference_and_capped() {
    for (theirs, window) in [(7, 64_240), (5, 64_240 >> 2), (8, 65_535), (0, 64_240 >> 7)] {
        let mut sim = proxied(1, |_| {});
        let (_, server) = open(&mut sim, V4, 1, &PLAIN, &[2, 4, 5, 0xb4, 1, 3, 3, theirs]);
        let data = Segment { seq: R + 1, ack: server.ack(0), flags: ACK, payload: b"x", options: &[] };
        server.sends(&mut sim, data);
        assert_eq!(one(&mut sim).tcp().window_size, window, "scale {theirs}");
    }
}

#[test]
fn c111_the_servers_refusal_reaches_the_client() {
    let mut sim = proxied(1, |config| config.rs_other = 0);
    let (client, _) = Client::syn(&mut sim, V6, 1, &PLAIN);
    let server = client.proves(&mut sim);
    server.sends(&mut sim, Segment { seq: 0, ack: server.ack(0), flags: RST | ACK, ..Segment::default() });
    let reset = one(&mut sim);
    assert!(reset.tcp().rst && reset.tcp().ack);
    assert_eq!((reset.dst, numbers(&reset)), (at(V6.client, 1), (ack_of(&client), C + 1, &[][..])));
    assert_eq!(client.state(&sim), Some(ConnState::Close));
}

/// Exactly as many as configured, where DPVS keeps one more.
#[test]
fn c112_before_the_server_answers_only_acknowledgements_are_kept_and_not_too_many() {
    let mut sim = proxied(1, |config| config.max_ack_saved = 3);
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    client.proves(&mut sim);
    client.sends(&mut sim, Segment { seq: C + 1, flags: 8, payload: b"x", ..Segment::default() });
    assert_eq!(sim.drops(DropReason::NotSyn), 1);
    for n in 0..5 {
        client.sends(
            &mut sim,
            Segment { seq: C + 1 + n, ack: ack_of(&client), flags: ACK, payload: b"x", options: &[] },
        );
    }
    assert_eq!((sim.lcores[0].held(), counter(&sim, "SYNPROXY_SYNSEND_QLEN")), (3, 3));
}

// 113 is `r21_the_worked_example`.

/// The storm is dropped, where DPVS sends it on untranslated.
#[test]
fn c114_a_storm_of_acknowledgements_is_stopped_at_the_threshold() {
    for most in [1, 10] {
        let mut sim = proxied(1, |config| config.ack_storm_thresh = most);
        let (_, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
        let ack = Segment { seq: R + 1, ack: server.ack(0), flags: ACK, ..Segment::default() };
        (0..50).for_each(|_| server.sends(&mut sim, ack));
        assert_eq!(sim.sent().len(), usize::from(most) + 1);
        assert_eq!(sim.drops(DropReason::SynProxyStorm), 49 - u64::from(most));
        // Another acknowledgement begins anew.
        server.sends(&mut sim, Segment { ack: server.ack(1), ..ack });
        assert_eq!(sim.sent().len(), 1);
    }
}

/// A connection in the state that ends like this.
fn closing(sim: &mut Sim, state: ConnState) -> Client {
    let (client, server) = open(sim, V4, 1, &PLAIN, &PLAIN);
    let fin_of_client = Segment { seq: C + 1, ack: ack_of(&client), flags: FIN | ACK, ..Segment::default() };
    let fin_of_server = Segment { seq: R + 1, ack: server.ack(0), flags: FIN | ACK, ..Segment::default() };
    match state {
        ConnState::Close => server.sends(sim, Segment { flags: RST, ..fin_of_server }),
        ConnState::CloseWait => client.sends(sim, fin_of_client),
        ConnState::FinWait => server.sends(sim, fin_of_server),
        _ => {
            client.sends(sim, fin_of_client);
            server.sends(sim, Segment { ack: server.ack(1), ..fin_of_server });
        }
    }
    sim.sent();
    assert_eq!(client.state(sim), Some(state));
    client
}

#[test]
fn c115_a_new_handshake_replaces_a_closing_connection_where_that_is_allowed() {
    let only = |state| Reuse {
        established: false,
        close: state == ConnState::Close,
        time_wait: state == ConnState::TimeWait,
        fin_wait: state == ConnState::FinWait,
        close_wait: state == ConnState::CloseWait,
        last_ack: false,
    };
    for (state, name) in [
        (ConnState::Close, "SYNPROXY_CONN_REUSED_CLOSE"),
        (ConnState::TimeWait, "SYNPROXY_CONN_REUSED_TIMEWAIT"),
        (ConnState::FinWait, "SYNPROXY_CONN_REUSED_FINWAIT"),
        (ConnState::CloseWait, "SYNPROXY_CONN_REUSED_CLOSEWAIT"),
    ] {
        for allowed in [true, false] {
            let mut sim = proxied(1, |config| {
                config.reuse = if allowed {
                    only(state)
                } else {
                    Reuse { close: false, time_wait: false, ..Reuse::default() }
                };
            });
            let old = closing(&mut sim, state);
            old.sends(&mut sim, Segment { seq: 50_000, flags: SYN, options: &PLAIN, ..Segment::default() });
            let cookie = one(&mut sim).tcp().sequence_number;
            let proof =
                Segment { seq: 50_001, ack: cookie.wrapping_add(1), flags: ACK, ..Segment::default() };
            old.sends(&mut sim, proof);
            let next = one(&mut sim);
            assert_eq!(next.tcp().syn, allowed, "{state:?}");
            assert_eq!(
                (counter(&sim, name), counter(&sim, "SYNPROXY_CONN_REUSED")),
                (allowed.into(), allowed.into())
            );
            if allowed {
                let server = Server { syn: next, at: 0 };
                server.accepts(&mut sim, &PLAIN);
                assert_eq!(numbers(&one(&mut sim)), (server.ack(0), R + 1, &[][..]));
                assert_eq!(old.state(&sim), Some(ConnState::Established));
            }
            assert_eq!(sim.conns(), 1);
        }
    }
}

#[test]
fn c116_a_bad_cookie_on_a_closing_connection_is_an_ordinary_segment() {
    let mut sim = proxied(1, |_| {});
    let old = closing(&mut sim, ConnState::TimeWait);
    old.sends(
        &mut sim,
        Segment { seq: C + 2, ack: ack_of(&old).wrapping_add(1), flags: ACK, ..Segment::default() },
    );
    assert_eq!(numbers(&one(&mut sim)).1, R + 2, "shifted and passed on");
    assert_eq!((counter(&sim, "SYNPROXY_CONN_REUSED"), counter(&sim, "SYNPROXY_RESET")), (0, 0));
}

#[test]
fn c117_a_syn_on_a_living_connection_is_answered_and_harms_nothing() {
    let mut sim = proxied(1, |_| {});
    let (client, server) = open(&mut sim, V4, 1, &PLAIN, &PLAIN);
    let (_, answer) = Client::syn(&mut sim, V4, 1, &PLAIN);
    assert_eq!(answer.dst, at(V4.client, 1));
    assert_eq!(client.state(&sim), Some(ConnState::Established));
    // What a living client says to that, and goes on with.
    client.sends(
        &mut sim,
        Segment { seq: C + 1, ack: ack_of(&client), flags: ACK, payload: b"still here", options: &[] },
    );
    assert_eq!(numbers(&one(&mut sim)), (server.ack(0), R + 1, &b"still here"[..]));
}

// 118 is about dpvs.conf: `every_option_of_the_syn_proxy_*` beside its table.

#[test]
fn c119_two_tags_are_nobodys_and_one_is_the_links() {
    let mut sim = proxied(1, |_| {});
    let frame = from_client(at("10.2.0.9", 1), at(V4.vip, 80), syn(&LINUX));
    let double = {
        let mut frame = tagged(frame.clone());
        frame.splice(12..12, [0x88, 0xa8, 0, 7]);
        frame
    };
    sim.receive(0, PORT, &double);
    assert!(sim.sent().is_empty());
    sim.receive(0, PORT, &tagged(frame));
    assert_eq!(one(&mut sim).vlan, Some(102));
}

/// Control refuses such servers; should one be there nevertheless, nobody is sent to it with numbers it does not know.
#[test]
fn r16_a_server_whose_answers_pass_by_gets_no_client() {
    use engine::forward::Forwarding;
    let mut sim = proxied(1, |_| {});
    let (client, _) = Client::syn(&mut sim, V4, 1, &PLAIN);
    let snap = with(&sim.snap, |snap| {
        snap.dests.iter_mut().flatten().for_each(|dest| dest.forwarding = Forwarding::DirectRouting);
    });
    sim.publish(snap);
    client.sends(&mut sim, Segment { seq: C + 1, ack: ack_of(&client), flags: ACK, ..Segment::default() });
    assert_eq!((sim.sent().len(), sim.drops(DropReason::NoDest), sim.conns()), (0, 1, 0));
}

#[test]
fn r10_all_clients_together_may_make_no_more_wait_than_there_is_room_for() {
    let mut sim = proxied(1, |config| (config.max_ack_saved, config.rs_other) = (63, 0));
    let mut kept = 0;
    for port in 1..=8 {
        sim.sent();
        let (client, _) = Client::syn(&mut sim, V4, port, &PLAIN);
        for n in 0..50 {
            let data =
                Segment { seq: C + 1 + n, ack: ack_of(&client), flags: ACK, payload: b"x", options: &[] };
            client.sends(&mut sim, data);
            kept += 1;
        }
    }
    sim.sent();
    // The simulated worker has room for 256.
    assert_eq!((kept, sim.lcores[0].held()), (400, 256));
    assert_eq!((counter(&sim, "SYNPROXY_SYNSEND_QLEN"), sim.drops(DropReason::SynProxyQueue)), (144, 144));
    sim.pass(60_000);
    assert_eq!((sim.lcores[0].held(), sim.conns()), (0, 0));
}
