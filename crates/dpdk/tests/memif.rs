// SPDX-License-Identifier: Apache-2.0
//! net_memif between two processes: this one listens and sends, a second one answers each packet with its bytes turned
//! around.

use std::env;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use dpdk::{Burst, DeviceSpec, Eal, EalConfig, Pool, PoolConfig, Port, PortConfig, RxQueue, TxQueue};
use packet::Buffer;

/// Tells the second process where the first one listens.
const SOCKET: &str = "DPDK_TEST_MEMIF";
const PACKETS: usize = 200;

#[test]
fn two_processes_exchange_packets() {
    if let Ok(socket) = env::var(SOCKET) {
        return answer(&socket);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("memif.sock");
    let (_eal, pool, port, mut rx, mut tx) = open("server", &socket.to_string_lossy());
    let me = env::current_exe().expect("a test binary has a path");
    let second = Command::new(me)
        .args(["two_processes_exchange_packets", "--exact", "--nocapture"])
        .env(SOCKET, &socket)
        .spawn()
        .expect("this binary can run twice");
    let mut second = Reaped(second);
    assert!(within(Duration::from_secs(10), || port.link().up), "the second process did not connect");

    let asked: Vec<Vec<u8>> = (0..PACKETS).map(|n| (0..=n as u8).collect()).collect();
    let mut answers = Vec::new();
    for part in asked.chunks(16) {
        let mut burst = Burst::new();
        assert!(pool.alloc_bulk(part.len(), &mut burst), "the pool is large enough");
        for (packet, bytes) in burst.iter_mut().zip(part) {
            packet.append(bytes.len()).expect("there is room").copy_from_slice(bytes);
        }
        assert!(within(Duration::from_secs(5), || {
            tx.burst(&mut burst);
            burst.is_empty()
        }));
        let due = answers.len() + part.len();
        within(Duration::from_secs(5), || {
            rx.burst(&mut burst);
            answers.extend(burst.drain(..).map(|packet| packet.data().to_vec()));
            answers.len() >= due
        });
    }
    let turned: Vec<Vec<u8>> = (0..PACKETS).map(|n| (0..=n as u8).rev().collect()).collect();
    assert_eq!(answers, turned);
    assert!(second.0.wait().expect("it runs").success(), "the second process failed");
    assert!(within(Duration::from_secs(5), || !port.link().up), "the link outlives the peer");
}

/// The second process.
fn answer(socket: &str) {
    let (_eal, _pool, port, mut rx, mut tx) = open("client", socket);
    assert!(within(Duration::from_secs(10), || port.link().up), "the first process did not accept");
    let mut answered = 0;
    let all = within(Duration::from_secs(20), || {
        let mut burst = Burst::new();
        rx.burst(&mut burst);
        burst.iter_mut().for_each(|packet| packet.data_mut().reverse());
        answered += burst.len();
        while !burst.is_empty() {
            tx.burst(&mut burst);
        }
        answered >= PACKETS
    });
    assert!(all, "{answered} of {PACKETS} packets came");
    // The last answers are fetched from our memory.
    std::thread::sleep(Duration::from_millis(200));
}

fn open(role: &str, socket: &str) -> (Eal, Pool, Port, RxQueue, TxQueue) {
    let text = format!("dpdk0=memif:role={role},id=0,socket={socket},socket-abstract=no,bsize=2048");
    let spec: DeviceSpec = text.parse().expect("a spec");
    let eal = Eal::init(EalConfig::for_devices([&spec])).expect("it starts anywhere");
    println!("{role} {}", eal.picked());
    let pool = Pool::new(&eal, "packets", &PoolConfig::default()).expect("memory was asked for");
    let mut port = Port::open(&eal, &spec, &PortConfig::default(), &pool).expect("the socket can be made");
    let rx = port.take_rx(0).expect("the first");
    let tx = port.take_tx(0).expect("the first");
    (eal, pool, port, rx, tx)
}

/// A process that does not outlive the test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
