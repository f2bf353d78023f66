// SPDX-License-Identifier: Apache-2.0
//! The environment's life: a refused option, a start, workers of every kind, and memory that outlives its owner.

use std::sync::mpsc;

use dpdk::{Eal, EalConfig, Memory, Pool, PoolConfig, lcore};
use packet::Buffer;

#[test]
fn the_environment_lives_as_long_as_it_is_needed() {
    let before = allowed_cpus();
    let error = Eal::init(EalConfig::default().with_args(["--help"])).expect_err("it would exit").to_string();
    assert!(error.starts_with("EAL option '--help': "), "{error}");

    let eal = Eal::init(EalConfig::default()).expect("an option refused beforehand does no harm");
    println!("{} {}", Eal::version(), eal.picked());
    assert!(!matches!(eal.picked().memory, Memory::Given));
    assert_eq!(allowed_cpus(), before, "this thread is not bound to a CPU");
    assert_eq!(eal.cpus().len(), before.split(',').map(cpus_in).sum::<usize>());
    assert_eq!(lcore::id(), Some(0), "this thread is the main lcore");

    more_workers_than_cpus(&eal);
    a_bound_worker(&eal);
    a_worker_that_panics(&eal);

    let pool =
        Pool::new(&eal, "packets", &PoolConfig { mbufs: 127, cache: 0, data_room: 256 }).expect("small");
    let mut last = pool.alloc().expect("the pool is full");
    drop((eal, pool));
    last.append(3).expect("there is room").copy_from_slice(b"yes");
    assert_eq!(last.data(), b"yes", "a packet keeps its memory after the environment's owner is gone");
    drop(last);
    let error = Eal::init(EalConfig::default()).expect_err("once per process").to_string();
    assert_eq!(error, "DPDK was already initialised in this process, which can be done once");
}

fn more_workers_than_cpus(eal: &Eal) {
    let count = eal.cpus().len() + 3;
    let (report, ids) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
    let workers: Vec<_> = lcore::assign(eal.cpus(), count)
        .into_iter()
        .enumerate()
        .map(|(n, cpu)| {
            let (report, gate) = (report.clone(), gate.clone());
            let body = move || {
                report.send(lcore::id().expect("a worker is an lcore")).expect("somebody listens");
                // All are alive at the same time, so their ids must differ.
                let _ = gate.lock().map(|gate| gate.recv());
                std::thread::current().name().map(str::to_owned)
            };
            lcore::spawn(eal, &format!("worker{n}"), cpu, body).expect("a thread")
        })
        .collect();
    let mut seen: Vec<u32> = ids.iter().take(count).collect();
    drop(go);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
    let names: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("no panic")).collect();
    assert_eq!(names[count - 1], Some(format!("worker{}", count - 1)));
}

fn a_bound_worker(eal: &Eal) {
    let cpu = *eal.cpus().last().expect("there is one");
    let worker = lcore::spawn(eal, "bound", Some(cpu), allowed_cpus).expect("a thread");
    assert_eq!(worker.join().expect("no panic"), cpu.to_string());
    let error = lcore::spawn(eal, "nowhere", Some(100_000), || ()).expect_err("no such CPU").to_string();
    assert_eq!(error, "worker nowhere: Invalid argument (os error 22)");
}

fn a_worker_that_panics(eal: &Eal) {
    let worker = lcore::spawn(eal, "unlucky", None, || panic!("as planned")).expect("a thread");
    let payload = worker.join().expect_err("it panicked");
    assert_eq!(payload.downcast_ref(), Some(&"as planned"));
    let next = lcore::spawn(eal, "next", None, lcore::id).expect("the lcore is free again");
    let id = next.lcore();
    assert_eq!(next.join().expect("no panic"), Some(id));
}

/// As the kernel prints it: `0-1`.
fn allowed_cpus() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("every kernel tells").trim().to_owned()
}

/// How many CPUs are in `3` or `0-7`.
fn cpus_in(range: &str) -> usize {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    last.parse::<usize>().expect("a number") - first.parse::<usize>().expect("a number") + 1
}
