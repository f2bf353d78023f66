// SPDX-License-Identifier: Apache-2.0
use std::collections::HashSet;

use engine::identity::{Identity, Uoa};
use engine::proto::tcp;
use engine::synproxy::config::{Auto, Config as SynProxy, Reuse};
use keepalived_conf::tree;
use model::MacAddr;
use model::link::LinkChange;

use super::*;
use crate::{Change, PortFacts, State, transact};

fn checked(text: &str) -> Result<Checked, Vec<String>> {
    let tree = tree::parse(text, "dpvs.conf").expect("braces and quotes agree");
    read(&tree).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn config(text: &str) -> BootConfig {
    checked(text).expect("the file is good").config
}

fn errors(text: &str) -> Vec<String> {
    checked(text).map(|checked| checked.config).expect_err("the file is bad")
}

/// The shape of the files that come with DPVS: annotations, flags without value, blocks without effect here.
const DPVS: &str = "\
! This is dpvs default configuration file.
global_defs {
    log_level   WARNING
    ! log_file    /var/log/dpvs.log
    ! log_async_mode    on
    kni         off
}

! netif config
netif_defs {
    <init> pktpool_size     1048575
    <init> pktpool_cache    256
    <init> fdir_mode        perfect

    <init> device dpdk0 {
        rx {
            queue_number        8
            descriptor_number   1024
            rss                 all
        }
        tx {
            queue_number        8
            descriptor_number   1000
        }
        mtu                     1400
        ! promisc_mode
        kni_name                dpdk0.kni
    }
    <init> device dpdk1 {
        promisc_mode
    }
}

worker_defs {
    <init> worker cpu0 {
        type    master
        cpu_id  0
    }
    <init> worker cpu1 {
        type    slave
        cpu_id  1
        port    dpdk0 {
            rx_queue_ids     0
            tx_queue_ids     0
            ! isol_rx_cpu_ids  9
        }
        port    dpdk1 {
            rx_queue_ids     0
            tx_queue_ids     0
        }
    }
    <init> worker cpu2 {
        type    slave
        cpu_id  2
        port    dpdk0 {
            rx_queue_ids     1 2
            tx_queue_ids     1
        }
    }
}

timer_defs {
    # cpu job loops to schedule dpdk timer management
    schedule_interval    500
}

neigh_defs {
    <init> unres_queue_length  256
    timeout             30
}

ipv4_defs {
    forwarding                 off
    <init> default_ttl         64
    fragment {
        <init> bucket_number   4096
        <init> ttl             1
    }
}

ctrl_defs {
    lcore_msg {
        <init> ring_size                4096
        sync_msg_timeout_us             20000
    }
}

ipvs_defs {
    conn {
        <init> conn_pool_size       2097152
        <init> conn_pool_cache      256
        conn_init_timeout           5
    }
    udp {
        uoa_mode        ipo
        uoa_max_trail   5
        timeout {
            normal      200
            last        3
        }
    }
    tcp {
        timeout {
            established 900
            fin_wait    8
        }
        synproxy {
            synack_options {
                mss             1452
                wscale          0
                timestamp
            }
            conn_reuse_state {
                close
                fin_wait        off
            }
        }
    }
}

sa_pool {
    <init> pool_hash_size   16
}
";

#[test]
fn a_file_of_dpvs_is_understood() {
    let Checked { config, warnings } = checked(DPVS).expect("the file is good");
    assert_eq!((config.log_level, config.kernel_path), (LogLevel::Warn, false));
    assert_eq!((config.pool_size, config.pool_cache, config.conns), (1_048_575, 256, 2_097_152));
    let [dpdk0, dpdk1] = &config.devices[..] else { panic!("two devices") };
    assert_eq!((dpdk0.rx_queues, dpdk0.tx_queues), (Some(8), Some(8)));
    assert_eq!((dpdk0.rx_descriptors, dpdk0.tx_descriptors, dpdk0.mtu), (1024, 1024, 1400));
    assert_eq!((dpdk0.driver, dpdk0.kni_name.as_deref()), (None, Some("dpdk0.kni")));
    assert_eq!((dpdk0.promisc, dpdk1.promisc, dpdk1.allmulticast), (false, true, true));
    assert_eq!(
        (dpdk1.rx_queues, dpdk1.rx_descriptors, dpdk1.tx_descriptors, dpdk1.mtu),
        (None, 256, 512, 1500)
    );
    let kinds: Vec<_> = config.workers.iter().map(|w| (w.name.as_str(), w.kind, w.cpu)).collect();
    let (master, slave) = (WorkerKind::Master, WorkerKind::Slave);
    assert_eq!(kinds, [("cpu0", master, Some(0)), ("cpu1", slave, Some(1)), ("cpu2", slave, Some(2))]);
    let queues = WorkerQueues { device: "dpdk0".into(), rx: vec![1, 2], tx: vec![1] };
    assert_eq!(config.workers[2].queues, [queues]);
    assert_eq!((config.options.neigh_queue, config.options.neigh_timeout), (256, 30));
    assert_eq!(config.options.conn_init_timeout, 5);
    assert_eq!(config.timeouts.tcp, [2, 900, 3, 30, 8, 7, 3, 7, 7, 120, 30]);
    assert_eq!(config.timeouts.udp, [2, 300, 200]);
    assert_eq!(config.options.identity, Identity { toa: true, uoa_trail: 5, uoa: Uoa::Option });
    let proxy = &config.options.syn_proxy;
    assert_eq!((proxy.mss, proxy.wscale, proxy.timestamps, proxy.sack), (1452, None, true, true));
    assert_eq!((proxy.reuse.close, proxy.reuse.fin_wait, proxy.reuse.last_ack), (true, false, true));
    let warned: Vec<String> = warnings.iter().map(|warning| warning.to_string()).collect();
    assert_eq!(warned.len(), 8, "{warned:#?}");
    assert_eq!(
        warned[0],
        "dpvs.conf:13: fdir_mode has no effect: return traffic finds its worker without flow rules"
    );
    assert!(
        warned[7].starts_with("dpvs.conf:122: pool_hash_size has no effect: local ports"),
        "{}",
        warned[9]
    );
}

#[test]
fn an_empty_file_gives_the_defaults_of_engine_and_table() {
    let config = config("");
    assert_eq!(config, BootConfig::default());
    assert_eq!((config.options, config.timeouts), (Options::default(), Timeouts::default()));
    assert_eq!((config.pool_size, config.pool_cache, config.conns), (65_535, 256, 1_048_576));
    assert!(!config.kernel_path && config.devices.is_empty() && config.idle.is_none());
}

#[test]
fn devices_say_what_drives_them_and_what_is_on_them() {
    let config = config(
        "global_defs { ipc_file /tmp/a.sock
             idle sleep
             hugepages off
             memory 256 }
         netif_defs {
             device dpdk0 {
                 driver af_packet
                 iface veth-0
                 args qpairs=2,blocksz=4096
                 rx_csum recompute
                 addr 10.0.0.1/24
                 addr fd00::1/64
                 vlan 102 { addr 10.2.0.1/24 }
                 vlan 103 { name inside }
             }
             device dpdk1 { driver pci
                 pci 3:00.1 }
         }
         route_defs { route default via 10.0.0.254
             route 10.9.0.0/16 via 10.2.0.9 dev dpdk0.102 metric 5
             route default via fd00::9 }
         worker_defs { workers 2 }"
            .replace("pci 3:00.1", "pci 03:00.1")
            .as_str(),
    );
    assert_eq!(config.ipc_file.as_deref(), Some(std::path::Path::new("/tmp/a.sock")));
    assert_eq!((config.idle, config.hugepages, config.memory), (Some(Idle::Sleep), Some(false), Some(256)));
    assert_eq!(config.worker_count, Some(2));
    let [dpdk0, dpdk1] = &config.devices[..] else { panic!("two devices") };
    assert_eq!((dpdk0.driver, dpdk0.iface.as_deref()), (Some(Driver::AfPacket), Some("veth-0")));
    assert_eq!((dpdk0.args.as_deref(), dpdk0.rx_csum), (Some("qpairs=2,blocksz=4096"), RxCsum::Recompute));
    assert_eq!((dpdk1.driver, dpdk1.pci.as_deref()), (Some(Driver::Pci), Some("0000:03:00.1")));
    let steps: Vec<String> = config.steps().iter().map(crate::describe).collect();
    assert_eq!(
        steps,
        [
            "add vlan dpdk0.102 (id 102 of dpdk0)",
            "add vlan inside (id 103 of dpdk0)",
            "add address 10.0.0.1/24 on dpdk0",
            "add address fd00::1/64 on dpdk0",
            "add address 10.2.0.1/24 on dpdk0.102",
            "add route 0.0.0.0/0 via 10.0.0.254",
            "add route 10.9.0.0/16 via 10.2.0.9 on dpdk0.102 metric 5",
            "add route ::/0 via fd00::9",
        ]
    );
}

/// Each line is wrong in its own way; the message names file, line and keyword and says what would be right.
#[test]
fn what_is_wrong_is_named_with_line_and_remedy() {
    let device = |line: &str| format!("netif_defs {{\n device dpdk0 {{\n  {line}\n }}\n}}");
    let table = [
        (
            "global_defs {\n log_levle INFO\n}",
            "dpvs.conf:2: unknown keyword log_levle in global_defs: did you mean log_level?",
        ),
        ("netif_def {\n}", "dpvs.conf:1: unknown keyword netif_def at the top: did you mean netif_defs?"),
        ("mtu 1500", "dpvs.conf:1: unknown keyword mtu at the top: mtu belongs in netif_defs/device"),
        ("frobnicate { x 1 }", "dpvs.conf:1: unknown keyword frobnicate at the top"),
        (
            "global_defs { log_level LOUD }",
            "dpvs.conf:1: log_level `LOUD`: emerg, alert, crit, err, error, warning, warn, notice, info, debug or trace expected",
        ),
        ("global_defs { kni maybe }", "dpvs.conf:1: kni `maybe`: on or off expected"),
        ("global_defs { ipc_file }", "dpvs.conf:1: ipc_file: a path expected"),
        ("global_defs { memory 1 }", "dpvs.conf:1: memory 1: a number from 64 to 1048576 expected"),
        ("netif_defs", "dpvs.conf:1: netif_defs: a block in braces is missing, { ... } expected"),
        ("netif_defs { device { } }", "dpvs.conf:1: device: NAME { ... } expected"),
        (
            "netif_defs { device a/b { } }",
            "dpvs.conf:1: device `a/b`: `a/b` is no name for a link: 1 to 31 letters, digits, and . - _ : @ after the first",
        ),
        (
            &device("mtu { x 1 }"),
            "dpvs.conf:3: mtu has no block, such as x: a number from 68 to 9000 expected",
        ),
        (&device("mtu 15OO"), "dpvs.conf:3: mtu `15OO`: a number from 68 to 9000 expected"),
        (&device("mtu 1500 1500"), "dpvs.conf:3: mtu `1500 1500`: a number from 68 to 9000 expected"),
        (
            &device("addr 10.0.0.1/40"),
            "dpvs.conf:3: addr `10.0.0.1/40`: `10.0.0.1/40` has no valid prefix length: 0 to 32 expected after the slash",
        ),
        (&device("pci 3"), "dpvs.conf:3: pci `3`: no PCI address: such as 0000:03:00.0 expected"),
        (&device("vlan 4095 { }"), "dpvs.conf:3: vlan `4095`: an identifier from 1 to 4094 expected"),
        (&device("vlan 05 { }"), "dpvs.conf:3: vlan `05`: an identifier from 1 to 4094 expected"),
        (
            &device("driver af_packet"),
            "dpvs.conf:2: device dpdk0: its driver needs the name of an interface (iface)",
        ),
        (
            &device("iface eth0"),
            "dpvs.conf:2: device dpdk0: iface is for the drivers af_packet, af_xdp and tap",
        ),
        (&device("driver pci"), "dpvs.conf:2: device dpdk0: the driver pci needs an address (pci)"),
        (&device("vlan 5 { name dpdk0 }"), "dpvs.conf:3: vlan 5: another link is called dpdk0"),
        (
            "netif_defs { device a { }\n device a { } }",
            "dpvs.conf:2: device `a`: there is a device of that name already",
        ),
        (
            "route_defs { route 10.0.0.0/8 }",
            "dpvs.conf:1: route `10.0.0.0/8`: a link (dev) or a gateway (via) is needed",
        ),
        ("route_defs { route default via }", "dpvs.conf:1: route `default via`: via without a value"),
        (
            "route_defs { route default over 1 }",
            "dpvs.conf:1: route `default over 1`: over is none of via, dev, src, mtu, metric, scope",
        ),
        (
            "worker_defs { worker a { type slave\n cpu_id 1 }\n worker b { cpu_id 1 } }",
            "dpvs.conf:3: worker b: another one has its cpu_id",
        ),
        ("worker_defs { worker a { port dpdk7 { } } }", "dpvs.conf:1: port dpdk7: no device of that name"),
        (
            "worker_defs { workers 2\n worker a { } }",
            "dpvs.conf:1: workers 2, but 1 of type slave are named: leave one of the two out",
        ),
        (
            "worker_defs { worker a { type master }\n worker b { type master } }",
            "dpvs.conf:2: worker b: another one is of type master",
        ),
        (
            "netif_defs {\n device d { }\n}\nworker_defs { worker a { port d { rx_queue_ids 0 2 } } }",
            "dpvs.conf:2: device d: rx_queue_ids of all workers together are [0, 2]: from 0, each once, without gaps expected",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

#[test]
fn the_syn_proxy_can_be_made_like_that_of_dpvs() {
    let of = |text: &str| {
        config(&format!("ipvs_defs {{\n tcp {{\n synproxy {{\n{text}\n}}\n}}\n}}")).options.syn_proxy
    };
    assert_eq!(of(""), SynProxy::default());
    assert_eq!(of("compat dpvs"), SynProxy::dpvs());
    let mixed = of("compat dpvs\nmax_ack_saved 5\nsynack_options {\nwscale 9\ntimestamp\n}");
    let expected = SynProxy { max_ack_saved: 5, wscale: Some(9), timestamps: true, ..SynProxy::dpvs() };
    assert_eq!(mixed, expected);
    let late = errors("ipvs_defs {\n tcp {\n synproxy {\n max_ack_saved 5\n compat dpvs\n}\n}\n}");
    assert!(late[0].starts_with("dpvs.conf:5: compat"), "{late:?}");
}

/// What a block of the SYN proxy makes of the configuration.
fn syn_proxy(text: &str) -> SynProxy {
    config(&in_syn_proxy(text)).options.syn_proxy
}

fn in_syn_proxy(text: &str) -> String {
    format!("ipvs_defs {{\n tcp {{\n synproxy {{\n{text}\n}}\n}}\n}}")
}

/// Every option: what it says, and what that makes of the defaults.
fn syn_proxy_options() -> Vec<(&'static str, SynProxy)> {
    let usual = SynProxy::default();
    let reuse = usual.reuse;
    let auto = usual.auto;
    vec![
        ("synack_options {\n mss 1400\n}", SynProxy { mss: 1400, ..usual.clone() }),
        ("synack_options {\n ttl 33\n}", SynProxy { ttl: 33, ..usual.clone() }),
        ("synack_options {\n sack off\n}", SynProxy { sack: false, ..usual.clone() }),
        ("synack_options {\n wscale 0\n}", SynProxy { wscale: None, ..usual.clone() }),
        ("synack_options {\n wscale 14\n}", SynProxy { wscale: Some(14), ..usual.clone() }),
        ("synack_options {\n learn off\n}", SynProxy { learn: false, ..usual.clone() }),
        ("synack_options {\n timestamp off\n}", SynProxy { timestamps: false, ..usual.clone() }),
        ("synack_options {\n ecn\n}", SynProxy { ecn: true, ..usual.clone() }),
        ("close_client_window", SynProxy { close_client_window: true, ..usual.clone() }),
        ("defer_rs_syn on", SynProxy { defer_rs_syn: true, ..usual.clone() }),
        ("rs_syn_max_retry 99", SynProxy { rs_syn_max_retry: 99, ..usual.clone() }),
        ("rs_other 9", SynProxy { rs_other: 9, ..usual.clone() }),
        ("ack_storm_thresh 999", SynProxy { ack_storm_thresh: 999, ..usual.clone() }),
        ("max_ack_saved 63", SynProxy { max_ack_saved: 63, ..usual.clone() }),
        ("synack_rate 5", SynProxy { synack_rate: 5, ..usual.clone() }),
        ("reset_rate 0", SynProxy { reset_rate: 0, ..usual.clone() }),
        ("auto {\n syn_rate 5\n}", SynProxy { auto: Auto { syn_rate: 5, ..auto }, ..usual.clone() }),
        ("auto {\n half_open 99\n}", SynProxy { auto: Auto { half_open: 99, ..auto }, ..usual.clone() }),
        ("auto {\n calm 3600\n}", SynProxy { auto: Auto { calm: 3600, ..auto }, ..usual.clone() }),
        ("auto {\n known 0\n}", SynProxy { auto: Auto { known: 0, ..auto }, ..usual.clone() }),
        (
            "conn_reuse_state {\n established off\n}",
            SynProxy { reuse: Reuse { established: false, ..reuse }, ..usual.clone() },
        ),
        (
            "conn_reuse_state {\n close off\n}",
            SynProxy { reuse: Reuse { close: false, ..reuse }, ..usual.clone() },
        ),
        (
            "conn_reuse_state {\n time_wait off\n}",
            SynProxy { reuse: Reuse { time_wait: false, ..reuse }, ..usual.clone() },
        ),
        (
            "conn_reuse_state {\n fin_wait off\n}",
            SynProxy { reuse: Reuse { fin_wait: false, ..reuse }, ..usual.clone() },
        ),
        (
            "conn_reuse_state {\n close_wait off\n}",
            SynProxy { reuse: Reuse { close_wait: false, ..reuse }, ..usual.clone() },
        ),
        (
            "conn_reuse_state {\n last_ack off\n}",
            SynProxy { reuse: Reuse { last_ack: false, ..reuse }, ..usual },
        ),
    ]
}

#[test]
fn every_option_of_the_syn_proxy_is_obeyed_and_taken_up_by_a_reload() {
    for (text, expected) in syn_proxy_options() {
        assert_ne!(expected, SynProxy::default(), "{text} changes something");
        assert_eq!(syn_proxy(text), expected, "{text}");
        let (mut state, old) = started(BEFORE);
        let new = config(&format!("{BEFORE}{}", in_syn_proxy(text)));
        let change = reload(&state, &old, &new);
        assert_eq!((change.steps.len(), &change.restart[..]), (0, &[][..]), "{text}");
        state.commit(change.settings);
        let compiled = crate::compile(&state).options.syn_proxy.clone();
        assert_eq!(compiled, expected, "{text}");
        // And back.
        let change = reload(&state, &new, &old);
        state.commit(change.settings);
        assert_eq!(crate::compile(&state).options.syn_proxy, SynProxy::default(), "{text}");
    }
}

#[test]
fn every_option_of_icmp_is_obeyed_and_taken_up_by_a_reload() {
    let usual = engine::icmp::Policy::default();
    for (text, expected) in [
        ("source_quench off", engine::icmp::Policy { source_quench: false, ..usual }),
        ("least_mtu 552", engine::icmp::Policy { least_mtu: 552, ..usual }),
        ("unrelated_to_host on", engine::icmp::Policy { unrelated_to_host: true, ..usual }),
    ] {
        let (mut state, old) = started(BEFORE);
        let new = config(&format!("{BEFORE}ipvs_defs {{\n icmp {{\n {text}\n }}\n}}\n"));
        let change = reload(&state, &old, &new);
        assert_eq!((change.steps.len(), &change.restart[..]), (0, &[][..]), "{text}");
        state.commit(change.settings);
        assert_eq!(crate::compile(&state).options.icmp, expected, "{text}");
    }
}

#[test]
fn every_option_of_the_syn_proxy_out_of_range_is_named_and_the_default_used() {
    for (block, word, low, high, expected) in [
        ("synack_options", "mss", Some(0), 65_536_u64, "from 1 to 65535 expected, 8960"),
        ("synack_options", "ttl", Some(0), 256, "from 1 to 255 expected, 64"),
        ("synack_options", "wscale", None, 15, "from 0 to 14 expected, 7"),
        ("", "rs_syn_max_retry", None, 100, "from 0 to 99 expected, 3"),
        ("", "rs_other", None, 10, "from 0 to 9 expected, 1"),
        ("", "ack_storm_thresh", Some(0), 1000, "from 1 to 999 expected, 100"),
        ("", "max_ack_saved", Some(0), 64, "from 1 to 63 expected, 10"),
        ("", "synack_rate", None, 4_294_967_296, "from 0 to 4294967295 expected, 0"),
        ("", "reset_rate", None, 4_294_967_296, "from 0 to 4294967295 expected, 100"),
        ("auto", "syn_rate", None, 4_294_967_296, "from 0 to 4294967295 expected, 10000"),
        ("auto", "half_open", Some(0), 101, "from 1 to 100 expected, 50"),
        ("auto", "calm", Some(0), 3601, "from 1 to 3600 expected, 30"),
        ("auto", "known", None, 3601, "from 0 to 3600 expected, 60"),
    ] {
        for value in low.into_iter().chain([high]) {
            let line = format!("{word} {value}");
            let text = if block.is_empty() { line.clone() } else { format!("{block} {{\n{line}\n}}") };
            let Checked { config, warnings } = checked(&in_syn_proxy(&text)).expect("a warning only");
            assert_eq!(config.options.syn_proxy, SynProxy::default(), "{line}");
            let [warning] = &warnings[..] else { panic!("one warning for {line}: {warnings:?}") };
            let warning = warning.to_string();
            assert!(warning.contains(&format!(": {line}: a number {expected} is used")), "{warning}");
        }
    }
    for wrong in
        ["synack_options {\n sack maybe\n}", "rs_other one", "auto 5", "compat linux", "max_ack_saved"]
    {
        assert_eq!(errors(&in_syn_proxy(wrong)).len(), 1, "{wrong}");
    }
}

#[test]
fn what_is_learned_of_servers_stays_with_one_director_unless_it_is_alone() {
    assert!(syn_proxy("").learn);
    assert!(!syn_proxy("key_file /etc/dpvs/key").learn);
    assert!(syn_proxy("key_file /etc/dpvs/key\nsynack_options {\n learn on\n}").learn);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let found = errors("global_defs { kni x\n idle y\n}\nnetif_defs { device d { driver tap } }");
    let lines: Vec<&str> = found.iter().filter_map(|text| text.split(':').nth(1)).collect();
    assert_eq!(lines, ["1", "2", "4"]);
}

#[test]
fn a_number_out_of_range_gives_way_to_the_default_with_a_warning() {
    let Checked { config, warnings } =
        checked("neigh_defs {\n timeout 4000\n unres_queue_length 99999999999999999999\n}").expect("good");
    assert_eq!((config.options.neigh_timeout, config.options.neigh_queue), (60, 128));
    let warned: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warned,
        [
            "dpvs.conf:2: timeout 4000: a number from 1 to 3600 expected, 60 is used",
            "dpvs.conf:3: unres_queue_length 99999999999999999999: a number from 16 to 8192 expected, 128 is used",
        ]
    );
}

#[test]
fn a_worker_that_does_nothing_here_is_named() {
    let checked = checked("worker_defs {\n worker cpu9 {\n type kni\n cpu_id 9\n }\n}").expect("good");
    let warned: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warned, ["dpvs.conf:2: worker cpu9 has no effect: control serves the host's own stack"]);
}

#[test]
fn every_flag_takes_on_and_off() {
    for (text, expected) in [
        ("xmit_ttl", true),
        ("xmit_ttl on", true),
        ("xmit_ttl enable", true),
        ("xmit_ttl OFF", false),
        ("xmit_ttl disable", false),
    ] {
        assert_eq!(
            config(&format!("ipvs_defs {{ conn {{ {text} \n}} }}")).options.xmit_ttl,
            expected,
            "{text}"
        );
    }
}

#[test]
fn the_table_is_whole() {
    let mut paths = HashSet::new();
    for key in keys() {
        assert!(paths.insert(key.path), "{} is there twice", key.path);
        assert!(key.doc.ends_with('.'), "{}: {}", key.path, key.doc);
        let parent = table::find(key.block());
        let grouped = parent.is_some_and(|parent| matches!(parent.takes, Takes::Block | Takes::Named(_)));
        assert!(key.block().is_empty() || grouped, "{} is in no block", key.path);
        if !key.default.is_empty() {
            key.takes.default(key.default);
        }
    }
}

const BEFORE: &str = "\
netif_defs {
    device dpdk0 { driver null
        addr 10.0.0.1/24
        addr 10.0.0.2/24
        vlan 102 { addr 10.2.0.1/24 }
    }
}
route_defs { route default via 10.0.0.254
    route 10.9.0.0/16 via 10.2.0.9 dev dpdk0.102
}
ipvs_defs { tcp { timeout { established 100 } } }
";

fn started(text: &str) -> (State, BootConfig) {
    let config = config(text);
    let ports = config.devices.iter().map(|device| PortFacts::new(&device.name, MacAddr([2, 0, 0, 0, 0, 1])));
    let mut state = State::new(ports.collect());
    transact(&mut state, &config.steps()).expect("the file's own steps are good");
    let settings = state.settings(config.timeouts.clone(), config.options.clone());
    state.commit(settings);
    state.commit(state.marking(config.marks.clone()));
    (state, config)
}

fn reloaded(before: &str, after: &str) -> (State, Reload) {
    let (mut state, old) = started(before);
    let change = reload(&state, &old, &config(after));
    transact(&mut state, &change.steps).expect("a reload's steps are good");
    state.commit(change.settings.clone());
    (state, change)
}

fn texts(reload: &Reload) -> Vec<String> {
    reload.steps.iter().map(crate::describe).collect()
}

#[test]
fn an_unchanged_file_changes_nothing() {
    let (_, change) = reloaded(BEFORE, BEFORE);
    assert_eq!(
        change,
        Reload { steps: vec![], settings: Change::default(), log_level: None, restart: vec![] }
    );
}

#[test]
fn a_reload_changes_what_the_file_says_differently() {
    let after = BEFORE
        .replace("        addr 10.0.0.2/24\n", "        addr 10.0.0.3/24\n        mtu 1400\n")
        .replace("via 10.0.0.254", "via 10.0.0.253");
    let (_, change) = reloaded(BEFORE, &format!("{after}global_defs {{ log_level debug }}"));
    assert_eq!(
        texts(&change),
        [
            "delete route 0.0.0.0/0 via 10.0.0.254",
            "delete address 10.0.0.2/24 on dpdk0",
            "set dpdk0 mtu 1400",
            "add address 10.0.0.3/24 on dpdk0",
            "add route 0.0.0.0/0 via 10.0.0.253",
        ]
    );
    assert_eq!((change.log_level, change.restart), (Some(LogLevel::Debug), vec![]));
    let mtu = LinkChange::Mtu(1400);
    assert!(change.steps.contains(&Set::SetLink { dev: "dpdk0".into(), change: mtu }));
}

#[test]
fn a_vlan_goes_with_what_is_on_it_and_comes_back_whole() {
    let without = BEFORE
        .replace("        vlan 102 { addr 10.2.0.1/24 }\n", "")
        .replace("    route 10.9.0.0/16 via 10.2.0.9 dev dpdk0.102\n", "");
    let (_, change) = reloaded(BEFORE, &without);
    assert_eq!(texts(&change), ["delete vlan dpdk0.102"]);
    let (_, change) =
        reloaded(BEFORE, &BEFORE.replace("vlan 102 { addr", "vlan 103 { name dpdk0.102\n addr"));
    assert_eq!(
        texts(&change),
        [
            "delete vlan dpdk0.102",
            "add vlan dpdk0.102 (id 103 of dpdk0)",
            "add address 10.2.0.1/24 on dpdk0.102",
            "add route 10.9.0.0/16 via 10.2.0.9 on dpdk0.102",
        ]
    );
}

/// Somebody tries a change by hand first and writes it down afterwards.
#[test]
fn a_change_has_the_place_that_asks_for_it() {
    let text = "netif_defs {\n device dpdk0 {\n  addr 10.1.0.9/24\n  mtu 1400\n  vlan 7 {\n   addr 10.7.0.9/24\n   addr fd07::9/64\n  \
                }\n }\n}\nroute_defs {\n route 10.8.0.0/16 via 10.1.0.1\n route 10.9.0.0/16 dev dpdk0\n}\n";
    let config = config(text);
    let lines: Vec<_> = config.steps().iter().map(|step| config.place(step).map(|span| span.line)).collect();
    assert_eq!(lines, [5, 3, 6, 7, 12, 13].map(Some));
    let mtu = Set::SetLink { dev: "dpdk0".into(), change: LinkChange::Mtu(1400) };
    assert_eq!(config.place(&mtu).map(|span| span.line), Some(4));
    assert_eq!(config.place(&Set::DelVlan("dpdk0.7".into())), None, "what goes is not in the file");
}

#[test]
fn what_operators_did_by_hand_already_is_no_reason_to_refuse_a_reload() {
    let (mut state, old) = started(BEFORE);
    let changed = BEFORE
        .replace("        addr 10.0.0.2/24\n", "        addr 10.0.0.3/24\n")
        .replace("        vlan 102 { addr 10.2.0.1/24 }\n", "")
        .replace("route 10.9.0.0/16 via 10.2.0.9 dev dpdk0.102", "route 10.8.0.0/16 via 10.0.0.7");
    let new = config(&changed);
    let steps = reload(&state, &old, &new).steps;
    assert_eq!(steps.len(), 4);
    transact(&mut state, &steps).expect("good");
    let again = reload(&state, &old, &new).steps;
    assert_eq!(again.len(), 1, "a route is replaced by itself: {again:?}");
    transact(&mut state, &again).expect("nothing is refused");
    // A change that cannot be made is still there to be refused.
    let wrong = config(&changed.replace("via 10.0.0.7", "via 10.0.0.7 dev dpdk9"));
    let steps = reload(&state, &new, &wrong).steps;
    let refused = transact(&mut state, &steps).expect_err("there is no such link");
    assert!(refused.text.starts_with("no link `dpdk9`"), "{refused}");
}

#[test]
fn timeouts_set_by_command_stay_unless_the_file_changed_them() {
    let (mut state, old) = started(BEFORE);
    transact(&mut state, &[Set::SetTimeouts(model::Timeouts { tcp: 700, tcp_fin: 0, udp: 0 })])
        .expect("good");
    let change = reload(&state, &old, &config(&format!("{BEFORE}ipv4_defs {{ forwarding on }}")));
    state.commit(change.settings);
    assert_eq!(state.timeouts.tcp[tcp::State::Established as usize], 700);
    assert!(state.options.forward4);
    let change = reload(&state, &old, &config(&BEFORE.replace("established 100", "established 50")));
    state.commit(change.settings);
    assert_eq!(state.timeouts.tcp[tcp::State::Established as usize], 50);
}

#[test]
fn a_reload_leaves_the_secret_of_cookies_alone() {
    let (mut state, old) = started(BEFORE);
    let key = engine::synproxy::config::MasterKey([7; 16]);
    state.set_cookies(key, 1_700_000_000_000);
    let change = reload(&state, &old, &config(&format!("{BEFORE}ipv4_defs {{ forwarding on }}")));
    state.commit(change.settings);
    let proxy = &crate::compile(&state).options.syn_proxy;
    assert_eq!((proxy.key, proxy.epoch_ms), (key, 1_700_000_000_000));
}

#[test]
fn what_only_a_restart_changes_is_reported_by_name() {
    let table = [
        (BEFORE.replace("driver null", "driver null\n args x=1"), "netif_defs/device dpdk0/args"),
        (
            BEFORE.replace("driver null", "driver null\n rx { queue_number 2 }"),
            "netif_defs/device dpdk0/rx/queue_number",
        ),
        (format!("{BEFORE}worker_defs {{ workers 2 }}"), "worker_defs/workers"),
        (format!("{BEFORE}netif_defs {{ pktpool_size 2047 }}"), "netif_defs/pktpool_size"),
        (format!("{BEFORE}netif_defs {{ device dpdk1 {{ }} }}"), "netif_defs/device dpdk1"),
        (
            format!(
                "{BEFORE}netif_defs {{ device dpdk1 {{ addr 10.3.0.1/24 }} }} route_defs {{ route 10.4.0.0/16 dev dpdk1 }}"
            ),
            "netif_defs/device dpdk1",
        ),
    ];
    for (after, expected) in table {
        assert_eq!(reloaded(BEFORE, &after).1.restart, [expected], "{after}");
        assert!(reloaded(BEFORE, &after).1.steps.is_empty(), "{after}");
    }
    let spelled_out = BEFORE.replace("driver null", "driver null\n rx { descriptor_number 256 }");
    assert!(reloaded(BEFORE, &spelled_out).1.restart.is_empty(), "the default spelled out is no change");
    assert!(reloaded(&spelled_out, BEFORE).1.restart.is_empty());
}

proptest::proptest! {
    /// Keywords, values and braces in any order: an error or a configuration, never a panic.
    #[test]
    fn any_file_is_judged(
        words in proptest::collection::vec((0..keys().count() + 8, 0..4usize), 0..60),
    ) {
        let mut text = String::new();
        for (at, value) in words {
            let word = match keys().nth(at) {
                Some(key) => key.word(),
                None => ["}", "}", "}", "{", "dpdk0", "dpdk0 {", "7 {", "0102 {"][at - keys().count()],
            };
            text.push_str(word);
            text.push_str(["\n", " 7\n", " {\n", " dpdk0 {\n"][value]);
        }
        if let Ok(tree) = tree::parse(&text, "x.conf")
            && let Ok(checked) = read(&tree)
        {
            let _ = reload(&State::new(Vec::new()), &checked.config, &BootConfig::default());
        }
    }

    /// The same within the blocks of a good file: what is inside them is reached.
    #[test]
    fn any_line_of_a_good_file_may_be_another(
        lines in proptest::collection::vec((0..130usize, 0..keys().count(), 0..6usize), 1..4),
    ) {
        let mut file: Vec<String> = DPVS.lines().map(str::to_owned).collect();
        for (line, key, value) in lines {
            let line = line % file.len();
            if !file[line].contains(['{', '}']) {
                let word = keys().nth(key).map_or("", Key::word);
                file[line] = format!("{word}{}", ["", " 7", " x y", " 7 { }", " dpdk0 { }", " 07 { }"][value]);
            }
        }
        let tree = tree::parse(&file.join("\n"), "x.conf").expect("braces agree");
        if let Ok(checked) = read(&tree) {
            let after = reload(&State::new(Vec::new()), &checked.config, &config(DPVS));
            proptest::prop_assert!(after.steps.len() < 100);
        }
    }
}

const MARKS: &str = "\
netif_defs { device dpdk0 { driver null
    vlan 102 { addr 10.2.0.1/24 }
} }
ipvs_defs {
    mark 7 proto=tcp,dst-range=192.0.2.1-192.0.2.9:80-443
    mark 7 proto=udp,af=ipv6,iif=dpdk0.102
    mark 4294967295 proto=udp,src-range=10.0.0.0-10.0.0.255
}
";

#[test]
fn rules_give_marks_in_the_order_of_the_file_and_a_reload_changes_them() {
    let shown = |state: &State| -> Vec<String> {
        state.marks.iter().map(|marking| format!("{} {}", marking.mark, marking.rule)).collect()
    };
    let after = MARKS.replace("    mark 7 proto=udp,af=ipv6,iif=dpdk0.102\n", "");
    let (state, change) = reloaded(MARKS, &after);
    assert_eq!(shown(&started(MARKS).0).len(), 3);
    assert_eq!(
        shown(&state),
        ["7 tcp,to=192.0.2.1-192.0.2.9:80-443", "4294967295 udp,from=10.0.0.0-10.0.0.255:0-0"]
    );
    assert_eq!((change.steps, change.restart), (vec![], vec![]));
    // Settings of the other kind stay away.
    let (_, change) = reloaded(MARKS, MARKS);
    assert!(change.settings.is_empty());
}

#[test]
fn marks_that_make_no_sense_are_refused_with_their_place() {
    for (line, why) in [
        ("mark 0 proto=tcp,af=ipv4", "mark 0: 1 to 4294967295 expected"),
        ("mark x proto=tcp,af=ipv4", "mark x: 1 to 4294967295 expected"),
        ("mark 7", "MARK RULE expected, such as `1 proto=tcp,dst-range=192.0.2.1:80`"),
        ("mark 7 proto=icmp,af=ipv4", "proto icmp: marks are for tcp, udp and sctp"),
        ("mark 7 proto=tcp", "af=, src-range= or dst-range= is missing"),
        (
            "mark 7 proto=tcp,af=ipv4,oif=dpdk0",
            "oif: where packets leave is not known before they have a server",
        ),
        ("mark 7 proto=tcp,af=ipv4,iif=dpdk9", "mark 7: no device or VLAN is named dpdk9"),
    ] {
        let found = errors(&format!(
            "netif_defs {{ device dpdk0 {{ driver null }} }}\nipvs_defs {{\n    {line}\n}}\n"
        ));
        assert!(
            found.len() == 1 && found[0].contains(":3: ") && found[0].ends_with(why),
            "{line}: {found:?}"
        );
    }
}
