// SPDX-License-Identifier: Apache-2.0
//! Every forwarding mode with kernel stacks at both ends, TCP and UDP, IPv4 and IPv6, one and two workers. FULLNAT has files of its own.
//!
//! ```text
//!   NAT, SNAT, IPv6 to IPv4      client ── director ── servers, whose way back leads through the director
//!   direct routing, tunnels      client, director and servers on one segment; servers have the virtual address and answer directly
//! ```
//!
//! This kernel has no tunnel devices: `tools/decap.py` is the servers' end of a tunnel.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::echo::{EchoClient, EchoServer};
use dpvs_tests::process::Background;
use dpvs_tests::server::Server;
use dpvs_tests::{Arms, Family, Lab, Netns, Plan, Result, ensure, scenario};

/// Lengths of datagrams that fit every tunnel.
const LENGTHS: [usize; 4] = [0, 1, 512, 1300];

#[test]
fn two_arms() {
    for workers in [1, 2] {
        scenario(Plan::workers(workers), |lab| {
            for family in Family::BOTH {
                for server in &lab.net.servers {
                    server.ip(&format!(
                        "{} route add default via {}",
                        flag(family),
                        lab.plan.back(family)
                    ))?;
                }
                masquerading(lab, family)?;
                outward(lab, family)?;
            }
            between_families(lab)
        });
    }
}

#[test]
fn one_arm() {
    for workers in [1, 2] {
        scenario(Plan { arms: Arms::One, ..Plan::workers(workers) }, |lab| {
            for server in &lab.net.servers {
                // The virtual address is there and nobody hears of it (RFC 826's answers are the director's).
                for (path, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
                    server.sysctl(&format!("net/ipv4/conf/all/{path}"), value)?;
                    server.sysctl(&format!("net/ipv4/conf/default/{path}"), value)?;
                    server.sysctl(&format!("net/ipv4/conf/eth0/{path}"), value)?;
                }
                for family in Family::BOTH {
                    let vip = lab.plan.vip(family);
                    server.ip(&format!("addr add {vip}/{} dev lo", family.whole()))?;
                }
            }
            for family in Family::BOTH {
                direct_routing(lab, family)?;
                for tunnel in [
                    "ipip",
                    "gre",
                    "gre --tun-csum",
                    "gue --tun-port 6080",
                    "gue --tun-port 6080 --tun-csum",
                    "gue --tun-port 6080 --tun-remcsum",
                ] {
                    tunnels(lab, family, tunnel)?;
                }
            }
            Ok(())
        });
    }
}

fn flag(family: Family) -> &'static str {
    if family == Family::V4 { "-4" } else { "-6" }
}

/// A service of TCP and one of UDP at the first address, their servers reached by `how`.
fn serve(lab: &Lab, family: Family, how: &str) -> Result<()> {
    for (protocol, port) in [("-t", 80), ("-u", 5300)] {
        let vip = lab.vip(family, port);
        lab.director.ipvsadm(&format!("-A {protocol} {vip} -s rr"))?;
        for n in 0..2 {
            let server = SocketAddr::new(lab.plan.server(family, n), port);
            lab.director.ipvsadm(&format!("-a {protocol} {vip} -r {server} {how}"))?;
        }
    }
    Ok(())
}

/// Requests and datagrams come back whole, from both servers in turn; `at` is where servers listen for datagrams.
fn works(lab: &Lab, family: Family, what: &str, at: impl Fn(u8) -> IpAddr) -> Result<()> {
    assert_eq!(lab.shares(lab.vip(family, 80), 10, Pace::InTurn)?, [5, 5], "{family:?} {what}");
    let echoes = (0..)
        .zip(&lab.net.servers)
        .map(|(n, server)| EchoServer::start(server, SocketAddr::new(at(n), 5300)))
        .collect::<Result<Vec<_>>>()?;
    for _ in 0..2 {
        let client = EchoClient::connect(&lab.net.client, lab.plan.client(family), lab.vip(family, 5300))?;
        assert_eq!(client.lost(LENGTHS)?, [] as [usize; 0], "{family:?} {what}");
    }
    let answered: Vec<u64> = echoes.into_iter().map(EchoServer::stop).collect();
    assert_eq!(answered, [LENGTHS.len() as u64; 2], "{family:?} {what}");
    eprintln!(
        "{family:?} {what}: 10 of 10 requests, {} of {} datagrams",
        2 * LENGTHS.len(),
        2 * LENGTHS.len()
    );
    lab.director.ipvsadm("-C")?;
    Ok(())
}

fn masquerading(lab: &Lab, family: Family) -> Result<()> {
    serve(lab, family, "-m")?;
    works(lab, family, "NAT", |n| lab.plan.server(family, n))?;
    let seen = lab.servers[0].answered()?;
    ensure!(seen.iter().any(|from| from.ip() == lab.plan.client(family)), "servers see the client: {seen:?}");
    Ok(())
}

fn direct_routing(lab: &Lab, family: Family) -> Result<()> {
    serve(lab, family, "-g")?;
    works(lab, family, "direct routing", |_| lab.plan.vip(family))
}

fn tunnels(lab: &Lab, family: Family, kind: &str) -> Result<()> {
    let ends: Vec<Background> =
        (1..).zip(&lab.net.servers).map(|(n, ns)| end(lab, n, ns, family, kind)).collect::<Result<_>>()?;
    serve(lab, family, &format!("-i --tun-type {kind}"))?;
    works(lab, family, &format!("tunnel {kind}"), |_| lab.plan.vip(family))?;
    for end in ends {
        ensure!(!end.said().contains("error"), "{family:?} {kind}: {}", end.said());
    }
    Ok(())
}

/// A server's end of a tunnel.
fn end(lab: &Lab, n: usize, server: &Netns, family: Family, kind: &str) -> Result<Background> {
    let word = kind.split(' ').next().unwrap_or_default();
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/decap.py");
    let version = if family == Family::V4 { "4" } else { "6" };
    let cmd = server.cmd("/usr/bin/python3").arg(tool.display()).args([word, version, "tun0", "6080"]);
    let mut end = Background::start(&cmd, &lab.file(&format!("decap{n}")))?;
    end.wait_for("ready", Duration::from_secs(10))?;
    server.ip("link set tun0 up")?;
    server.sysctl("net/ipv4/conf/tun0/rp_filter", "0")?;
    Ok(end)
}

/// SNAT: servers reach a web server beside the client by an address of the director.
fn outward(lab: &Lab, family: Family) -> Result<()> {
    let outside = Server::start(&lab.net.client, &format!("outside{family:?}"), lab.dir())?;
    let public = lab.plan.front(family);
    let (first, last) = (lab.plan.server(family, 0), lab.plan.server(family, 1));
    let inside = match family {
        Family::V4 => format!("{first}-{last}"),
        Family::V6 => format!("[{first}-{last}]:1-65535"),
    };
    for transport in ["tcp", "udp"] {
        let af = if family == Family::V4 { "ipv4" } else { "ipv6" };
        let rule = format!("proto={transport},af={af},src-range={inside},oif=dpdk0");
        lab.director.ipvsadm(&format!("-A -H {rule} -s rr"))?;
        let public = SocketAddr::new(public, 0);
        lab.director.ipvsadm(&format!("-a -H {rule} -r {public} -J"))?;
    }
    let target = SocketAddr::new(lab.plan.client(family), 80);
    for server in &lab.net.servers {
        let fetched = client::fetch(server, target, "body", 5, Pace::InTurn)?;
        assert_eq!(client::shares(&fetched, std::slice::from_ref(&outside))?, [5], "{family:?} SNAT");
    }
    let seen = outside.answered()?;
    ensure!(seen.len() == 10 && seen.iter().all(|from| from.ip() == public), "{family:?} SNAT: {seen:?}");
    let echo = EchoServer::start(&lab.net.client, SocketAddr::new(lab.plan.client(family), 5300))?;
    let target = SocketAddr::new(lab.plan.client(family), 5300);
    let host = EchoClient::connect(&lab.net.servers[0], lab.plan.server(family, 0), target)?;
    assert_eq!(host.lost(LENGTHS)?, [] as [usize; 0], "{family:?} SNAT");
    assert_eq!(echo.stop(), LENGTHS.len() as u64);
    eprintln!("{family:?} SNAT: 10 of 10 requests, {} of {} datagrams", LENGTHS.len(), LENGTHS.len());
    lab.director.ipvsadm("-C")?;
    Ok(())
}

/// IPv6 clients of IPv4 servers.
fn between_families(lab: &Lab) -> Result<()> {
    for (protocol, port) in [("-t", 80), ("-u", 5300)] {
        let vip = lab.vip(Family::V6, port);
        lab.director.ipvsadm(&format!("-A {protocol} {vip} -s rr"))?;
        lab.director.ipvsadm(&format!(
            "-P {protocol} {vip} -z {} -F {}",
            lab.plan.laddr(Family::V4),
            lab.plan.back_dev()
        ))?;
        for n in 0..2 {
            let server = SocketAddr::new(lab.plan.server(Family::V4, n), port);
            lab.director.ipvsadm(&format!("-a {protocol} {vip} -r {server} -b"))?;
        }
    }
    works(lab, Family::V6, "FULLNAT to IPv4", |n| lab.plan.server(Family::V4, n))
}
