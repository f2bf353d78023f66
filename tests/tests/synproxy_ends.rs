// SPDX-License-Identifier: Apache-2.0
//! The SYN proxy where things go wrong: packets get lost, servers die, ends reset, directors change.
//!
//! ```text
//!  curl, python, ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx        kernels lose packets on request
//!  scapy              SYN proxy                         └─ nginx
//! ```

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use dpvs_tests::client::{self, Pace};
use dpvs_tests::loss::{Hook, Loss, Which};
use dpvs_tests::scapy;
use dpvs_tests::wait::until;
use dpvs_tests::{Context, Family, Lab, Plan, Result, ensure, scenario};

#[test]
fn one_worker() {
    scenario(Plan { conf: CONF.to_owned(), ..Plan::workers(1) }, everything);
}

#[test]
fn two_workers() {
    scenario(Plan { conf: CONF.to_owned(), ..Plan::workers(2) }, everything);
}

/// Short, so that a scenario sees the end of what lives for minutes.
const CONF: &str = "\
ipvs_defs {
    tcp {
        timeout { established 4 }
        synproxy { rs_syn_max_retry 1 }
    }
}
";

fn everything(lab: &mut Lab) -> Result<()> {
    for family in Family::BOTH {
        proxied(lab, lab.vip(family, 80), &[1, 1])?;
    }
    each_of_the_six_packets_may_get_lost(lab)?;
    a_dead_server_is_replaced_by_another(lab)?;
    with_all_servers_dead_the_client_is_told(lab)?;
    connections_are_kept_alive(lab)?;
    resets_of_either_end_reach_the_other(lab)?;
    the_third_packet_may_carry_data(lab)?;
    load_decides_where_it_may(lab)
}

/// A FULLNAT service behind the proxy.
fn proxied(lab: &Lab, vip: SocketAddr, weights: &[u32]) -> Result<()> {
    lab.balance("-t", vip, "rr", weights)?;
    lab.director.ipvsadm(&format!("-E -t {vip} -s rr -j enable"))?;
    Ok(())
}

fn each_of_the_six_packets_may_get_lost(lab: &Lab) -> Result<()> {
    let (client, server) = (&lab.net.client, &lab.net.servers[0]);
    let flags = |set: &str| format!("tcp flags & (fin|syn|rst|psh|ack) == {set}");
    let steps = [
        (client, Hook::Output, "1 SYN", "tcp dport", flags("syn")),
        (client, Hook::Input, "2 SYN-ACK", "tcp sport", flags("(syn|ack)")),
        (client, Hook::Output, "3 ACK", "tcp dport", flags("ack")),
        (server, Hook::Input, "4 SYN to the server", "tcp dport", flags("syn")),
        (server, Hook::Output, "5 SYN-ACK of the server", "tcp sport", flags("(syn|ack)")),
        (server, Hook::Input, "6 ACK to the server", "tcp dport", flags("ack")),
    ];
    for family in Family::BOTH {
        let vip = lab.vip(family, 82);
        lab.director.ipvsadm(&format!("-A -t {vip} -s rr -j enable"))?;
        let only = SocketAddr::new(lab.plan.server(family, 0), 80);
        lab.director.ipvsadm(&format!("-a -t {vip} -r {only} -b"))?;
        lab.director.ipvsadm(&format!(
            "-P -t {vip} -z {} -F {}",
            lab.plan.laddr(family),
            lab.plan.back_dev()
        ))?;
        for (at, hook, step, side, flags) in &steps {
            let port = if std::ptr::eq(*at, client) { 82 } else { 80 };
            let loss = Loss::of(at, "step", *hook, Which::First, &format!("{side} {port} {flags}"))?;
            let start = Instant::now();
            let fetched = client::fetch(client, vip, "body", 1, Pace::InTurn)?;
            let (lost, took) = (loss.lost()?, start.elapsed());
            eprintln!("{family:?}: lost {lost} of step {step}: answered after {took:.1?}");
            assert_eq!(lost, 1, "{family:?}: {step}");
            assert_eq!(client::shares(&fetched, &lab.servers)?[0], 1, "{family:?}: {step}");
        }
    }
    Ok(())
}

fn counter(lab: &Lab, name: &str) -> Result<u64> {
    let text = lab.director.dpip("synproxy show")?;
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    let count = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|count| count.parse().ok());
    count.with_context(|| format!("no {name} in {text}"))
}

fn a_dead_server_is_replaced_by_another(lab: &Lab) -> Result<()> {
    let before = counter(lab, "SYNPROXY_RS_OTHER")?;
    let _dead = Loss::of(&lab.net.servers[1], "dead", Hook::Input, Which::All, "meta l4proto tcp")?;
    for family in Family::BOTH {
        let fetched = client::fetch(&lab.net.client, lab.vip(family, 80), "body", 4, Pace::AtOnce)?;
        assert_eq!(client::shares(&fetched, &lab.servers)?, [4, 0], "{family:?}");
    }
    let others = counter(lab, "SYNPROXY_RS_OTHER")? - before;
    eprintln!("one of two servers dead: 8 of 8 requests answered, {others} of them by the other server");
    assert_eq!(others, 4);
    Ok(())
}

fn with_all_servers_dead_the_client_is_told(lab: &Lab) -> Result<()> {
    let _dead = [0, 1]
        .map(|n: usize| Loss::of(&lab.net.servers[n], "dead", Hook::Input, Which::All, "meta l4proto tcp"));
    for family in Family::BOTH {
        let start = Instant::now();
        let fetched = client::fetch(&lab.net.client, lab.vip(family, 80), "body", 1, Pace::InTurn)?;
        eprintln!("{family:?}: all servers dead: told after {:.1?}: {:?}", start.elapsed(), fetched.failures);
        ensure!(fetched.failures.len() == 1 && fetched.failures[0].starts_with("000 56 "), "{fetched:?}");
    }
    Ok(())
}

fn connections_are_kept_alive(lab: &Lab) -> Result<()> {
    for family in Family::BOTH {
        let vip = lab.vip(family, 80);
        // HTTP: many requests, one connection.
        let before = counter(lab, "SYNPROXY_OK_ACK")?;
        let urls = format!("http://{vip}/body?[1-50]");
        let cmd = lab.net.client.cmd("curl").words("--silent --fail --max-time 60 --output /dev/null");
        let done = cmd.args(["--write-out", "%{http_code} %{num_connects}\n"]).arg(urls).check()?;
        let connects: u32 =
            done.lines().filter_map(|line| line.strip_prefix("200 ")?.parse::<u32>().ok()).sum();
        assert_eq!((done.lines().count(), connects), (50, 1), "{family:?}");
        assert_eq!(counter(lab, "SYNPROXY_OK_ACK")? - before, 1);
        // TCP: probes keep the entry of an idle connection, which would live for four seconds.
        let script = "\
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
time.sleep(9)
s.sendall(b'GET /body HTTP/1.0\\r\\n\\r\\n')
print(s.recv(100).split(b'\\r\\n')[0].decode())";
        let (ip, port) = (vip.ip().to_string(), vip.port().to_string());
        let said = lab.net.client.cmd(scapy::PYTHON).args(["-c", script, &ip, &port]).check()?;
        assert_eq!(said, "HTTP/1.1 200 OK\n", "{family:?}");
        // Without probes both ends are told when the entry goes.
        let idle = script.replace("SO_KEEPALIVE, 1", "SO_KEEPALIVE, 0");
        let said = lab.net.client.cmd(scapy::PYTHON).args(["-c", &idle, &ip, &port]).run()?;
        ensure!(said.stderr.contains("ConnectionResetError") || said.stderr.contains("BrokenPipe"), "{said}");
    }
    Ok(())
}

/// One connection to a server of the test's own: what each end does with it, and what becomes of that.
fn between<S: Send, C: Send>(
    lab: &Lab,
    family: Family,
    port: u16,
    server: impl FnOnce(TcpStream) -> S + Send,
    client: impl FnOnce(TcpStream) -> C + Send,
) -> Result<(S, C)> {
    let at = SocketAddr::new(lab.plan.server(family, 0), port);
    let listener = lab.net.servers[0].enter(|| TcpListener::bind(at))??;
    let vip = lab.vip(family, port);
    proxied(lab, vip, &[1])?;
    std::thread::scope(|scope| {
        let served = scope.spawn(move || -> std::io::Result<S> {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            Ok(server(stream))
        });
        let asked = lab.net.client.enter(|| -> std::io::Result<C> {
            let stream = TcpStream::connect_timeout(&vip, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            Ok(client(stream))
        })??;
        Ok((served.join().expect("the server does not panic")?, asked))
    })
}

/// A kernel resets what is closed with something unread.
fn resets_of_either_end_reach_the_other(lab: &Lab) -> Result<()> {
    let unread = |mut stream: TcpStream| {
        let mut byte = [0; 1];
        let peeked = stream.peek(&mut byte).map(|_| ());
        // Something more comes, so that what is unread is not the end of it.
        let _ = stream.write_all(b"bye");
        drop(stream);
        peeked
    };
    let waits = |mut stream: TcpStream| {
        stream.write_all(b"something to leave unread")?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).map(|_| ())
    };
    for family in Family::BOTH {
        let (_, client) = between(lab, family, 9001, unread, waits)?;
        assert_eq!(client.map_err(|e| e.kind()), Err(std::io::ErrorKind::ConnectionReset), "{family:?}");
        let (server, _) = between(lab, family, 9002, waits, unread)?;
        assert_eq!(server.map_err(|e| e.kind()), Err(std::io::ErrorKind::ConnectionReset), "{family:?}");
    }
    assert_eq!(counter(lab, "SYNPROXY_BAD_RESET")?, 0, "none was taken for a blind one");
    Ok(())
}

/// No kernel sends data with its first acknowledgement; that of an ACK that was lost comes to the same.
fn the_third_packet_may_carry_data(lab: &Lab) -> Result<()> {
    let script = "\
addr, port, six = sys.argv[1], int(sys.argv[2]), ':' in sys.argv[1]
IP_ = IPv6 if six else IP
sport = 33333
ip = IP_(dst=addr)
syn = TCP(sport=sport, dport=port, flags='S', seq=1000, options=[('MSS', 1400), ('SAckOK', b''), ('Timestamp', (77, 0)), ('WScale', 5)])
answer = sr1(ip / syn, timeout=5)
stamps = dict((o[0], o[1]) for o in answer[TCP].options)['Timestamp']
data = b'GET /body HTTP/1.0\\r\\n\\r\\n'
third = TCP(sport=sport, dport=port, flags='PA', seq=1001, ack=answer[TCP].seq + 1, window=500,
            options=[('NOP', None), ('NOP', None), ('Timestamp', (78, stamps[0]))])
sniffer = AsyncSniffer(iface='eth0', filter='tcp and src port %d' % port, count=0, timeout=4,
                       stop_filter=lambda p: b'200 OK' in bytes(p))
sniffer.start(); time.sleep(0.3)
send(ip / third / data)
sniffer.join()
print([bytes(p[TCP].payload)[:15] for p in sniffer.results if b'HTTP' in bytes(p[TCP].payload)][0].decode())";
    // The kernel knows nothing of this connection and would reset it.
    let _quiet = Loss::of(
        &lab.net.client,
        "quiet",
        Hook::Output,
        Which::All,
        "tcp sport 33333 tcp flags & rst == rst",
    )?;
    for family in Family::BOTH {
        let vip = lab.vip(family, 80);
        let said = scapy::run(&lab.net.client, script, &[&vip.ip().to_string(), "80"])?;
        assert_eq!(said, "HTTP/1.1 200 OK\n", "{family:?}");
    }
    Ok(())
}

/// `-j auto`: nothing but a flood brings the proxy on, which then says so, and goes when there is peace.
fn load_decides_where_it_may(lab: &Lab) -> Result<()> {
    let vip = lab.vip(Family::V4, 80);
    lab.director.ipvsadm(&format!("-E -t {vip} -s rr -j auto,hold"))?;
    let saved = lab.director.ipvsadm("-Sn")?;
    ensure!(saved.contains(&format!("-A -t {vip} -s rr -j auto,hold")), "{saved}");
    let before = counter(lab, "SYNPROXY_SYN_CNT")?;
    assert_eq!(lab.shares(vip, 10, Pace::InTurn)?.iter().sum::<usize>(), 10);
    assert_eq!(counter(lab, "SYNPROXY_SYN_CNT")?, before, "without load nobody is asked for proof");
    let standing = || -> Result<u64> {
        let json: serde_json::Value = serde_json::from_str(&lab.director.dpip("synproxy --json")?)?;
        let services =
            json.pointer("/synproxy/services").and_then(serde_json::Value::as_array).context("services")?;
        let ours = services.iter().find(|svc| svc["synproxy"] == "auto,hold").context("the service")?;
        ours["standing"].as_u64().context("a number")
    };
    assert_eq!(standing()?, 0);
    let flood = lab.net.client.cmd("hping3").args(["--rand-source", "-S", "-p", "80", "--flood", "-q"]);
    let mut flood = dpvs_tests::process::Background::start(&flood.arg(vip.ip()), &lab.file("auto.log"))?;
    until("the proxy to step forward", Duration::from_secs(20), || Ok((standing()? > 0).then_some(())))?;
    assert_eq!(lab.shares(vip, 20, Pace::InTurn)?.iter().sum::<usize>(), 20);
    flood.stop()?;
    let (on, conns) = (counter(lab, "SYNPROXY_AUTO_ON")?, lab.director.conns()?.len());
    eprintln!("auto: stepped forward on {on} worker(s), {conns} connections when the flood ended");
    ensure!(on > 0, "counted");
    lab.director.ipvsadm(&format!("-E -t {vip} -s rr -j disable"))?;
    ensure!(!lab.director.ipvsadm("-Sn")?.contains(&format!("-A -t {vip} -s rr -j")), "off again");
    Ok(())
}

/// Two directors with one key file: the one answers a SYN, the other opens the connection.
#[test]
fn directors_that_share_a_key_file_accept_each_others_cookies() {
    let key = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(key.path(), "00112233445566778899aabbccddeeff\n").expect("it is written");
    let conf = format!("ipvs_defs {{ tcp {{ synproxy {{ key_file {} }} }} }}\n", key.path().display());
    let plan = Plan { conf, ..Plan::workers(1) };
    scenario(plan.clone(), |first| {
        let mut second = first.beside(plan)?;
        // The same, but for the secret.
        let mut stranger = first.beside(Plan::workers(1))?;
        for family in Family::BOTH {
            let vip = first.vip(family, 80);
            for lab in [&*first, &second, &stranger] {
                proxied(lab, vip, &[1, 1])?;
            }
            let (ip, port) = (vip.ip().to_string(), "80");
            let said = scapy::run(&first.net.client, SYN, &[&ip, port])?;
            let numbers: Vec<&str> = said.split_whitespace().collect();
            let [cookie, stamp] = numbers[..] else { dpvs_tests::bail!("two numbers: {said}") };
            for (lab, expected) in [(&second, "SYN-ACK proved: server answers"), (&stranger, "reset")] {
                let answer = scapy::run(&lab.net.client, ACK, &[&ip, port, cookie, stamp])?;
                eprintln!("{family:?}: cookie {cookie} of another director: {}", answer.trim());
                assert_eq!(answer.trim(), expected);
            }
        }
        for lab in [&mut second, &mut stranger] {
            lab.director.healthy()?;
            lab.director.conserves()?;
            lab.director.stop()?;
        }
        Ok(())
    });
}

const SYN: &str = "\
addr, port = sys.argv[1], int(sys.argv[2])
ip = (IPv6 if ':' in addr else IP)(dst=addr)
syn = TCP(sport=33333, dport=port, flags='S', seq=1000, options=[('MSS', 1400), ('SAckOK', b''), ('Timestamp', (77, 0)), ('WScale', 5)])
answer = sr1(ip / syn, timeout=5)
print(answer[TCP].seq, dict((o[0], o[1]) for o in answer[TCP].options)['Timestamp'][0])";

const ACK: &str = "\
addr, port, cookie, stamp = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
ip = (IPv6 if ':' in addr else IP)(dst=addr)
ack = TCP(sport=33333, dport=port, flags='PA', seq=1001, ack=(cookie + 1) % 2**32, window=500,
          options=[('NOP', None), ('NOP', None), ('Timestamp', (78, stamp))])
answer = sr1(ip / ack / b'GET /body HTTP/1.0\\r\\n\\r\\n', timeout=5)
print('reset' if 'R' in answer[TCP].flags else 'SYN-ACK proved: server answers' if answer[TCP].ack > 1001 else answer.summary())";
