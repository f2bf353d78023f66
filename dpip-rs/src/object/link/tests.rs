// SPDX-License-Identifier: Apache-2.0
//! Link listings against the recorded ones.

use model::link::{CpuCounters, CpuInfo, LinkChange, LinkKind};
use model::stats::{PortCounters, Traffic};
use sockopt::{Request, Set};

use super::*;
use crate::golden::{call, one_packet_sent, port, questions, recorded, request, text, usage};

const LINKS: &str = include_str!("../../../tests/golden/03-link.txt");
const VLANS: &str = include_str!("../../../tests/golden/07-vlan.txt");

fn dpdk0() -> LinkInfo {
    port(1, "dpdk0", "02:00:00:00:01:01")
}

fn dpdk1() -> LinkInfo {
    port(2, "dpdk1", "02:00:00:00:02:01")
}

/// The recordings had LLDP on, which this director does not have.
fn without_lldp(stdout: &str) -> String {
    stdout.replace(" lldp \n", " \n")
}

#[test]
fn listings_are_those_recorded() {
    let replies = [Reply::Links(vec![dpdk0(), dpdk1()])];
    let line = "dpip link show";
    assert_eq!(text(line, &replies), without_lldp(recorded(LINKS, line, 0).stdout));
    let promisc = [Reply::Links(vec![LinkInfo { promisc: true, ..dpdk0() }])];
    let line = "dpip link show dpdk0";
    assert_eq!(text(line, &promisc), without_lldp(recorded(LINKS, line, 1).stdout));
}

const LINE: &str = "1: dpdk0: socket 0 mtu 1500 rx-queue 1 tx-queue 1";

#[test]
fn a_vlan_is_listed_like_a_port() {
    let kind = LinkKind::Vlan { dev: "dpdk0".into(), id: 100 };
    let vlan = LinkInfo { kind, ..port(3, "dpdk0.100", "02:00:00:00:01:01") };
    let line = "dpip link show dpdk0.100";
    assert_eq!(text(line, &[Reply::Links(vec![vlan])]), recorded(VLANS, line, 0).stdout);
}

#[test]
fn ethernet_addresses_are_upper_case_and_a_link_can_be_down() {
    let link = LinkInfo {
        up: false,
        full_duplex: false,
        autoneg: true,
        allmulticast: true,
        offloads: vec!["OF_RX_IP_CSUM".into(), "OF_TX_IP_CSUM".into()],
        ..port(1, "dpdk0", "a0:36:9f:00:00:01")
    };
    assert_eq!(
        text("dpip link show", &[Reply::Links(vec![link])]),
        format!(
            "{LINE}\n    DOWN 10000 Mbps half-duplex auto-nego allmulticast \n    \
             addr A0:36:9F:00:00:01 OF_RX_IP_CSUM OF_TX_IP_CSUM \n"
        )
    );
}

#[test]
fn counters_are_laid_out_as_recorded() {
    let replies = [
        Reply::Links(vec![dpdk0(), dpdk1()]),
        Reply::LinkStats(vec![one_packet_sent("dpdk0"), one_packet_sent("dpdk1")]),
    ];
    let line = "dpip -s link show";
    assert_eq!(text(line, &replies), without_lldp(recorded(LINKS, line, 0).stdout));
}

#[test]
fn the_drivers_counters_and_capabilities_are_laid_out_as_recorded() {
    let capabilities = [
        ("pci_addr", "vdev"),
        ("driver_name", "net_af_packet"),
        ("if_index", "2"),
        ("min_rx_bufsize", "0"),
        ("max_rx_pktlen", "1518"),
        ("max_mac_addrs", "1"),
        ("max_rx_queues", "1"),
        ("max_tx_queues", "1"),
        ("max_hash_addrs", "0"),
        ("max_vfs", "0"),
        ("max_vmdq_pools", "0"),
        ("rx_ol_capa", "0x4001"),
        ("tx_ol_capa", "0x8001"),
        ("reta_size", "0"),
        ("hash_key_size", "0"),
        ("flowtype_rss_ol", "0x0"),
        ("vmdq_que_base", "0"),
        ("vmdq_que_num", "0"),
        ("rx_desc_max", "65535"),
        ("rx_desc_min", "0"),
        ("rx_desc_align", "1"),
        ("vmdq_pool_base", "0"),
        ("tx_desc_max", "65535"),
        ("tx_desc_min", "0"),
        ("tx_desc_align", "1"),
        ("speed_capa", "0"),
    ];
    let capabilities = capabilities.map(|(title, value)| (title.to_owned(), value.to_owned())).to_vec();
    let xstats = [
        ("rx_good_packets", 0),
        ("tx_good_packets", 1),
        ("rx_good_bytes", 0),
        ("tx_good_bytes", 78),
        ("rx_missed_errors", 0),
        ("rx_errors", 0),
        ("tx_errors", 0),
        ("rx_mbuf_allocation_errors", 0),
        ("rx_q0_packets", 0),
        ("rx_q0_bytes", 0),
        ("rx_q0_errors", 0),
        ("tx_q0_packets", 1),
        ("tx_q0_bytes", 78),
    ];
    let xstats = xstats.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let replies = [
        Reply::Links(vec![LinkInfo { capabilities, ..dpdk0() }]),
        Reply::LinkStats(vec![LinkStats { xstats, ..one_packet_sent("dpdk0") }]),
    ];
    let line = "dpip -s -v link show dpdk0";
    let expected = without_lldp(recorded(LINKS, line, 0).stdout);
    // Multicast filters of the device are no subject of the control protocol.
    let (expected, _) = expected.split_once("    HW mcast list:").unwrap();
    assert_eq!(text(line, &replies), expected);
}

#[test]
fn intervals_show_what_was_gained_per_second() {
    let line = "dpip -s link show dpdk0 -i 1 -c 2";
    let asked = call(line).unwrap();
    let replies = [Reply::Links(vec![dpdk0()]), Reply::LinkStats(vec![one_packet_sent("dpdk0")])];
    let once = interval(&asked, &replies, &replies, 1.0).unwrap();
    let expected = without_lldp(recorded(LINKS, line, 0).stdout);
    assert_eq!(text(line, &replies) + &once + &once, expected);

    let counters = PortCounters { opackets: 2_001, obytes: 60_078, ..PortCounters::default() };
    let later = [
        Reply::Links(vec![dpdk0()]),
        Reply::LinkStats(vec![LinkStats { counters, ..one_packet_sent("dpdk0") }]),
    ];
    let gained = interval(&asked, &replies, &later, 2.0).unwrap();
    assert_eq!(
        gained.lines().nth(1),
        Some("    0               1000            0               30000           ")
    );
}

fn cpus() -> Vec<CpuInfo> {
    let counters = CpuCounters {
        lcore_loop: 79_949_562,
        pktburst: 159_899_124,
        zpktburst: 159_899_124,
        z2hpktburst: 159_899_124,
        opackets: 2,
        obytes: 156,
        ..CpuCounters::default()
    };
    let queues = ["dpdk0:rx0", "dpdk0:tx0", "dpdk1:rx0", "dpdk1:tx0"].map(str::to_owned).to_vec();
    vec![
        CpuInfo { cpu: 0, socket: 0, worker: false, queues: vec![], counters: CpuCounters::default() },
        CpuInfo { cpu: 1, socket: 0, worker: true, queues, counters },
    ]
}

#[test]
fn cpus_are_listed_as_recorded() {
    let replies = [Reply::Cpus(cpus())];
    for line in ["dpip link show cpu", "dpip link show cpu0", "dpip link show cpu1", "dpip -s link show cpu1"]
    {
        assert_eq!(text(line, &replies), recorded(LINKS, line, 0).stdout, "{line}");
        assert_eq!(questions(line).unwrap(), [Get::Cpus]);
    }
    let unused = super::text(&call("dpip link show cpu7").unwrap(), &replies).unwrap_err();
    assert_eq!((unused.to_string().as_str(), unused.exit().status()), ("the daemon does not use cpu7", 1));
}

#[test]
fn intervals_of_a_cpu_are_laid_out_as_recorded() {
    let line = "dpip -s link show cpu1 -i 1 -c 2";
    let before = [Reply::Cpus(cpus())];
    let mut later = cpus();
    let counters = &mut later[1].counters;
    counters.lcore_loop += 12_724_644;
    counters.pktburst += 25_449_288;
    counters.zpktburst += 25_449_288;
    counters.z2hpktburst += 25_449_288;
    let shown = interval(&call(line).unwrap(), &before, &[Reply::Cpus(later)], 1.0).unwrap();
    let expected = recorded(LINKS, line, 0).stdout;
    assert!(expected.starts_with(&(text(line, &before) + &shown)), "{shown}");
}

#[test]
fn stats_add_where_every_packet_went() {
    let traffic = Traffic {
        rx: 100,
        generated: 3,
        tx: 90,
        drops: vec![("no_route".into(), 7), ("ttl".into(), 1)],
        consumed: 2,
        kernel: 1,
        held: 1,
        in_ring: 0,
    };
    let replies = [Reply::LinkStats(vec![one_packet_sent("dpdk0")]), Reply::Traffic(traffic)];
    assert_eq!(
        text("dpip link stats", &replies),
        "link   ipackets  opackets  ibytes  obytes  ierrors  oerrors  imissed  rx_nombuf\n\
         dpdk0         0         1       0      78        0        0        0          0\n\
         \n\
         packets\n\
         received       100\n\
         generated        3\n  \
           transmitted   90\n  \
           consumed       2\n  \
           kernel         1\n  \
           held           1\n  \
           in ring        0\n  \
           dropped        8\n    \
             no_route     7\n    \
             ttl          1\n  \
           unaccounted    1\n"
    );
}

#[test]
fn counters_are_asked_for_when_they_are_shown() {
    let dev = || Some("dpdk0".to_owned());
    let links = Get::Links { dev: dev() };
    assert_eq!(questions("dpip link show dpdk0").unwrap(), std::slice::from_ref(&links));
    for line in ["dpip -s link show dpdk0", "dpip link list dev dpdk0 -i 3"] {
        assert_eq!(questions(line).unwrap(), [links.clone(), Get::LinkStats { dev: dev() }], "{line}");
    }
    assert_eq!(questions("dpip link stats").unwrap(), [Get::LinkStats { dev: None }, Get::Traffic]);
}

#[test]
fn one_item_is_a_change_and_several_are_a_transaction() {
    let set = |change| Set::SetLink { dev: "dpdk0".into(), change };
    for (words, change) in [
        ("promisc on", LinkChange::Promisc(true)),
        ("allmulticast off", LinkChange::AllMulticast(false)),
        ("link down", LinkChange::Up(false)),
        ("mtu 1400", LinkChange::Mtu(1400)),
        ("addr 02:00:00:00:01:99", LinkChange::Mac("02:00:00:00:01:99".parse().unwrap())),
    ] {
        assert_eq!(request(&format!("dpip link set dpdk0 {words}")).unwrap(), Request::Set(set(change)));
    }
    let steps = vec![set(LinkChange::Up(true)), set(LinkChange::Mtu(9000))];
    assert_eq!(
        request("dpip link set dpdk0 link up mtu 9000").unwrap(),
        Request::Transaction { steps, dry_run: false }
    );
}

#[test]
fn bad_lines_say_what_is_wrong() {
    for (line, reason) in [
        ("dpip link set", "the link: `IF` is missing"),
        ("dpip link set dpdk0", "the change: `ITEM VALUE` is missing"),
        ("dpip link set dpdk0 promisc", "`promisc` needs a value"),
        ("dpip link set dpdk0 promisc maybe", "promisc `maybe` is unknown: one of on, off expected"),
        ("dpip link set dpdk0 link on", "link `on` is unknown: one of up, down expected"),
        ("dpip link set dpdk0 mtu 20", "mtu `20` is not a number from 68 to 9000"),
        ("dpip link set dpdk0 lldp on", "`lldp` is not supported"),
        (
            "dpip link set dpdk0 bogus on",
            "`bogus` is unknown: one of promisc, allmulticast, link, mtu, addr expected",
        ),
        ("dpip link show bond0 status", "`status` is for bonding devices, which are not supported"),
        (
            "dpip link add bond0 bond-slave dpdk0",
            "link has no command `add`: one of show, stats, set expected",
        ),
        ("dpip link show -c 3", "-c needs -i"),
        ("dpip link show -i 0", "interval `0` is not a number from 1 to 4294967295"),
        ("dpip link show -i 1 --json", "--json and -i exclude each other"),
        ("dpip addr show -i 1", "-i is for `link show` only"),
    ] {
        assert_eq!(usage(line), reason, "{line}");
    }
}

#[test]
fn the_keys_of_the_json_listings_are_fixed() {
    let info = LinkInfo { capabilities: vec![("if_index".into(), "2".into())], ..dpdk0() };
    let stats = LinkStats { xstats: vec![("rx_q0_bytes".into(), 5)], ..one_packet_sent("dpdk0") };
    let expected = r#"{
  "version": 1,
  "links": [
    {
      "index": 1,
      "name": "dpdk0",
      "kind": "port",
      "driver": "net_af_packet",
      "bus": "vdev",
      "socket": 0,
      "mtu": 1500,
      "rx_queues": 1,
      "tx_queues": 1,
      "up": true,
      "speed": 10000,
      "full_duplex": true,
      "autoneg": false,
      "promisc": false,
      "allmulticast": false,
      "mac": "02:00:00:00:01:01",
      "offloads": [
        "OF_TX_FAST_FREE"
      ],
      "queue_cpus": [
        1
      ],
      "capabilities": {
        "if_index": "2"
      },
      "stats": {
        "name": "dpdk0",
        "counters": {
          "ipackets": 0,
          "opackets": 1,
          "ibytes": 0,
          "obytes": 78,
          "ierrors": 0,
          "oerrors": 0,
          "imissed": 0,
          "rx_nombuf": 0
        },
        "mbuf_avail": 63489,
        "mbuf_inuse": 2046,
        "xstats": {
          "rx_q0_bytes": 5
        }
      }
    }
  ]
}
"#;
    assert_eq!(
        text("dpip -s --json link show", &[Reply::Links(vec![info]), Reply::LinkStats(vec![stats])]),
        expected
    );
    let cpus = text("dpip --json link show cpu1", &[Reply::Cpus(cpus())]);
    let keys: Vec<&str> = cpus.split('"').skip(1).step_by(2).collect();
    assert_eq!(
        keys.join(" "),
        "version cpus cpu socket worker queues dpdk0:rx0 dpdk0:tx0 dpdk1:rx0 dpdk1:tx0 counters lcore_loop \
         pktburst zpktburst fpktburst z2hpktburst h2fpktburst dropped ipackets ibytes opackets obytes"
    );
    let totals = [Reply::LinkStats(vec![]), Reply::Traffic(Traffic::default())];
    let totals = text("dpip --json link stats", &totals);
    let keys: Vec<&str> = totals.split('"').skip(1).step_by(2).collect();
    assert_eq!(
        keys.join(" "),
        "version stats links traffic rx generated tx drops consumed kernel held in_ring"
    );
}
