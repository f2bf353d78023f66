// SPDX-License-Identifier: Apache-2.0
//! A namespace with one device under test, whose other end is a packet socket of the kernel's:
//!
//! ```text
//!     netns dpdk-CASE-PID
//!     Port dpdk0 -- dut0 ====veth==== peer0 -- PeerSocket      af_packet, af_xdp
//!     Port dpdk0 -- dut0 (tap) --------------- PeerSocket      tap
//! ```
//!
//! DPDK starts once per process, so each case runs this test binary again inside its own namespace.

mod peer;

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use dpdk::{
    Burst, Checksums, DeviceSpec, Driver, Eal, EalConfig, L4, Pool, PoolConfig, Port, PortConfig, RxQueue,
    TxQueue,
};
use packet::{Buffer, Csum};

use peer::PeerSocket;

/// Tells the inner process its case, as `DRIVER QUEUES`.
const CASE: &str = "DPDK_TEST_CASE";

/// Runs `test` (the name of the calling test) once per queue count in a namespace of its own.
pub fn run(test: &str, driver: Driver, queues: &[u16]) {
    if let Ok(case) = env::var(CASE) {
        let queues = case.parse().expect("the outer process wrote a number");
        return exercise(driver, queues);
    }
    for &queues in queues {
        let Some(netns) = Netns::new(driver, queues) else { return };
        let me = env::current_exe().expect("a test binary has a path");
        let status = Command::new("ip")
            .args(["netns", "exec", &netns.name])
            .arg(me)
            .args([test, "--exact", "--nocapture"])
            .env(CASE, queues.to_string())
            .status()
            .expect("ip ran a moment ago");
        assert!(status.success(), "{driver} with {queues} queues: {status}");
    }
}

/// A namespace that is removed with everything in it, whatever happens.
struct Netns {
    name: String,
}

impl Netns {
    /// `None` where namespaces cannot be made, unless `REQUIRE_NETNS` says that they must.
    fn new(driver: Driver, queues: u16) -> Option<Netns> {
        let name = format!("dpdk-{driver}-{queues}-{}", std::process::id());
        if let Err(why) = ip(&["netns", "add", &name]) {
            assert!(env::var_os("REQUIRE_NETNS").is_none(), "no namespace: {why}");
            eprintln!("not tested: no namespace can be made here ({why})");
            return None;
        }
        let netns = Netns { name };
        let many = queues.to_string();
        if driver != Driver::Tap {
            netns.ip(&["link", "add", "dut0", "numrxqueues", &many, "numtxqueues", &many, "type", "veth"]
                .iter()
                .chain(&["peer", "name", "peer0", "numrxqueues", &many, "numtxqueues", &many])
                .copied()
                .collect::<Vec<_>>());
            netns.ip(&["link", "set", "peer0", "up"]);
        }
        Some(netns)
    }

    fn ip(&self, args: &[&str]) {
        let all: Vec<&str> = ["-n", &self.name].iter().chain(args).copied().collect();
        ip(&all).unwrap_or_else(|why| panic!("ip {all:?}: {why}"));
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(why) = ip(&["netns", "del", &self.name]) {
            eprintln!("namespace {} is left behind: {why}", self.name);
        }
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let out = Command::new("ip").args(args).output().map_err(|e| e.to_string())?;
    if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()) }
}

/// The case itself, inside the namespace.
fn exercise(driver: Driver, queues: u16) {
    let spec: DeviceSpec = format!("dpdk0={driver}:dut0").parse().expect("a spec");
    let sizes = PoolConfig::for_devices([&spec], queues);
    let eal = Eal::init(EalConfig::for_devices([&spec]).with_pool(&sizes)).expect("it starts anywhere");
    println!("{driver} queues={queues} {}", eal.picked());
    let pool = Pool::new(&eal, "packets", &sizes).expect("memory was asked for");
    let config = PortConfig { queues, ..PortConfig::default() };
    let mut port = Port::open(&eal, &spec, &config, &pool).expect("the interface is there");
    println!("{:?} notes={:?}", port.info(), port.notes());
    assert_eq!((port.rx_queues(), port.tx_queues()), (queues, queues));
    let peer = PeerSocket::open(if driver == Driver::Tap { "dut0" } else { "peer0" });
    let mut rx: Vec<RxQueue> = (0..queues).map(|q| port.take_rx(q).expect("taken once")).collect();

    receives(&mut rx, &peer, queues);
    let mut tx = sends(&mut port, &pool, &peer, queues);
    if driver == Driver::Tap {
        the_device_handles_checksums(&port, &pool, &peer, &mut rx, &mut tx);
    }
    if driver != Driver::Tap {
        follows_the_carrier(&port);
    }
    goes_down_and_up(&mut port, &mut rx, &peer);
    changes_mac_and_mtu(&mut port);
    let stats = port.stats();
    assert!(stats.rx_packets >= FRAMES as u64 && stats.tx_packets >= FRAMES as u64, "{stats:?}");
    drop((rx, tx, port));
    if driver != Driver::Tap {
        assert_eq!(
            flags("dut0") & (libc::IFF_PROMISC | libc::IFF_ALLMULTI),
            0,
            "the interface's filters are as before"
        );
    }
    println!("mbufs still out after closing: {}", pool.in_use());
}

/// Frames each way.
const FRAMES: usize = 64;

/// Everything the peer sends arrives, byte for byte; with several queues each gets some.
fn receives(rx: &mut [RxQueue], peer: &PeerSocket, queues: u16) {
    let sent: Vec<Vec<u8>> = (0..FRAMES).map(frame).collect();
    sent.iter().for_each(|frame| peer.send(frame));
    let mut counts = vec![0; rx.len()];
    let mut got = Vec::new();
    within(Duration::from_secs(5), || {
        for (queue, count) in rx.iter_mut().zip(&mut counts) {
            let mut burst = Burst::new();
            queue.burst(&mut burst);
            let ours = burst.iter().map(|p| p.data().to_vec()).filter(|bytes| is_ours(bytes));
            let before = got.len();
            got.extend(ours);
            *count += got.len() - before;
        }
        got.len() >= FRAMES
    });
    println!("received per queue: {counts:?}");
    assert_eq!(sorted(got), sorted(sent));
    assert!(queues == 1 || counts.iter().all(|&n| n > 0), "one queue got nothing: {counts:?}");
}

/// What each transmit queue is given reaches the peer, byte for byte.
fn sends(port: &mut Port, pool: &Pool, peer: &PeerSocket, queues: u16) -> Vec<TxQueue> {
    let frames: Vec<Vec<u8>> = (1000..1000 + FRAMES).map(frame).collect();
    let mut all: Vec<TxQueue> = (0..queues).map(|q| port.take_tx(q).expect("taken once")).collect();
    for (tx, part) in all.iter_mut().zip(frames.chunks(FRAMES / usize::from(queues))) {
        for part in part.chunks(32) {
            let mut burst = Burst::new();
            assert!(pool.alloc_bulk(part.len(), &mut burst), "the pool is large enough");
            for (packet, bytes) in burst.iter_mut().zip(part) {
                packet.append(bytes.len()).expect("an empty mbuf has room").copy_from_slice(bytes);
            }
            let sent = tx.send(&mut burst);
            assert_eq!((sent.sent, sent.dropped), (part.len(), 0));
        }
    }
    let mut got = Vec::new();
    within(Duration::from_secs(5), || {
        got.extend(peer.receive().into_iter().filter(|bytes| is_ours(bytes)));
        got.len() >= FRAMES
    });
    assert_eq!(sorted(got), sorted(frames));
    all
}

/// net_tap says what it found on receive and fills in what it is asked to.
fn the_device_handles_checksums(
    port: &Port,
    pool: &Pool,
    peer: &PeerSocket,
    rx: &mut [RxQueue],
    tx: &mut [TxQueue],
) {
    let all = Checksums { ipv4: true, udp: true, tcp: true };
    assert_eq!((port.info().rx_csum, port.info().tx_csum), (all, all));
    let plain = frame(5);
    let mut packet = pool.alloc().expect("the pool is full");
    packet.append(plain.len()).expect("there is room").copy_from_slice(&plain);
    // What the device wants to find in place of the UDP checksum: the sum of the pseudo header.
    let pseudo = sum(&plain[26..34]) + 17 + sum(&plain[38..40]);
    packet.data_mut()[40..42].copy_from_slice(&fold(pseudo).to_be_bytes());
    packet.offload_csum_v4(14, 20, Some(L4::Udp));
    let mut burst = Burst::new();
    burst.push(packet);
    assert_eq!(tx[0].send(&mut burst).sent, 1);
    let mut got = Vec::new();
    assert!(within(Duration::from_secs(5), || {
        got.extend(peer.receive().into_iter().filter(|bytes| is_ours(bytes)));
        !got.is_empty()
    }));
    let sent = &got[0];
    assert_eq!(fold(sum(&sent[14..34])), 0xffff, "IPv4 header");
    let udp = sum(&sent[26..34]) + 17 + sum(&sent[38..40]) + sum(&sent[34..]);
    assert_eq!(fold(udp), 0xffff, "UDP");

    // The same packet back is found good, and with one bit turned bad.
    let mut damaged = sent.clone();
    damaged[24] ^= 1;
    damaged[50] ^= 1;
    for (frame, verdict) in [(sent, Csum::Good), (&damaged, Csum::Bad)] {
        peer.send(frame);
        let mut found = None;
        assert!(within(Duration::from_secs(5), || {
            let mut burst = Burst::new();
            for queue in rx.iter_mut() {
                queue.burst(&mut burst);
            }
            found = burst.iter().find(|packet| packet.data() == frame).map(Buffer::rx);
            found.is_some()
        }));
        assert_eq!(found.map(|meta| (meta.l3_csum, meta.l4_csum)), Some((verdict, verdict)));
    }
}

/// Sum of 16-bit words; of an odd number of bytes the last is the upper half of one.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The link is up exactly while the other end is.
fn follows_the_carrier(port: &Port) {
    assert!(port.link().up);
    ip(&["link", "set", "peer0", "down"]).expect("it is ours");
    assert!(within(Duration::from_secs(5), || !port.link().up), "peer is down, link is not");
    ip(&["link", "set", "peer0", "up"]).expect("it is ours");
    assert!(within(Duration::from_secs(5), || port.link().up), "peer is up, link is not");
}

/// A port set down receives nothing and says so; set up again it receives.
fn goes_down_and_up(port: &mut Port, rx: &mut [RxQueue], peer: &PeerSocket) {
    port.set_up(false).expect("it can");
    assert!(!port.is_up() && !port.link().up);
    let mut burst = Burst::new();
    rx.iter_mut().for_each(|queue| assert_eq!(queue.burst(&mut burst), 0));
    port.set_up(true).expect("it can");
    assert!(within(Duration::from_secs(5), || port.link().up), "it stays down");
    let last = frame(7777);
    let arrived = within(Duration::from_secs(5), || {
        peer.send(&last);
        rx.iter_mut().any(|queue| {
            let mut burst = Burst::new();
            queue.burst(&mut burst);
            burst.iter().any(|packet| packet.data() == last)
        })
    });
    assert!(arrived, "nothing is received after down and up");
}

/// The flags of an interface, as the kernel's file system tells.
fn flags(iface: &str) -> i32 {
    let text = std::fs::read_to_string(format!("/sys/class/net/{iface}/flags")).expect("it is there");
    i32::from_str_radix(text.trim().trim_start_matches("0x"), 16).expect("a number in hexadecimal")
}

fn changes_mac_and_mtu(port: &mut Port) {
    let mac = [0x02, 0, 0, 0, 0x12, 0x34];
    port.set_mac(mac).expect("it can");
    assert_eq!(port.mac(), mac);
    port.set_mtu(1400).expect("it can");
    assert_eq!(port.mtu(), 1400);
    let error = port.set_mtu(9000).expect_err("no buffer is so large").to_string();
    assert!(error.starts_with("device dpdk0: cannot set the MTU to 9000"), "{error}");
    port.set_promiscuous(true).expect("it can");
    assert!(port.promiscuous());
    assert_ne!(flags("dut0") & libc::IFF_PROMISC, 0);
}

/// An Ethernet, IPv4 and UDP header (checksums left out: nobody looks) and a payload that says which frame it is. Each has
/// another source port, so that they spread.
fn frame(number: usize) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00];
    let payload = vec![number as u8; 18 + number % 1400];
    let total = (20 + 8 + payload.len()) as u16;
    frame.extend([0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1]);
    frame.extend((10_000 + number as u16).to_be_bytes());
    frame.extend(4242_u16.to_be_bytes());
    frame.extend((8 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// Other frames are the kernel's own: router solicitations and the like.
fn is_ours(bytes: &[u8]) -> bool {
    bytes.get(..6) == Some(&[0x02, 0, 0, 0, 0, 1]) && bytes.get(36..38) == Some(&4242_u16.to_be_bytes())
}

fn sorted(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.sort();
    frames
}

/// Tries until it holds or the time is over.
fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
