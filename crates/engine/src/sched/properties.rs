// SPDX-License-Identifier: Apache-2.0
//! What holds for any weights and any number of servers.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::tests::{ask, each_client, snapshot};
use super::*;

/// Clients that hashing schedulers are asked for.
const CLIENTS: usize = 4096;

/// New connections by server; every connection is established at once and stays.
fn counts(snap: &Snapshot, workers: usize, each: usize) -> Vec<u32> {
    let svc = snap.services[0].as_ref().expect("the one service");
    let mut all = vec![0; svc.dests.len()];
    for worker in 0..workers {
        let mut cursor = Cursor::default();
        let mut loads: HashMap<DestId, Load> = HashMap::new();
        for n in 0..each {
            let asked = Ask { workers, ..ask(worker, n) };
            let load = |id| loads.get(&id).copied().unwrap_or_default();
            let Some(dest) = pick(svc, snap, &mut cursor, &asked, load) else { continue };
            loads.entry(dest.id).or_default().active += 1;
            all[dest.id.index()] += 1;
        }
    }
    all
}

/// Servers of clients, by the server's address.
fn owners(servers: &[(SocketAddr, u32)], scheduler: Scheduler) -> Vec<Option<SocketAddr>> {
    let mut snap = snapshot(scheduler, &servers.iter().map(|&(_, weight)| weight).collect::<Vec<_>>());
    for (dest, &(addr, _)) in snap.dests.iter_mut().flatten().zip(servers) {
        dest.addr = addr;
    }
    let svc = snap.services[0].as_mut().expect("the one service");
    svc.hashing.table = None;
    let snap = snap.index();
    each_client(&snap, CLIENTS).into_iter().map(|at| at.map(|at| servers[at as usize].0)).collect()
}

/// Servers at different addresses, weights 1 to `most`.
fn servers(n: std::ops::Range<usize>, most: u32) -> impl Strategy<Value = Vec<(SocketAddr, u32)>> {
    proptest::collection::btree_map(any::<u16>(), 1..=most, n).prop_map(|servers| {
        let addr = |n: u16| SocketAddr::new(Ipv4Addr::from_bits(0x0a01_0000 + u32::from(n)).into(), 80);
        servers.into_iter().map(|(n, weight)| (addr(n), weight)).collect()
    })
}

fn share(weights: &[u32], at: usize, all: usize) -> f64 {
    f64::from(weights[at]) / f64::from(weights.iter().sum::<u32>()) * all as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whole cycles give every server its weight; workers may each be within one.
    #[test]
    fn turns_hold_across_workers_together(
        weights in proptest::collection::vec(0u32..12, 1..12),
        workers in 1usize..5,
        cycles in 1usize..4,
    ) {
        let usable = weights.iter().filter(|&&w| w > 0).count();
        let rr = counts(&snapshot(Scheduler::Rr, &weights), workers, usable * cycles);
        for (at, &weight) in weights.iter().enumerate() {
            prop_assert_eq!(rr[at], if weight > 0 { (workers * cycles) as u32 } else { 0 });
        }
        let (_, divisor) = snapshot(Scheduler::Wrr, &weights).services[0].as_ref().expect("it is there").weights;
        let cycle = (weights.iter().sum::<u32>() / divisor) as usize;
        let wrr = counts(&snapshot(Scheduler::Wrr, &weights), workers, cycle * cycles);
        for (at, &weight) in weights.iter().enumerate() {
            prop_assert_eq!(wrr[at] as usize, (weight / divisor) as usize * workers * cycles);
        }
    }

    /// The order made once chooses what a look at every server would.
    #[test]
    fn the_strongest_is_the_one_a_look_at_all_finds(
        servers in proptest::collection::vec((0u32..5, 0u32..6), 1..40),
        at in 0usize..40,
    ) {
        let weights: Vec<u32> = servers.iter().map(|&(weight, _)| weight).collect();
        let load = |id: DestId| Load { active: servers[id.index()].1, inactive: 0 };
        // Of equals the one added first: the last of those that are least by "not as strong".
        let strongest = |fits: &dyn Fn(usize) -> bool| {
            (0..weights.len()).filter(|&at| weights[at] > 0 && fits(at)).min_by_key(|&at| std::cmp::Reverse(weights[at]))
        };
        for (scheduler, expected) in [
            (Scheduler::Fo, strongest(&|_| true)),
            (Scheduler::Ovf, strongest(&|at| servers[at].1 < weights[at])),
        ] {
            let snap = snapshot(scheduler, &weights);
            let svc = snap.services[0].as_ref().expect("the one service");
            let chosen = pick(svc, &snap, &mut Cursor::default(), &ask(0, 0), load);
            prop_assert_eq!(chosen.map(|dest| dest.id.index()), expected);
        }
        let snap = snapshot(Scheduler::Lc, &weights);
        let svc = snap.services[0].as_ref().expect("the one service");
        let (n, at) = (weights.len(), at % weights.len());
        let round: Vec<usize> = usable_after(svc, &snap, at).map(|dest| dest.id.index()).collect();
        let expected: Vec<usize> = (1..=n).map(|step| (at + step) % n).filter(|&at| weights[at] > 0).collect();
        prop_assert_eq!(round, expected);
    }

    /// The least loaded ones come out within one connection a worker of what the weights say, give or take sed's head start.
    #[test]
    fn least_loaded_servers_have_their_shares(
        weights in proptest::collection::vec(1u32..20, 1..10),
        workers in 1usize..4,
    ) {
        let each = 40 * weights.iter().sum::<u32>() as usize;
        for scheduler in [Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq] {
            let got = counts(&snapshot(scheduler, &weights), workers, each);
            for (at, &got) in got.iter().enumerate() {
                let off = (f64::from(got) - share(&weights, at, each * workers)).abs();
                // sed evens out (connections + 1) / weight, which is off by weight / sum * servers at most.
                prop_assert!(off <= 11.0 * workers as f64, "{scheduler:?} {at}: {got}, off by {off}");
            }
        }
        let lc = counts(&snapshot(Scheduler::Lc, &weights), workers, each);
        let (least, most) = (lc.iter().min().expect("one"), lc.iter().max().expect("one"));
        prop_assert!(most - least <= workers as u32);
    }

    /// Nobody with a weight above 0 goes without, and nobody with weight 0 gets any.
    #[test]
    fn nobody_starves(weights in proptest::collection::vec(0u32..5, 1..8), workers in 1usize..3) {
        let spreading = [
            Scheduler::Rr, Scheduler::Wrr, Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq, Scheduler::Sh,
            Scheduler::Mh, Scheduler::Conhash, Scheduler::Ovf, Scheduler::Lblc, Scheduler::Lblcr, Scheduler::Twos,
        ];
        for scheduler in Scheduler::ALL {
            let got = counts(&snapshot(scheduler, &weights), workers, CLIENTS);
            for (&got, &weight) in got.iter().zip(&weights) {
                if spreading.contains(&scheduler) {
                    prop_assert_eq!(got > 0, weight > 0, "{:?} {:?}", scheduler, weights);
                } else {
                    prop_assert!(got == 0 || weight > 0, "{:?} {:?}", scheduler, weights);
                }
            }
        }
    }

    #[test]
    fn hashing_honours_weights(servers in servers(1..12, 8)) {
        let weights: Vec<u32> = servers.iter().map(|&(_, weight)| weight).collect();
        for scheduler in [Scheduler::Sh, Scheduler::Mh, Scheduler::Conhash] {
            let owners = owners(&servers, scheduler);
            for (at, &(addr, _)) in servers.iter().enumerate() {
                let got = owners.iter().filter(|&&owner| owner == Some(addr)).count() as f64;
                let due = share(&weights, at, CLIENTS);
                // 160 points spread a ring by 8 %, and clients in a row a table by less: both far within half.
                prop_assert!((got - due).abs() <= due * 0.5 + 24.0, "{scheduler:?}: {got} of {due}");
            }
        }
    }

    #[test]
    fn twos_honours_weights(weights in proptest::collection::vec(1u32..8, 1..8)) {
        let got = counts(&snapshot(Scheduler::Twos, &weights), 1, CLIENTS);
        for (at, &got) in got.iter().enumerate() {
            let due = share(&weights, at, CLIENTS);
            prop_assert!((f64::from(got) - due).abs() <= due * 0.25 + 8.0, "{got} of {due}: {weights:?}");
        }
    }

    /// The order servers were added in is not in the table.
    #[test]
    fn machines_with_the_same_servers_agree(servers in servers(1..20, 30), turn in 0usize..20) {
        let mut turned = servers.clone();
        turned.rotate_left(turn % servers.len());
        turned.reverse();
        for scheduler in [Scheduler::Mh, Scheduler::Conhash] {
            prop_assert_eq!(owners(&servers, scheduler), owners(&turned, scheduler));
        }
    }

    /// Weight 1 is there twice, so that the removal leaves the weights' divisor alone.
    #[test]
    fn a_server_that_leaves_moves_its_clients_only(mut servers in servers(4..14, 6), leaving in 2usize..14) {
        (servers[0].1, servers[1].1) = (1, 1);
        let leaving = 2 + (leaving - 2) % (servers.len() - 2);
        let gone = servers[leaving].0;
        let left: Vec<_> = servers.iter().copied().filter(|&(addr, _)| addr != gone).collect();
        for (scheduler, percent) in [(Scheduler::Conhash, 0), (Scheduler::Mh, 25)] {
            let (before, after) = (owners(&servers, scheduler), owners(&left, scheduler));
            let others = before.iter().zip(&after).filter(|(was, _)| **was != Some(gone));
            let moved = others.filter(|(was, is)| was != is).count();
            // Maglev trades some of this for even shares: 2 to 5 percent of other servers' clients as a rule, 17 where neighbouring addresses
            // walk the table in step (the hash is DPVS's).
            prop_assert!(moved * 100 <= CLIENTS * percent, "{scheduler:?}: {moved} moved");
            prop_assert!(after.iter().all(|owner| owner.is_some_and(|owner| owner != gone)));
        }
    }

    /// From the next connection on, whatever the cursor remembers.
    #[test]
    fn a_weight_of_zero_counts_at_once(weights in proptest::collection::vec(1u32..9, 2..8), closed in 0usize..8, n in 0usize..50) {
        let closed = closed % weights.len();
        let mut changed = weights.clone();
        changed[closed] = 0;
        for scheduler in Scheduler::ALL {
            let (old, mut new) = (snapshot(scheduler, &weights), snapshot(scheduler, &changed));
            new.services[0].as_mut().expect("the one service").revision = 1;
            let mut cursor = Cursor::default();
            let mut of = |snap: &Snapshot, n| {
                let svc = snap.services[0].as_ref().expect("the one service");
                pick(svc, snap, &mut cursor, &ask(0, n), |_| Load::default()).map(|dest| dest.id.index())
            };
            for n in 0..n {
                of(&old, n);
            }
            for n in 0..64 {
                prop_assert_ne!(of(&new, n), Some(closed), "{:?}", scheduler);
            }
        }
    }
}
