// SPDX-License-Identifier: Apache-2.0
//! What the director says for itself: echo, ARP, neighbour discovery, and the ICMP errors a kernel believes.
//!
//! ```text
//!  ping, traceroute ──── dpdk0 director dpdk1 ──── switch ─┬─ kernel
//!                        .1.1, .1.100   .2.1, .2.200       └─ kernel
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use dpvs_tests::capture::Capture;
use dpvs_tests::client::{self, Pace};
use dpvs_tests::echo::{EchoClient, EchoServer};
use dpvs_tests::upload::{Sink, upload};
use dpvs_tests::{Family, Lab, Plan, Result, ensure, scenario};

#[test]
fn own_addresses_answer_ping_and_others_do_not() {
    for workers in [1, 2] {
        scenario(Plan::workers(workers), |lab| {
            for family in Family::BOTH {
                lab.balance("-t", lab.vip(family, 80), "rr", &[1, 1])?;
                let (client, server) = (&lab.net.client, &lab.net.servers[0]);
                let plan = &lab.plan;
                for (from, target) in [
                    (client, plan.vip(family)),
                    (client, plan.front(family)),
                    (server, plan.back(family)),
                    (server, plan.laddr(family)),
                ] {
                    assert_eq!(client::ping(from, target, 5)?, 5, "{} pings {target}", from.name());
                }
                assert_eq!(client::ping(client, family.host(1, 77), 1)?, 0, "nobody has .77");
                for size in [0, 1400, 1472 - if family == Family::V6 { 20 } else { 0 }, 4000] {
                    let ping =
                        client.cmd("ping").words("-n -c 3 -i 0.05 -W 2 -s").arg(size).arg(plan.vip(family));
                    let done = ping.run()?;
                    // In fragments the question reaches the host's own stack, if anybody.
                    ensure!(done.status.success() || size == 4000, "{size} bytes: {done}");
                }
            }
            Ok(())
        });
    }
}

#[test]
fn neighbours_are_answered_resolved_and_announced() {
    scenario(Plan::workers(1), |lab| {
        for family in Family::BOTH {
            let vip = lab.vip(family, 80);
            lab.balance("-t", vip, "rr", &[1, 1])?;
            let before = Capture::start(
                &lab.net.servers[0],
                "eth0",
                "arp or icmp6",
                &lab.file(&format!("{family:?}.pcap")),
            )?;
            assert_eq!(lab.shares(vip, 2, Pace::InTurn)?, [1, 1]);

            let client_knows = lab.net.client.ip(&format!("neigh show {}", vip.ip()))?;
            let port0 = lab.net.director.mac("port0")?;
            ensure!(client_knows.contains(&port0), "{family:?}: {client_knows} is not {port0}");

            let director_knows = lab.director.dpip("neigh show")?;
            for ns in [&lab.net.client, &lab.net.servers[0], &lab.net.servers[1]] {
                let theirs = ns.mac("eth0")?;
                ensure!(director_knows.contains(&theirs), "{family:?}: {theirs} is not in {director_knows}");
            }

            let asked = before.stop()?;
            let question = match family {
                Family::V4 => format!("who-has {} ", lab.plan.server(family, 0)),
                Family::V6 => format!("who has {}", lab.plan.server(family, 0)),
            };
            let asked_for_it = |packet: &&String| packet.contains(&question);
            ensure!(asked.iter().any(|p| asked_for_it(&p)), "{family:?}: no `{question}` in {asked:#?}");

            announced(lab, family)?;
        }
        Ok(())
    });
}

/// A new address is announced to the neighbours without being asked for.
fn announced(lab: &Lab, family: Family) -> Result<()> {
    let capture =
        Capture::start(&lab.net.client, "eth0", "arp or icmp6", &lab.file(&format!("new{family:?}.pcap")))?;
    let addr = family.host(1, 150);
    lab.director.dpip(&format!("addr add {addr}/{} dev dpdk0", family.whole()))?;
    std::thread::sleep(Duration::from_millis(500));
    let packets = capture.stop()?;
    let said = |packet: &String| match family {
        Family::V4 => {
            packet.contains(&format!("who-has {addr}")) || packet.contains(&format!("Reply {addr}"))
        }
        Family::V6 => packet.contains("neighbor advertisement") && packet.contains(&addr.to_string()),
    };
    ensure!(packets.iter().any(said), "{family:?}: {addr} is not announced: {packets:#?}");
    Ok(())
}

#[test]
fn a_neighbour_that_changes_its_card_is_found_again() {
    scenario(Plan::workers(1), |lab| {
        for family in Family::BOTH {
            let vip = lab.vip(family, 80);
            lab.balance("-t", vip, "rr", &[1])?;
            assert_eq!(lab.shares(vip, 2, Pace::InTurn)?, [2, 0]);
            let server = &lab.net.servers[0];
            let new = if family == Family::V4 { "02:00:00:00:aa:04" } else { "02:00:00:00:aa:06" };
            server.ip(&format!("link set eth0 address {new}"))?;
            // Any packet of its own tells: the server asks for the director.
            server.ip("neigh flush all")?;
            assert_eq!(client::ping(server, lab.plan.back(family), 2)?, 2);
            assert_eq!(lab.shares(vip, 4, Pace::InTurn)?, [4, 0], "{family:?}");
        }
        Ok(())
    });
}

const FORWARDING: &str = "
ipv4_defs {
    forwarding  on
}
ipv6_defs {
    forwarding  on
}
";

#[test]
fn traceroute_and_path_mtu_see_the_director_as_a_router() {
    scenario(Plan { conf: FORWARDING.to_owned(), ..Plan::workers(1) }, |lab| {
        for family in Family::BOTH {
            let plan = &lab.plan;
            let (client, server) = (&lab.net.client, &lab.net.servers[0]);
            client.ip(&format!("{} route add default via {}", family.flag(), plan.front(family)))?;
            server.ip(&format!("{} route add default via {}", family.flag(), plan.back(family)))?;

            let target = plan.server(family, 0);
            let trace = client.cmd("traceroute").words("-n -q 1 -w 2 -m 4").arg(target).check()?;
            let hops: Vec<&str> = trace.lines().skip(1).filter_map(|l| l.split_whitespace().nth(1)).collect();
            let expected = [plan.front(family).to_string(), target.to_string()];
            assert_eq!(hops, expected, "{trace}");

            lab.director.dpip(&format!("{} route add {target} dev dpdk1 mtu 1300", family.flag()))?;
            let overhead = if family == Family::V4 { 28 } else { 48 };
            let ping =
                client.cmd("ping").words("-n -c 2 -i 0.1 -W 2 -M do -s").arg(1400 - overhead).arg(target);
            let done = ping.run()?;
            let heard = done.stdout.contains("mtu=1300")
                || done.stdout.contains("mtu = 1300")
                || done.stderr.contains("mtu=1300");
            ensure!(heard, "{family:?}: {done}");
            let fits =
                client.cmd("ping").words("-n -c 2 -i 0.1 -W 2 -M do -s").arg(1300 - overhead).arg(target);
            fits.check()?;
        }
        let drops = lab.director.traffic()?.drops;
        assert!(drops["ttl"] >= 2 && drops["too_big"] >= 2, "{drops:?}");
        Ok(())
    });
}

#[test]
fn uploads_and_datagrams_through_a_narrow_path_adapt_and_arrive() {
    scenario(Plan::workers(1), |lab| {
        for family in Family::BOTH {
            let (vip, target) = (lab.vip(family, 9), lab.plan.server(family, 0));
            lab.balance("-t", vip, "rr", &[1])?;
            lab.balance("-u", vip, "rr", &[1])?;
            lab.director.dpip(&format!("{} route add {target} dev dpdk1 mtu 1300", family.flag()))?;
            let sink = Sink::start(&lab.net.servers[0], SocketAddr::new(target, 9))?;
            let sent = upload(&lab.net.client, vip, 2_000_000)?;
            ensure!(sink.received()? == sent, "{family:?}: the bytes that arrived are others");
            // TCP has been told by the size of segments. The first datagram is too long, the client's kernel is told, and cuts the next.
            let _echo = EchoServer::start(&lab.net.servers[0], SocketAddr::new(target, 9))?;
            let client = EchoClient::connect(&lab.net.client, lab.plan.client(family), vip)?;
            assert_eq!(
                [client.round_trip(1400, 1)?, client.round_trip(1400, 2)?],
                [false, true],
                "{family:?}"
            );
            let route = lab.net.client.ip(&format!("{} route get {}", family.flag(), vip.ip()))?;
            ensure!(route.contains("mtu 1300"), "{family:?}: the client has learned nothing: {route}");
        }
        assert!(lab.director.traffic()?.dropped("too_big") >= 2);
        Ok(())
    });
}
