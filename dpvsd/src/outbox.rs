// SPDX-License-Identifier: Apache-2.0
//! Where a worker's packets and news go: devices, rings to other workers, their mailboxes.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;
use dpdk::{Burst, Mbuf, Pool, TxQueue, ring};
use engine::ids::{LcoreId, PortId};
use engine::sink::{Event, Sink};
use engine::tick::Tick;
use packet::Buffer;

use crate::kernel::Path;
use crate::mailbox::Letter;

/// Packets that fit into the ring from one worker to another.
pub const RING: u32 = 2048;

/// The end of a worker's way to a device.
pub enum Tx {
    /// A queue of its own.
    Own(TxQueue),
    /// A queue it shares, because the device has fewer queues than there are workers. Locked once a burst.
    Shared(Arc<Mutex<TxQueue>>),
}

/// Packets that devices did not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many were to be sent.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How many were for the host's own stack.
    pub kernel: u64,
}

/// The sink of one worker.
pub struct Outbox {
    pool: Pool,
    /// By port.
    ports: Vec<(Tx, Burst)>,
    /// By port; `None` where no way leads to the host's own stack.
    kernel: Vec<Option<Path>>,
    /// By worker; `None` for the worker itself.
    rings: Vec<Option<Ring>>,
    /// Mailboxes of the other workers.
    colleagues: Vec<Sender<Letter>>,
    /// Freed together.
    done: Burst,
    lost: Lost,
    now: Tick,
}

struct Ring {
    sender: ring::Sender,
    waiting: Burst,
    /// Packets that certainly fit, those waiting included: only this worker fills the ring.
    room: usize,
}

impl Outbox {
    /// A sink that sends by `ports` and to the host's own stack by `kernel`, by port number, and to other workers by `rings`, by
    /// worker number.
    pub fn new(
        pool: Pool,
        ports: Vec<Tx>,
        kernel: Vec<Option<Path>>,
        rings: Vec<Option<ring::Sender>>,
        colleagues: Vec<Sender<Letter>>,
    ) -> Outbox {
        let ring = |sender| Ring { sender, waiting: Burst::new(), room: 0 };
        Outbox {
            pool,
            ports: ports.into_iter().map(|tx| (tx, Burst::new())).collect(),
            kernel,
            rings: rings.into_iter().map(|sender| sender.map(ring)).collect(),
            colleagues,
            done: Burst::new(),
            lost: Lost::default(),
            now: Tick::default(),
        }
    }

    /// Tells the time of the round that begins.
    #[inline]
    pub fn set_now(&mut self, now: Tick) {
        self.now = now;
    }

    /// Hands over everything that was collected; what devices did not take since the last call.
    pub fn flush(&mut self) -> Lost {
        for (tx, burst) in self.ports.iter_mut().filter(|(_, burst)| !burst.is_empty()) {
            send(tx, burst, &mut self.lost);
        }
        self.lost.kernel += self.kernel.iter_mut().flatten().map(Path::flush).sum::<u64>();
        self.rings.iter_mut().flatten().for_each(Ring::flush);
        if !self.done.is_empty() {
            dpdk::free_bulk(&mut self.done);
        }
        std::mem::take(&mut self.lost)
    }
}

impl Sink<Mbuf> for Outbox {
    #[inline]
    fn forward(&mut self, pkt: Mbuf, port: PortId) {
        let (tx, burst) = &mut self.ports[port.index()];
        burst.push(pkt);
        if burst.is_full() {
            send(tx, burst, &mut self.lost);
        }
    }

    fn kernel(&mut self, pkt: Mbuf, port: PortId) -> Result<(), Mbuf> {
        match &mut self.kernel[port.index()] {
            Some(path) => path.push(pkt, self.now),
            None => Err(pkt),
        }
    }

    fn show_kernel(&mut self, pkt: &Mbuf, port: PortId) {
        let Some(path) = &mut self.kernel[port.index()] else { return };
        let Some(mut copy) = self.pool.alloc() else { return };
        if let Some(room) = copy.append(pkt.data().len()) {
            room.copy_from_slice(pkt.data());
            // When the budget is spent the kernel asks again.
            drop(path.push(copy, self.now));
        }
    }

    fn redirect(&mut self, pkt: Mbuf, _: PortId, to: LcoreId) -> Result<(), Mbuf> {
        match self.rings.get_mut(to.index()) {
            Some(Some(ring)) => ring.push(pkt),
            _ => Err(pkt),
        }
    }

    #[inline]
    fn discard(&mut self, pkt: Mbuf) {
        self.done.push(pkt);
        if self.done.is_full() {
            dpdk::free_bulk(&mut self.done);
        }
    }

    fn fresh(&mut self) -> Option<Mbuf> {
        self.pool.alloc()
    }

    fn event(&mut self, event: Event) {
        let Event::Neighbour(heard) = event;
        // A full mailbox loses this news: the neighbour is asked again when it is needed there.
        for colleague in &self.colleagues {
            let _ = colleague.try_send(Letter::Heard(heard));
        }
    }
}

impl Ring {
    /// Takes a packet for which there is room for certain, so that one that was counted as handed over arrives.
    fn push(&mut self, pkt: Mbuf) -> Result<(), Mbuf> {
        if self.room == 0 {
            self.flush();
            self.room = RING as usize - 1 - self.sender.len();
        }
        if self.room == 0 {
            return Err(pkt);
        }
        self.room -= 1;
        self.waiting.push(pkt);
        if self.waiting.is_full() {
            self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) {
        if !self.waiting.is_empty() {
            self.sender.send(&mut self.waiting);
            debug_assert!(self.waiting.is_empty(), "there was room");
        }
    }
}

fn send(tx: &mut Tx, burst: &mut Burst, lost: &mut Lost) {
    match tx {
        Tx::Own(queue) => queue.burst(burst),
        Tx::Shared(queue) => queue.lock().unwrap_or_else(PoisonError::into_inner).burst(burst),
    };
    if !burst.is_empty() {
        lost.packets += burst.len() as u64;
        lost.bytes += burst.iter().map(|pkt| pkt.data().len() as u64).sum::<u64>();
        dpdk::free_bulk(burst);
    }
}
