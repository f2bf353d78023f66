// SPDX-License-Identifier: Apache-2.0
//! A service whose server is behind a tunnel link.
//!
//! ```text
//!  curl ──── dpdk0 director dpdk1 ──── server 1 (10.0.2.11)
//!                     └ t0 10.9.0.1 ══════════╛ tun0 10.9.0.7, nginx
//! ```
//!
//! This kernel has no tunnel devices: `tools/tunnel.py` is the server's end.

use std::path::Path;
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::process::Background;
use dpvs_tests::{Family, Lab, Plan, Result, ensure, scenario};

#[test]
fn two_workers() {
    scenario(Plan::workers(2), |lab| {
        let sum = lab.publish("bulk", 5_000_000)?;
        for (kind, options) in [("ipip", ""), ("gre", ""), ("gre", "key 7 csum")] {
            through(lab, kind, options, &sum)?;
        }
        Ok(())
    });
}

/// Between containers the sender's kernel changes queues, and so workers: numbers would not always come in order.
#[test]
fn one_worker_keeps_packets_in_order() {
    scenario(Plan::workers(1), |lab| {
        let sum = lab.publish("bulk", 5_000_000)?;
        through(lab, "gre", "key 7 csum seq", &sum)
    });
}

fn through(lab: &Lab, kind: &str, options: &str, sum: &str) -> Result<()> {
    let (vip, back, server) =
        (lab.vip(Family::V4, 80), lab.plan.back(Family::V4), lab.plan.server(Family::V4, 0));
    let ns = &lab.net.servers[0];
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/tunnel.py");
    let key = options.split(' ').skip(1).filter(|word| *word != "csum");
    let cmd =
        ns.cmd("/usr/bin/python3").arg(tool.display()).args([kind, &back.to_string(), "tun0"]).args(key);
    let mut end = Background::start(&cmd, &lab.file(&format!("tunnel-{kind}{}", options.len())))?;
    end.wait_for("ready", Duration::from_secs(10))?;
    ns.ip("link set tun0 up mtu 1400")?;
    ns.ip("addr add 10.9.0.7/24 dev tun0")?;
    ns.sysctl("net/ipv4/conf/tun0/rp_filter", "0")?;

    lab.director.dpip(&format!("tunnel add t0 mode {kind} local {back} remote {server} {options}"))?;
    lab.director.dpip("addr add 10.9.0.1/24 dev t0")?;
    lab.director.ipvsadm(&format!("-A -t {vip} -s rr"))?;
    lab.director.ipvsadm(&format!("-P -t {vip} -z 10.9.0.1 -F t0"))?;
    lab.director.ipvsadm(&format!("-a -t {vip} -r 10.9.0.7:80 -b"))?;
    let fetched = client::fetch(&lab.net.client, vip, "body", 10, Pace::InTurn)?;
    ensure!(client::shares(&fetched, &lab.servers)?[0] == 10, "{kind} {options}: {fetched:?}");
    ensure!(client::sha256(&lab.net.client, vip, "bulk")? == sum, "{kind} {options}: another file");
    ensure!(
        lab.servers[0].answered()?.iter().any(|from| from.ip().to_string() == "10.9.0.1"),
        "by the tunnel's address"
    );
    ensure!(!end.said().contains("error"), "{kind} {options}: {}", end.said());
    let drops = lab.director.dpip("drops show")?;
    ensure!(!drops.contains("tunnel_") && !drops.contains("headroom"), "{drops}");

    lab.director.ipvsadm("-C")?;
    lab.director.dpip("tunnel del t0")?;
    Ok(())
}
