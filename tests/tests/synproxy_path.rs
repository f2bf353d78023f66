// SPDX-License-Identifier: Apache-2.0
//! What the SYN proxy costs on a long path, and how it does beside the one of nftables: the same client, server and wire.
//!
//! ```text
//!  sockets ──── 25 ms each way, ──── dpdk0 director dpdk1 ──── switch ──── sockets
//!               4 MB/s               or the kernel, routing, with nftables' synproxy
//! ```
//!
//! The wire is slower than anything else here, and what waits for it keeps it busy while a loaded machine pauses: what
//! throughput tells is whether the windows are as large as the path needs, 200 kB, three times what goes without a scale.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dpvs_tests::capture::Capture;
use dpvs_tests::delay::Wire;
use dpvs_tests::loss::{Hook, Loss, Which};
use dpvs_tests::net::Net;
use dpvs_tests::netns::{Names, Netns};
use dpvs_tests::{Context, Family, Lab, Plan, Result, ensure, scenario};

/// Where the server listens behind a proxy.
const PROXIED: u16 = 5001;
/// The same without.
const PLAIN: u16 = 5002;

#[test]
fn fifty_milliseconds_away() {
    let wire = Wire { one_way: Duration::from_millis(25), bytes_per_second: 4_000_000 };
    let plan = Plan { wire: Some(wire), servers: 1, ..Plan::workers(1) };
    scenario(plan, |lab| {
        for family in Family::BOTH {
            for (port, proxy) in [(PROXIED, "enable"), (PLAIN, "disable")] {
                let vip = lab.vip(family, port);
                lab.balance("-t", vip, "rr", &[1])?;
                lab.director.ipvsadm(&format!("-E -t {vip} -s rr -j {proxy}"))?;
            }
        }
        r21_throughput_through_the_proxy(lab)?;
        r21_beside_the_synproxy_of_nftables(lab)
    });
}

/// At least 95 % of what passes without the proxy: windows decide, and they are scaled.
fn r21_throughput_through_the_proxy(lab: &Lab) -> Result<()> {
    let ends = Ends { client: &lab.net.client, server: &lab.net.servers[0], dir: lab.dir() };
    ends.long_path()?;
    for family in Family::BOTH {
        ends.serving(lab.plan.server(family, 0), || {
            for way in [Way::Down, Way::Up] {
                let mut best = [Duration::MAX; 2];
                // Other programs share the two cores: the best of some tries, in turn, is what the path allows.
                for round in 1..=8 {
                    for (best, port) in best.iter_mut().zip([PROXIED, PLAIN]) {
                        *best = (*best).min(ends.transfer(lab.vip(family, port), way, BULK)?);
                    }
                    if round > 1 && share(best) >= 0.95 {
                        break;
                    }
                }
                let [proxied, plain] = best.map(rate);
                let share = 100.0 * share(best);
                eprintln!("50 ms, {family:?} {way:?}: {proxied:.2} MB/s through the proxy, {plain:.2} without, {share:.1} %");
                ensure!(share >= 95.0, "{family:?} {way:?}: {share:.1} %");
                // 64 kB in 50 ms are 1.3 MB/s: more need a scale.
                ensure!(proxied > 1.6, "{family:?} {way:?}: windows are not scaled");
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The table of `tests/README.md`.
fn r21_beside_the_synproxy_of_nftables(lab: &Lab) -> Result<()> {
    let names = Names::unique();
    let net = Net::build(&lab.plan, &names)?;
    net.route_by_kernel(&lab.plan)?;
    net.director.cmd("nft").arg(NFTABLES).check()?;
    net.director.sysctl("net/netfilter/nf_conntrack_tcp_loose", "0")?;
    let ours = Ends { client: &lab.net.client, server: &lab.net.servers[0], dir: lab.dir() };
    let theirs = Ends { client: &net.client, server: &net.servers[0], dir: lab.dir() };
    theirs.long_path()?;
    let family = Family::V4;
    let server = lab.plan.server(family, 0);
    let columns = [
        ("none", &ours, lab.vip(family, PLAIN)),
        ("ours", &ours, lab.vip(family, PROXIED)),
        ("nftables", &theirs, SocketAddr::new(server, PROXIED)),
    ];
    let mut told = Vec::new();
    for (name, ends, target) in columns {
        told.push((name, ends.serving(server, || ends.measure(target))?));
    }
    eprintln!("{}", table(&told));
    let (_, ours) = told.get(1).context("a column of ours")?;
    assert_eq!(options(&ours.syn), options(&ours.offered), "the server sees what the client offers");
    for (step, took) in &ours.after_loss {
        ensure!(took.is_some(), "lost {step}: never answered");
    }
    Ok(())
}

const NFTABLES: &str = "table inet syn {
    chain before { type filter hook prerouting priority -300; \
        tcp dport 5001 tcp flags & (fin|syn|rst|ack) == syn notrack; }
    chain through { type filter hook forward priority 0; \
        tcp dport 5001 ct state { invalid, untracked } synproxy mss 1460 wscale 7 timestamp sack-perm; \
        ct state invalid drop; }
}";

/// What a connection by one of the paths looks like.
#[derive(Debug)]
struct Told {
    /// What the client offers, what it is answered, and what the server is asked, as tcpdump prints it.
    offered: String,
    syn_ack: String,
    syn: String,
    /// How long until the answer when the first packet of a step is lost, by step; `None`: longer than [`PATIENCE`].
    after_loss: Vec<(&'static str, Option<Duration>)>,
    down: Duration,
    up: Duration,
}

fn table(told: &[(&str, Told)]) -> String {
    let mut text = String::new();
    let mut row = |what: &str, cell: &dyn Fn(&Told) -> String| {
        let cells: Vec<String> = told.iter().map(|(_, told)| cell(told)).collect();
        _ = writeln!(text, "| {what} | {} |", cells.join(" | "));
    };
    row("SYN of the client: options", &|told| options(&told.offered).join(", "));
    row("SYN-ACK: options", &|told| options(&told.syn_ack).join(", "));
    row("SYN-ACK: window", &|told| word_after(&told.syn_ack, "win ").to_owned());
    row("SYN at the server: options", &|told| options(&told.syn).join(", "));
    row("SYN at the server: window", &|told| word_after(&told.syn, "win ").to_owned());
    for (at, (step, _)) in told[0].1.after_loss.iter().enumerate() {
        row(&format!("lost {step}: answered after"), &|told| {
            let late = format!("not in {} s", PATIENCE.as_secs());
            told.after_loss[at].1.map_or(late, |took| format!("{:.2} s", took.as_secs_f64()))
        });
    }
    row("download, 50 ms away", &|told| format!("{:.1} MB/s", rate(told.down)));
    row("upload, 50 ms away", &|told| format!("{:.1} MB/s", rate(told.up)));
    let heads: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
    format!("| proxy | {} |\n|{}\n{text}", heads.join(" | "), " --- |".repeat(heads.len() + 1))
}

/// The options of a segment; clocks are left out.
fn options(line: &str) -> Vec<String> {
    let list = line.split("options [").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
    let kinds = list.split(',').map(|option| if option.starts_with("TS val") { "TS" } else { option });
    kinds.filter(|kind| !["nop", "eol"].contains(kind)).map(str::to_owned).collect()
}

fn word_after<'a>(line: &'a str, before: &str) -> &'a str {
    let rest = line.split(before).nth(1).unwrap_or_default();
    rest.split([',', ' ']).next().unwrap_or_default()
}

/// Which way data go.
#[derive(Clone, Copy, Debug)]
enum Way {
    Down,
    Up,
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Bytes of a transfer that measures throughput.
const BULK: u32 = 2_000_000;

fn rate(took: Duration) -> f64 {
    f64::from(BULK) / took.as_secs_f64() / 1e6
}

/// Throughput of the first as a part of the second's.
fn share([one, other]: [Duration; 2]) -> f64 {
    other.as_secs_f64() / one.as_secs_f64()
}

/// The two ends of a path.
struct Ends<'l> {
    client: &'l Netns,
    server: &'l Netns,
    dir: &'l std::path::Path,
}

impl Ends<'_> {
    /// Windows that hold what the path does and something to wait for it, and a growth of them that does not depend on how busy
    /// the machine is.
    fn long_path(&self) -> Result<()> {
        for ns in [self.client, self.server] {
            ns.sysctl("net/ipv4/tcp_rmem", "4096 131072 1048576")?;
            ns.sysctl("net/ipv4/tcp_congestion_control", "reno")?;
            ns.sysctl("net/ipv4/tcp_no_metrics_save", "1")?;
        }
        Ok(())
    }

    /// Serves on both ports while `work` is done.
    fn serving<T>(&self, addr: std::net::IpAddr, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let stop = AtomicBool::new(false);
        let listeners = [PROXIED, PLAIN].map(|port| self.server.enter(|| TcpListener::bind((addr, port))));
        std::thread::scope(|scope| {
            for listener in listeners {
                let (listener, stop) = (listener??, &stop);
                scope.spawn(move || accept(&listener, stop));
            }
            let done = work();
            stop.store(true, Ordering::Relaxed);
            done
        })
    }

    /// Transfers so many bytes over a new connection; how long that took, from the first SYN to the last byte's arrival.
    fn transfer(&self, target: SocketAddr, way: Way, bytes: u32) -> Result<Duration> {
        let took = self.client.enter(|| -> io::Result<Duration> {
            let start = Instant::now();
            let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(&[&[way as u8][..], &bytes.to_be_bytes()].concat())?;
            match way {
                Way::Down => drain(&mut stream, bytes)?,
                Way::Up => {
                    stream.write_all(&vec![7; bytes as usize])?;
                    stream.read_exact(&mut [0])?;
                }
            }
            Ok(start.elapsed())
        })?;
        took.with_context(|| format!("{bytes} bytes {way:?} by {target}"))
    }

    /// Everything about one path.
    fn measure(&self, target: SocketAddr) -> Result<Told> {
        let port = target.port();
        let file = |name: &str| self.dir.join(format!("{name}-{}-{port}.pcap", self.client.name()));
        let flags = "tcp[tcpflags] & (tcp-syn|tcp-ack)";
        let asking = format!("tcp dst port {port} and {flags} == tcp-syn");
        let answering = format!("tcp src port {port} and {flags} == (tcp-syn|tcp-ack)");
        let offered = Capture::start(self.client, "eth0", &asking, &file("offered"))?;
        let here = Capture::start(self.client, "eth0", &answering, &file("syn_ack"))?;
        let there = Capture::start(self.server, "eth0", &asking, &file("syn"))?;
        self.transfer(target, Way::Down, 1000)?;
        let first = |lines: Vec<String>| lines.into_iter().next().context("a handshake was captured");
        let (offered, syn_ack, syn) = (first(offered.stop()?)?, first(here.stop()?)?, first(there.stop()?)?);

        let flags = |set: &str| format!("tcp flags & (fin|syn|rst|psh|ack) == {set}");
        let mut after_loss = Vec::new();
        for (step, ns, hook, side, set) in [
            ("ACK of the client", self.client, Hook::Output, "dport", "ack"),
            ("SYN to the server", self.server, Hook::Input, "dport", "syn"),
            ("SYN-ACK of the server", self.server, Hook::Output, "sport", "(syn|ack)"),
            ("ACK to the server", self.server, Hook::Input, "dport", "ack"),
        ] {
            let _loss =
                Loss::of(ns, "step", hook, Which::First, &format!("tcp {side} {port} {}", flags(set)))?;
            after_loss.push((step, self.transfer(target, Way::Down, 1000).ok()));
        }
        let [down, up] = [Way::Down, Way::Up].map(|way| self.transfer(target, way, BULK));
        Ok(Told { offered, syn_ack, syn, after_loss, down: down?, up: up? })
    }
}

/// Serves connections, each in a thread of its own, until told to stop.
fn accept(listener: &TcpListener, stop: &AtomicBool) {
    listener.set_nonblocking(true).expect("a listener can be asked without waiting");
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            // What the client has to say about it is what counts.
            Ok((stream, _)) => drop(std::thread::spawn(|| serve(stream))),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    let mut order = [0; 5];
    stream.read_exact(&mut order)?;
    let [way, count @ ..] = order;
    let bytes = u32::from_be_bytes(count);
    if way == Way::Down as u8 {
        return stream.write_all(&vec![8; bytes as usize]);
    }
    drain(&mut stream, bytes)?;
    stream.write_all(b".")
}

fn drain(stream: &mut TcpStream, bytes: u32) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut left = bytes as usize;
    while left > 0 {
        let most = left.min(buffer.len());
        match stream.read(&mut buffer[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => left -= n,
        }
    }
    Ok(())
}
