// SPDX-License-Identifier: Apache-2.0
//! The lab itself, without a director: the kernel routes where the director will stand.
//!
//! ```text
//!  client ─────── port0 kernel port1 ─── switch ─┬─ server1
//!  10.0.1.2       .1.1        .2.1               └─ server2
//!  fd00:1::2                                        10.0.2.11, .12
//! ```

use std::net::SocketAddr;
use std::path::Path;

use dpvs_tests::capture::Capture;
use dpvs_tests::client::{self, Pace};
use dpvs_tests::connections::Connections;
use dpvs_tests::echo::{EchoClient, EchoServer};
use dpvs_tests::lab::Turn;
use dpvs_tests::netns::{Names, Netns, need_root};
use dpvs_tests::server::Server;
use dpvs_tests::{Context, Family, Plan, Result, ensure, net::Net, scapy, sweep};

struct Routed {
    servers: Vec<Server>,
    net: Net,
    plan: Plan,
    dir: tempfile::TempDir,
    _turn: Turn,
}

fn routed() -> Result<Routed> {
    need_root()?;
    let turn = Turn::take()?;
    let (plan, dir) = (Plan::default(), tempfile::tempdir()?);
    let net = Net::build(&plan, &Names::unique())?;
    net.route_by_kernel(&plan)?;
    let servers = (1..)
        .zip(&net.servers)
        .map(|(n, ns)| Server::start(ns, &format!("server{n}"), dir.path()))
        .collect::<Result<_>>()?;
    Ok(Routed { servers, net, plan, dir, _turn: turn })
}

#[test]
fn peers_meet_through_the_middle_in_both_families() -> Result<()> {
    let lab = routed()?;
    for family in Family::BOTH {
        let target = SocketAddr::new(lab.plan.server(family, 1), 80);
        let fetched = client::fetch(&lab.net.client, target, "body", 20, Pace::InTurn)?;
        assert_eq!(client::shares(&fetched, &lab.servers)?, [0, 20]);
        let fetched = client::fetch(&lab.net.client, target, "body", 50, Pace::AtOnce)?;
        assert_eq!(client::shares(&fetched, &lab.servers)?, [0, 50]);
        let sources = lab.servers[1].answered()?.into_iter().map(|s| s.ip());
        let foreign: Vec<_> = sources
            .filter(|s| *s != lab.plan.client(Family::V4) && *s != lab.plan.client(Family::V6))
            .collect();
        assert!(foreign.is_empty(), "{foreign:?}");

        assert_eq!(client::ping(&lab.net.client, target.ip(), 3)?, 3);
        assert_eq!(client::ping(&lab.net.client, family.host(2, 99), 1)?, 0);

        let udp = SocketAddr::new(lab.plan.server(family, 0), 7);
        let echo = EchoServer::start(&lab.net.servers[0], udp)?;
        let client = EchoClient::connect(&lab.net.client, lab.plan.client(family), udp)?;
        assert_eq!(client.lost([1, 2, 1000, 1400])?, [0; 0]);
        assert_eq!(echo.stop(), 4);

        let mut held = Connections::open(&lab.net.client, target, 30)?;
        assert!(held.fetch()?.iter().all(|body| *body == lab.servers[1].body()));
    }
    Ok(())
}

#[test]
fn a_killed_server_refuses_and_comes_back() -> Result<()> {
    let mut lab = routed()?;
    let target = SocketAddr::new(lab.plan.server(Family::V4, 0), 80);
    lab.servers[0].kill()?;
    let fetched = client::fetch(&lab.net.client, target, "body", 1, Pace::InTurn)?;
    ensure!(
        fetched.failures.len() == 1 && fetched.failures[0].starts_with("000 7 "),
        "{:?}",
        fetched.failures
    );
    lab.servers[0].restart(&lab.net.servers[0])?;
    let fetched = client::fetch(&lab.net.client, target, "body", 1, Pace::InTurn)?;
    assert_eq!(client::shares(&fetched, &lab.servers)?, [1, 0]);
    Ok(())
}

#[test]
fn captures_see_frames_scapy_has_made() -> Result<()> {
    let lab = routed()?;
    let capture =
        Capture::start(&lab.net.servers[0], "eth0", "udp port 4711", &lab.dir.path().join("a.pcap"))?;
    let script = "send(IP(dst=sys.argv[1], ttl=9)/UDP(sport=1234, dport=4711, chksum=0xbad)/b'hello')";
    scapy::run(&lab.net.client, script, &[&lab.plan.server(Family::V4, 0).to_string()])?;
    let packets = capture.stop()?;
    assert_eq!(packets.len(), 1, "{packets:?}");
    assert!(packets[0].contains("ttl 8") && packets[0].contains("bad udp cksum 0x0bad"), "{packets:?}");
    Ok(())
}

#[test]
fn frames_are_what_a_wire_would_carry() -> Result<()> {
    let lab = routed()?;
    let capture =
        Capture::start(&lab.net.director, "port1", "tcp src port 80", &lab.dir.path().join("a.pcap"))?;
    let target = SocketAddr::new(lab.plan.server(Family::V4, 0), 80);
    let fetched = client::fetch(&lab.net.client, target, "body", 5, Pace::InTurn)?;
    assert_eq!(fetched.bodies.len(), 5);
    let packets = capture.stop()?;
    assert!(packets.len() > 5 * 5, "{packets:?}");
    let wrong: Vec<_> =
        packets.iter().filter(|p| p.contains("incorrect") || !p.contains("(correct)")).collect();
    assert_eq!(wrong, [""; 0], "half-made checksums");
    let length = |p: &String| p.split("length ").nth(1)?.split([':', ' ', ')']).next()?.parse::<u32>().ok();
    assert!(packets.iter().filter_map(length).all(|l| l <= 1514), "super-frames: {packets:?}");
    Ok(())
}

#[test]
fn nothing_is_left_after_a_panic() -> Result<()> {
    let seen = std::sync::Mutex::new((Vec::new(), String::new()));
    let panicked = std::panic::catch_unwind(|| {
        let lab = routed().unwrap();
        let names = [&lab.net.client, &lab.net.director, &lab.net.switch].map(|ns| ns.name().to_owned());
        // Nobody but the namespace knows of the program: the shell that started it has ended.
        let sleeper =
            lab.net.client.cmd("sh").args(["-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]).check().unwrap();
        *seen.lock().unwrap() = (names.to_vec(), sleeper.trim().to_owned());
        panic!("a scenario fails");
    });
    assert!(panicked.is_err());
    let (names, sleeper) = seen.into_inner()?;
    assert_eq!(names.len(), 3);
    for name in names {
        assert!(!Path::new(sweep::DIR).join(&name).exists(), "{name} is left");
    }
    let state = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(" Z "), "the program inside is alive: {state}");
    Ok(())
}

#[test]
fn namespaces_of_dead_processes_are_swept() -> Result<()> {
    let _turn = Turn::take()?;
    need_root()?;
    let mut dead = std::process::Command::new("true").spawn()?;
    dead.wait()?;
    let orphan = format!("{}{}-1-client", sweep::PREFIX, dead.id());
    dpvs_tests::command::Cmd::new("ip").args(["netns", "add", &orphan]).check()?;
    let alive = Netns::create(&Names::unique(), "client")?;
    sweep::orphans();
    assert!(!Path::new(sweep::DIR).join(&orphan).exists(), "{orphan} is left");
    assert!(Path::new(sweep::DIR).join(alive.name()).exists(), "{} was swept", alive.name());
    Ok(())
}

#[test]
fn a_missing_program_is_an_error_with_its_package() -> Result<()> {
    let done = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "peers_meet_through_the_middle_in_both_families", "--nocapture"])
        .env("PATH", "/nowhere")
        .output()
        .context("the test program runs itself")?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(101), "{said}");
    assert!(said.contains("is not installed: apt-get install "), "{said}");
    Ok(())
}

#[test]
fn the_access_switch_tags_and_untags() -> Result<()> {
    need_root()?;
    let _turn = Turn::take()?;
    let (plan, dir) = (Plan { vlan: Some(100), ..Plan::default() }, tempfile::tempdir()?);
    let net = Net::build(&plan, &Names::unique())?;
    let tagged = Capture::start(&net.director, "port0", "", &dir.path().join("tagged.pcap"))?;
    let untagged = Capture::start(&net.client, "eth0", "udp", &dir.path().join("untagged.pcap"))?;
    client::ping(&net.client, plan.vip(Family::V4), 1)?;
    let script = "for vlan in 100, 101: sendp(Ether(dst='ff:ff:ff:ff:ff:ff')/Dot1Q(vlan=vlan)/IP(dst='10.0.1.2')/UDP(dport=vlan), iface='port0')";
    scapy::run(&net.director, script, &[])?;
    let (tagged, untagged) = (tagged.stop()?, untagged.stop()?);
    let asked = tagged.iter().filter(|p| p.contains("vlan 100") && p.contains("who-has 10.0.1.100")).count();
    assert!(asked > 0, "{tagged:#?}");
    assert_eq!(untagged.len(), 1, "{untagged:#?}");
    assert!(!untagged[0].contains("vlan") && untagged[0].contains("> 10.0.1.2.100:"), "{untagged:#?}");
    Ok(())
}
