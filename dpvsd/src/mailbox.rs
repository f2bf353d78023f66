// SPDX-License-Identifier: Apache-2.0
//! Verbs for workers: what shall happen once, beside the snapshot that says what is.
//!
//! A mailbox is bounded and drained at burst boundaries. Control waits for answers with one deadline for all workers, so that a stuck
//! worker costs a moment and a warning, never the control thread.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::WorkerReport;
use crossbeam_channel::{Receiver, Sender, bounded};
use engine::counters::DestCounters;
use engine::ids::{DestId, LinkId};
use engine::laddr::Usage;
use engine::neigh::Listed;
use engine::sink::Heard;
use model::{ConnEntry, Transport};

/// Letters that may wait for a worker.
const ROOM: usize = 1024;

/// How long control waits for all workers together.
const TIMEOUT: Duration = Duration::from_secs(1);

/// One letter.
pub enum Letter {
    /// Say what you counted, all but what the next four ask for.
    Report(Sender<WorkerReport>),
    /// Say what destinations carry, by [`DestId`].
    Dests(Sender<Vec<DestCounters>>),
    /// List the neighbours.
    Neighbours(Sender<Vec<Listed>>),
    /// Say what the SYN proxy did.
    SynProxy(Sender<engine::synproxy::Report>),
    /// List leases by local address.
    Usage(Sender<Vec<(IpAddr, Usage)>>),
    /// List up to `max` connections from slot `from` on.
    Conns {
        /// The first slot.
        from: usize,
        /// At most so many.
        max: usize,
        /// The connections, and the slot to go on with.
        reply: Sender<ConnPage>,
    },
    /// Find the connection of packets from `source` to `target`.
    Conn {
        /// Its protocol.
        transport: Transport,
        /// Source of the packets.
        source: SocketAddr,
        /// Target of the packets.
        target: SocketAddr,
        /// What was found.
        reply: Sender<Option<ConnEntry>>,
    },
    /// Zero what destinations have carried.
    Zero(Arc<[DestId]>),
    /// Forget neighbours learned on a link, or one of them.
    Forget(LinkId, Option<IpAddr>),
    /// Tell everybody on a link that an address is here.
    Announce(LinkId, IpAddr),
    /// Another worker heard from a neighbour.
    Heard(Heard),
}

/// Part of a worker's connections.
pub type ConnPage = (Vec<ConnEntry>, Option<usize>);

/// Control's way to all workers.
pub struct Mailboxes(Vec<Slot>);

struct Slot {
    sender: Sender<Letter>,
    /// It did not take the last letter in time: until it takes one again, nobody waits for it.
    stuck: Cell<bool>,
}

/// Mailboxes for `workers` workers: the way there, and the ends.
pub fn mailboxes(workers: usize) -> (Mailboxes, Vec<Receiver<Letter>>) {
    let slot = |_| {
        let (sender, receiver) = bounded(ROOM);
        (Slot { sender, stuck: Cell::new(false) }, receiver)
    };
    let (slots, receivers) = (0..workers).map(slot).unzip();
    (Mailboxes(slots), receivers)
}

impl Mailboxes {
    /// Workers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The way to one worker, for its colleagues.
    pub fn sender(&self, worker: usize) -> Sender<Letter> {
        self.0[worker].sender.clone()
    }

    /// Sends a letter that wants no answer; says in the log when the worker does not take it.
    pub fn tell(&self, worker: usize, letter: Letter) {
        let Slot { sender, stuck } = &self.0[worker];
        let patience = if stuck.get() { Duration::ZERO } else { TIMEOUT };
        let lost = sender.send_timeout(letter, patience).is_err();
        if lost && !stuck.get() {
            log::warn!("worker {worker} does not take its mail");
        }
        stuck.set(lost);
    }

    /// The same for every worker.
    pub fn tell_all(&self, letter: impl Fn() -> Letter) {
        (0..self.len()).for_each(|worker| self.tell(worker, letter()));
    }

    /// Asks one worker; `None` when it does not answer in time.
    pub fn ask<T>(&self, worker: usize, letter: impl FnOnce(Sender<T>) -> Letter) -> Option<T> {
        let (reply, answer) = bounded(1);
        self.tell(worker, letter(reply));
        collect(worker, &answer, Instant::now() + TIMEOUT)
    }

    /// Asks all workers at once; `None` for those that do not answer in time.
    pub fn ask_all<T>(&self, letter: impl Fn(Sender<T>) -> Letter) -> Vec<Option<T>> {
        let deadline = Instant::now() + TIMEOUT;
        let post = |worker| {
            let (reply, answer) = bounded(1);
            self.tell(worker, letter(reply));
            answer
        };
        let answers: Vec<Receiver<T>> = (0..self.len()).map(post).collect();
        answers.iter().enumerate().map(|(at, answer)| collect(at, answer, deadline)).collect()
    }
}

fn collect<T>(worker: usize, answer: &Receiver<T>, deadline: Instant) -> Option<T> {
    let answered = answer.recv_deadline(deadline).ok();
    if answered.is_none() {
        log::warn!("worker {worker} does not answer");
    }
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_worker_is_left_out_and_the_others_answer() {
        let (boxes, mut ends) = mailboxes(2);
        let lively = ends.remove(1);
        let worker = std::thread::spawn(move || {
            let Ok(Letter::Conns { from, max, reply }) = lively.recv() else { panic!("a question comes") };
            reply.send((Vec::new(), Some(from + max))).expect("room for one");
        });
        let start = Instant::now();
        let answers = boxes.ask_all(|reply| Letter::Conns { from: 3, max: 4, reply });
        assert_eq!(answers, [None, Some((Vec::new(), Some(7)))]);
        assert!(start.elapsed() < Duration::from_secs(5), "the wait is bounded");
        worker.join().expect("the worker does not panic");
    }

    #[test]
    fn a_full_mailbox_is_waited_for_once() {
        let (boxes, _ends) = mailboxes(1);
        let start = Instant::now();
        (0..ROOM + 20).for_each(|_| boxes.tell(0, Letter::Forget(LinkId(0), None)));
        assert!(start.elapsed() < 3 * TIMEOUT);
    }

    #[test]
    fn a_worker_that_ended_costs_no_time() {
        let (boxes, ends) = mailboxes(1);
        drop(ends);
        let start = Instant::now();
        assert_eq!(boxes.ask(0, |reply| Letter::Conns { from: 0, max: 1, reply }), None);
        assert!(start.elapsed() < Duration::from_millis(500));
    }
}
