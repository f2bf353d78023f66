// SPDX-License-Identifier: Apache-2.0
//! All workers: who gets which queues, and how they are started and stopped.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::Receiver;
use dpdk::{Eal, Pool, TxQueue, lcore, ring};
use engine::ids::{LcoreId, PortId};
use engine::lcore::Config as Sizes;

use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::Failure;
use crate::effects::Device;
use crate::idle::Idle;
use crate::kernel::Path;
use crate::mailbox::{Letter, Mailboxes};
use crate::outbox::{Outbox, RING, Tx};
use crate::publish::Reader;
use crate::worker::{Polled, Tools, Worker};

/// Neighbours a worker can know, and packets that can wait for them.
const NEIGHS: usize = 4096;
const HELD: usize = 4096;

/// What hiring needs.
pub struct Plan<'a> {
    /// How many, how big, how they wait.
    pub config: &'a Config,
    /// Engine time.
    pub clock: Clock,
    /// The environment.
    pub eal: &'a Eal,
    /// Packet memory.
    pub pool: &'a Pool,
    /// The way to each of them.
    pub boxes: &'a Mailboxes,
}

/// The workers.
pub struct Crew {
    stop: Arc<AtomicBool>,
    workers: Vec<lcore::Worker<()>>,
}

impl Crew {
    /// Starts the workers, each with its share of the devices' queues.
    ///
    /// # Errors
    /// No memory for rings, or a thread that cannot be started; those that were are stopped.
    pub fn hire(
        plan: &Plan<'_>,
        devices: &mut [Device],
        readers: Vec<Reader>,
        mail: Vec<Receiver<Letter>>,
    ) -> Result<Crew, Failure> {
        let workers = usize::from(plan.config.workers);
        let port_of = ports_by_dpdk_number(devices);
        let mut rx = receive_queues(devices, workers);
        let mut tx = transmit_queues(devices, workers);
        let (taps, mut kernel) = kernel_paths(devices, plan.config.workers);
        let mut taps = Some(taps);
        let mut rings = rings(plan.eal, workers)?;
        let chosen = lcore::assign(plan.eal.cpus(), workers);
        let cpus: Vec<_> =
            plan.config.cpus.iter().zip(chosen).map(|(said, chosen)| said.or(chosen)).collect();
        let mut crew = Crew { stop: Arc::new(AtomicBool::new(false)), workers: Vec::with_capacity(workers) };
        for (at, (reader, mail)) in readers.into_iter().zip(mail).enumerate() {
            let colleagues = (0..workers).filter(|&other| other != at).map(|other| plan.boxes.sender(other));
            let (senders, receivers) = std::mem::take(&mut rings[at]);
            let tools = Tools {
                config: sizes(plan.config, at),
                rx: std::mem::take(&mut rx[at]),
                // One worker is enough for the little that the host's own stack sends.
                taps: taps.take().unwrap_or_default(),
                rings: receivers,
                out: Outbox::new(
                    plan.pool.clone(),
                    std::mem::take(&mut tx[at]),
                    std::mem::take(&mut kernel[at]),
                    senders,
                    colleagues.collect(),
                ),
                reader,
                mail,
                clock: plan.clock,
                idle: Idle::new(plan.config.idle),
                port_of: port_of.clone(),
            };
            crew.start(plan.eal, at, cpus[at], tools)?;
        }
        Ok(crew)
    }

    fn start(&mut self, eal: &Eal, at: usize, cpu: Option<usize>, tools: Tools) -> Result<(), Failure> {
        let stop = Arc::clone(&self.stop);
        let work = move || Worker::new(tools).run(&stop);
        self.workers.push(lcore::spawn(eal, &format!("worker-{at}"), cpu, work)?);
        Ok(())
    }

    /// Looks whether all still work.
    ///
    /// # Errors
    /// The first that does not: it panicked.
    pub fn check(&self) -> Result<(), Failure> {
        let failed = self.workers.iter().position(lcore::Worker::is_finished);
        failed.map_or(Ok(()), |at| Err(Failure::Worker(at)))
    }
}

impl Drop for Crew {
    /// Stops all workers and waits for them: what they hold goes before the devices do.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            // The panic of one was reported when it happened.
            let _ = worker.join();
        }
    }
}

fn sizes(config: &Config, at: usize) -> Sizes {
    let workers = usize::from(config.workers);
    Sizes {
        id: LcoreId(at as u16),
        workers: config.workers,
        conns: (config.boot.conns as usize).div_ceil(workers),
        neighs: NEIGHS,
        held: HELD / workers,
        // The standard library's hasher has the system's randomness as its key.
        seed: RandomState::new().hash_one(at),
    }
}

/// Which port a packet came in by, by the number DPDK has for it.
fn ports_by_dpdk_number(devices: &mut [Device]) -> Vec<PortId> {
    let mut table = Vec::new();
    for (at, device) in (0..).zip(devices) {
        let number = usize::from(device.port_mut().info().id);
        table.resize(table.len().max(number + 1), PortId(0));
        table[number] = PortId(at);
    }
    table
}

/// By worker: the queues that [`Device::facts`] says it polls.
fn receive_queues(devices: &mut [Device], workers: usize) -> Vec<Vec<Polled>> {
    let mut shares: Vec<Vec<Polled>> = (0..workers).map(|_| Vec::new()).collect();
    for (at, device) in (0..).zip(devices) {
        let owners = device.facts().rx.clone();
        for (queue, owner) in (0..).zip(owners) {
            let queue = device.port_mut().take_rx(queue).expect("nobody else takes queues");
            shares[owner.index()].push(Polled { port: PortId(at), queue });
        }
    }
    shares
}

/// By worker and port: a queue of its own where there are enough, else one that is shared.
fn transmit_queues(devices: &mut [Device], workers: usize) -> Vec<Vec<Tx>> {
    let mut shares: Vec<Vec<Tx>> = (0..workers).map(|_| Vec::new()).collect();
    for device in devices {
        let port = device.port_mut();
        let count = usize::from(port.tx_queues());
        let mut take = |queue| port.take_tx(queue).expect("nobody else takes queues");
        if count >= workers {
            (0..).zip(&mut shares).for_each(|(queue, share)| share.push(Tx::Own(take(queue))));
        } else {
            let queues: Vec<Arc<Mutex<TxQueue>>> =
                (0..count as u16).map(|queue| Arc::new(Mutex::new(take(queue)))).collect();
            for (worker, share) in shares.iter_mut().enumerate() {
                share.push(Tx::Shared(Arc::clone(&queues[worker % count])));
            }
        }
    }
    shares
}

/// The receiving ends of all taps, and by worker and port the sending ends, which they share.
fn kernel_paths(devices: &mut [Device], workers: u16) -> (Vec<Polled>, Vec<Vec<Option<Path>>>) {
    let mut taps = Vec::new();
    let mut shares: Vec<Vec<Option<Path>>> = (0..workers).map(|_| Vec::new()).collect();
    for (at, device) in (0..).zip(devices) {
        let ends = device.kernel_mut().map(|tap| (tap.take_rx(0), tap.take_tx(0)));
        let sending = match ends {
            Some((Some(rx), Some(tx))) => {
                taps.push(Polled { port: PortId(at), queue: rx });
                Some(Arc::new(Mutex::new(tx)))
            }
            _ => None,
        };
        for share in &mut shares {
            share.push(sending.clone().map(|tap| Path::new(tap, workers)));
        }
    }
    (taps, shares)
}

/// By worker: its ends of the rings to and from every other worker.
type Ends = (Vec<Option<ring::Sender>>, Vec<ring::Receiver>);

fn rings(eal: &Eal, workers: usize) -> Result<Vec<Ends>, Failure> {
    let mut ends: Vec<Ends> = (0..workers).map(|_| Ends::default()).collect();
    for from in 0..workers {
        for to in 0..workers {
            if from == to {
                ends[from].0.push(None);
                continue;
            }
            let (sender, receiver) = ring::pair(eal, &format!("redirect-{from}-{to}"), RING)?;
            ends[from].0.push(Some(sender));
            ends[to].1.push(receiver);
        }
    }
    Ok(ends)
}
