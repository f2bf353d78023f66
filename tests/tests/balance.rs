// SPDX-License-Identifier: Apache-2.0
//! Requests are spread as the scheduler says, and every byte arrives.
//!
//! ```text
//!  curl ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx .2.11
//!  .1.2      vip .1.100    laddr .2.200        └─ nginx .2.12     IPv4 10.0., IPv6 fd00:
//! ```

use std::net::SocketAddr;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::connections::Connections;
use dpvs_tests::{Arms, Driver, Family, Lab, Plan, Result, scenario};

/// Scheduler, weights, and how 200 requests are to be shared.
const SPLITS: &[(&str, [u32; 2], [usize; 2])] = &[
    ("rr", [1, 1], [100, 100]),
    ("rr", [1, 9], [100, 100]),
    ("wrr", [1, 1], [100, 100]),
    ("wrr", [1, 3], [50, 150]),
    ("wlc", [1, 1], [100, 100]),
];

#[test]
fn one_worker() {
    scenario(Plan::workers(1), |lab| splits(lab, SPLITS));
}

#[test]
fn two_workers() {
    scenario(Plan::workers(2), |lab| {
        splits(lab, SPLITS)?;
        for worker in ["[1]", "[2]"] {
            let conns = lab.director.ipvsadm("-Lnc --style dpvs")?;
            let own = conns.lines().filter(|line| line.starts_with(worker)).count();
            assert!(own >= 20, "worker {worker} has {own} connections: {conns}");
        }
        Ok(())
    });
}

#[test]
fn one_arm() {
    scenario(Plan { arms: Arms::One, ..Plan::workers(1) }, |lab| splits(lab, &SPLITS[..1]));
}

#[test]
fn af_xdp() {
    for workers in [1, 2] {
        scenario(Plan { driver: Driver::AfXdp, ..Plan::workers(workers) }, |lab| splits(lab, &SPLITS[..1]));
    }
}

/// Held connections decide under wlc: the server with the higher weight carries as many more.
#[test]
fn wlc_shares_live_connections_by_weight() {
    scenario(Plan::workers(1), |lab| {
        for family in Family::BOTH {
            let vip = lab.vip(family, 80);
            lab.balance("-t", vip, "wlc", &[1, 4])?;
            let mut held = Connections::open(&lab.net.client, vip, 100)?;
            assert_eq!(count(lab, &held.fetch()?), [20, 80], "{family:?}");
            lab.director.ipvsadm("-C")?;
        }
        Ok(())
    });
}

fn splits(lab: &mut Lab, splits: &[(&str, [u32; 2], [usize; 2])]) -> Result<()> {
    // Each worker walks round by itself: together they are off by one turn of each worker but the first at most.
    let slack = usize::from(lab.plan.workers - 1) * 2;
    for (scheduler, weights, expected) in splits {
        for family in Family::BOTH {
            let vip = lab.vip(family, 80);
            lab.balance("-t", vip, scheduler, weights)?;
            let shares = lab.shares(vip, 200, Pace::InTurn)?;
            let near = shares.iter().zip(expected).all(|(got, want)| got.abs_diff(*want) <= slack);
            assert!(near, "{scheduler} {weights:?} {family:?}: {shares:?}, not {expected:?}");
            counted(lab, vip, &shares)?;
            lab.director.ipvsadm(&format!("-D -t {vip}"))?;
        }
    }
    only_the_local_address_reaches_servers(lab)
}

/// `ipvsadm -Ln --stats` tells the same story as the bodies.
fn counted(lab: &Lab, vip: SocketAddr, shares: &[usize]) -> Result<()> {
    let text = lab.director.ipvsadm(&format!("-Ln --stats -t {vip}"))?;
    let conns: Vec<usize> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("-> ")?.split_whitespace().nth(1)?.parse().ok())
        .collect();
    assert_eq!(conns, shares, "{text}");
    Ok(())
}

fn only_the_local_address_reaches_servers(lab: &Lab) -> Result<()> {
    let laddrs = Family::BOTH.map(|family| lab.plan.laddr(family));
    for server in &lab.servers {
        let sources = server.answered()?;
        assert!(!sources.is_empty(), "{} has not answered", server.name());
        let foreign: Vec<_> = sources.iter().filter(|s| !laddrs.contains(&s.ip())).collect();
        assert!(foreign.is_empty(), "{} has seen {foreign:?}", server.name());
    }
    Ok(())
}

fn count(lab: &Lab, bodies: &[Vec<u8>]) -> Vec<usize> {
    let fetched = client::Fetched { bodies: bodies.to_vec(), failures: Vec::new() };
    client::shares(&fetched, &lab.servers).unwrap_or_default()
}
