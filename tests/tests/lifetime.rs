// SPDX-License-Identifier: Apache-2.0
//! Connections come, are listed, and leave nothing behind.
//!
//! ```text
//!  1 000 sockets ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx
//!                     table: 1 000 ... 0                └─ nginx
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use dpvs_tests::connections::Connections;
use dpvs_tests::echo::{EchoClient, EchoServer};
use dpvs_tests::{Family, Lab, Plan, Result, ensure, scenario};

/// Closing states that last a second, so that a test need not wait for minutes.
const SHORT: &str = "
ipvs_defs {
    tcp {
        timeout {
            fin_wait    1
            time_wait   1
            close       1
            close_wait  1
            last_ack    1
        }
    }
    udp {
        timeout {
            oneway  1
            normal  1
        }
    }
}
";

#[test]
fn one_worker() {
    scenario(Plan { conf: SHORT.to_owned(), ..Plan::workers(1) }, thousand);
}

#[test]
fn two_workers() {
    scenario(Plan { conf: SHORT.to_owned(), ..Plan::workers(2) }, thousand);
}

#[test]
fn datagram_flows_expire() {
    scenario(Plan { conf: SHORT.to_owned(), ..Plan::workers(2) }, |lab| {
        for family in Family::BOTH {
            let vip = lab.vip(family, 7);
            lab.balance("-u", vip, "rr", &[1])?;
            let _echo =
                EchoServer::start(&lab.net.servers[0], SocketAddr::new(lab.plan.server(family, 0), 7))?;
            for _ in 0..50 {
                let client = EchoClient::connect(&lab.net.client, lab.plan.client(family), vip)?;
                ensure!(client.round_trip(100, 1)?, "an echo is lost");
            }
            assert!(!lab.director.conns()?.is_empty());
            nothing_left(lab)?;
        }
        Ok(())
    });
}

fn thousand(lab: &mut Lab) -> Result<()> {
    for family in Family::BOTH {
        let vip = lab.vip(family, 80);
        lab.balance("-t", vip, "rr", &[1, 1])?;
        let mut held = Connections::open(&lab.net.client, vip, 1000)?;
        held.fetch()?;
        let listed = lab.director.conns()?;
        let established = listed.iter().filter(|l| l.contains("ESTABLISHED")).count();
        assert_eq!((listed.len(), established), (1000, 1000), "{family:?}");
        assert_eq!(active(lab, vip)?, 1000, "{family:?}");
        drop(held);
        nothing_left(lab)?;
        assert_eq!(active(lab, vip)?, 0, "{family:?}");
    }
    Ok(())
}

/// No connection, and no local port still leased.
fn nothing_left(lab: &Lab) -> Result<()> {
    lab.director.no_conns(Duration::from_secs(15))?;
    let addrs = lab.director.dpip("-s addr show")?;
    let used: Vec<&str> = addrs.split("sa_used ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
    assert!(used.iter().all(|n| *n == "0"), "ports are still leased: {addrs}");
    Ok(())
}

/// ActiveConn and InActConn of all servers of a service, together.
fn active(lab: &Lab, vip: SocketAddr) -> Result<u64> {
    let text = lab.director.ipvsadm(&format!("-Ln -t {vip}"))?;
    let server = |line: &str| {
        let columns: Vec<u64> = line
            .trim_start()
            .strip_prefix("-> ")?
            .split_whitespace()
            .filter_map(|w| w.parse().ok())
            .collect();
        (columns.len() == 3).then(|| columns[1] + columns[2])
    };
    Ok(text.lines().filter_map(server).sum())
}
