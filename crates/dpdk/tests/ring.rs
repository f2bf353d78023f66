// SPDX-License-Identifier: Apache-2.0
//! net_ring hands back what it is given, in order; rings between workers do the same; a full one takes no more; and
//! everything that is dropped on the way frees its packets.

use dpdk::{
    Burst, DeviceSpec, Eal, EalConfig, Memory, Pool, PoolConfig, Port, PortConfig, free_bulk, lcore, ring,
};
use packet::Buffer;

#[test]
fn rings_keep_order_and_lose_nothing() {
    let spec: DeviceSpec = "dpdk0=ring".parse().expect("a spec");
    let config = EalConfig::for_devices([&spec]).with_args(["--no-huge", "--no-shconf", "-m", "128"]);
    let eal = Eal::init(config).expect("it starts anywhere");
    assert_eq!(eal.picked().memory, Memory::Given);
    let pool =
        Pool::new(&eal, "packets", &PoolConfig { mbufs: 2047, cache: 32, data_room: 2048 }).expect("small");
    assert_eq!((pool.available(), pool.in_use(), pool.data_room()), (2047, 0, 2048));

    buffers_have_room_at_both_ends(&pool);
    a_port_loops_back(&eal, &spec, &pool);
    a_ring_joins_two_workers(&eal, &pool);
    a_full_ring_takes_no_more(&eal, &pool);
    an_empty_pool_gives_nothing(&pool);
    assert_eq!(pool.in_use(), 0);
    refusals(&eal, &pool);
    let again = Eal::init(EalConfig::default()).expect_err("it runs already").to_string();
    assert_eq!(again, "DPDK was already initialised in this process, which can be done once");
}

fn buffers_have_room_at_both_ends(pool: &Pool) {
    let mut packet = pool.alloc().expect("the pool is full");
    assert_eq!((packet.data().len(), packet.headroom(), packet.tailroom()), (0, 128, 2048));
    packet.append(4).expect("there is room").copy_from_slice(b"body");
    packet.prepend(2).expect("there is room").copy_from_slice(b"<<");
    packet.append(2).expect("there is room").copy_from_slice(b">>");
    assert_eq!(packet.data(), b"<<body>>");
    assert_eq!((packet.headroom(), packet.tailroom()), (126, 2042));
    assert!(packet.prepend(127).is_none() && packet.append(2043).is_none());
    assert!(packet.prepend(70_000).is_none() && packet.append(70_000).is_none());
    assert!(!packet.adj(9) && !packet.trim(9));
    assert!(packet.adj(3) && packet.trim(3));
    packet.data_mut()[0] = b'O';
    assert_eq!(packet.data(), b"Od");
    assert_eq!(packet.rx(), packet::RxMeta::default());
}

fn a_port_loops_back(eal: &Eal, spec: &DeviceSpec, pool: &Pool) {
    let config = PortConfig { queues: 2, ..PortConfig::default() };
    let mut port = Port::open(eal, spec, &config, pool).expect("ring needs nothing");
    assert_eq!((port.rx_queues(), port.tx_queues()), (2, 2));
    let mut other = port.take_rx(1).expect("the second");
    assert_eq!(port.rss(), None, "a virtual device's choice is no Toeplitz hash, whatever the driver claims");
    let mut rx = port.take_rx(0).expect("the first");
    let mut tx = port.take_tx(0).expect("the first");
    let mut burst = numbered(pool, 0..20);
    assert_eq!((tx.send(&mut burst).sent, burst.len()), (20, 0));
    assert_eq!(other.burst(&mut burst), 0, "each queue is a ring of its own");
    assert_eq!(rx.burst(&mut burst), 20);
    assert_eq!(numbers(&burst), (0..20).collect::<Vec<u32>>());
    assert!(burst.iter().all(|packet| packet.port() == port.info().id));
    port.set_up(false).expect("it can");
    assert_eq!(tx.burst(&mut burst), 0, "a port that is down takes nothing");
    let sent = tx.send(&mut burst);
    assert_eq!((sent.sent, sent.dropped, burst.len()), (0, 20, 0));
    port.set_up(true).expect("it can");

    let twice =
        Port::open(eal, spec, &PortConfig::default(), pool).expect_err("the name is taken").to_string();
    assert_eq!(twice, "device dpdk0: driver ring refused '': File exists (os error 17)");
    drop(port);
    let mut burst = numbered(pool, 0..3);
    assert_eq!(tx.burst(&mut burst), 3, "queues keep the port open");
    drop(tx);
    assert_eq!(rx.burst(&mut burst), 3);
    drop((rx, other, burst));
    Port::open(eal, spec, &PortConfig::default(), pool).expect("the name is free again");
}

fn a_ring_joins_two_workers(eal: &Eal, pool: &Pool) {
    const COUNT: u32 = 10_000;
    let (mut sender, mut receiver) = ring::pair(eal, "redirect", 256).expect("a power of two");
    let pool = pool.clone();
    let producer = lcore::spawn(eal, "producer", None, move || {
        let mut next = 0;
        while next < COUNT {
            let mut burst = numbered(&pool, next..(next + 32).min(COUNT));
            next += burst.len() as u32;
            while !burst.is_empty() {
                if sender.send(&mut burst) == 0 {
                    std::thread::yield_now();
                }
            }
        }
    });
    let consumer = lcore::spawn(eal, "consumer", None, move || {
        let mut seen = Vec::new();
        let mut burst = Burst::new();
        while seen.len() < COUNT as usize {
            if receiver.recv(&mut burst) == 0 {
                std::thread::yield_now();
            }
            seen.extend(numbers(&burst));
            free_bulk(&mut burst);
        }
        seen
    });
    producer.expect("a thread").join().expect("no panic");
    let seen = consumer.expect("a thread").join().expect("no panic");
    assert_eq!(seen, (0..COUNT).collect::<Vec<u32>>());
}

fn a_full_ring_takes_no_more(eal: &Eal, pool: &Pool) {
    let (mut sender, mut receiver) = ring::pair(eal, "small", 32).expect("a power of two");
    let mut burst = numbered(pool, 0..32);
    assert_eq!((sender.send(&mut burst), sender.len()), (31, 31));
    assert_eq!(numbers(&burst), [31], "what does not fit stays");
    assert_eq!(receiver.recv(&mut burst), 31, "as much as fits behind what is there");
    assert_eq!(numbers(&burst), [31].into_iter().chain(0..31).collect::<Vec<u32>>());
    sender.send(&mut burst);
    drop((sender, receiver));
    let odd = ring::pair(eal, "odd", 33).expect_err("no power of two").to_string();
    assert_eq!(odd, "cannot make ring 'odd' of 33 entries: Invalid argument (os error 22)");
}

fn an_empty_pool_gives_nothing(pool: &Pool) {
    let mut all: Vec<Burst> = Vec::new();
    loop {
        let mut burst = Burst::new();
        if !pool.alloc_bulk(32, &mut burst) {
            assert!(burst.is_empty(), "all or none");
            break;
        }
        all.push(burst);
    }
    while let Some(packet) = pool.alloc() {
        let mut burst = Burst::new();
        burst.push(packet);
        all.push(burst);
    }
    assert_eq!(all.iter().map(|burst| burst.len() as u32).sum::<u32>() + pool.available(), 2047);
    let mut full = all.swap_remove(0);
    assert!(!pool.alloc_bulk(1, &mut full), "there is no room");
}

fn refusals(eal: &Eal, pool: &Pool) {
    let open = |text: &str| {
        let spec: DeviceSpec = text.parse().expect("a spec");
        Port::open(eal, &spec, &PortConfig::default(), pool).expect_err(text).to_string()
    };
    let error = open("dpdk1=pcap:rx_pcap=/no/such/file");
    assert!(error.starts_with("device dpdk1: driver pcap refused 'rx_pcap=/no/such/file': "), "{error}");
    assert!(error.contains("/no/such/file: No such file or directory"), "the driver's own words: {error}");
    let error = open("dpdk1=null:colour=red");
    assert!(error.starts_with("device dpdk1: driver null refused 'colour=red,no-rx=1': "), "{error}");
    assert_eq!(
        open("dpdk1=af_packet:no-such-if"),
        "device dpdk1: no interface 'no-such-if' here, see 'ip link'"
    );
    let huge = PoolConfig { mbufs: 10_000_000, ..PoolConfig::default() };
    let error = Pool::new(eal, "huge", &huge).expect_err("no such memory").to_string();
    assert_eq!(
        error,
        "cannot make pool 'huge' of 10000000 mbufs (22584 MiB): Cannot allocate memory (os error 12); \
         reserve more hugepages or raise the memory limit"
    );
    let error = Pool::new(eal, "packets", &PoolConfig::default()).expect_err("the name is taken").to_string();
    assert!(error.contains("File exists"), "{error}");
}

/// Packets that carry these numbers.
fn numbered(pool: &Pool, numbers: std::ops::Range<u32>) -> Burst {
    let mut burst = Burst::new();
    while !pool.alloc_bulk(numbers.len(), &mut burst) {
        std::thread::yield_now();
    }
    for (packet, number) in burst.iter_mut().zip(numbers) {
        packet.append(4).expect("there is room").copy_from_slice(&number.to_be_bytes());
    }
    burst
}

fn numbers(burst: &Burst) -> Vec<u32> {
    burst.iter().map(|packet| u32::from_be_bytes(packet.data().try_into().expect("four bytes"))).collect()
}
