// SPDX-License-Identifier: Apache-2.0
//! The SYN proxy between kernel stacks: nothing of quality is lost, and a flood reaches nobody.
//!
//! ```text
//!  curl, sockets, ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx, a server that speaks first
//!  hping3              SYN proxy: the client's           └─ nginx
//!                      handshake ends here
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use dpvs_tests::capture::Capture;
use dpvs_tests::client::{self, Pace};
use dpvs_tests::netns::Netns;
use dpvs_tests::process::Background;
use dpvs_tests::wait::until;
use dpvs_tests::{Context, Family, Lab, Plan, Result, bail, ensure, scenario};

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
        for port in [80, 81] {
            proxied(lab, lab.vip(family, port), &[1, 1])?;
        }
    }
    requests_are_shared(lab)?;
    bulk_is_the_same_both_ways(lab)?;
    servers_see_what_clients_offer(lab)?;
    kernels_agree_on_what_clients_offer(lab)?;
    a_server_without_timestamps_serves_who_was_promised_them(lab)?;
    a_server_may_speak_first_and_a_client_half_close(lab)?;
    a_refusing_server_refuses_the_client(lab)?;
    a_flood_reaches_nobody(lab)
}

/// A FULLNAT service behind the proxy.
fn proxied(lab: &Lab, vip: SocketAddr, weights: &[u32]) -> Result<()> {
    lab.balance("-t", vip, "rr", weights)?;
    lab.director.ipvsadm(&format!("-E -t {vip} -s rr -j enable"))?;
    Ok(())
}

fn requests_are_shared(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let shares = lab.shares(lab.vip(family, 80), 40, Pace::InTurn)?;
        // Each worker deals in turn by itself, and begins with another server.
        ensure!(
            shares.iter().sum::<usize>() == 40 && shares.iter().all(|n| (18..=22).contains(n)),
            "{shares:?}"
        );
        let at_once = lab.shares(lab.vip(family, 80), 200, Pace::AtOnce)?;
        assert_eq!(at_once.iter().sum::<usize>(), 200, "{family:?}: {at_once:?}");
    }
    Ok(())
}

fn bulk_is_the_same_both_ways(lab: &Lab) -> Result<()> {
    let sum = lab.publish("big", 200_000_000)?;
    for family in Family::BOTH {
        assert_eq!(client::sha256(&lab.net.client, lab.vip(family, 80), "big")?, sum, "{family:?}");
    }
    for family in Family::BOTH {
        let vip = lab.vip(family, 9000);
        proxied(lab, vip, &[1])?;
        let sent: Vec<u8> =
            (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let received = serve(
            lab,
            family,
            9000,
            |mut stream| {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).map(|_| all)
            },
            |mut stream| {
                stream.write_all(&sent)?;
                stream.shutdown(Shutdown::Write)
            },
        )?;
        ensure!(received == sent, "{family:?}: {} of {} bytes came", received.len(), sent.len());
    }
    Ok(())
}

/// Runs one connection: `server` on the first real server's side, `client` on the client's.
fn serve<T: Send>(
    lab: &Lab,
    family: Family,
    port: u16,
    server: impl FnOnce(TcpStream) -> std::io::Result<T> + Send,
    client: impl FnOnce(TcpStream) -> std::io::Result<()> + Send,
) -> Result<T> {
    let at = SocketAddr::new(lab.plan.server(family, 0), port);
    let listener = lab.net.servers[0].enter(|| TcpListener::bind(at))??;
    let vip = lab.vip(family, port);
    std::thread::scope(|scope| {
        let served = scope.spawn(move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            server(stream)
        });
        lab.net.client.enter(|| {
            let stream = TcpStream::connect_timeout(&vip, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            client(stream)
        })??;
        Ok(served.join().expect("the server does not panic")?)
    })
}

/// What a server's kernel agreed on with the director is what the client's kernel offered: read on the wire.
fn servers_see_what_clients_offer(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let vip = lab.vip(family, 81);
        let iface = "eth0";
        let filter = |port: u16| match family {
            Family::V4 => format!("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn and port {port}"),
            // IPv6 has no such shorthand: the flags are the 14th byte behind the fixed header.
            Family::V6 => format!("ip6[53] & 0x12 == 0x02 and port {port}"),
        };
        let here = Capture::start(&lab.net.client, iface, &filter(81), &lab.file("offered.pcap"))?;
        let there = Capture::start(&lab.net.servers[0], iface, &filter(81), &lab.file("seen.pcap"))?;
        // Both servers are asked in turn; port 81 has nobody listening, so every connection is a single SYN.
        let _ = client::fetch(&lab.net.client, vip, "body", 2, Pace::InTurn)?;
        let options = |lines: Vec<String>| -> Result<(String, Vec<String>)> {
            let line = lines.first().context("a SYN was captured")?.clone();
            let list =
                line.split("options [").nth(1).and_then(|rest| rest.split(']').next()).context("options")?;
            // The clock differs, as it must: servers see one behind each local address.
            let kinds = list.split(',').map(|option| match option.trim() {
                ts if ts.starts_with("TS val") => "TS".to_owned(),
                other => other.to_owned(),
            });
            Ok((line.clone(), kinds.collect()))
        };
        let (offered, seen) = (options(here.stop()?)?, options(there.stop()?)?);
        assert_eq!(offered.1, seen.1, "{family:?}\n{}\n{}", offered.0, seen.0);
    }
    Ok(())
}

/// What both kernels say of an open connection (`ss -i`): the server's has agreed to all that the client's offered.
fn kernels_agree_on_what_clients_offer(lab: &Lab) -> Result<()> {
    let (client, server) = (&lab.net.client, &lab.net.servers[0]);
    // Buffers that ask for other scales, 8 and 10, than the director announces by itself.
    client.sysctl("net/ipv4/tcp_rmem", "4096 131072 8388608")?;
    server.sysctl("net/ipv4/tcp_rmem", "4096 131072 33554432")?;
    let agreed = |ns: &Netns, side: &str| -> Result<Vec<String>> {
        let said = ns.cmd("ss").args(["-toinH", "state", "established", side, "=", ":2526"]).check()?;
        let agreed = |word: &&str| ["ts", "sack"].contains(word) || word.starts_with("wscale:");
        Ok(said.split_whitespace().filter(agreed).map(str::to_owned).collect())
    };
    for family in Family::BOTH {
        proxied(lab, lab.vip(family, 2526), &[1])?;
        let (here, there) = serve(
            lab,
            family,
            2526,
            |mut stream| {
                let words = (agreed(client, "dport"), agreed(server, "sport"));
                stream.write_all(b".").map(|()| words)
            },
            |mut stream| stream.read_exact(&mut [0]),
        )?;
        let (here, there) = (here?, there?);
        eprintln!("{family:?}: the client's kernel has agreed on {here:?}, the server's on {there:?}");
        assert_eq!(there, ["ts", "sack", "wscale:8,10"], "{family:?}");
        let [ts, sack, scales] = &here[..] else { bail!("three words: {here:?}") };
        ensure!(ts == "ts" && sack == "sack" && scales.ends_with(",8"), "{family:?}: {here:?}");
    }
    Ok(())
}

/// Nobody knows what a new service's servers do before they are asked: its first clients are promised timestamps, and are served
/// without; later ones are promised none.
fn a_server_without_timestamps_serves_who_was_promised_them(lab: &Lab) -> Result<()> {
    let server = &lab.net.servers[0];
    server.sysctl("net/ipv4/tcp_timestamps", "0")?;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for family in Family::BOTH {
        proxied(lab, lab.vip(family, 2527), &[1])?;
        let filter =
            format!("tcp src port 2527 and {}", "tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)");
        let filter = if family == Family::V6 { "ip6[53] & 0x12 == 0x12 and src port 2527" } else { &filter };
        let answers = Capture::start(&lab.net.client, "eth0", filter, &lab.file("promised.pcap"))?;
        // Each worker learns by itself, and eight clients reach both.
        for _ in 0..8 {
            let received = serve(
                lab,
                family,
                2527,
                |mut stream| {
                    stream.write_all(&sent)?;
                    let mut all = Vec::new();
                    stream.read_to_end(&mut all).map(|_| all)
                },
                |mut stream| {
                    let mut back = vec![0; sent.len()];
                    stream.read_exact(&mut back)?;
                    stream.write_all(&back)?;
                    stream.shutdown(Shutdown::Write)
                },
            )?;
            ensure!(received == sent, "{family:?}: {} of {} bytes came back", received.len(), sent.len());
        }
        let promised: Vec<bool> = answers.stop()?.iter().map(|line| line.contains("TS val")).collect();
        eprintln!("{family:?}: promised timestamps: {promised:?}");
        let count = promised.iter().filter(|promised| **promised).count();
        ensure!(promised.len() >= 8 && promised[0], "{family:?}: {promised:?}");
        // Where the machine is slow, a client may ask twice.
        let again = promised.len() - 8;
        ensure!(count <= usize::from(lab.plan.workers) + again, "{family:?}: once a worker: {promised:?}");
    }
    server.sysctl("net/ipv4/tcp_timestamps", "1")?;
    Ok(())
}

fn a_server_may_speak_first_and_a_client_half_close(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let vip = lab.vip(family, 2525);
        proxied(lab, vip, &[1])?;
        let heard = serve(
            lab,
            family,
            2525,
            |mut stream| {
                stream.write_all(b"220 ready\r\n")?;
                let mut question = Vec::new();
                stream.read_to_end(&mut question)?;
                // The client has closed its half; the answer still reaches it.
                stream.write_all(b"221 bye\r\n")?;
                Ok(question)
            },
            |mut stream| {
                let mut greeting = [0; 11];
                stream.read_exact(&mut greeting)?;
                assert_eq!(&greeting, b"220 ready\r\n");
                stream.write_all(b"QUIT\r\n")?;
                stream.shutdown(Shutdown::Write)?;
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest)?;
                assert_eq!(rest, b"221 bye\r\n");
                Ok(())
            },
        )?;
        assert_eq!(heard, b"QUIT\r\n", "{family:?}");
    }
    Ok(())
}

fn a_refusing_server_refuses_the_client(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        // Nobody listens on port 81 of the servers.
        let fetched = client::fetch(&lab.net.client, lab.vip(family, 81), "body", 4, Pace::InTurn)?;
        assert_eq!(fetched.failures.len(), 4, "{family:?}");
        for failure in &fetched.failures {
            // Reset: before curl looked at the open connection (7), while it sent (55), or while it waited (56).
            ensure!(
                ["000 7 ", "000 55 ", "000 56 "].iter().any(|reset| failure.starts_with(reset)),
                "{family:?}: {failure}"
            );
        }
    }
    Ok(())
}

/// SYNs from random sources at full speed, then acknowledgements that prove nothing, then resets of nothing: honest clients notice none
/// of them, and no connection comes of them.
fn a_flood_reaches_nobody(lab: &Lab) -> Result<()> {
    let vip = lab.vip(Family::V4, 80);
    for flags in ["-S", "-A", "-R"] {
        until("earlier connections end", Duration::from_secs(60), || {
            Ok((lab.director.conns()?.len() < 20).then_some(()))
        })?;
        let before = memory(lab)?;
        let flood = lab.net.client.cmd("hping3").args(["--rand-source", flags, "-p", "80", "--flood", "-q"]);
        let mut flood = Background::start(&flood.arg(vip.ip()), &lab.file("flood.log"))?;
        let (received, start) = (lab.director.traffic()?.count("rx"), Instant::now());
        std::thread::sleep(Duration::from_millis(500));
        let fetched = client::fetch(&lab.net.client, vip, "body", 100, Pace::Patiently)?;
        let conns = lab.director.conns()?.len();
        let flooded = lab.director.traffic()?.count("rx") - received;
        let took = start.elapsed().as_secs_f64();
        flood.stop()?;
        let grown = memory(lab)?.saturating_sub(before);
        eprintln!(
            "flood {flags}: {flooded} packets in {took:.1} s ({:.0}/s), {} of 100 requests answered, {conns} connections, \
             {grown} kB more memory",
            flooded as f64 / took,
            fetched.bodies.len() - fetched.failures.len(),
        );
        assert_eq!(fetched.failures, [""; 0], "{flags}");
        // Those of the honest clients that are closing, and none besides.
        ensure!(conns <= 125, "{flags}: {conns} connections");
        ensure!(flooded > 10_000, "{flags}: a flood of {flooded} packets is none");
        ensure!(grown < 16_384, "{flags}: memory grows by {grown} kB");
    }
    Ok(())
}

/// Resident memory of the director in kB.
fn memory(lab: &Lab) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", lab.director.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
