// SPDX-License-Identifier: Apache-2.0
//! Workers' threads.
//!
//! A worker is a thread of Rust's that registers itself with DPDK and thereby becomes an lcore with caches of its own,
//! no different on the fast path from one that EAL starts. It has a name, hands its result and its panic to whoever
//! joins it, needs no count fixed before the environment starts, and there may be more of them than CPUs.

pub(crate) mod affinity;

use std::sync::{Arc, mpsc};
use std::thread;

use crate::eal::Eal;
use crate::error::{Error, rte_errno};

/// A running worker.
#[derive(Debug)]
pub struct Worker<T> {
    thread: thread::JoinHandle<T>,
    lcore: u32,
}

impl<T> Worker<T> {
    /// Its lcore id, unique while it runs.
    pub fn lcore(&self) -> u32 {
        self.lcore
    }

    /// Whether it has returned or panicked.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end; the error is the payload of its panic.
    pub fn join(self) -> thread::Result<T> {
        self.thread.join()
    }
}

/// Starts a worker: a thread with this name, bound to `cpu` if one is given, running `body` as an lcore.
///
/// # Errors
/// The CPU is not there or not allowed, there are 128 lcores already, or the system has no thread left.
pub fn spawn<T, F>(eal: &Eal, name: &str, cpu: Option<usize>, body: F) -> Result<Worker<T>, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let runtime = Arc::clone(eal.runtime());
    let (report, started) = mpsc::sync_channel(1);
    let main = move || {
        // Declared first, dropped last: the environment outlives the registration and everything `body` owns.
        let _runtime = runtime;
        let registered = cpu.map_or(Ok(()), affinity::pin).and_then(|()| Registered::new());
        match registered {
            Ok(registered) => {
                let _ = report.send(Ok(registered.lcore));
                Some(body())
            }
            Err(cause) => {
                let _ = report.send(Err(cause));
                None
            }
        }
    };
    let failed = |cause| Error::Worker { name: name.to_owned(), cause };
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || main().expect("nobody joins a worker that did not start"))
        .map_err(failed)?;
    let lcore = started.recv().expect("the thread reports before anything else").map_err(failed)?;
    Ok(Worker { thread, lcore })
}

/// One CPU per worker out of `cpus`, the first left to control where there is one to spare; `None` for all of them
/// when there are more workers than CPUs: then the kernel balances better than a fixed choice.
pub fn assign(cpus: &[usize], workers: usize) -> Vec<Option<usize>> {
    let spare = usize::from(cpus.len() > workers);
    let mut chosen = cpus[spare..].iter().copied().map(Some);
    if cpus.len() < workers { vec![None; workers] } else { chosen.by_ref().take(workers).collect() }
}

/// The lcore id of this thread, if it is one.
pub fn id() -> Option<u32> {
    // SAFETY: reads a thread-local integer.
    let id = unsafe { dpdk_sys::shim_lcore_id() };
    (id != dpdk_sys::LCORE_ID_ANY).then_some(id)
}

/// This thread is an lcore while this exists.
struct Registered {
    lcore: u32,
}

impl Registered {
    fn new() -> std::io::Result<Registered> {
        // SAFETY: the environment runs; the thread is new and not registered.
        if unsafe { dpdk_sys::rte_thread_register() } != 0 {
            return Err(rte_errno());
        }
        Ok(Registered { lcore: id().expect("it was just registered") })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: the thread is registered.
        unsafe { dpdk_sys::rte_thread_unregister() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_keeps_a_cpu_where_there_is_one_to_spare() {
        assert_eq!(assign(&[0, 1, 2], 2), [Some(1), Some(2)]);
        assert_eq!(assign(&[4, 5], 2), [Some(4), Some(5)]);
        assert_eq!(assign(&[4, 5], 1), [Some(5)]);
    }

    #[test]
    fn more_workers_than_cpus_are_not_bound() {
        assert_eq!(assign(&[0, 1], 3), [None, None, None]);
    }
}
