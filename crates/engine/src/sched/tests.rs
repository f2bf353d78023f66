// SPDX-License-Identifier: Apache-2.0

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use model::Transport;

use super::*;
use crate::ids::ServiceId;
use crate::snapshot::Forwarding;

pub(super) fn snapshot(scheduler: Scheduler, weights: &[u32]) -> Snapshot {
    let service = Service {
        id: ServiceId(0),
        generation: 1,
        transport: Transport::Tcp,
        vip: "10.0.0.80:80".parse().expect("a literal address"),
        scheduler,
        hashing: Hashing::default(),
        revision: 0,
        dests: (0..weights.len() as u32).map(DestId).collect(),
        laddrs: Vec::new(),
        syn_proxy: false,
        proxying: Default::default(),
        access: None,
        conn_timeout: 0,
        one_packet: false,
        expire_quiescent: false,
        throttle: None,
        persistence: None,
        proxy_protocol: None,
        quic: false,
        weights: (0, 0),
        masquerades: false,
        echo: Default::default(),
        alive: 0,
        rule: None,
        mark: None,
    };
    let dests = weights.iter().zip(0u32..).map(|(&weight, n)| {
        Some(Dest {
            id: DestId(n),
            generation: 1,
            service: ServiceId(0),
            addr: format!("10.1.0.{n}:80").parse().expect("fewer than 256 servers"),
            forwarding: Forwarding::FullNat,
            weight,
            limit: None,
            check: None,
        })
    });
    Snapshot { services: vec![Some(service)], dests: dests.collect(), ..Snapshot::default() }.index()
}

/// The `n`th client's question to worker `worker` of one.
pub(super) fn ask(worker: usize, n: usize) -> Ask {
    let client = SocketAddr::new(Ipv4Addr::from_bits(0xc000_0200 + n as u32).into(), 40_000);
    let tuple = Tuple::new(client, "10.0.0.80:80".parse().expect("a literal address")).expect("one family");
    let dice = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Ask { tuple, worker, workers: 1, now: Tick(0), dice, quic_id: None }
}

fn picks(snap: &Snapshot, lcore: usize, n: usize) -> Vec<u32> {
    let svc = snap.services[0].as_ref().expect("the one service");
    let mut cursor = Cursor::default();
    let mut loads: HashMap<DestId, Load> = HashMap::new();
    (0..n)
        .filter_map(|n| {
            let id = pick(svc, snap, &mut cursor, &ask(lcore, n), |id| {
                loads.get(&id).copied().unwrap_or_default()
            })?
            .id;
            loads.entry(id).or_default().active += 1;
            Some(id.0)
        })
        .collect()
}

#[test]
fn rr_takes_turns_and_skips_weight_zero() {
    assert_eq!(picks(&snapshot(Scheduler::Rr, &[1, 0, 9]), 0, 5), [0, 2, 0, 2, 0]);
}

#[test]
fn row147_wrr_gives_the_cycle_of_lvs() {
    assert_eq!(picks(&snapshot(Scheduler::Wrr, &[4, 3, 2]), 0, 9), [0, 0, 1, 0, 1, 2, 0, 1, 2]);
    assert_eq!(picks(&snapshot(Scheduler::Wrr, &[20, 0, 10]), 0, 6), [0, 0, 2, 0, 0, 2]);
}

#[test]
fn wlc_evens_out_connections_by_weight() {
    let picked = picks(&snapshot(Scheduler::Wlc, &[1, 3]), 0, 8);
    assert_eq!(picked.iter().filter(|&&id| id == 1).count(), 6);
    assert_eq!(picks(&snapshot(Scheduler::Wlc, &[1, 1, 1]), 0, 6), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn lc_evens_out_connections_whatever_the_weights() {
    assert_eq!(picks(&snapshot(Scheduler::Lc, &[1, 9]), 0, 6), [0, 1, 0, 1, 0, 1]);
}

/// Delays after each choice, server 0 of weight 1 and server 1 of weight 3: 1/1 against 1/3, 2/3, 3/3.
#[test]
fn sed_counts_the_new_connection() {
    assert_eq!(picks(&snapshot(Scheduler::Sed, &[1, 3]), 0, 5), [1, 1, 0, 1, 1]);
}

#[test]
fn nq_lets_nobody_idle() {
    assert_eq!(picks(&snapshot(Scheduler::Nq, &[1, 3, 1]), 0, 5), [0, 1, 2, 1, 1]);
}

#[test]
fn row150_fo_takes_the_greatest_weight_and_of_equals_the_first() {
    assert_eq!(picks(&snapshot(Scheduler::Fo, &[1, 7, 7]), 2, 3), [1, 1, 1]);
}

#[test]
fn ovf_fills_servers_from_the_greatest_weight_down_and_then_takes_none() {
    assert_eq!(picks(&snapshot(Scheduler::Ovf, &[1, 3, 2]), 0, 9), [1, 1, 1, 2, 2, 0]);
}

/// Of two workers each fills half of a server, rounded up.
#[test]
fn ovf_shares_the_weights_among_workers() {
    let snap = snapshot(Scheduler::Ovf, &[5]);
    let svc = snap.services[0].as_ref().expect("the one service");
    let asked = Ask { workers: 2, ..ask(1, 0) };
    let taken =
        |active| pick(svc, &snap, &mut Cursor::default(), &asked, |_| Load { active, inactive: 0 }).is_some();
    assert_eq!((taken(2), taken(3)), (true, false));
}

#[test]
fn datagram_flows_fill_servers_too() {
    let mut snap = snapshot(Scheduler::Ovf, &[2]);
    let svc = snap.services[0].as_mut().expect("the one service");
    svc.transport = Transport::Udp;
    let svc = svc.clone();
    let full = Load { active: 0, inactive: 2 };
    assert!(pick(&svc, &snap, &mut Cursor::default(), &ask(0, 0), |_| full).is_none());
}

#[test]
fn lblc_stays_until_its_server_is_overloaded_and_another_is_not() {
    assert_eq!(picks(&snapshot(Scheduler::Lblc, &[2, 2]), 0, 6), [0, 0, 0, 1, 1, 1]);
    assert_eq!(picks(&snapshot(Scheduler::Lblc, &[2, 0]), 0, 6), [0, 0, 0, 0, 0, 0]);
}

#[test]
fn lblcr_adds_servers_while_they_are_overloaded() {
    assert_eq!(picks(&snapshot(Scheduler::Lblcr, &[2, 2, 2]), 0, 9), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn lblcr_lets_the_most_loaded_go_after_a_day() {
    let snap = snapshot(Scheduler::Lblcr, &[1, 1]);
    let svc = snap.services[0].as_ref().expect("the one service");
    let mut cursor = Cursor::default();
    let mut at = |now, active: [u32; 2]| {
        let asked = Ask { now: Tick(now), ..ask(0, 0) };
        let load = |id: DestId| Load { active: active[id.index()], inactive: 0 };
        pick(svc, &snap, &mut cursor, &asked, load).map(|dest| dest.id.0)
    };
    assert_eq!(at(0, [0, 0]), Some(0));
    assert_eq!(at(0, [2, 0]), Some(1), "both have it now");
    assert_eq!(at(86_400_000, [0, 1]), Some(0));
    assert_eq!(at(86_400_001, [0, 1]), Some(0), "the second is let go after this");
    assert_eq!(at(86_400_002, [1, 0]), Some(0), "only the first has it");
}

#[test]
fn locality_outlasts_a_change_of_weights_of_others() {
    let snap = snapshot(Scheduler::Lblc, &[4, 4]);
    let svc = snap.services[0].as_ref().expect("the one service");
    let mut cursor = Cursor::default();
    let mut with = |svc: &Service, active: [u32; 2]| {
        let load = |id: DestId| Load { active: active[id.index()], inactive: 0 };
        pick(svc, &snap, &mut cursor, &ask(0, 0), load).map(|dest| dest.id.0)
    };
    assert_eq!(with(svc, [1, 0]), Some(1));
    assert_eq!(with(&Service { revision: 1, ..svc.clone() }, [0, 3]), Some(1));
}

#[test]
fn hashed_clients_stay_and_ports_count_where_asked() {
    for scheduler in [Scheduler::Sh, Scheduler::Mh] {
        let mut snap = snapshot(scheduler, &[1; 8]);
        let svc = snap.services[0].as_mut().expect("the one service");
        let servers = |svc: &Service, snap: &Snapshot| {
            let from = |port| {
                let client = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 10).into(), port);
                let tuple = Tuple::new(client, svc.vip).expect("one family");
                let asked = Ask { tuple, ..ask(0, 0) };
                pick(svc, snap, &mut Cursor::default(), &asked, |_| Load::default()).map(|d| d.id)
            };
            (1..100).map(from).collect::<std::collections::HashSet<_>>().len()
        };
        let without = svc.clone();
        svc.hashing.port = true;
        let with = svc.clone();
        assert_eq!((servers(&without, &snap), servers(&with, &snap)), (1, 8), "{scheduler:?}");
    }
}

/// A server that takes none, but whose place is still in the table.
#[test]
fn clients_of_a_closed_server_are_refused_or_go_elsewhere() {
    for scheduler in [Scheduler::Sh, Scheduler::Mh] {
        let mut snap = snapshot(scheduler, &[1, 1, 1]);
        let before = each_client(&snap, 256);
        snap.dests[1].as_mut().expect("the second server").weight = 0;
        let refused = each_client(&snap, 256);
        snap.services[0].as_mut().expect("the one service").hashing.fallback = true;
        let moved = each_client(&snap, 256);
        assert!(before.contains(&Some(1)), "{scheduler:?}");
        for (n, was) in before.into_iter().enumerate() {
            match was {
                Some(1) => {
                    assert_eq!(refused[n], None, "{scheduler:?}");
                    assert!(matches!(moved[n], Some(0 | 2)), "{scheduler:?}");
                }
                other => assert_eq!((refused[n], moved[n]), (other, other), "{scheduler:?}"),
            }
        }
        assert!([0, 2].iter().all(|&at| moved.iter().filter(|&&to| to == Some(at)).count() > 20));
    }
}

#[test]
fn conhash_chooses_as_dpvs_does() {
    let mut snap = snapshot(Scheduler::Conhash, &[1, 1, 1]);
    for (n, dest) in (1..).zip(snap.dests.iter_mut().flatten()) {
        dest.addr = SocketAddr::new(Ipv4Addr::new(10, 0, 0, n).into(), 80);
    }
    snap.services[0].as_mut().expect("the one service").hashing.table = None;
    let snap = snap.index();
    let svc = snap.services[0].as_ref().expect("the one service");
    let of = |client: &str| {
        let client = SocketAddr::new(client.parse().expect("an address"), 1234);
        let tuple = Tuple::new(client, svc.vip).expect("one family");
        let asked = Ask { tuple, ..ask(0, 0) };
        pick(svc, &snap, &mut Cursor::default(), &asked, |_| Load::default()).map(|d| d.id.0)
    };
    assert_eq!(
        ["192.0.2.10", "192.0.2.11", "192.0.2.12", "198.51.100.7"].map(of),
        [Some(2), Some(2), Some(2), Some(0)]
    );
}

#[test]
fn dh_sends_everybody_to_the_server_of_the_address() {
    let picked = picks(&snapshot(Scheduler::Dh, &[1, 1, 1]), 0, 9);
    assert_eq!((picked.len(), picked.iter().all(|&id| id == picked[0])), (9, true));
}

/// The server of each of `n` clients.
pub(super) fn each_client(snap: &Snapshot, n: usize) -> Vec<Option<u32>> {
    let svc = snap.services[0].as_ref().expect("the one service");
    let of = |n| pick(svc, snap, &mut Cursor::default(), &ask(0, n), |_| Load::default()).map(|d| d.id.0);
    (0..n).map(of).collect()
}

#[test]
fn nobody_is_chosen_when_nobody_is_usable() {
    for scheduler in Scheduler::ALL {
        assert_eq!(picks(&snapshot(scheduler, &[]), 0, 1), [0u32; 0]);
        assert_eq!(picks(&snapshot(scheduler, &[0, 0]), 0, 1), [0u32; 0]);
    }
}

#[test]
fn each_worker_begins_elsewhere_and_keeps_the_shares() {
    for scheduler in
        [Scheduler::Rr, Scheduler::Wrr, Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq]
    {
        let snap = snapshot(scheduler, &[1, 1, 1]);
        assert_eq!((0..4).map(|lcore| picks(&snap, lcore, 1)[0]).collect::<Vec<_>>(), [0, 1, 2, 0]);
        let mut all = picks(&snap, 2, 9);
        all.sort_unstable();
        assert_eq!(all, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    }
}

#[test]
fn a_change_of_weights_starts_the_round_anew() {
    let snap = snapshot(Scheduler::Wrr, &[2, 1]);
    let svc = snap.services[0].as_ref().expect("the one service");
    let mut cursor = Cursor::default();
    let first = pick(svc, &snap, &mut cursor, &ask(0, 0), |_| Load::default()).map(|d| d.id);
    let edited = Service { revision: 1, ..svc.clone() };
    let again = pick(&edited, &snap, &mut cursor, &ask(0, 0), |_| Load::default()).map(|d| d.id);
    assert_eq!((first, again), (Some(DestId(0)), Some(DestId(0))));
}
