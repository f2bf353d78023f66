// SPDX-License-Identifier: Apache-2.0
//! Clients in a VLAN: the director's port carries tags, the client knows nothing of them.
//!
//! ```text
//!  curl ──── access  switch  trunk ════ dpdk0 director dpdk1 ──── switch ─┬─ nginx
//!  .1.2      untagged      802.1Q 100   dpdk0.100: .1.1, vip .1.100       └─ nginx
//! ```

use dpvs_tests::capture::Capture;
use dpvs_tests::client::{self, Pace};
use dpvs_tests::{Context, Family, Plan, ensure, scenario};

#[test]
fn a_tagged_port_serves_clients_of_its_vlan() {
    scenario(Plan { vlan: Some(100), ..Plan::workers(1) }, |lab| {
        let trunk = lab.net.tagger.as_ref().context("the plan has a VLAN")?.ns();
        let capture = Capture::start(trunk, "trunk", "", &lab.file("trunk.pcap"))?;
        for family in Family::BOTH {
            let vip = lab.vip(family, 80);
            lab.balance("-t", vip, "rr", &[1, 1])?;
            assert_eq!(client::ping(&lab.net.client, vip.ip(), 3)?, 3, "{family:?}");
            assert_eq!(lab.shares(vip, 20, Pace::InTurn)?, [10, 10], "{family:?}");
        }
        let packets = capture.stop()?;
        let untagged: Vec<_> = packets.iter().filter(|p| !p.contains("vlan 100")).collect();
        ensure!(
            packets.len() > 200 && untagged.is_empty(),
            "{} frames, without the tag: {untagged:#?}",
            packets.len()
        );
        Ok(())
    });
}
