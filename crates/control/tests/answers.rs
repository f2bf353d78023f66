// SPDX-License-Identifier: Apache-2.0
//! Answers, and the numbers in them.

mod world;

use std::net::IpAddr;

use control::answer::Conns;
use control::observed::PortReport;
use control::state::State;
use control::{Meter, Observed, WorkerReport, answer, wants};
use engine::counters::{DestCounters, LinkCounters, Traffic};
use engine::ids::{DestId, LcoreId, LinkId, PortId, ServiceId};
use engine::laddr::Usage;
use engine::neigh::{Listed, State as NeighState};
use engine::persist::{About, Key, Templates, Who};
use engine::tick::Tick;
use engine::verdict::DropReason;
use model::link::{CpuCounters, LinkChange};
use model::stats::PortCounters;
use model::{ConnEntry, ConnState, Counters, Family, Rates, Transport};
use sockopt::reply::{DaemonInfo, Page, ServiceEntry};
use sockopt::{Code, Get, Reply, Set};
use world::*;

const VIP: &str = "10.1.0.100:80";

fn counted(generation: u32, packets: u64) -> DestCounters {
    DestCounters {
        conns: packets / 10,
        in_packets: packets,
        out_packets: packets * 2,
        in_bytes: packets * 100,
        out_bytes: packets * 1000,
        active: 3,
        inactive: 4,
        generation,
    }
}

fn numbers(packets: u64) -> Counters {
    Counters {
        conns: packets / 10,
        in_packets: packets,
        out_packets: packets * 2,
        in_bytes: packets * 100,
        out_bytes: packets * 1000,
    }
}

fn two_workers(meter: &Meter) -> Observed<'_> {
    let mut seen = Observed::new(meter, Tick(1_000));
    seen.workers = vec![WorkerReport::default(), WorkerReport::default()];
    seen
}

fn listed(state: &State, meter: &Meter, lcore: Option<u16>) -> Vec<ServiceEntry> {
    match answer(state, &two_workers(meter), &Get::Services { cursor: 0, lcore }, Tick(0)) {
        Reply::Services(Page { entries, next: None }) => entries,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_carries_what_its_servers_carry_on_all_workers_or_one() {
    let state = balanced();
    let mut meter = Meter::default();
    meter.feed(&state, LcoreId(0), &[counted(1, 10), counted(1, 100)], Tick(0));
    meter.feed(&state, LcoreId(1), &[counted(1, 1000), DestCounters::default()], Tick(0));
    let service = &listed(&state, &meter, None)[0];
    assert_eq!(service.counters, numbers(1110));
    assert_eq!(service.dests[0].counters, numbers(1010));
    assert_eq!((service.dests[0].active, service.dests[0].inactive), (6, 8));
    let second = &listed(&state, &meter, Some(1))[0];
    assert_eq!((second.counters, second.dests[1].counters), (numbers(1000), Counters::default()));
    let third = answer(&state, &two_workers(&meter), &Get::Services { cursor: 0, lcore: Some(2) }, Tick(0));
    let Reply::Refused(status) = third else { panic!("there are two") };
    assert_eq!(
        (status.code, status.text.as_str()),
        (Code::Invalid, "no worker 3: there are 2, counted from 1")
    );
}

#[test]
fn row157_counts_of_removed_servers_stay_in_their_service() {
    let mut state = balanced();
    let mut meter = Meter::default();
    let feed = |meter: &mut Meter, state: &State, dests: &[DestCounters]| {
        meter.feed(state, LcoreId(0), dests, Tick(0));
        listed(state, meter, None)[0].counters.in_packets
    };
    assert_eq!(feed(&mut meter, &state, &[counted(1, 10), counted(1, 100)]), 110);
    set(&mut state, Set::DelDest(tcp(VIP), at("10.2.0.12:8080")));
    assert_eq!(feed(&mut meter, &state, &[counted(1, 10), counted(1, 120)]), 130, "counted until it went");
    assert_eq!(feed(&mut meter, &state, &[counted(1, 10), counted(1, 125)]), 135, "its connections live on");
    set(&mut state, add_dest(VIP, "10.2.0.13:80", 1));
    assert_eq!(
        feed(&mut meter, &state, &[counted(1, 11), counted(1, 126)]),
        137,
        "workers still have the old one"
    );
    assert_eq!(feed(&mut meter, &state, &[counted(1, 11), counted(2, 7)]), 144, "the slot is another's now");
    let servers: Vec<u64> =
        listed(&state, &meter, None)[0].dests.iter().map(|d| d.counters.in_packets).collect();
    assert_eq!(servers, [11, 7]);
    meter.zero(&state, &[ServiceId(0)]);
    assert_eq!(feed(&mut meter, &state, &[counted(1, 0), counted(2, 0)]), 0);
    set(&mut state, Set::DelService(tcp(VIP)));
    set(&mut state, add_service(VIP, "rr"));
    assert_eq!(feed(&mut meter, &state, &[counted(1, 50), counted(2, 50)]), 0, "another service in the slot");
}

#[test]
fn a_server_that_was_removed_before_anybody_looked_is_counted_too() {
    let mut state = balanced();
    let mut meter = Meter::default();
    set(&mut state, Set::DelDest(tcp(VIP), at("10.2.0.12:8080")));
    meter.feed(&state, LcoreId(0), &[counted(1, 10), counted(1, 100)], Tick(0));
    assert_eq!(listed(&state, &meter, None)[0].counters, numbers(110));
}

#[test]
fn rates_are_the_average_of_two_second_samples() {
    let state = balanced();
    let mut meter = Meter::default();
    for (now, packets) in [(0, 0), (2_000, 2_000), (4_000, 4_000)] {
        meter.feed(&state, LcoreId(0), &[counted(1, packets), counted(1, 0)], Tick(now));
        meter.feed(&state, LcoreId(1), &[counted(1, packets), counted(1, packets)], Tick(now));
    }
    let rates = |in_pps: u64| Rates {
        cps: (in_pps as f64 / 10.0).round() as u64,
        in_pps,
        out_pps: in_pps * 2,
        in_bps: in_pps * 100,
        out_bps: in_pps * 1000,
    };
    let service = &listed(&state, &meter, None)[0];
    // 1000 a second for two samples: 1000 x (1 - 0.75 x 0.75) = 437.5 on each of the two, and on the second server once.
    assert_eq!(service.dests[0].rates, rates(875));
    assert_eq!(service.rates.in_pps, 1313, "1312.5, rounded once");
    assert_eq!(service.dests[1].rates.in_bps, 43_750);
    assert_eq!(listed(&state, &meter, Some(0))[0].dests[1].rates, Rates::default());
}

#[test]
fn row049_long_listings_come_in_pages_that_lose_nothing() {
    let mut state = state();
    for n in 0..2_500u32 {
        let vip = format!("10.{}.{}.1:80", n / 250, n % 250);
        set(&mut state, add_service(&vip, "rr"));
    }
    let (mut cursor, mut keys, mut pages) = (0, Vec::new(), 0);
    loop {
        let Reply::Services(page) = ask(&state, &Get::Services { cursor, lcore: None }) else {
            panic!("services")
        };
        keys.extend(page.entries.into_iter().map(|entry| entry.key));
        pages += 1;
        let Some(next) = page.next else { break };
        cursor = next;
    }
    assert_eq!((pages, keys.len()), (3, 2_500));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 2_500);
    for cursor in [2_500, u64::MAX] {
        let Reply::Services(page) = ask(&state, &Get::Services { cursor, lcore: None }) else {
            panic!("services")
        };
        assert_eq!(page, Page { entries: vec![], next: None });
    }
}

#[test]
fn connections_come_worker_by_worker() {
    let state = balanced();
    let meter = Meter::default();
    let entry = ConnEntry {
        lcore: 0,
        transport: Transport::Tcp,
        state: ConnState::Established,
        expires: 9,
        client: at("10.9.0.1:5"),
        virt: at(VIP),
        local: at("10.2.0.200:1025"),
        dest: at("10.2.0.11:8080"),
        template: false,
        mark: None,
        engine: None,
    };
    let page = |cursor, next| {
        let mut seen = two_workers(&meter);
        (seen.conns, seen.conns_next) = (vec![entry.clone()], next);
        match answer(&state, &seen, &Get::Conns { cursor }, Tick(0)) {
            Reply::Conns(page) => (page.entries.len(), page.next),
            other => panic!("{other:?}"),
        }
    };
    let from = |cursor| wants(&Get::Conns { cursor }).conns;
    assert_eq!(from(0), Some(Conns::From(LcoreId(0), 0)));
    let (_, Some(next)) = page(0, Some(700)) else { panic!("the worker has more") };
    assert_eq!(from(next), Some(Conns::From(LcoreId(0), 700)));
    let (_, Some(next)) = page(next, None) else { panic!("another worker follows") };
    assert_eq!(from(next), Some(Conns::From(LcoreId(1), 0)));
    assert_eq!(page(next, None), (1, None));
    assert_eq!(page(u64::MAX, None).1, None);
}

/// A connection of a persistent service that began on some worker.
fn remembered(state: &mut State, clients: u8) {
    let templates = Templates::new(1000, 1);
    for n in 0..clients {
        let network = IpAddr::from([10, 9, 0, n]);
        let key = Key { service: ServiceId(0), generation: 1, who: Who::Network(network) };
        let about = About {
            network,
            call: None,
            mark: None,
            transport: Transport::Tcp,
            virt: at(VIP),
            server: at("10.2.0.11:8080"),
            timeout: 60,
        };
        templates.remember(&key, (DestId(1), 1), about, Tick(0)).expect("there is room");
    }
    state.set_templates(templates);
}

#[test]
fn templates_come_after_the_connections_of_all_workers_and_are_counted() {
    let mut state = balanced();
    remembered(&mut state, 5);
    let meter = Meter::default();
    let page = |cursor| match answer(&state, &two_workers(&meter), &Get::Conns { cursor }, Tick(10_000)) {
        Reply::Conns(page) => (page.entries, page.next),
        other => panic!("{other:?}"),
    };
    let (first, Some(second)) = page(0) else { panic!("another worker follows") };
    let (more, Some(templates)) = page(second) else { panic!("templates follow") };
    assert_eq!((first.len(), more.len()), (0, 0));
    let (found, end) = page(templates);
    assert_eq!(end, None);
    assert!(found.iter().all(|entry| entry.template && entry.expires == 50));
    assert_eq!(found.len(), 5);
    let counted: Vec<u32> =
        listed(&state, &meter, None)[0].dests.iter().map(|dest| dest.persistent).collect();
    assert_eq!(counted.iter().sum::<u32>(), 5, "{counted:?}");
    assert_eq!(counted[1], 5);
}

#[test]
fn local_addresses_tell_their_leases() {
    let mut state = balanced();
    set(&mut state, Set::AddAddr(model::net::IfAddr { sapool: true, ..addr("10.3.0.1/32", "dpdk1") }));
    let meter = Meter::default();
    let mut seen = two_workers(&meter);
    seen.workers[0].laddrs.insert(ip("10.2.0.200"), Usage { used: 5, missed: 1 });
    seen.workers[1].laddrs.insert(ip("10.2.0.200"), Usage { used: 7, missed: 2 });
    let Reply::Addrs(addrs) = answer(&state, &seen, &Get::Addrs { dev: None, family: None }, Tick(0)) else {
        panic!("addresses")
    };
    let pools: Vec<_> = addrs.iter().filter_map(|a| Some((a.addr.prefix.to_string(), a.pool?))).collect();
    // 64511 ports towards each of the two servers, 12 of them leased.
    let pool = |used, free, miss| model::net::SaPool { used, free, miss };
    assert_eq!(pools[0], ("10.2.0.200/32".into(), pool(12, 129_010, 3)));
    assert_eq!(pools[1], ("10.3.0.1/32".into(), pool(0, 64_511, 0)));
    assert_eq!(pools.len(), 2);
    let get = Get::Service { key: tcp(VIP), lcore: Some(1) };
    let Reply::Services(page) = answer(&state, &seen, &get, Tick(0)) else { panic!("a service") };
    let laddr = &page.entries[0].laddrs[0];
    assert_eq!((laddr.dev.as_str(), laddr.conns, laddr.conflicts), ("dpdk0.102", 7, 2));
}

#[test]
fn listings_are_filtered_by_link_and_family() {
    let state = balanced();
    let dests = |dev: Option<&str>, family| {
        let Reply::Routes(routes) = ask(&state, &Get::Routes { dev: dev.map(Into::into), family }) else {
            panic!("routes")
        };
        routes.iter().map(|route| format!("{} {}", route.dst, route.scope.expect("set"))).collect::<Vec<_>>()
    };
    assert_eq!(dests(Some("dpdk0"), Some(Family::Inet6)), ["fd01::fe/128 host", "fd01::/64 link"]);
    assert_eq!(
        dests(Some("dpdk0.102"), None),
        ["10.2.0.254/32 host", "10.2.0.200/32 host", "10.2.0.0/24 link"]
    );
    assert_eq!(dests(None, Some(Family::Inet)).len(), 5);
    let addrs =
        |dev: Option<&str>, family| match ask(&state, &Get::Addrs { dev: dev.map(Into::into), family }) {
            Reply::Addrs(addrs) => addrs.len(),
            other => panic!("{other:?}"),
        };
    assert_eq!(
        [
            addrs(None, None),
            addrs(None, Some(Family::Inet6)),
            addrs(Some("dpdk0"), None),
            addrs(Some("dpdk1"), None)
        ],
        [4, 1, 2, 0]
    );
    let dev = || Some("nosuch".to_owned());
    for get in [
        Get::Addrs { dev: dev(), family: None },
        Get::Routes { dev: dev(), family: None },
        Get::Neighs { dev: dev(), family: None },
        Get::Links { dev: dev() },
        Get::LinkStats { dev: dev() },
        Get::Vlans { dev: dev() },
    ] {
        let Reply::Refused(status) = ask(&state, &get) else { panic!("{get:?}: answered") };
        assert_eq!(status.code, Code::NoDevice);
        assert_eq!(status.text, "no link `nosuch`: there are dpdk0, dpdk1, dpdk0.102");
    }
}

#[test]
fn neighbours_of_all_workers_are_listed_with_their_cpu() {
    let state = balanced();
    let meter = Meter::default();
    let mut seen = two_workers(&meter);
    let one = |link, addr: &str, mac, state, fixed| Listed {
        link: LinkId(link),
        addr: ip(addr),
        mac,
        state,
        fixed,
    };
    seen.workers[1].neighs = vec![
        one(2, "10.2.0.12", None, NeighState::Send, false),
        one(0, "fd01::7", Some([2, 0, 0, 0, 0, 7]), NeighState::Reachable, false),
        one(9, "10.9.0.9", None, NeighState::None, false),
    ];
    seen.workers[0].neighs = vec![one(0, "10.1.0.7", Some([2, 0, 0, 0, 0, 7]), NeighState::Reachable, true)];
    let rows = |dev: Option<&str>, family| {
        let get = Get::Neighs { dev: dev.map(Into::into), family };
        let Reply::Neighs(neighs) = answer(&state, &seen, &get, Tick(0)) else { panic!("neighbours") };
        let row = |n: &model::net::NeighEntry| {
            let mac = n.mac.map_or("-".to_owned(), |mac| mac.to_string());
            format!(
                "{} {mac} {} {} {}{}",
                n.addr,
                n.dev,
                n.state,
                n.core,
                if n.fixed { " fixed" } else { "" }
            )
        };
        neighs.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(
        rows(None, None),
        [
            "10.1.0.7 02:00:00:00:00:07 dpdk0 REACHABLE 1 fixed",
            "fd01::7 02:00:00:00:00:07 dpdk0 REACHABLE 2",
            "10.2.0.12 - dpdk0.102 SEND 2",
        ],
        "what hangs on a link that is gone is left out"
    );
    assert_eq!(rows(Some("dpdk0"), Some(Family::Inet6)), ["fd01::7 02:00:00:00:00:07 dpdk0 REACHABLE 2"]);
}

#[test]
fn links_show_device_configuration_and_counters() {
    let mut state = balanced();
    let mut facts = ports().remove(0);
    (facts.carrier, facts.speed, facts.driver) = (false, 25_000, "net_ice".into());
    state.refresh(PortId(0), facts);
    set(&mut state, Set::SetLink { dev: "dpdk0".into(), change: LinkChange::Promisc(true) });
    let Reply::Links(links) = ask(&state, &Get::Links { dev: None }) else { panic!("links") };
    let rows: Vec<_> = links.iter().map(|l| (l.index, l.name.as_str(), l.up, l.speed, l.promisc)).collect();
    assert_eq!(
        rows,
        [
            (1, "dpdk0", false, 25_000, true),
            (2, "dpdk1", true, 10_000, false),
            (3, "dpdk0.102", false, 25_000, false),
        ]
    );
    assert_eq!(links[0].queue_cpus, [1, 2]);

    let meter = Meter::default();
    let mut seen = two_workers(&meter);
    let port = |ipackets| PortReport {
        counters: PortCounters { ipackets, ..PortCounters::default() },
        xstats: vec![("rx_good_packets".into(), ipackets)],
        mbuf_avail: 100,
        mbuf_inuse: 28,
    };
    seen.ports = vec![port(11), port(22)];
    for worker in &mut seen.workers {
        worker.links = vec![LinkCounters::default(); 3];
        worker.links[2] = LinkCounters { ipackets: 4, ibytes: 400, opackets: 5, obytes: 500 };
    }
    let Reply::LinkStats(stats) = answer(&state, &seen, &Get::LinkStats { dev: None }, Tick(0)) else {
        panic!("counters")
    };
    let rows: Vec<_> = stats
        .iter()
        .map(|s| (s.name.as_str(), s.counters.ipackets, s.counters.obytes, s.xstats.len()))
        .collect();
    assert_eq!(rows, [("dpdk0", 11, 0, 1), ("dpdk1", 22, 0, 1), ("dpdk0.102", 8, 1000, 0)]);
    assert_eq!((stats[1].mbuf_avail, stats[1].mbuf_inuse), (100, 28));
}

#[test]
fn cpus_come_with_their_queues_and_traffic_adds_up() {
    let state = state();
    let meter = Meter::default();
    let mut seen = two_workers(&meter);
    seen.workers[0].traffic = Traffic { rx: 10, tx: 4, ring_out: 3, kernel: 1, ..Traffic::default() };
    seen.workers[0].traffic.drops[DropReason::NoRoute as usize] = 2;
    seen.workers[1].traffic =
        Traffic { rx: 5, ring_in: 2, tx: 4, generated: 1, consumed: 1, ..Traffic::default() };
    seen.workers[1].held = 2;
    seen.workers[1].cpu = CpuCounters { lcore_loop: 77, ..CpuCounters::default() };
    seen.workers[1].traffic.drops[DropReason::Ttl as usize] = 1;
    let Reply::Traffic(t) = answer(&state, &seen, &Get::Traffic, Tick(0)) else { panic!("traffic") };
    assert_eq!((t.rx, t.generated, t.tx, t.consumed, t.kernel, t.held, t.in_ring), (15, 1, 8, 1, 1, 2, 1));
    assert_eq!(t.drops, [("ttl".to_owned(), 1), ("no_route".to_owned(), 2)]);
    let drops: u64 = t.drops.iter().map(|(_, count)| count).sum();
    assert_eq!(t.rx + t.generated, t.tx + drops + t.consumed + t.kernel + t.held + t.in_ring);

    let Reply::Cpus(cpus) = answer(&state, &seen, &Get::Cpus, Tick(0)) else { panic!("cpus") };
    assert_eq!(
        cpus.iter().map(|c| (c.cpu, c.worker)).collect::<Vec<_>>(),
        [(0, false), (1, true), (2, true)]
    );
    assert_eq!(cpus[2].queues, ["dpdk0:rx1", "dpdk0:tx1", "dpdk1:rx1", "dpdk1:tx1"]);
    assert_eq!((cpus[0].queues.len(), cpus[2].counters.lcore_loop), (0, 77));
}

#[test]
fn the_daemon_tells_about_itself() {
    let state = state();
    let meter = Meter::default();
    let mut seen = two_workers(&meter);
    for worker in &mut seen.workers {
        worker.conn_capacity = 512;
    }
    let Reply::Daemon(info) = answer(&state, &seen, &Get::Daemon, Tick(62_500)) else { panic!("about it") };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    assert_eq!(info, DaemonInfo { version, uptime: 61, workers: 2, conn_table_size: 1024 });
}
