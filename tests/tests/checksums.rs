// SPDX-License-Identifier: Apache-2.0
//! Senders on the same host leave checksums half made, for hardware that is not there.
//!
//! ```text
//!  curl ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx
//!  tx on: only the pseudo header summed        └─ nginx, tx on as well
//! ```

use std::net::SocketAddr;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::echo::{EchoClient, EchoServer};
use dpvs_tests::{Family, Lab, Plan, Result, ensure, scenario};

const RECOMPUTE: &str = "
netif_defs {
    device dpdk0 {
        rx_csum  recompute
    }
    device dpdk1 {
        rx_csum  recompute
    }
}
";

#[test]
fn recomputed_checksums_make_containers_of_one_host_work() {
    for workers in [1, 2] {
        scenario(Plan { conf: RECOMPUTE.to_owned(), ..Plan::workers(workers) }, |lab| {
            half_made(lab)?;
            for family in Family::BOTH {
                let (web, udp) = (lab.vip(family, 80), lab.vip(family, 7));
                lab.balance("-t", web, "rr", &[1, 1])?;
                let shares = lab.shares(web, 50, Pace::InTurn)?;
                ensure!(shares[0].abs_diff(25) <= 1, "{family:?}: {shares:?}");
                lab.balance("-u", udp, "rr", &[1])?;
                let addr = SocketAddr::new(lab.plan.server(family, 0), 7);
                let _echo = EchoServer::start(&lab.net.servers[0], addr)?;
                let client = EchoClient::connect(&lab.net.client, lab.plan.client(family), udp)?;
                assert_eq!(client.lost((1..=1400).step_by(100))?, [0; 0], "{family:?}");
            }
            Ok(())
        });
    }
}

#[test]
fn half_made_checksums_open_nothing_and_are_counted() {
    scenario(Plan::workers(1), |lab| {
        half_made(lab)?;
        let vip = lab.vip(Family::V4, 80);
        lab.balance("-t", vip, "rr", &[1, 1])?;
        let fetched = client::fetch(&lab.net.client, vip, "body", 1, Pace::InTurn)?;
        assert_eq!(fetched.failures.len(), 1);
        assert_eq!(lab.director.conns()?, [""; 0]);
        let dropped = lab.director.traffic()?.dropped("l4_checksum");
        ensure!(dropped >= 1, "{dropped} packets dropped for their checksum");
        Ok(())
    });
}

/// Checksum offload on, as Linux has it by default, at both ends. Segments stay of a size for the wire.
fn half_made(lab: &Lab) -> Result<()> {
    for ns in std::iter::once(&lab.net.client).chain(&lab.net.servers) {
        ns.cmd("ethtool").args(["-K", "eth0"]).words("tx on tso off gso off").check()?;
    }
    Ok(())
}
