// SPDX-License-Identifier: Apache-2.0
//! Much data, both ways, and datagrams of every length.
//!
//! ```text
//!  curl, iperf3, ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx, iperf3, echo
//!  sockets            vip .1.100    laddr .2.200        └─ nginx
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::echo::{EchoClient, EchoServer};
use dpvs_tests::process::Background;
use dpvs_tests::{Context, Family, Lab, Plan, Result, ensure, scenario};

#[test]
fn one_worker() {
    scenario(Plan::workers(1), everything);
}

#[test]
fn two_workers() {
    scenario(Plan::workers(2), everything);
}

fn everything(lab: &mut Lab) -> Result<()> {
    for family in Family::BOTH {
        lab.balance("-t", lab.vip(family, 80), "rr", &[1, 1])?;
    }
    a_long_download_is_the_same(lab)?;
    two_hundred_at_once_are_the_same(lab)?;
    bulk_flows_both_ways(lab)?;
    datagrams_of_every_length_come_back(lab)
}

fn a_long_download_is_the_same(lab: &Lab) -> Result<()> {
    let sum = lab.publish("big", 200_000_000)?;
    for family in Family::BOTH {
        assert_eq!(client::sha256(&lab.net.client, lab.vip(family, 80), "big")?, sum, "{family:?}");
    }
    Ok(())
}

fn two_hundred_at_once_are_the_same(lab: &Lab) -> Result<()> {
    lab.publish("chunk", 100_000)?;
    let chunk = std::fs::read(lab.file("chunk"))?;
    for family in Family::BOTH {
        let fetched = client::fetch(&lab.net.client, lab.vip(family, 80), "chunk", 200, Pace::AtOnce)?;
        assert_eq!(fetched.failures, [""; 0], "{family:?}");
        let same = fetched.bodies.iter().filter(|body| **body == chunk).count();
        assert_eq!(same, 200, "{family:?}");
    }
    Ok(())
}

fn bulk_flows_both_ways(lab: &Lab) -> Result<()> {
    let server = lab.net.servers[0].cmd("iperf3").args(["-s", "--forceflush"]);
    let mut server = Background::start(&server, &lab.file("iperf3.log"))?;
    server.wait_for("Server listening", Duration::from_secs(10))?;
    for family in Family::BOTH {
        let vip = lab.vip(family, 5201);
        // Control and data connection belong to the same server: there is only one.
        lab.balance("-t", vip, "rr", &[1])?;
        for direction in ["", "--reverse"] {
            let client = lab.net.client.cmd("iperf3").args(["-J", "-t", "2", family.flag(), "-c"]);
            let text = client.arg(vip.ip()).words(direction).check()?;
            let report: serde_json::Value = serde_json::from_str(&text)?;
            let received = report["end"]["sum_received"]["bytes"].as_u64().context("bytes received")?;
            ensure!(received > 1_000_000, "{family:?} {direction}: {received} bytes in 2 seconds: {text}");
        }
    }
    Ok(())
}

fn datagrams_of_every_length_come_back(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let vip = lab.vip(family, 7);
        lab.balance("-u", vip, "rr", &[1, 1])?;
        let echoes = (0..)
            .zip(&lab.net.servers)
            .map(|(n, ns)| EchoServer::start(ns, SocketAddr::new(lab.plan.server(family, n), 7)))
            .collect::<Result<Vec<_>>>()?;
        // Eight flows: with two workers some go to each of them, and with two servers some to each of these.
        for flow in 0..8 {
            let client = EchoClient::connect(&lab.net.client, lab.plan.client(family), vip)?;
            let lost = client.lost((1..=1400).skip(flow).step_by(8))?;
            assert_eq!(lost, [0; 0], "{family:?} flow {flow}");
        }
        let returned: Vec<u64> = echoes.into_iter().map(EchoServer::stop).collect();
        assert_eq!(returned.iter().sum::<u64>(), 1400, "{family:?}: {returned:?}");
        assert!(returned.iter().all(|n| *n > 0), "{family:?}: {returned:?}");
    }
    Ok(())
}
