// SPDX-License-Identifier: Apache-2.0
//! Frames that break the rules are dropped for the right reason, and nothing else suffers.
//!
//! ```text
//!  scapy ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx, echo
//!             drops by reason                   └─ nginx
//! ```

use std::collections::BTreeMap;

use dpvs_tests::client::Pace;
use dpvs_tests::traffic::Traffic;
use dpvs_tests::{Context, Driver, Family, Lab, Plan, Result, scapy, scenario};

const MALFORMED: &str = include_str!("../tools/malformed.py");
const MUTATED: &str = include_str!("../tools/mutated.py");

/// No exception path: what the director does not want is dropped here, and counted by reason.
const NO_KERNEL: &str = "
global_defs {
    kni  off
}
";

#[test]
fn every_broken_rule_has_its_counter() {
    for driver in [Driver::AfPacket, Driver::AfXdp] {
        scenario(Plan { conf: NO_KERNEL.to_owned(), driver, ..Plan::workers(1) }, broken_rules);
    }
}

fn broken_rules(lab: &mut Lab) -> Result<()> {
    serve(lab)?;
    let plan = &lab.plan;
    let mac = lab.net.director.mac("port0")?;
    let addrs: Vec<String> = Family::BOTH
        .iter()
        .flat_map(|&f| [plan.client(f), plan.vip(f), plan.server(f, 0)].map(|a| a.to_string()))
        .collect();
    let mut args: Vec<&str> = addrs.iter().map(String::as_str).collect();
    args.push(&mac);

    let before = lab.director.conserves()?;
    let sent = scapy::run(&lab.net.client, MALFORMED, &args)?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    let dropped = since(&before, &lab.director.conserves()?);

    let mut expected = BTreeMap::<&str, u64>::new();
    for line in sent.lines() {
        *expected.entry(line.split(' ').next().context("a reason")?).or_default() += 1;
    }
    assert!(expected.len() >= 14, "{sent}");
    for (reason, count) in &expected {
        let got = dropped.get(*reason).copied().unwrap_or_default();
        // Kernels send packets of their own that count here, such as IGMP reports without an address.
        let noisy = ["icmp", "neighbour_discovery", "arp", "martian"].contains(reason);
        assert!(got == *count || noisy && got > *count, "{reason}: {got}, not {count}: {dropped:#?}\n{sent}");
    }
    let strange: Vec<_> = dropped.keys().filter(|r| !expected.contains_key(r.as_str())).collect();
    assert!(strange.is_empty(), "dropped for {strange:?}: {dropped:#?}\n{sent}");
    works(lab)
}

#[test]
fn random_damage_hurts_nobody() {
    for (workers, seed) in [(1, "1"), (2, "2")] {
        scenario(Plan::workers(workers), |lab| {
            serve(lab)?;
            let plan = &lab.plan;
            let addrs: Vec<String> = Family::BOTH
                .iter()
                .flat_map(|&f| [plan.client(f), plan.vip(f)].map(|a| a.to_string()))
                .collect();
            let mac = lab.net.director.mac("port0")?;
            let args: Vec<&str> =
                [seed, "20000"].into_iter().chain(addrs.iter().map(String::as_str)).chain([&*mac]).collect();
            let before = lab.director.traffic()?;
            scapy::run(&lab.net.client, MUTATED, &args)?;
            let after = lab.director.conserves()?;
            let received = after.count("rx") - before.count("rx");
            assert!(received >= 15_000, "{received} of 20000 frames were received: {after:?}");
            // A frame may say that the client has moved: it tells the director the truth again.
            lab.net.client.ip("neigh flush all")?;
            works(lab)
        });
    }
}

fn serve(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        lab.balance("-t", lab.vip(family, 80), "rr", &[1, 1])?;
        lab.balance("-u", lab.vip(family, 7), "rr", &[1, 1])?;
    }
    works(lab)
}

fn works(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let shares = lab.shares(lab.vip(family, 80), 10, Pace::InTurn)?;
        assert!(shares[0].abs_diff(5) <= 1, "{family:?}: {shares:?}");
    }
    Ok(())
}

fn since(before: &Traffic, after: &Traffic) -> BTreeMap<String, u64> {
    let grown = |(reason, n): (&String, &u64)| (reason.clone(), n - before.dropped(reason));
    after.drops.iter().map(grown).filter(|(_, n)| *n > 0).collect()
}
