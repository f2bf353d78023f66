// SPDX-License-Identifier: Apache-2.0
//! The loop of a worker.
//!
//! ```text
//!   ┌─> newer snapshot? ─> mail ─> receive queues ─> rings ─> taps ─> timers ─> send ─> rest ─┐
//!   └────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The clock is read once a round. What the engine sends is collected per port and handed to the device when a burst is full and at
//! the end of the round.

use std::sync::atomic::{AtomicBool, Ordering};

use control::WorkerReport;
use crossbeam_channel::Receiver;
use dpdk::{Burst, RxQueue};
use engine::ids::PortId;
use engine::lcore::{BURST, Config, Lcore};
use engine::pipeline::Origin;
use engine::tick::Tick;
use model::link::CpuCounters;

use crate::clock::Clock;
use crate::idle::Idle;
use crate::mailbox::Letter;
use crate::outbox::Outbox;
use crate::publish::Reader;

/// Letters read in one round; the rest waits for the next.
const LETTERS: usize = 64;

/// A receive queue and the port it belongs to.
pub struct Polled {
    /// The port.
    pub port: PortId,
    /// The queue.
    pub queue: RxQueue,
}

/// Everything a worker works with.
pub struct Tools {
    /// Sizes and identity of its part of the engine.
    pub config: Config,
    /// Receive queues it polls.
    pub rx: Vec<Polled>,
    /// Taps it takes the frames of the host's own stack from, with the ports they leave by.
    pub taps: Vec<Polled>,
    /// Rings from the other workers.
    pub rings: Vec<dpdk::ring::Receiver>,
    /// Where packets go.
    pub out: Outbox,
    /// Where snapshots come from.
    pub reader: Reader,
    /// Where letters come from.
    pub mail: Receiver<Letter>,
    /// Engine time.
    pub clock: Clock,
    /// What it does when there is nothing to do.
    pub idle: Idle,
    /// By number of DPDK: which port a packet from a ring came in by.
    pub port_of: Vec<PortId>,
}

/// One worker.
pub struct Worker {
    tools: Tools,
    lcore: Lcore<dpdk::Mbuf>,
    burst: Burst,
    cpu: CpuCounters,
}

impl Worker {
    /// A worker that has not begun.
    pub fn new(tools: Tools) -> Worker {
        Worker { lcore: Lcore::new(tools.config), tools, burst: Burst::new(), cpu: CpuCounters::default() }
    }

    /// Works until told to stop.
    pub fn run(mut self, stop: &AtomicBool) {
        let now = self.tools.clock.now();
        self.lcore.adopt(self.tools.reader.snapshot(), now, &mut self.tools.out);
        while !stop.load(Ordering::Relaxed) {
            let worked = self.round();
            self.tools.idle.rest(worked);
        }
    }

    /// Once round the loop; whether there was anything to do.
    fn round(&mut self) -> bool {
        let now = self.tools.clock.now();
        self.cpu.lcore_loop += 1;
        let Tools { reader, out, .. } = &mut self.tools;
        out.set_now(now);
        reader.refresh(|snap| self.lcore.adopt(snap, now, out));
        let mail = self.read_mail(now);
        let received = self.receive(now);
        let ringed = self.take_over(now);
        let relayed = self.relay();
        self.lcore.tick(self.tools.reader.snapshot(), now, &mut self.tools.out);
        self.send();
        mail || received || ringed || relayed
    }

    fn receive(&mut self, now: Tick) -> bool {
        let Tools { rx, reader, out, .. } = &mut self.tools;
        let mut any = false;
        for Polled { port, queue } in rx {
            queue.burst(&mut self.burst);
            count(&mut self.cpu, self.burst.len());
            if !self.burst.is_empty() {
                any = true;
                self.lcore.process(*port, Origin::Wire, &mut self.burst, reader.snapshot(), now, out);
            }
        }
        any
    }

    /// Sends what the host's own stack wants to have sent.
    fn relay(&mut self) -> bool {
        let Tools { taps, reader, out, .. } = &mut self.tools;
        let mut any = false;
        for Polled { port, queue } in taps {
            any |= queue.burst(&mut self.burst) > 0;
            for pkt in self.burst.drain(..) {
                self.lcore.relay(pkt, *port, reader.snapshot(), out);
            }
        }
        any
    }

    /// Processes what other workers found to be ours.
    fn take_over(&mut self, now: Tick) -> bool {
        let mut any = false;
        for at in 0..self.tools.rings.len() {
            if self.tools.rings[at].recv(&mut self.burst) > 0 {
                any = true;
                self.process_ringed(now);
            }
        }
        any
    }

    /// Packets of several ports may be mixed in a ring: each run of one port is a burst.
    fn process_ringed(&mut self, now: Tick) {
        let Tools { reader, out, port_of, .. } = &mut self.tools;
        let port_of = |pkt: &dpdk::Mbuf| port_of[usize::from(pkt.port())];
        let mut rest = std::mem::take(&mut self.burst).into_iter().peekable();
        while let Some(first) = rest.next() {
            let port = port_of(&first);
            self.burst.push(first);
            while let Some(next) = rest.next_if(|next| port_of(next) == port) {
                self.burst.push(next);
            }
            self.lcore.process(port, Origin::Ring, &mut self.burst, reader.snapshot(), now, out);
        }
    }

    /// Hands over what was collected, and corrects the books for what was not taken.
    fn send(&mut self) {
        let lost = self.tools.out.flush();
        if lost.packets > 0 {
            self.lcore.not_sent(lost.packets, lost.bytes);
        }
        if lost.kernel > 0 {
            self.lcore.not_handed(lost.kernel);
        }
    }

    fn read_mail(&mut self, now: Tick) -> bool {
        let mut any = false;
        for _ in 0..LETTERS {
            let Ok(letter) = self.tools.mail.try_recv() else { break };
            any = true;
            self.obey(letter, now);
        }
        any
    }

    fn obey(&mut self, letter: Letter, now: Tick) {
        let Tools { reader, out, .. } = &mut self.tools;
        let (lcore, snap) = (&mut self.lcore, reader.snapshot());
        // Whoever asked may have given up: then nobody receives the reply, and that is all.
        match letter {
            Letter::Report(reply) => drop(reply.try_send(self.report())),
            Letter::Dests(reply) => drop(reply.try_send(lcore.dest_counters().to_vec())),
            Letter::SynProxy(reply) => drop(reply.try_send(lcore.proxy_report(now))),
            Letter::Neighbours(reply) => drop(reply.try_send(lcore.neighbours().collect())),
            Letter::Usage(reply) => {
                let usage = snap.laddrs.keys().map(|&laddr| (laddr, lcore.usage(laddr)));
                drop(reply.try_send(usage.collect()));
            }
            Letter::Conns { from, max, reply } => drop(reply.try_send(lcore.list_conns(from, max, now))),
            Letter::Conn { transport, source, target, reply } => {
                drop(reply.try_send(lcore.find_conn(transport, source, target, now)));
            }
            Letter::Zero(dests) => dests.iter().for_each(|&dest| lcore.zero(dest)),
            Letter::Forget(link, addr) => lcore.forget_neighbours(link, addr, out),
            Letter::Announce(link, addr) => lcore.announce(link, addr, snap, out),
            Letter::Heard(heard) => lcore.heard(heard, snap, now, out),
        }
    }

    fn report(&self) -> WorkerReport {
        let traffic = self.lcore.traffic().clone();
        let cpu = CpuCounters {
            dropped: traffic.dropped(),
            ipackets: traffic.rx,
            ibytes: traffic.rx_bytes,
            opackets: traffic.tx,
            obytes: traffic.tx_bytes,
            ..self.cpu
        };
        WorkerReport {
            conn_capacity: self.lcore.conn_capacity() as u64,
            conn_count: self.lcore.conn_count() as u64,
            held: self.lcore.held() as u64,
            links: self.lcore.link_counters().to_vec(),
            traffic,
            cpu,
            ..WorkerReport::default()
        }
    }
}

/// Counts one look at a queue.
fn count(cpu: &mut CpuCounters, packets: usize) {
    cpu.pktburst += 1;
    match packets {
        0 => cpu.zpktburst += 1,
        BURST => cpu.fpktburst += 1,
        n if n <= BURST / 2 => cpu.z2hpktburst += 1,
        _ => cpu.h2fpktburst += 1,
    }
}
