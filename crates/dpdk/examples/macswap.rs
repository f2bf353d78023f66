// SPDX-License-Identifier: Apache-2.0
//! The smallest forwarder: one worker swaps the Ethernet addresses of what comes in on one port and sends it out of the
//! next, for some seconds, and says how many packets that was per second of CPU time. For comparison with
//! `dpdk-testpmd --forward-mode=macswap`.
//!
//! ```text
//! macswap 5 a=null:no-rx=0 b=null:no-rx=0 -- -m 256 --no-huge --no-shconf
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dpdk::{Burst, DeviceSpec, Eal, EalConfig, Pool, PoolConfig, Port, PortConfig, RxQueue, TxQueue, lcore};
use packet::Buffer;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut parts = args.split(|arg| arg == "--");
    let Some((seconds, specs)) = parts.next().and_then(|own| own.split_first()) else {
        return Err("usage: macswap SECONDS NAME=DRIVER[:ARGS]... [-- EAL...]".into());
    };
    let seconds = Duration::from_secs(seconds.parse()?);
    let specs: Vec<DeviceSpec> = specs.iter().map(|spec| spec.parse()).collect::<Result<_, _>>()?;
    let eal_args = parts.next().unwrap_or_default().to_vec();

    let sizes = PoolConfig::for_devices(&specs, 1);
    let eal = Eal::init(EalConfig::for_devices(&specs).with_pool(&sizes).with_args(eal_args))?;
    println!("{}", eal.picked());
    let pool = Pool::new(&eal, "packets", &sizes)?;
    let mut ports = Vec::new();
    for spec in &specs {
        ports.push(Port::open(&eal, spec, &PortConfig::default(), &pool)?);
    }
    let mut ends: Vec<(RxQueue, TxQueue)> = ports
        .iter_mut()
        .map(|port| (port.take_rx(0).expect("the first"), port.take_tx(0).expect("the first")))
        .collect();
    // Devices that only hand back what they are given need something to begin with.
    for (_, tx) in &mut ends {
        for _ in 0..16 {
            tx.send(&mut frames(&pool));
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let cpu = lcore::assign(eal.cpus(), 1)[0];
    let worker = lcore::spawn(&eal, "macswap", cpu, {
        let stop = Arc::clone(&stop);
        move || forward(&mut ends, &stop)
    })?;
    std::thread::sleep(seconds);
    stop.store(true, Ordering::Relaxed);
    let (packets, busy) = worker.join().map_err(|_| "the worker panicked")?;
    println!("{packets} packets, {:.1} million per CPU-second", packets as f64 / busy.as_secs_f64() / 1e6);
    Ok(())
}

fn frames(pool: &Pool) -> Burst {
    let mut burst = Burst::new();
    pool.alloc_bulk(dpdk::BURST, &mut burst);
    for packet in &mut burst {
        packet.append(60).expect("an empty mbuf has room").fill(0);
    }
    burst
}

/// Forwards from each port to the next until told to stop; returns the packets and the CPU time of this thread.
fn forward(ends: &mut [(RxQueue, TxQueue)], stop: &AtomicBool) -> (u64, Duration) {
    let before = thread_time();
    let mut packets = 0;
    let mut burst = Burst::new();
    while !stop.load(Ordering::Relaxed) {
        for at in 0..ends.len() {
            ends[at].0.burst(&mut burst);
            burst.iter_mut().for_each(swap);
            packets += burst.len() as u64;
            let to = (at + 1) % ends.len();
            ends[to].1.send(&mut burst);
        }
    }
    (packets, thread_time() - before)
}

#[inline]
fn swap(packet: &mut dpdk::Mbuf) {
    if let Some(header) = packet.data_mut().first_chunk_mut::<12>() {
        let (to, from) = header.split_at_mut(6);
        to.swap_with_slice(from);
    }
}

fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
