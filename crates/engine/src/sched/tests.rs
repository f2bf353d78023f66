// SPDX-License-Identifier: Apache-2.0

use std::collections::HashMap;

use model::Transport;

use super::*;
use crate::ids::ServiceId;
use crate::snapshot::Forwarding;

fn snapshot(scheduler: Scheduler, weights: &[u32]) -> Snapshot {
    let service = Service {
        id: ServiceId(0),
        generation: 1,
        transport: Transport::Tcp,
        vip: "10.0.0.80:80".parse().expect("a literal address"),
        scheduler,
        revision: 0,
        dests: (0..weights.len() as u32).map(DestId).collect(),
        laddrs: Vec::new(),
        syn_proxy: false,
        conn_timeout: 0,
        weights: (0, 0),
        masquerades: false,
    };
    let dests = weights.iter().zip(0u32..).map(|(&weight, n)| {
        Some(Dest {
            id: DestId(n),
            generation: 1,
            service: ServiceId(0),
            addr: format!("10.1.0.{n}:80").parse().expect("fewer than 256 servers"),
            forwarding: Forwarding::FullNat,
            weight,
        })
    });
    Snapshot { services: vec![Some(service)], dests: dests.collect(), ..Snapshot::default() }.index()
}

fn picks(snap: &Snapshot, lcore: usize, n: usize) -> Vec<u32> {
    let svc = snap.services[0].as_ref().expect("the one service");
    let mut cursor = Cursor::default();
    let mut loads: HashMap<DestId, Load> = HashMap::new();
    (0..n)
        .filter_map(|_| {
            let id =
                pick(svc, snap, &mut cursor, lcore, |id| loads.get(&id).copied().unwrap_or_default())?.id;
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
fn wrr_gives_the_cycle_of_lvs() {
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
fn nobody_is_chosen_when_nobody_is_usable() {
    for scheduler in Scheduler::ALL {
        assert_eq!(picks(&snapshot(scheduler, &[]), 0, 1), [0u32; 0]);
        assert_eq!(picks(&snapshot(scheduler, &[0, 0]), 0, 1), [0u32; 0]);
    }
}

#[test]
fn each_worker_begins_elsewhere_and_keeps_the_shares() {
    for scheduler in Scheduler::ALL {
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
    let first = pick(svc, &snap, &mut cursor, 0, |_| Load::default()).map(|d| d.id);
    let edited = Service { revision: 1, ..svc.clone() };
    let again = pick(&edited, &snap, &mut cursor, 0, |_| Load::default()).map(|d| d.id);
    assert_eq!((first, again), (Some(DestId(0)), Some(DestId(0))));
}
