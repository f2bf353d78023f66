// SPDX-License-Identifier: Apache-2.0
//! net_null with `no-rx=0`: endless empty packets in, everything dropped on the way out; no memory lost on the way.

use dpdk::{Burst, DeviceSpec, Eal, EalConfig, Pool, PoolConfig, Port, PortConfig, lcore};
use packet::Buffer;

#[test]
fn packets_come_and_go_on_two_workers_and_all_mbufs_come_back() {
    let spec: DeviceSpec = "dpdk0=null:size=60,no-rx=0".parse().expect("a spec");
    let sizes = PoolConfig { mbufs: 4096, ..PoolConfig::default() };
    let eal = Eal::init(EalConfig::for_devices([&spec])).expect("it starts anywhere");
    let pool = Pool::new(&eal, "packets", &sizes).expect("a small pool");
    let config = PortConfig { queues: 2, ..PortConfig::default() };
    let mut port = Port::open(&eal, &spec, &config, &pool).expect("null needs nothing");
    assert_eq!((port.rx_queues(), port.tx_queues()), (2, 2));
    assert_eq!(port.info().driver, "net_null");
    assert!(port.link().up);
    assert!(port.take_rx(2).is_none(), "there is no third queue");

    let workers: Vec<_> = (0..2)
        .map(|q| {
            let mut rx = port.take_rx(q).expect("taken once");
            let mut tx = port.take_tx(q).expect("taken once");
            let body = move || {
                let mut sent = 0;
                let mut burst = Burst::new();
                while sent < 320 {
                    assert_eq!(rx.burst(&mut burst), 32);
                    assert!(burst.iter().all(|packet| packet.data().len() == 60));
                    sent += tx.send(&mut burst).sent;
                }
                (sent, lcore::id())
            };
            lcore::spawn(&eal, &format!("worker{q}"), None, body).expect("a thread")
        })
        .collect();
    assert!(port.take_rx(0).is_none(), "a queue is taken once");
    let ids: Vec<_> = workers.iter().map(|worker| Some(worker.lcore())).collect();
    let results: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("no panic")).collect();
    assert_eq!(results, [(320, ids[0]), (320, ids[1])]);

    let stats = port.stats();
    assert_eq!((stats.rx_packets, stats.tx_packets), (640, 640));
    drop(port);
    assert_eq!(pool.in_use(), 0);
}
