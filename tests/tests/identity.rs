// SPDX-License-Identifier: Apache-2.0
//! Servers that are told whom a connection is from, by the PROXY protocol.
//!
//! ```text
//!  curl, sockets ──── dpdk0 director dpdk1 ──── nginx with proxy_protocol, a server that speaks first
//!                     FULLNAT: servers see a local address
//! ```

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use dpvs_tests::capture::Capture;
use dpvs_tests::client;
use dpvs_tests::{Context, Family, Lab, Plan, Result, ensure, scenario};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn one_worker() {
    scenario(Plan::workers(1), everything);
}

#[test]
fn two_workers() {
    scenario(Plan::workers(2), everything);
}

#[test]
fn without_a_header_options_tell() {
    let conf = "ipvs_defs {\n udp {\n uoa_max_trail 3\n}\n}\n".into();
    scenario(Plan { conf, ..Plan::workers(2) }, |lab| {
        let sum = lab.publish("big", 20_000_000)?;
        for family in Family::BOTH {
            let vip = lab.vip(family, 80);
            lab.balance("-t", vip, "rr", &[1])?;
            for proxied in ["disable", "enable"] {
                lab.director.ipvsadm(&format!("-E -t {vip} -s rr -j {proxied}"))?;
                segments_tell(lab, family, vip, &sum)?;
            }
            datagrams_tell_beside(lab, family)?;
        }
        Ok(())
    });
}

/// The first four bytes of the client's address and where they are looked for, as a filter that counts from the packet's upper layer.
fn names_client(lab: &Lab, family: Family, at: usize) -> String {
    let first = match lab.plan.client(family) {
        std::net::IpAddr::V4(addr) => addr.to_bits(),
        std::net::IpAddr::V6(addr) => (addr.to_bits() >> 96) as u32,
    };
    match family {
        Family::V4 => format!("ip[{}:4] = {first:#x}", 20 + at),
        Family::V6 => format!("ip6[{}:4] = {first:#x}", 40 + at),
    }
}

/// A server's kernel takes the option, which has the client's address, and nothing is lost by it.
fn segments_tell(lab: &Lab, family: Family, vip: SocketAddr, sum: &str) -> Result<()> {
    let kind = if family == Family::V4 { "ip[40] = 254" } else { "ip6[60] = 254" };
    let filter = format!("tcp and dst port 80 and {kind} and {}", names_client(lab, family, 24));
    let capture = Capture::start(&lab.net.servers[0], "eth0", &filter, &lab.file("toa.pcap"))?;
    assert_eq!(client::sha256(&lab.net.client, vip, "big")?, sum);
    let packets = capture.stop()?.len();
    // The handshake's last, the request, and acknowledgements of nothing: never those of 20 MB.
    ensure!((2..10).contains(&packets), "{family:?}: {packets} packets name the client");
    Ok(())
}

/// The first three datagrams have a header of protocol 248, the next is an ordinary one, which the server gets.
fn datagrams_tell_beside(lab: &Lab, family: Family) -> Result<()> {
    let vip = lab.vip(family, 5354);
    lab.balance("-u", vip, "rr", &[1])?;
    let protocol = if family == Family::V4 { "ip[9] = 248" } else { "ip6[6] = 248" };
    let filter = format!("{protocol} and {}", names_client(lab, family, 8));
    let capture = Capture::start(&lab.net.servers[0], "eth0", &filter, &lab.file("uoa.pcap"))?;
    let server =
        lab.net.servers[0].enter(|| UdpSocket::bind(SocketAddr::new(lab.plan.server(family, 0), 5354)))??;
    server.set_read_timeout(Some(PATIENCE))?;
    lab.net.client.enter(|| -> std::io::Result<()> {
        let socket = UdpSocket::bind(if family == Family::V4 { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(vip)?;
        for n in 0..4_u8 {
            // The server's kernel knows no protocol 248 and says so.
            while socket.send(&[n]).is_err() {}
        }
        Ok(())
    })??;
    let mut heard = [9; 8];
    let len = server.recv(&mut heard)?;
    assert_eq!(heard[..len], [3], "{family:?}");
    assert_eq!(capture.stop()?.len(), 3, "{family:?}");
    lab.director.ipvsadm(&format!("-D -u {vip}"))?;
    Ok(())
}

fn everything(lab: &mut Lab) -> Result<()> {
    let sum = lab.publish("big", 20_000_000)?;
    for family in Family::BOTH {
        let vip = lab.vip(family, 8081);
        lab.balance("-t", vip, "rr", &[1, 1])?;
        for (options, proxied) in [("v1", "disable"), ("v2", "disable"), ("v1", "enable"), ("v2", "enable")] {
            lab.director.ipvsadm(&format!("-E -t {vip} -s rr -j {proxied} --proxy-protocol {options}"))?;
            nginx_is_told(lab, family, vip)?;
            assert_eq!(client::sha256(&lab.net.client, vip, "big")?, sum, "{family:?} {options} {proxied}");
            a_server_that_speaks_first_is_told_as_well(lab, family, options, proxied)?;
        }
        datagrams_tell_too(lab, family)?;
    }
    Ok(())
}

/// What curl's own socket was is what nginx read in the header; the connection came from another address.
fn nginx_is_told(lab: &Lab, family: Family, vip: SocketAddr) -> Result<()> {
    for _ in 0..4 {
        let told = lab
            .net
            .client
            .cmd("curl")
            .words("-gsS --max-time 10 -w")
            .arg(" %{local_ip} %{local_port}")
            .arg(format!("http://{vip}/whom"))
            .check()?;
        let words: Vec<&str> = told.split_whitespace().collect();
        ensure!(words.len() == 5, "{told}");
        assert_eq!(words[..2], words[3..], "{family:?}: {told}");
        ensure!(words[0] != words[2], "{family:?}: the server sees a local address: {told}");
    }
    Ok(())
}

fn a_server_that_speaks_first_is_told_as_well(
    lab: &Lab,
    family: Family,
    version: &str,
    proxied: &str,
) -> Result<()> {
    let vip = lab.vip(family, 2526);
    lab.balance("-t", vip, "rr", &[1])?;
    lab.director.ipvsadm(&format!("-E -t {vip} -s rr -j {proxied} --proxy-protocol {version}"))?;
    let listener = lab.net.servers[0]
        .enter(|| TcpListener::bind(SocketAddr::new(lab.plan.server(family, 0), 2526)))??;
    let (header, client) = std::thread::scope(|scope| {
        let served = scope.spawn(move || -> std::io::Result<Vec<u8>> {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut stream = BufReader::new(stream);
            let mut header = Vec::new();
            match version {
                "v1" => drop(stream.read_until(b'\n', &mut header)?),
                _ => {
                    header.resize(if family == Family::V4 { 28 } else { 52 }, 0);
                    stream.read_exact(&mut header)?;
                }
            }
            stream.get_mut().write_all(b"220 ready\r\n")?;
            let mut rest = String::new();
            stream.read_line(&mut rest)?;
            assert_eq!(rest, "QUIT\r\n");
            Ok(header)
        });
        let client = lab.net.client.enter(|| -> std::io::Result<SocketAddr> {
            let mut stream = TcpStream::connect_timeout(&vip, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut greeting = [0; 11];
            stream.read_exact(&mut greeting)?;
            assert_eq!(&greeting, b"220 ready\r\n");
            stream.write_all(b"QUIT\r\n")?;
            stream.local_addr()
        })??;
        Ok::<_, dpvs_tests::Error>((served.join().expect("the server does not panic")?, client))
    })?;
    lab.director.ipvsadm(&format!("-D -t {vip}"))?;
    assert_eq!(header, wanted(version, client, vip, 0x11), "{family:?} {version} {proxied}");
    Ok(())
}

/// The header as its document says; `protocol` is that of IPv4.
fn wanted(version: &str, client: SocketAddr, vip: SocketAddr, protocol: u8) -> Vec<u8> {
    let (src, dst) = (client.ip(), vip.ip());
    if version == "v1" {
        let family = if src.is_ipv4() { 4 } else { 6 };
        return format!("PROXY TCP{family} {src} {dst} {} {}\r\n", client.port(), vip.port()).into_bytes();
    }
    let octets = |ip: std::net::IpAddr| match ip {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let addresses = [octets(src), octets(dst)].concat();
    let family = if src.is_ipv4() { protocol } else { protocol + 0x10 };
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x21, family, 0, addresses.len() as u8 + 4]);
    header.extend(addresses);
    header.extend(client.port().to_be_bytes().into_iter().chain(vip.port().to_be_bytes()));
    header
}

fn datagrams_tell_too(lab: &Lab, family: Family) -> Result<()> {
    let vip = lab.vip(family, 5353);
    lab.balance("-u", vip, "rr", &[1])?;
    lab.director.ipvsadm(&format!("-E -u {vip} -s rr --proxy-protocol v2"))?;
    let server =
        lab.net.servers[0].enter(|| UdpSocket::bind(SocketAddr::new(lab.plan.server(family, 0), 5353)))??;
    server.set_read_timeout(Some(PATIENCE))?;
    let client = lab.net.client.enter(|| {
        let any = if family == Family::V4 { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(vip)?;
        socket.send(b"question")?;
        socket.send(b"again").map(|_| socket)
    })??;
    let mut bytes = [0; 200];
    let (len, from) = server.recv_from(&mut bytes)?;
    let wanted = [wanted("v2", client.local_addr()?, vip, 0x12), b"question".to_vec()].concat();
    assert_eq!(bytes[..len], wanted[..], "{family:?}");
    let (len, _) = server.recv_from(&mut bytes)?;
    assert_eq!(&bytes[..len], b"again");
    server.send_to(b"answer", from)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let len = client.recv(&mut bytes).context("the answer")?;
    assert_eq!(&bytes[..len], b"answer");
    lab.director.ipvsadm(&format!("-D -u {vip}"))?;
    Ok(())
}
