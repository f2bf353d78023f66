// SPDX-License-Identifier: Apache-2.0
//! Datagrams and pings longer than any packet: kernels cut them, the director sends the pieces on, kernels put them together.
//!
//! ```text
//!  UDP client, ping ──── dpdk0 director dpdk1 ──── switch ─── UDP echo
//!  10.0.1.10, fd00:1::10  vip .1.100, laddr .2.200            .2.11
//! ```

use std::net::SocketAddr;

use dpvs_tests::echo::{EchoClient, EchoServer};
use dpvs_tests::net::Driver;
use dpvs_tests::{Family, Lab, Plan, Result, ensure, scenario};

/// From one packet to the longest datagram; around the edges of one, two and three fragments.
const LENGTHS: [usize; 12] = [1, 1400, 1452, 1472, 1473, 2000, 2951, 2953, 4433, 9000, 32_768, 60_000];

/// What forwarding modes are called on the command line.
const MODES: [&str; 2] = ["-b", "-m"];

#[test]
fn datagrams_of_every_length_come_back_unchanged() {
    for driver in [Driver::AfPacket, Driver::AfXdp] {
        for workers in [1, 2] {
            scenario(Plan { driver, ..Plan::workers(workers) }, datagrams);
        }
    }
}

fn datagrams(lab: &mut Lab) -> Result<()> {
    for family in Family::BOTH {
        let client_net = family.host(1, 0);
        let way = format!(
            "{} route add {client_net}/{} via {}",
            family.flag(),
            family.prefix_len(),
            lab.plan.back(family)
        );
        lab.net.servers[0].cmd("ip").words(&way).check()?;
        for (port, mode) in (7..).zip(MODES) {
            let (vip, server) = (lab.vip(family, port), SocketAddr::new(lab.plan.server(family, 0), port));
            lab.director.ipvsadm(&format!("-A -u {vip} -s rr"))?;
            lab.director.ipvsadm(&format!("-a -u {vip} -r {server} {mode}"))?;
            if mode == "-b" {
                lab.director.ipvsadm(&format!(
                    "-P -u {vip} -z {} -F {}",
                    lab.plan.laddr(family),
                    lab.plan.back_dev()
                ))?;
            }
            let echo = EchoServer::start(&lab.net.servers[0], server)?;
            // Several flows, which two workers share.
            for flow in 0..3 {
                let client = EchoClient::connect(&lab.net.client, lab.plan.client(family), vip)?;
                let lost = client.lost(LENGTHS)?;
                ensure!(lost.is_empty(), "{family:?} {mode} flow {flow}: lengths {lost:?} did not come back");
            }
            assert_eq!(echo.stop(), 3 * LENGTHS.len() as u64);
        }
    }
    Ok(())
}

#[test]
fn long_pings_reach_a_server_and_come_back() {
    for driver in [Driver::AfPacket, Driver::AfXdp] {
        scenario(Plan { driver, ..Plan::workers(2) }, |lab| {
            for family in Family::BOTH {
                let (vip, server) = (lab.plan.vip(family), lab.plan.server(family, 0));
                let service =
                    if family == Family::V4 { format!("-q {vip}") } else { format!("-1 [{vip}]:0") };
                lab.director.ipvsadm(&format!("-A {service} -s rr"))?;
                lab.director.ipvsadm(&format!("-a {service} -r {server} -b"))?;
                lab.director.ipvsadm(&format!(
                    "-P {service} -z {} -F {}",
                    lab.plan.laddr(family),
                    lab.plan.back_dev()
                ))?;
                let ping = lab.net.client.cmd("ping").words("-n -c 5 -i 0.1 -W 2 -s 8000").arg(vip);
                let done = ping.run()?;
                ensure!(done.status.success() && done.stdout.contains(" 5 received"), "{family:?}: {done}");
            }
            Ok(())
        });
    }
}
