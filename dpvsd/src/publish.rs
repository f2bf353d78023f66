// SPDX-License-Identifier: Apache-2.0
//! How a new snapshot reaches the workers, and how the old one goes away.
//!
//! ```text
//!   control:  publish ──> latest ──────────────┐          retired: [v1, v2] ──> freed here
//!                                              v                    ^
//!   worker:   burst │ version changed? take it, adopt, drop the old, report ── running
//! ```
//!
//! A worker looks at one atomic number per burst; it locks only when that number changed. A retired snapshot is kept by
//! control until every worker reports a newer one, so that its memory is always given back on the control thread. A
//! worker that ends signs off by dropping its [`Reader`]; otherwise nothing would be freed any more.

#[cfg(test)]
use loom::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(test))]
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use engine::snapshot::Snapshot;

/// What a worker reports when it has ended.
const SIGNED_OFF: u64 = u64::MAX;

struct Handover {
    /// Version of `latest`.
    version: AtomicU64,
    latest: Mutex<Arc<Snapshot>>,
    /// By worker: the version it runs.
    running: Vec<AtomicU64>,
}

/// The control thread's end.
pub struct Publisher {
    handover: Arc<Handover>,
    current: Arc<Snapshot>,
    retired: Vec<Arc<Snapshot>>,
}

impl Publisher {
    /// The first snapshot, and the ends of `workers` workers, which all run it from the start.
    pub fn new(first: Snapshot, workers: usize) -> (Publisher, Vec<Reader>) {
        let current = Arc::new(first);
        let handover = Arc::new(Handover {
            version: AtomicU64::new(current.version),
            latest: Mutex::new(Arc::clone(&current)),
            running: (0..workers).map(|_| AtomicU64::new(current.version)).collect(),
        });
        let reader = |worker| Reader {
            worker,
            version: current.version,
            snap: Some(Arc::clone(&current)),
            handover: Arc::clone(&handover),
        };
        let readers = (0..workers).map(reader).collect();
        (Publisher { handover, current, retired: Vec::new() }, readers)
    }

    /// Makes `next` what every worker takes at its next burst boundary.
    ///
    /// # Panics
    /// When the version does not count up.
    pub fn publish(&mut self, next: Snapshot) {
        assert!(next.version > self.current.version, "versions count up");
        let version = next.version;
        let next = Arc::new(next);
        // The replaced reference is not the last one: `current` is the same snapshot.
        *self.handover.latest.lock().expect("nobody panics with the lock held") = Arc::clone(&next);
        self.handover.version.store(version, Ordering::Release);
        self.retired.push(std::mem::replace(&mut self.current, next));
        self.sweep();
    }

    /// What is published.
    pub fn current(&self) -> &Snapshot {
        &self.current
    }

    /// Whether every worker runs the published snapshot.
    pub fn settled(&self) -> bool {
        self.oldest() >= self.current.version
    }

    /// Workers that do not run the published snapshot yet.
    pub fn behind(&self) -> impl Iterator<Item = usize> {
        let running = self.handover.running.iter().enumerate();
        running.filter(|(_, v)| v.load(Ordering::Acquire) < self.current.version).map(|(worker, _)| worker)
    }

    /// Frees what no worker reads any more; returns how many snapshots are still kept for one.
    pub fn sweep(&mut self) -> usize {
        let oldest = self.oldest();
        self.retired.retain(|snap| {
            let last = Arc::strong_count(snap) == 1;
            debug_assert!(last || snap.version >= oldest, "a worker reported before it let go");
            snap.version >= oldest
        });
        self.retired.len()
    }

    fn oldest(&self) -> u64 {
        self.handover.running.iter().map(|v| v.load(Ordering::Acquire)).min().unwrap_or(SIGNED_OFF)
    }
}

/// A worker's end.
pub struct Reader {
    worker: usize,
    version: u64,
    /// `None` only while it is dropped.
    snap: Option<Arc<Snapshot>>,
    handover: Arc<Handover>,
}

impl Reader {
    /// The snapshot this worker runs.
    #[inline(always)]
    pub fn snapshot(&self) -> &Snapshot {
        self.snap.as_ref().expect("held as long as the reader lives")
    }

    /// Takes the latest snapshot if there is a newer one, lets `adopt` see it, and only then lets go of the old one and reports
    /// that it did. Call at a burst boundary.
    #[inline]
    pub fn refresh(&mut self, adopt: impl FnOnce(&Snapshot)) {
        if self.handover.version.load(Ordering::Acquire) != self.version {
            self.take(adopt);
        }
    }

    #[cold]
    fn take(&mut self, adopt: impl FnOnce(&Snapshot)) {
        let latest = Arc::clone(&self.handover.latest.lock().expect("nobody panics with the lock held"));
        adopt(&latest);
        self.version = latest.version;
        self.snap = Some(latest);
        self.report(self.version);
    }

    fn report(&self, version: u64) {
        self.handover.running[self.worker].store(version, Ordering::Release);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.snap = None;
        self.report(SIGNED_OFF);
    }
}

#[cfg(test)]
mod tests {
    use loom::thread;

    use super::*;

    fn snapshot(version: u64) -> Snapshot {
        Snapshot { version, ..Snapshot::default() }
    }

    #[test]
    fn a_worker_moves_to_newer_snapshots_only_and_control_frees_the_old_ones() {
        loom::model(|| {
            let (mut publisher, mut readers) = Publisher::new(snapshot(1), 1);
            let mut reader = readers.remove(0);
            let worker = thread::spawn(move || {
                for _ in 0..2 {
                    let before = reader.snapshot().version;
                    let mut adopted = None;
                    reader.refresh(|snap| adopted = Some(snap.version));
                    assert!(reader.snapshot().version >= before);
                    assert!(adopted.is_none_or(|version| version == reader.snapshot().version));
                }
            });
            // `sweep` asserts in every interleaving that what it frees nobody else holds.
            publisher.publish(snapshot(2));
            publisher.publish(snapshot(3));
            worker.join().expect("the worker does not panic");
            assert!(publisher.settled(), "a worker that ended does not hold anything up");
            assert_eq!(publisher.sweep(), 0);
        });
    }

    #[test]
    fn nothing_is_freed_while_a_worker_lags() {
        loom::model(|| {
            let (mut publisher, mut readers) = Publisher::new(snapshot(1), 2);
            publisher.publish(snapshot(2));
            readers[0].refresh(|_| {});
            assert_eq!((publisher.sweep(), publisher.settled()), (1, false));
            assert_eq!(publisher.behind().collect::<Vec<_>>(), [1]);
            assert_eq!(readers[1].snapshot().version, 1);
            readers[1].refresh(|_| {});
            assert_eq!((publisher.sweep(), publisher.settled()), (0, true));
        });
    }

    #[test]
    fn two_workers_that_take_snapshots_at_once_end_with_the_latest() {
        loom::model(|| {
            let (mut publisher, readers) = Publisher::new(snapshot(1), 2);
            let workers: Vec<_> = readers
                .into_iter()
                .map(|mut reader| {
                    thread::spawn(move || {
                        reader.refresh(|_| {});
                        reader
                    })
                })
                .collect();
            publisher.publish(snapshot(2));
            for worker in workers {
                let mut reader = worker.join().expect("the worker does not panic");
                reader.refresh(|_| {});
                assert_eq!(reader.snapshot().version, 2);
            }
            assert_eq!(publisher.sweep(), 0);
        });
    }
}
