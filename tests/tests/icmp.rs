// SPDX-License-Identifier: Apache-2.0
//! ICMP between kernels: pings that reach servers, and errors that reach the ear they are meant for.
//!
//! ```text
//!  remote ── gate ══ client ── dpdk0 director dpdk1 ── switch ─┬─ server 1
//!  10.0.9.2                    vip .1.100    laddr .2.200      └─ server 2 ══ gate ── hidden 10.0.8.2
//! ```
//!
//! `client` and `server 2` are routers here, and the double lines links of 1300 bytes where a test says so.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use dpvs_tests::capture::Capture;
use dpvs_tests::path::Path;
use dpvs_tests::upload::{Sink, upload};
use dpvs_tests::{Context, Family, Lab, Plan, Result, ensure, scenario, wait};

const PINGS: &str = include_str!("../tools/pings.py");

#[test]
fn one_worker() {
    scenario(Plan::workers(1), everything);
}

#[test]
fn two_workers() {
    scenario(Plan::workers(2), everything);
}

fn everything(lab: &mut Lab) -> Result<()> {
    let path = Path::build(lab)?;
    pings_reach_servers(lab, &path)?;
    hops_are_seen(lab, &path)?;
    both_ways_adapt_to_a_narrow_link(lab, &path)?;
    a_closed_port_refuses(lab, &path)?;
    a_vanished_server_is_unreachable(lab, &path)
}

/// The service of queries in a family's words.
fn query_service(lab: &Lab, family: Family) -> String {
    let vip = lab.plan.vip(family);
    if family == Family::V4 { format!("-q {vip}") } else { format!("-1 {vip}") }
}

/// A server in the words of ipvsadm.
fn at(addr: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(addr, port)
}

fn pings_reach_servers(lab: &Lab, path: &Path) -> Result<()> {
    for family in Family::BOTH {
        let (service, vip) = (query_service(lab, family), lab.plan.vip(family));
        let (laddr, dev) = (lab.plan.laddr(family), lab.plan.back_dev());
        lab.director.ipvsadm(&format!("-A {service} -s rr"))?;
        lab.director.ipvsadm(&format!("-a {service} -r {} -b", at(path.hidden.addr(family), 0)))?;
        lab.director.ipvsadm(&format!("-P {service} -z {laddr} -F {dev}"))?;
        let filter = if family == Family::V4 { "icmp" } else { "ip6[6] = 44 or (icmp6 and ip6[40] = 128)" };
        let capture =
            Capture::start(&path.hidden.station, "eth0", filter, &lab.file(&format!("ping{family:?}.pcap")))?;
        let longest = if family == Family::V4 { 1472 } else { 1452 };
        for (clients, rounds, sizes) in [
            (1, 1, format!("0,1,2,3,56,64,500,1000,1400,{longest}")),
            // In up to 45 fragments.
            (1, 1, "1473,3000,8000,20000,40000,65000".to_owned()),
            (2, 5, "8,100,1400".to_owned()),
            (200, 2, "8,700".to_owned()),
        ] {
            let questions = rounds * sizes.split(',').count();
            let asking = path
                .remote
                .station
                .cmd("python3")
                .args(["-c", PINGS])
                .arg(vip)
                .args([4242, rounds])
                .arg(&sizes);
            let asking = asking.args((0..clients).map(|n| path.one_of_many(family, n as u8 + 1)));
            let text = asking.timeout(Duration::from_secs(60)).check()?;
            let answered: Vec<usize> =
                text.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect();
            assert_eq!(
                answered,
                vec![questions; clients],
                "{family:?}, {sizes}: every question of every client"
            );
        }
        let seen = capture.stop()?;
        let asked: Vec<_> = seen.iter().filter(|line| line.contains("echo request")).collect();
        assert_eq!(asked.len(), 10 + 6 + 2 * 15 + 200 * 4, "{family:?}");
        let from_us = format!("{laddr} > {}", path.hidden.addr(family));
        ensure!(asked.iter().all(|line| line.contains(&from_us)), "{family:?}: {:#?}", asked.first());
        // A question and its answers are two entries, and 200 clients asked.
        let protocol = if family == Family::V4 { "ICMP " } else { "ICMPv6 " };
        let listed = lab.director.conns()?;
        assert_eq!(
            listed.iter().filter(|line| line.starts_with(protocol)).count(),
            400,
            "{family:?}: {:#?}",
            &listed[..2]
        );
    }
    Ok(())
}

/// Who answers a ping that may make so many hops.
fn answers_with(lab: &Lab, path: &Path, family: Family, ttl: u8) -> Result<String> {
    let ping = path.remote.station.cmd("ping").words("-n -c 1 -W 2 -t").arg(ttl).arg(lab.plan.vip(family));
    let done = ping.run()?;
    let line = done.stdout.lines().find(|line| line.contains("icmp_seq=1"));
    Ok(line.with_context(|| format!("no answer: {done}"))?.to_owned())
}

fn hops_are_seen(lab: &Lab, path: &Path) -> Result<()> {
    for family in Family::BOTH {
        let (vip, client) = (lab.plan.vip(family), lab.plan.client(family));
        // Between remote and hidden: two routers, the director, two more routers. Who is behind the director stays hidden behind it.
        let hops = [path.remote.near(family), family.host(7, 2), vip, vip, vip];
        for forwarding in ["-b", "-m"] {
            let service = query_service(lab, family);
            lab.director
                .ipvsadm(&format!("-e {service} -r {} {forwarding}", at(path.hidden.addr(family), 0)))?;
            for (ttl, hop) in (1..).zip(hops) {
                let line = answers_with(lab, path, family, ttl)?;
                ensure!(
                    line.contains(&format!("From {hop} ")) && line.contains("exceeded"),
                    "{family:?} {forwarding} {ttl}: {line}, expected {hop}; client is {client}"
                );
            }
            let line = answers_with(lab, path, family, hops.len() as u8 + 1)?;
            ensure!(line.contains(&format!("bytes from {vip}")), "{family:?} {forwarding}: {line}");

            let web = format!("-t {}", lab.vip(family, 80));
            lab.director.ipvsadm(&format!("-A {web} -s rr"))?;
            lab.director
                .ipvsadm(&format!("-a {web} -r {} {forwarding}", at(path.hidden.addr(family), 80)))?;
            if forwarding == "-b" {
                let (laddr, dev) = (lab.plan.laddr(family), lab.plan.back_dev());
                lab.director.ipvsadm(&format!("-P {web} -z {laddr} -F {dev}"))?;
            }
            let trace =
                path.remote.station.cmd("traceroute").words("-n -q 1 -w 2 -m 8 -T -p 80").arg(vip).check()?;
            let seen: Vec<&str> =
                trace.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
            let expected: Vec<String> = hops.iter().chain([&vip]).map(IpAddr::to_string).collect();
            ensure!(seen == expected, "{family:?} {forwarding}: {trace}");
            lab.director.ipvsadm(&format!("-D {web}"))?;
        }
    }
    Ok(())
}

/// A server that sends `bytes` to whoever connects, once.
fn download(path: &Path, from: SocketAddr, vip: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let listener = path.hidden.station.enter(|| TcpListener::bind(from))??;
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let (mut stream, _) = listener.accept()?;
            stream.read_exact(&mut [0; 2])?;
            stream.write_all(bytes)
        });
        let mut stream =
            path.remote.station.enter(|| TcpStream::connect_timeout(&vip, Duration::from_secs(5)))??;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        // The SYN proxy may wait for the client's first byte.
        stream.write_all(b"go")?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).context("the download stalls")?;
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(got)
    })
}

fn both_ways_adapt_to_a_narrow_link(lab: &Lab, path: &Path) -> Result<()> {
    const LEN: usize = 10_000_000;
    let bytes: Vec<u8> = (0..LEN).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for family in Family::BOTH {
        let (vip, server) = (lab.vip(family, 9), at(path.hidden.addr(family), 9));
        let (laddr, dev) = (lab.plan.laddr(family), lab.plan.back_dev());
        for proxy in ["", " -j enable"] {
            lab.director.ipvsadm(&format!("-A -t {vip} -s rr{proxy}"))?;
            lab.director.ipvsadm(&format!("-a -t {vip} -r {server} -b"))?;
            lab.director.ipvsadm(&format!("-P -t {vip} -z {laddr} -F {dev}"))?;
            for (client_mtu, server_mtu) in [(1300, 1500), (1500, 1300)] {
                path.remote.narrow(&lab.net.client, client_mtu)?;
                path.hidden.narrow(&lab.net.servers[1], server_mtu)?;
                path.forget()?;
                let what = format!("{family:?}{proxy}, {client_mtu} and {server_mtu} bytes");
                // Towards the narrow link, so that what does not fit has passed the director.
                let (learner, peer, mtu) = if client_mtu == 1300 {
                    let got = download(path, server, vip, &bytes).with_context(|| what.clone())?;
                    ensure!(got == bytes, "{what}: {} bytes arrived, or others", got.len());
                    (&path.hidden.station, laddr, 1300)
                } else {
                    let sink = Sink::start(&path.hidden.station, server)?;
                    let sent = upload(&path.remote.station, vip, LEN).with_context(|| what.clone())?;
                    ensure!(sink.received()? == sent, "{what}: the bytes that arrived are others");
                    // The client's own address goes with what it sends as long as the server says nothing (TOA).
                    (&path.remote.station, vip.ip(), if family == Family::V4 { 1292 } else { 1280 })
                };
                let route = learner.ip(&format!("{} route get {peer}", family.flag()))?;
                ensure!(route.contains(&format!("mtu {mtu} ")), "{what}: {mtu} was not learned: {route}");
            }
            lab.director.ipvsadm(&format!("-D -t {vip}"))?;
        }
        path.remote.narrow(&lab.net.client, 1500)?;
        path.hidden.narrow(&lab.net.servers[1], 1500)?;
    }
    Ok(())
}

/// A UDP service with the hidden station behind it.
fn datagrams(lab: &Lab, path: &Path, family: Family, port: u16) -> Result<SocketAddr> {
    let vip = lab.vip(family, port);
    let (laddr, dev) = (lab.plan.laddr(family), lab.plan.back_dev());
    lab.director.ipvsadm(&format!("-A -u {vip} -s rr"))?;
    lab.director.ipvsadm(&format!("-a -u {vip} -r {} -b", at(path.hidden.addr(family), port)))?;
    lab.director.ipvsadm(&format!("-P -u {vip} -z {laddr} -F {dev}"))?;
    Ok(vip)
}

fn a_closed_port_refuses(lab: &Lab, path: &Path) -> Result<()> {
    for family in Family::BOTH {
        let vip = datagrams(lab, path, family, 4000)?;
        let socket = path.remote.station.enter(|| {
            let socket = UdpSocket::bind((path.remote.addr(family), 0))?;
            socket.connect(vip).map(|()| socket)
        })??;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.send(b"is anybody there?")?;
        let heard = socket.recv(&mut [0; 64]).map_err(|error| error.kind());
        ensure!(heard == Err(ErrorKind::ConnectionRefused), "{family:?}: {heard:?}");
    }
    Ok(())
}

fn a_vanished_server_is_unreachable(lab: &Lab, path: &Path) -> Result<()> {
    // The first behind a gate, which asks for it in vain; the second on the director's own link.
    let servers = |family| [(81, path.hidden.addr(family)), (82, lab.plan.server(family, 0))];
    for family in Family::BOTH {
        for (port, server) in servers(family) {
            let (vip, server) = (lab.vip(family, port), at(server, port));
            let (laddr, dev) = (lab.plan.laddr(family), lab.plan.back_dev());
            lab.director.ipvsadm(&format!("-A -t {vip} -s rr"))?;
            lab.director.ipvsadm(&format!("-a -t {vip} -r {server} -b"))?;
            lab.director.ipvsadm(&format!("-P -t {vip} -z {laddr} -F {dev}"))?;
        }
    }
    path.hidden.station.ip("link set eth0 down")?;
    lab.net.servers[0].ip("link set eth0 down")?;
    nothing_is_heard_after_the_connection(lab, path)?;
    for family in ["ipv4", "ipv6"] {
        // It need not ask thrice.
        path.hidden.gate.sysctl(&format!("net/{family}/neigh/lan/mcast_solicit"), "1")?;
    }
    path.hidden.gate.ip("neigh flush dev lan")?;
    let targets: Vec<SocketAddr> =
        Family::BOTH.iter().flat_map(|&family| [lab.vip(family, 81), lab.vip(family, 82)]).collect();
    std::thread::scope(|scope| {
        let connect = |target: SocketAddr| {
            let begun = Instant::now();
            let seen =
                path.remote.station.enter(|| TcpStream::connect_timeout(&target, Duration::from_secs(20)))?;
            let seen = seen.map(drop).map_err(|error| error.kind());
            ensure!(
                seen == Err(ErrorKind::HostUnreachable),
                "{target}: {seen:?} after {:?}",
                begun.elapsed()
            );
            Ok(())
        };
        let clients: Vec<_> = targets.iter().map(|&target| scope.spawn(move || connect(target))).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The gate gives up after three seconds; by then a flow of UDP that may idle for one is gone.
fn nothing_is_heard_after_the_connection(lab: &Lab, path: &Path) -> Result<()> {
    lab.director.ipvsadm("--set 0 0 1")?;
    let capture = Capture::start(
        &path.remote.station,
        "eth0",
        "icmp or (icmp6 and ip6[40] < 128)",
        &lab.file("after.pcap"),
    )?;
    let before = lab.director.traffic()?.dropped("icmp_unrelated");
    for family in Family::BOTH {
        let vip = datagrams(lab, path, family, 4001)?;
        path.remote
            .station
            .enter(|| UdpSocket::bind((path.remote.addr(family), 0))?.send_to(b"gone?", vip))??;
    }
    wait::until("two errors about nothing", Duration::from_secs(15), || {
        Ok((lab.director.traffic()?.dropped("icmp_unrelated") >= before + 2).then_some(()))
    })?;
    let heard = capture.stop()?;
    ensure!(heard.is_empty(), "the client heard of it: {heard:#?}");
    Ok(())
}
