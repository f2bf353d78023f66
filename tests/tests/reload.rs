// SPDX-License-Identifier: Apache-2.0
//! SIGHUP reads dpvs.conf again while requests run.
//!
//! ```text
//!  curl curl curl ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx
//!                      dpvs.conf, dpvs.conf', typo       └─ nginx
//! ```

use std::net::IpAddr;
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::connections::Connections;
use dpvs_tests::{Family, Lab, Plan, Result, scenario, wait};
use rustix::process::Signal;

#[test]
fn a_reload_changes_what_the_file_says_and_loses_nothing() {
    scenario(Plan { conf: conf(&[]), ..Plan::workers(2) }, |lab| {
        let (vip, new) = (lab.vip(Family::V4, 80), Family::V4.host(1, 160));
        lab.balance("-t", vip, "rr", &[1, 1])?;
        let mut held = Connections::open(&lab.net.client, vip, 20)?;
        std::thread::scope(|scope| -> Result<()> {
            let client = &lab.net.client;
            let load = scope.spawn(|| client::fetch(client, vip, "body", 400, Pace::InTurn));
            assert_eq!(client::ping(client, new, 1)?, 0, "nobody has {new} yet");
            reload(lab, &conf(&[new]))?;
            answers(lab, new, true)?;
            reload(lab, "netif_defs {\n    device dpdk0 {\n        adr  10.0.1.161/32\n    }\n}\n")?;
            wait::until("the complaint about the typo", Duration::from_secs(5), || {
                let log = lab.director.log();
                Ok(log.lines().any(|l| l.contains("dpvsd.conf:3: ") && l.contains("adr")).then_some(()))
            })?;
            assert_eq!(client::ping(client, new, 1)?, 1, "a file with a typo changes nothing");
            reload(lab, &conf(&[]))?;
            answers(lab, new, false)?;
            let fetched = load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            let shares = client::shares(&fetched, &lab.servers)?;
            assert!(shares[0].abs_diff(200) <= 1, "{shares:?}");
            Ok(())
        })?;
        assert_eq!(held.fetch()?.len(), 20);
        Ok(())
    });
}

fn reload(lab: &Lab, conf: &str) -> Result<()> {
    std::fs::write(lab.file("dpvsd.conf"), conf)?;
    lab.director.signal(Signal::HUP)
}

fn answers(lab: &Lab, addr: IpAddr, wanted: bool) -> Result<()> {
    wait::until(&format!("{addr} to answer: {wanted}"), Duration::from_secs(10), || {
        Ok(((client::ping(&lab.net.client, addr, 1)? == 1) == wanted).then_some(()))
    })
}

/// dpvs.conf with these addresses on the first port.
fn conf(addrs: &[IpAddr]) -> String {
    let addrs: String = addrs.iter().map(|addr| format!("        addr  {addr}/32\n")).collect();
    format!("netif_defs {{\n    device dpdk0 {{\n{addrs}    }}\n}}\n")
}
