// SPDX-License-Identifier: Apache-2.0
//! Every keyword of dpvs.conf.

use engine::link::RxCsum;
use engine::proto::{tcp, udp};

use super::value::{Takes, Value};
use super::{BootConfig, Device, Driver, Idle, LogLevel, VlanConf, Worker, WorkerKind, WorkerQueues, check};
use Takes::{Block, Choice, Line, Named, Nothing, Number, Numbers, Switch, Word};
use WhenChanged::{Reload, Restart};

/// A keyword.
#[derive(Debug)]
pub struct Key {
    /// The keywords of the blocks around it and its own: `netif_defs/device/mtu`.
    pub path: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// What holds without it; empty for what its documentation says.
    pub default: &'static str,
    /// What a change of it needs.
    pub changed: WhenChanged,
    /// What it means, in a line.
    pub doc: &'static str,
    set: Set,
}

/// What a keyword does to the configuration.
#[derive(Clone, Copy, Debug)]
enum Set {
    /// Whatever it takes.
    By(fn(&mut BootConfig, &Value) -> Result<(), String>),
    /// Puts on or off in its place.
    Switch(fn(&mut BootConfig) -> &mut bool),
}

/// What a change of a keyword needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenChanged {
    /// A reload (SIGHUP).
    Reload,
    /// A restart of the daemon.
    Restart,
}

impl Key {
    /// Takes note of a value.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn set(&self, config: &mut BootConfig, value: &Value) -> Result<(), String> {
        match self.set {
            Set::By(set) => set(config, value)?,
            Set::Switch(place) => *place(config) = on(value),
        }
        Ok(())
    }

    /// The keyword itself.
    pub fn word(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The path of the block it belongs in; empty at the top.
    pub fn block(&self) -> &'static str {
        self.path.rsplit_once('/').map_or("", |(block, _)| block)
    }
}

/// The key at a path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The nearest repeated block a path is in; empty when in none.
pub(super) fn repeated_above(path: &str) -> &str {
    let mut above = path;
    while let Some((block, _)) = above.rsplit_once('/') {
        if find(block).is_some_and(|key| matches!(key.takes, Named(_))) {
            return block;
        }
        above = block;
    }
    ""
}

/// Why there is no key at a path, and what was probably meant.
pub(super) fn unknown(path: &str) -> String {
    let (block, word) = path.rsplit_once('/').unwrap_or(("", path));
    let place = if block.is_empty() { "at the top".to_owned() } else { format!("in {block}") };
    let siblings = KEYS.iter().filter(|key| key.block() == block);
    let near = siblings.map(|key| (strsim::damerau_levenshtein(key.word(), word), key.word()));
    let near = near.min().filter(|(distance, _)| *distance <= word.len().div_ceil(3));
    let elsewhere = KEYS.iter().find(|key| key.word() == word && key.block() != block);
    let hint = match (near, elsewhere) {
        (Some((_, word)), _) => format!(": did you mean {word}?"),
        (None, Some(key)) if key.block().is_empty() => format!(": {word} belongs at the top"),
        (None, Some(key)) => format!(": {word} belongs in {}", key.block()),
        (None, None) => String::new(),
    };
    format!("unknown keyword {word} {place}{hint}")
}

type By = fn(&mut BootConfig, &Value) -> Result<(), String>;

const fn key(
    path: &'static str,
    takes: Takes,
    default: &'static str,
    changed: WhenChanged,
    doc: &'static str,
    set: By,
) -> Key {
    Key { path, takes, default, changed, doc, set: Set::By(set) }
}

/// A switch that a reload changes.
const fn switch(
    path: &'static str,
    default: &'static str,
    doc: &'static str,
    place: fn(&mut BootConfig) -> &mut bool,
) -> Key {
    Key { path, takes: Switch, default, changed: Reload, doc, set: Set::Switch(place) }
}

/// A keyword of DPVS that means nothing here.
const fn ignored(path: &'static str, why: &'static str) -> Key {
    key(path, Nothing(why), "", Reload, "Accepted from files written for DPVS; no effect.", nothing)
}

/// A block that only groups.
const fn group(path: &'static str, doc: &'static str) -> Key {
    key(path, Block, "", Reload, doc, nothing)
}

const fn tcp_timeout(path: &'static str, default: &'static str, doc: &'static str, set: By) -> Key {
    key(path, SECONDS, default, Reload, doc, set)
}

const SECONDS: Takes = Number(1, 31_535_999);
const STDERR: &str = "the log goes to standard error, with timestamps";
const FLOWS: &str = "return traffic finds its worker without flow rules";
const SIZED: &str = "such tables grow as they need";
const FRAGMENTS: &str = "fragments are not put together yet";
const MESSAGES: &str = "workers take whole configurations, not messages";

/// Every keyword, block by block.
pub const KEYS: &[Key] = &[
    group("global_defs", "The daemon as a whole."),
    key(
        "global_defs/log_level",
        Choice(&[
            "emerg", "alert", "crit", "err", "error", "warning", "warn", "notice", "info", "debug", "trace",
        ]),
        "info",
        Reload,
        "From which level on the daemon logs.",
        |c, v| {
            c.log_level = match text(v) {
                "warning" | "warn" => LogLevel::Warn,
                "notice" | "info" => LogLevel::Info,
                "debug" => LogLevel::Debug,
                "trace" => LogLevel::Trace,
                _ => LogLevel::Error,
            };
            Ok(())
        },
    ),
    key(
        "global_defs/ipc_file",
        Word("a path"),
        "",
        Restart,
        "The control socket; without it $DPVS_IPC_FILE, else /run/dpvs/dpvs.sock.",
        |c, v| put(&mut c.ipc_file, text(v).into()),
    ),
    key(
        "global_defs/idle",
        Choice(&["spin", "pause", "sleep"]),
        "",
        Restart,
        "What workers do when nothing comes; without it they spin on network cards and sleep on virtual devices.",
        |c, v| {
            put(
                &mut c.idle,
                match text(v) {
                    "spin" => Idle::Spin,
                    "pause" => Idle::Pause,
                    _ => Idle::Sleep,
                },
            )
        },
    ),
    key(
        "global_defs/hugepages",
        Switch,
        "",
        Restart,
        "Whether packets live in hugepages; without it they do when there are some.",
        |c, v| put(&mut c.hugepages, on(v)),
    ),
    key(
        "global_defs/memory",
        Number(64, 1_048_576),
        "",
        Restart,
        "MiB set aside for packets without hugepages; without it what the pools need.",
        |c, v| put(&mut c.memory, number(v)),
    ),
    key(
        "global_defs/kni",
        Switch,
        "on",
        Restart,
        "Whether packets the director does not take go to the host's own stack.",
        |c, v| {
            c.kernel_path = on(v);
            Ok(())
        },
    ),
    ignored("global_defs/log_file", STDERR),
    ignored("global_defs/log_with_timestamp", STDERR),
    ignored("global_defs/log_async_mode", STDERR),
    ignored("global_defs/log_async_pool_size", STDERR),
    ignored("global_defs/lldp", "lldp is not there yet"),
    ignored("global_defs/pdump", "the daemon offers no capture server"),
    group("netif_defs", "Devices and their packet buffers."),
    key(
        "netif_defs/pktpool_size",
        Number(1023, 134_217_727),
        "65535",
        Restart,
        "Packet buffers for each NUMA node, rounded up to a power of two less one.",
        |c, v| {
            c.pool_size = (number(v) + 1).next_power_of_two() - 1;
            Ok(())
        },
    ),
    key(
        "netif_defs/pktpool_cache",
        Number(32, 8192),
        "256",
        Restart,
        "Packet buffers each worker keeps at hand, rounded up to a power of two.",
        |c, v| {
            c.pool_cache = number(v).next_power_of_two();
            Ok(())
        },
    ),
    ignored("netif_defs/fdir_mode", FLOWS),
    ignored("netif_defs/mode", FLOWS),
    key("netif_defs/device", Named("NAME"), "", Restart, "A device, such as dpdk0.", |c, v| {
        let name = text(v);
        check::link_name(name)?;
        if c.device(name).is_some() {
            return Err("there is a device of that name already".to_owned());
        }
        c.devices.push(Device { name: name.to_owned(), ..Device::default() });
        Ok(())
    }),
    key(
        "netif_defs/device/driver",
        Choice(&["pci", "af_packet", "af_xdp", "tap", "null", "pcap", "memif"]),
        "",
        Restart,
        "What drives it; without it and pci, the next device the DPDK environment finds.",
        |c, v| {
            put(
                &mut device(c)?.driver,
                match text(v) {
                    "af_packet" => Driver::AfPacket,
                    "af_xdp" => Driver::AfXdp,
                    "tap" => Driver::Tap,
                    "null" => Driver::Null,
                    "pcap" => Driver::Pcap,
                    "memif" => Driver::Memif,
                    _ => Driver::Pci,
                },
            )
        },
    ),
    key(
        "netif_defs/device/iface",
        Word("the name of a network interface"),
        "",
        Restart,
        "The network interface behind it, for af_packet, af_xdp and tap.",
        |c, v| {
            check::iface_name(text(v))?;
            put(&mut device(c)?.iface, text(v).to_owned())
        },
    ),
    key(
        "netif_defs/device/pci",
        Word("a PCI address such as 0000:03:00.0"),
        "",
        Restart,
        "Its PCI address.",
        |c, v| put(&mut device(c)?.pci, check::pci(text(v))?),
    ),
    key(
        "netif_defs/device/args",
        Line("arguments of the driver, separated by commas"),
        "",
        Restart,
        "Further arguments of the driver.",
        |c, v| put(&mut device(c)?.args, text(v).to_owned()),
    ),
    group("netif_defs/device/rx", "Its receive queues."),
    key(
        "netif_defs/device/rx/queue_number",
        Number(0, 16),
        "",
        Restart,
        "Receive queues; without it or with 0, one for each worker as far as the device has them.",
        |c, v| {
            device(c)?.rx_queues = Some(short(v)).filter(|&queues| queues > 0);
            Ok(())
        },
    ),
    key(
        "netif_defs/device/rx/descriptor_number",
        Number(16, 8192),
        "256",
        Restart,
        "Descriptors of a receive queue, rounded up to a power of two.",
        |c, v| {
            device(c)?.rx_descriptors = short(v).next_power_of_two();
            Ok(())
        },
    ),
    ignored("netif_defs/device/rx/rss", "devices spread packets by the addresses and ports of tcp and udp"),
    group("netif_defs/device/tx", "Its transmit queues."),
    key(
        "netif_defs/device/tx/queue_number",
        Number(0, 16),
        "",
        Restart,
        "Transmit queues; without it or with 0, one for each worker as far as the device has them.",
        |c, v| {
            device(c)?.tx_queues = Some(short(v)).filter(|&queues| queues > 0);
            Ok(())
        },
    ),
    key(
        "netif_defs/device/tx/descriptor_number",
        Number(16, 8192),
        "512",
        Restart,
        "Descriptors of a transmit queue, rounded up to a power of two.",
        |c, v| {
            device(c)?.tx_descriptors = short(v).next_power_of_two();
            Ok(())
        },
    ),
    key(
        "netif_defs/device/tx/mbuf_fast_free",
        Switch,
        "on",
        Restart,
        "Gives buffers of sent packets back without a look at each; off when ports of two NUMA nodes forward to each other.",
        |c, v| {
            device(c)?.fast_free = on(v);
            Ok(())
        },
    ),
    key(
        "netif_defs/device/promisc_mode",
        Switch,
        "off",
        Reload,
        "Receives frames of all stations.",
        |c, v| {
            device(c)?.promisc = on(v);
            Ok(())
        },
    ),
    key("netif_defs/device/allmulticast", Switch, "off", Reload, "Receives all multicast frames.", |c, v| {
        device(c)?.allmulticast = on(v);
        Ok(())
    }),
    key("netif_defs/device/mtu", Number(68, 9000), "1500", Reload, "Longest IP packet in bytes.", |c, v| {
        device(c)?.mtu = short(v);
        Ok(())
    }),
    key(
        "netif_defs/device/rx_csum",
        Choice(&["trust", "verify", "recompute"]),
        "verify",
        Restart,
        "Received checksums: believed, checked where state is made, or made anew (for senders on the same host).",
        |c, v| {
            device(c)?.rx_csum = match text(v) {
                "trust" => RxCsum::Trust,
                "recompute" => RxCsum::Recompute,
                _ => RxCsum::Verify,
            };
            Ok(())
        },
    ),
    key(
        "netif_defs/device/kni_name",
        Word("the name of a network interface"),
        "",
        Restart,
        "Name of its interface in the host's own stack; without it the device's name and .kni.",
        |c, v| {
            check::iface_name(text(v))?;
            put(&mut device(c)?.kni_name, text(v).to_owned())
        },
    ),
    key(
        "netif_defs/device/addr",
        Line("an address with its length, such as 192.0.2.1/24"),
        "",
        Reload,
        "An address of it; may be repeated.",
        |c, v| {
            let prefix = check::address(text(v))?;
            push(&mut device(c)?.addrs, prefix)
        },
    ),
    key("netif_defs/device/vlan", Named("ID"), "", Reload, "A VLAN of it, 1 to 4094.", |c, v| {
        let id = text(v).parse().ok().filter(|id| (1..=4094).contains(id));
        let id: u16 = id.ok_or("an identifier from 1 to 4094 expected")?;
        let device = device(c)?;
        if device.vlans.iter().any(|vlan| vlan.id == id) {
            return Err(format!("{} has that vlan already", device.name));
        }
        device.vlans.push(VlanConf { id, ..VlanConf::default() });
        Ok(())
    }),
    key(
        "netif_defs/device/vlan/name",
        Word("a name"),
        "",
        Reload,
        "Its name; without it the device's name, a dot and the identifier.",
        |c, v| {
            check::link_name(text(v))?;
            put(&mut vlan(c)?.name, text(v).to_owned())
        },
    ),
    key(
        "netif_defs/device/vlan/addr",
        Line("an address with its length, such as 192.0.2.1/24"),
        "",
        Reload,
        "An address of it; may be repeated.",
        |c, v| {
            let prefix = check::address(text(v))?;
            push(&mut vlan(c)?.addrs, prefix)
        },
    ),
    ignored("netif_defs/bonding", "bonds are not there yet: name their devices one by one"),
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
        "The CPU it runs on; without it the system chooses.",
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
        "Transmit queues it sends by.",
        |c, v| {
            queues(c)?.tx = numbers(v);
            Ok(())
        },
    ),
    ignored("worker_defs/worker/port/isol_rx_cpu_ids", "no CPU is set aside for receiving"),
    ignored("worker_defs/worker/port/isol_rxq_ring_sz", "no CPU is set aside for receiving"),
    group("timer_defs", "Timers."),
    ignored("timer_defs/schedule_interval", "timers are exact to a millisecond"),
    group("neigh_defs", "Neighbours."),
    key(
        "neigh_defs/unres_queue_length",
        Number(16, 8192),
        "128",
        Reload,
        "Packets that may wait for one neighbour.",
        |c, v| {
            c.options.neigh_queue = short(v);
            Ok(())
        },
    ),
    key(
        "neigh_defs/timeout",
        Number(1, 3600),
        "60",
        Reload,
        "Seconds a neighbour stays reachable without confirmation.",
        |c, v| {
            c.options.neigh_timeout = number(v);
            Ok(())
        },
    ),
    group("route_defs", "Routes."),
    key(
        "route_defs/route",
        Line(
            "PREFIX|default [via IP] [dev LINK] [src IP] [mtu N] [metric N] [scope host|kni_host|link|global]",
        ),
        "",
        Reload,
        "A route, as `dpip route add` takes it; may be repeated.",
        |c, v| {
            let route = check::route(text(v))?;
            push(&mut c.routes, route)
        },
    ),
    group("ipset_defs", "Sets."),
    ignored("ipset_defs/ipset_hash_pool_size", SIZED),
    group("ipv4_defs", "IPv4."),
    switch(
        "ipv4_defs/forwarding",
        "off",
        "Forwards packets that are neither for the director nor of a connection.",
        |c| &mut c.options.forward4,
    ),
    key(
        "ipv4_defs/default_ttl",
        Number(1, 255),
        "64",
        Reload,
        "TTL and hop limit of packets the director makes.",
        |c, v| {
            c.options.default_ttl = number(v) as u8;
            Ok(())
        },
    ),
    ignored("ipv4_defs/fragment", FRAGMENTS),
    group("ipv6_defs", "IPv6."),
    switch(
        "ipv6_defs/forwarding",
        "off",
        "Forwards packets that are neither for the director nor of a connection.",
        |c| &mut c.options.forward6,
    ),
    ignored("ipv6_defs/disable", "a link speaks IPv6 when it has an address of it"),
    ignored("ipv6_defs/addr_gen_mode", "links have the addresses they are given"),
    ignored("ipv6_defs/stable_secret", "links have the addresses they are given"),
    ignored("ipv6_defs/route6", SIZED),
    group("ctrl_defs", "Messages to workers."),
    ignored("ctrl_defs/lcore_msg", MESSAGES),
    group("ipvs_defs", "The director."),
    group("ipvs_defs/conn", "Connections."),
    key(
        "ipvs_defs/conn/conn_pool_size",
        Number(1024, 134_217_728),
        "1048576",
        Restart,
        "Connections all workers together can hold.",
        |c, v| {
            c.conns = number(v);
            Ok(())
        },
    ),
    key(
        "ipvs_defs/conn/conn_init_timeout",
        SECONDS,
        "3",
        Reload,
        "Seconds a connection lives in which no state was reached yet.",
        |c, v| {
            c.options.conn_init_timeout = number(v);
            Ok(())
        },
    ),
    switch(
        "ipvs_defs/conn/xmit_ttl",
        "on",
        "Counts down TTL and hop limit of packets to and from servers.",
        |c| &mut c.options.xmit_ttl,
    ),
    ignored("ipvs_defs/conn/conn_pool_cache", "each worker has a table of its own"),
    ignored("ipvs_defs/conn/expire_quiescent_template", "persistence is not there yet"),
    ignored("ipvs_defs/conn/fast_xmit_close", "next hops are remembered by connection in any case"),
    ignored("ipvs_defs/conn/redirect", "packets are handed to the worker that owns them where needed"),
    group("ipvs_defs/udp", "UDP."),
    ignored(
        "ipvs_defs/udp/defence_udp_drop",
        "what no service wants goes to the host's own stack only with kni on",
    ),
    ignored("ipvs_defs/udp/uoa_mode", "servers are not told client addresses yet"),
    ignored("ipvs_defs/udp/uoa_max_trail", "servers are not told client addresses yet"),
    group("ipvs_defs/udp/timeout", "Idle seconds of UDP connections by state."),
    key(
        "ipvs_defs/udp/timeout/oneway",
        SECONDS,
        "300",
        Reload,
        "While only the client was heard.",
        |c, v| {
            c.timeouts.udp[udp::State::OneWay as usize] = number(v);
            Ok(())
        },
    ),
    key("ipvs_defs/udp/timeout/normal", SECONDS, "300", Reload, "When both sides were heard.", |c, v| {
        c.timeouts.udp[udp::State::Normal as usize] = number(v);
        Ok(())
    }),
    ignored("ipvs_defs/udp/timeout/last", "no UDP connection has such a state"),
    group("ipvs_defs/tcp", "TCP."),
    ignored(
        "ipvs_defs/tcp/defence_tcp_drop",
        "what no service wants goes to the host's own stack only with kni on",
    ),
    group("ipvs_defs/tcp/timeout", "Idle seconds of TCP connections by state."),
    tcp_timeout("ipvs_defs/tcp/timeout/none", "2", "Before any state.", |c, v| tcp(c, tcp::State::None, v)),
    tcp_timeout("ipvs_defs/tcp/timeout/established", "90", "While data flows.", |c, v| {
        tcp(c, tcp::State::Established, v)
    }),
    tcp_timeout("ipvs_defs/tcp/timeout/syn_sent", "3", "After the server's SYN.", |c, v| {
        tcp(c, tcp::State::SynSent, v)
    }),
    tcp_timeout("ipvs_defs/tcp/timeout/syn_recv", "30", "After the client's SYN.", |c, v| {
        tcp(c, tcp::State::SynRecv, v)
    }),
    tcp_timeout("ipvs_defs/tcp/timeout/fin_wait", "7", "When the server closed first.", |c, v| {
        tcp(c, tcp::State::FinWait, v)
    }),
    tcp_timeout("ipvs_defs/tcp/timeout/time_wait", "7", "When both sides closed.", |c, v| {
        tcp(c, tcp::State::TimeWait, v)
    }),
    tcp_timeout("ipvs_defs/tcp/timeout/close", "3", "After a reset.", |c, v| tcp(c, tcp::State::Close, v)),
    tcp_timeout("ipvs_defs/tcp/timeout/close_wait", "7", "When the client closed first.", |c, v| {
        tcp(c, tcp::State::CloseWait, v)
    }),
    tcp_timeout("ipvs_defs/tcp/timeout/last_ack", "7", "Before the last acknowledgement.", |c, v| {
        tcp(c, tcp::State::LastAck, v)
    }),
    tcp_timeout("ipvs_defs/tcp/timeout/listen", "120", "Listening.", |c, v| tcp(c, tcp::State::Listen, v)),
    tcp_timeout("ipvs_defs/tcp/timeout/synack", "30", "After the SYN-ACK.", |c, v| {
        tcp(c, tcp::State::SynAck, v)
    }),
    ignored("ipvs_defs/tcp/timeout/last", "no TCP connection has such a state"),
    group("ipvs_defs/tcp/synproxy", "The SYN proxy of services that have it."),
    key(
        "ipvs_defs/tcp/synproxy/key_file",
        Word("a path"),
        "",
        Restart,
        "File with 32 hexadecimal digits that cookie keys follow from, for directors that share addresses; without it they are drawn at start.",
        |c, v| put(&mut c.cookie_key_file, text(v).into()),
    ),
    group("ipvs_defs/tcp/synproxy/synack_options", "What SYN-ACKs to clients offer."),
    key(
        "ipvs_defs/tcp/synproxy/synack_options/mss",
        Number(1, 65_535),
        "8960",
        Reload,
        "Largest segment, in bytes; a link's MTU bounds it too.",
        |c, v| {
            c.options.syn_proxy.mss = short(v);
            Ok(())
        },
    ),
    key(
        "ipvs_defs/tcp/synproxy/synack_options/ttl",
        Number(1, 255),
        "64",
        Reload,
        "TTL and hop limit.",
        |c, v| {
            c.options.syn_proxy.ttl = number(v) as u8;
            Ok(())
        },
    ),
    switch("ipvs_defs/tcp/synproxy/synack_options/sack", "on", "Selective acknowledgements.", |c| {
        &mut c.options.syn_proxy.sack
    }),
    key(
        "ipvs_defs/tcp/synproxy/synack_options/wscale",
        Number(0, 14),
        "7",
        Reload,
        "Window shift before a server's own is known; 0 declines scaling.",
        |c, v| {
            c.options.syn_proxy.wscale = Some(number(v) as u8).filter(|&shift| shift > 0);
            Ok(())
        },
    ),
    switch(
        "ipvs_defs/tcp/synproxy/synack_options/learn",
        "on",
        "Whether the shift follows what servers use; off where directors share a key_file.",
        |c| &mut c.options.syn_proxy.learn,
    ),
    switch("ipvs_defs/tcp/synproxy/synack_options/timestamp", "on", "Timestamps.", |c| {
        &mut c.options.syn_proxy.timestamps
    }),
    switch(
        "ipvs_defs/tcp/synproxy/synack_options/ecn",
        "off",
        "Classic ECN; only where every server does it.",
        |c| &mut c.options.syn_proxy.ecn,
    ),
    switch(
        "ipvs_defs/tcp/synproxy/close_client_window",
        "off",
        "Whether clients may send only once the server has answered.",
        |c| &mut c.options.syn_proxy.close_client_window,
    ),
    switch(
        "ipvs_defs/tcp/synproxy/defer_rs_syn",
        "off",
        "Whether a server is only contacted once the client has sent data.",
        |c| &mut c.options.syn_proxy.defer_rs_syn,
    ),
    key(
        "ipvs_defs/tcp/synproxy/rs_syn_max_retry",
        Number(0, 99),
        "3",
        Reload,
        "How often a SYN to a server is repeated.",
        |c, v| {
            c.options.syn_proxy.rs_syn_max_retry = number(v) as u8;
            Ok(())
        },
    ),
    key(
        "ipvs_defs/tcp/synproxy/ack_storm_thresh",
        Number(1, 999),
        "100",
        Reload,
        "Equal acknowledgements in a row from a server after which more are dropped.",
        |c, v| {
            c.options.syn_proxy.ack_storm_thresh = short(v);
            Ok(())
        },
    ),
    key(
        "ipvs_defs/tcp/synproxy/max_ack_saved",
        Number(1, 63),
        "10",
        Reload,
        "Packets kept for a connection until its server answers.",
        |c, v| {
            c.options.syn_proxy.max_ack_saved = number(v) as u8;
            Ok(())
        },
    ),
    key(
        "ipvs_defs/tcp/synproxy/synack_rate",
        Number(0, 4_294_967_295),
        "0",
        Reload,
        "SYN-ACKs a second towards one neighbourhood of clients and worker; 0 for no limit.",
        |c, v| {
            c.options.syn_proxy.synack_rate = number(v);
            Ok(())
        },
    ),
    key(
        "ipvs_defs/tcp/synproxy/reset_rate",
        Number(0, 4_294_967_295),
        "100",
        Reload,
        "Resets a second towards one neighbourhood of clients and worker; 0 for no limit.",
        |c, v| {
            c.options.syn_proxy.reset_rate = number(v);
            Ok(())
        },
    ),
    group(
        "ipvs_defs/tcp/synproxy/conn_reuse_state",
        "States in which a client's new handshake replaces the old connection.",
    ),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/close", "on", "CLOSE.", |c| {
        &mut c.options.syn_proxy.reuse.close
    }),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/time_wait", "on", "TIME_WAIT.", |c| {
        &mut c.options.syn_proxy.reuse.time_wait
    }),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/fin_wait", "on", "FIN_WAIT.", |c| {
        &mut c.options.syn_proxy.reuse.fin_wait
    }),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/close_wait", "on", "CLOSE_WAIT.", |c| {
        &mut c.options.syn_proxy.reuse.close_wait
    }),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/last_ack", "on", "LAST_ACK.", |c| {
        &mut c.options.syn_proxy.reuse.last_ack
    }),
    group("sa_pool", "Local ports."),
    ignored(
        "sa_pool/pool_hash_size",
        "local ports are leased by server, one address serves 64511 connections to each",
    ),
    ignored("sa_pool/flow_enable", FLOWS),
];

fn nothing(_: &mut BootConfig, _: &Value) -> Result<(), String> {
    Ok(())
}

fn put<T>(at: &mut Option<T>, value: T) -> Result<(), String> {
    *at = Some(value);
    Ok(())
}

fn push<T>(at: &mut Vec<T>, value: T) -> Result<(), String> {
    at.push(value);
    Ok(())
}

fn tcp(config: &mut BootConfig, state: tcp::State, value: &Value) -> Result<(), String> {
    config.timeouts.tcp[state as usize] = number(value);
    Ok(())
}

fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

fn on(value: &Value) -> bool {
    *value == Value::Switch(true)
}

/// Ranges in the table keep to 32 bits.
fn number(value: &Value) -> u32 {
    if let Value::Number(number) = value { *number as u32 } else { 0 }
}

fn short(value: &Value) -> u16 {
    number(value) as u16
}

fn numbers(value: &Value) -> Vec<u16> {
    if let Value::Numbers(numbers) = value {
        numbers.iter().map(|&number| number as u16).collect()
    } else {
        Vec::new()
    }
}

/// The block being read. Its keys are only looked up inside it, so it is there.
fn device(config: &mut BootConfig) -> Result<&mut Device, String> {
    config.devices.last_mut().ok_or_else(|| "outside a device".to_owned())
}

fn vlan(config: &mut BootConfig) -> Result<&mut VlanConf, String> {
    device(config)?.vlans.last_mut().ok_or_else(|| "outside a vlan".to_owned())
}

fn worker(config: &mut BootConfig) -> Result<&mut Worker, String> {
    config.workers.last_mut().ok_or_else(|| "outside a worker".to_owned())
}

fn queues(config: &mut BootConfig) -> Result<&mut WorkerQueues, String> {
    worker(config)?.queues.last_mut().ok_or_else(|| "outside a port".to_owned())
}
