// SPDX-License-Identifier: Apache-2.0
//! Threads.

use super::*;

pub(super) const KEYS: &[Key] = &[
    group("worker_defs", "Threads."),
    key(
        "worker_defs/workers",
        Number(1, 64),
        "",
        Restart,
        "How many workers move packets, each on every device; without it one, or those named below.",
        |c, v| put(&mut c.worker_count, short(v)),
    ),
    key("worker_defs/worker", Named("NAME"), "", Restart, "A thread.", |c, v| {
        if c.workers.iter().any(|worker| worker.name == text(v)) {
            return Err("there is a worker of that name already".to_owned());
        }
        c.workers.push(Worker { name: text(v).to_owned(), ..Worker::default() });
        Ok(())
    }),
    key(
        "worker_defs/worker/type",
        Choice(&["master", "slave", "kni"]),
        "slave",
        Restart,
        "master: control; slave: moves packets; kni: served the host's own stack in DPVS, which control does here.",
        |c, v| {
            worker(c)?.kind = match text(v) {
                "master" => WorkerKind::Master,
                "kni" => WorkerKind::Kni,
                _ => WorkerKind::Slave,
            };
            Ok(())
        },
    ),
    key(
        "worker_defs/worker/cpu_id",
        Number(0, 1023),
        "",
        Restart,
        "The CPU a slave runs on; without it each has one of its own as far as there are enough. Control runs where the system puts it.",
        |c, v| put(&mut worker(c)?.cpu, short(v)),
    ),
    ignored("worker_defs/worker/icmp_redirect_core", "every worker answers errors itself"),
    key(
        "worker_defs/worker/port",
        Named("DEVICE"),
        "",
        Restart,
        "Queues of a device that it serves.",
        |c, v| {
            let device = text(v).to_owned();
            let worker = worker(c)?;
            if worker.queues.iter().any(|queues| queues.device == device) {
                return Err(format!("worker {} names that device already", worker.name));
            }
            worker.queues.push(WorkerQueues { device, ..WorkerQueues::default() });
            Ok(())
        },
    ),
    key(
        "worker_defs/worker/port/rx_queue_ids",
        Numbers(15),
        "",
        Restart,
        "Receive queues it polls.",
        |c, v| {
            queues(c)?.rx = numbers(v);
            Ok(())
        },
    ),
    key(
        "worker_defs/worker/port/tx_queue_ids",
        Numbers(15),
        "",
        Restart,
        "Transmit queues, checked as in DPVS; each worker sends by one of its own as far as the device has them.",
        |c, v| {
            queues(c)?.tx = numbers(v);
            Ok(())
        },
    ),
    ignored("worker_defs/worker/port/isol_rx_cpu_ids", "no CPU is set aside for receiving"),
    ignored("worker_defs/worker/port/isol_rxq_ring_sz", "no CPU is set aside for receiving"),
];
