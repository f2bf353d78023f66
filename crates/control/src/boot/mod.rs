// SPDX-License-Identifier: Apache-2.0
//! dpvs.conf: its tree of blocks, typed and checked.
//!
//! [`keys`] has every keyword with what it takes, its default, whether a reload changes it and a line of documentation;
//! everything else here follows from that table.

mod check;
#[cfg(test)]
mod manual;
mod reload;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::link::RxCsum;
use engine::proto::Timeouts;
use engine::snapshot::Options;
use keepalived_conf::{Block, Error, Span, Tree};
use model::Prefix;
use model::link::{LinkChange, VlanSpec};
use model::net::{AddrScope, IfAddr, RouteSpec};
use model::rule::Marking;
use sockopt::Set;

pub use reload::{Reload, reload};
pub use table::{Key, WhenChanged, keys};
pub use value::{Takes, Value};

use value::Bad;

/// Everything dpvs.conf says.
#[derive(Clone, Debug, PartialEq)]
pub struct BootConfig {
    /// From which level on the daemon logs.
    pub log_level: LogLevel,
    /// The control socket; `None` leaves it to the environment and the daemon's default.
    pub ipc_file: Option<PathBuf>,
    /// What workers do when nothing comes; `None` lets the devices decide.
    pub idle: Option<Idle>,
    /// Whether hugepages are used; `None` when there are some.
    pub hugepages: Option<bool>,
    /// Memory for packets without hugepages, in MiB; `None` lets the daemon decide.
    pub memory: Option<u32>,
    /// Whether packets the director does not take go to the host's own stack.
    pub kernel_path: bool,
    /// Packet buffers per NUMA node: a power of two less one.
    pub pool_size: u32,
    /// Packet buffers each worker keeps at hand: a power of two.
    pub pool_cache: u32,
    /// The devices.
    pub devices: Vec<Device>,
    /// How many workers, if only that is said.
    pub worker_count: Option<u16>,
    /// The threads one by one, if they are named.
    pub workers: Vec<Worker>,
    /// Connections all workers together can hold.
    pub conns: u32,
    /// Idle timeouts.
    pub timeouts: Timeouts,
    /// Switches of the small stack.
    pub options: Options,
    /// The file that keys of SYN cookies follow from; `None` draws them at start.
    pub cookie_key_file: Option<PathBuf>,
    /// Routes.
    pub routes: Vec<RouteSpec>,
    /// What gives packets a mark, in the order it is asked.
    pub marks: Vec<Marking>,
    /// What was written, by path (`netif_defs/device dpdk0/mtu`): a reload is told from it.
    given: BTreeMap<String, Vec<String>>,
    /// Where each value was written, by path and value.
    spans: BTreeMap<(String, String), Span>,
}

/// From which level on the daemon logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What an operator has to act on.
    Error,
    /// What does not work as well as it should.
    Warn,
    /// Configuration and life cycle.
    #[default]
    Info,
    /// Every request.
    Debug,
    /// Everything.
    Trace,
}

/// What a worker does when nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Asks again at once: the shortest delay, a whole CPU.
    Spin,
    /// Asks again after a pause instruction or a few.
    Pause,
    /// Sleeps a little, longer the longer nothing comes.
    Sleep,
}

/// A `device` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name, as operators write it everywhere.
    pub name: String,
    /// What drives it; `None` is the next device the DPDK environment finds by itself.
    pub driver: Option<Driver>,
    /// The network interface behind it, of af_packet, af_xdp and tap.
    pub iface: Option<String>,
    /// Its PCI address.
    pub pci: Option<String>,
    /// Further arguments of the driver.
    pub args: Option<String>,
    /// Receive queues; `None` for one for each worker, as far as the device has them.
    pub rx_queues: Option<u16>,
    /// Transmit queues; `None` for one for each worker, as far as the device has them.
    pub tx_queues: Option<u16>,
    /// Descriptors of a receive queue.
    pub rx_descriptors: u16,
    /// Descriptors of a transmit queue.
    pub tx_descriptors: u16,
    /// Receives frames of all stations.
    pub promisc: bool,
    /// Receives all multicast frames.
    pub allmulticast: bool,
    /// Longest IP packet in bytes.
    pub mtu: u16,
    /// How received checksums are treated.
    pub rx_csum: RxCsum,
    /// Name of its interface in the host's own stack; `None` for the device's name and `.kni`.
    pub kni_name: Option<String>,
    /// Its addresses.
    pub addrs: Vec<Prefix>,
    /// Its VLANs.
    pub vlans: Vec<VlanConf>,
}

/// What drives a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A network card, by PCI address.
    Pci,
    /// A packet socket on an interface.
    AfPacket,
    /// An XDP socket on an interface.
    AfXdp,
    /// A tap interface made for it.
    Tap,
    /// Nothing: sends into the void.
    Null,
    /// Files of captured packets.
    Pcap,
    /// Shared memory with another process.
    Memif,
}

/// A `vlan` block of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VlanConf {
    /// 802.1Q identifier.
    pub id: u16,
    /// Its name; `None` for the device's name, a dot and the identifier.
    pub name: Option<String>,
    /// Its addresses.
    pub addrs: Vec<Prefix>,
}

/// A `worker` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: WorkerKind,
    /// The CPU it runs on, if said.
    pub cpu: Option<u16>,
    /// The queues it serves.
    pub queues: Vec<WorkerQueues>,
}

/// What a thread does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerKind {
    /// Control.
    Master,
    /// Moves packets.
    #[default]
    Slave,
    /// Served the host's own stack in DPVS; control does that here.
    Kni,
}

/// Queues of a device that one worker serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerQueues {
    /// Name of the device.
    pub device: String,
    /// Receive queues.
    pub rx: Vec<u16>,
    /// Transmit queues.
    pub tx: Vec<u16>,
}

/// A configuration and what an operator should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The configuration.
    pub config: BootConfig,
    /// Keywords without effect, numbers replaced by the default, blocks that add nothing: `FILE:LINE: TEXT`.
    pub warnings: Vec<Error>,
}

/// Types a tree.
///
/// # Errors
/// Everything that is wrong, in the order of the file: unknown keywords (with what was probably meant), values that make no sense,
/// parts that contradict each other.
pub fn read(tree: &Tree) -> Result<Checked, Vec<Error>> {
    let mut reader = Reader {
        config: BootConfig::default(),
        places: BTreeMap::new(),
        warnings: Vec::new(),
        errors: Vec::new(),
    };
    reader.blocks(&tree.blocks, "", "");
    if reader.config.cookie_key_file.is_some() && !reader.config.says(LEARN) {
        reader.config.options.syn_proxy.learn = false;
    }
    let Reader { config, places, mut warnings, mut errors } = reader;
    let placed = |(place, text): (String, String)| {
        Error::new(places.get(&place).expect("what is checked was read from a block"), text)
    };
    errors.extend(check::whole(&config).into_iter().map(placed));
    warnings.extend(check::idle(&config).into_iter().map(placed));
    if errors.is_empty() { Ok(Checked { config, warnings }) } else { Err(errors) }
}

impl Default for BootConfig {
    /// What an empty file says.
    fn default() -> Self {
        let mut config = BootConfig {
            log_level: LogLevel::default(),
            ipc_file: None,
            idle: None,
            hugepages: None,
            memory: None,
            kernel_path: false,
            pool_size: 0,
            pool_cache: 0,
            devices: Vec::new(),
            worker_count: None,
            workers: Vec::new(),
            conns: 0,
            timeouts: Timeouts::default(),
            options: Options::default(),
            cookie_key_file: None,
            routes: Vec::new(),
            marks: Vec::new(),
            given: BTreeMap::new(),
            spans: BTreeMap::new(),
        };
        config.set_defaults("");
        config
    }
}

impl BootConfig {
    /// The device of that name.
    pub fn device(&self, name: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// Whether the file says something at `place` (`netif_defs/pktpool_size`), be it the default.
    pub fn says(&self, place: &str) -> bool {
        self.given.contains_key(place)
    }

    /// VLANs, addresses and routes as changes, in the order they have to be made: for [`crate::transact`] once the devices are there.
    pub fn steps(&self) -> Vec<Set> {
        let vlans = self.vlans().into_iter().map(Set::AddVlan);
        let addrs = self.addrs().into_iter().map(Set::AddAddr);
        let routes = self.routes.iter().cloned().map(Set::AddRoute);
        vlans.chain(addrs).chain(routes).collect()
    }

    /// The place in the file that asks for a change.
    pub fn place(&self, step: &Set) -> Option<&Span> {
        let block = |dev: &str| {
            let device = self.devices.iter().find(|device| {
                device.name == dev || device.vlans.iter().any(|vlan| vlan.link(&device.name) == dev)
            })?;
            let vlan = device.vlans.iter().find(|vlan| vlan.link(&device.name) == dev);
            let vlan = vlan.map_or(String::new(), |vlan| format!("/vlan {}", vlan.id));
            Some(format!("netif_defs/device {}{vlan}", device.name))
        };
        let at = |path: String, is: &dyn Fn(&str) -> bool| {
            let mut written = self.spans.iter().filter(|((place, _), _)| *place == path);
            written.find(|((_, value), _)| is(value)).map(|(_, span)| span)
        };
        match step {
            Set::AddAddr(addr) => {
                let same = |value: &str| check::address(value).is_ok_and(|prefix| prefix == addr.prefix);
                at(format!("{}/addr", block(&addr.dev)?), &same)
            }
            Set::AddVlan(vlan) => at(block(vlan.name.as_deref()?)?, &|_| true),
            Set::AddRoute(route) | Set::ReplaceRoute(route) => {
                let same = |value: &str| check::route(value).is_ok_and(|written| written == *route);
                at("route_defs/route".to_owned(), &same)
            }
            Set::SetLink { dev, change } => {
                let word = match change {
                    LinkChange::Mtu(_) => "mtu",
                    LinkChange::Promisc(_) => "promisc",
                    LinkChange::AllMulticast(_) => "allmulticast",
                    _ => return None,
                };
                at(format!("{}/{word}", block(dev)?), &|_| true)
            }
            _ => None,
        }
    }

    fn vlans(&self) -> Vec<VlanSpec> {
        let of_device = |device: &Device| {
            let named = |vlan: &VlanConf| VlanSpec {
                name: Some(vlan.link(&device.name)),
                dev: device.name.clone(),
                id: vlan.id,
            };
            device.vlans.iter().map(named).collect::<Vec<_>>()
        };
        self.devices.iter().flat_map(of_device).collect()
    }

    fn addrs(&self) -> Vec<IfAddr> {
        let addr = |dev: &str, prefix: Prefix| IfAddr {
            prefix,
            dev: dev.to_owned(),
            broadcast: None,
            scope: AddrScope::Global,
            valid_lft: 0,
            preferred_lft: 0,
            sapool: false,
        };
        let mut addrs = Vec::new();
        for device in &self.devices {
            addrs.extend(device.addrs.iter().map(|&prefix| addr(&device.name, prefix)));
            for vlan in &device.vlans {
                addrs.extend(vlan.addrs.iter().map(|&prefix| addr(&vlan.link(&device.name), prefix)));
            }
        }
        addrs
    }

    /// Sets the defaults of keys in the block at `path`, down to the next one that is repeated.
    fn set_defaults(&mut self, path: &str) {
        for key in keys().filter(|key| !key.default.is_empty() && table::repeated_above(key.path) == path) {
            let set = key.set(self, &key.takes.default(key.default));
            debug_assert!(set.is_ok(), "default of {}: {set:?}", key.path);
        }
    }
}

impl VlanConf {
    fn link(&self, dev: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{dev}.{}", self.id))
    }
}

/// Without it, what is learned of servers stays where it was learned.
const LEARN: &str = "ipvs_defs/tcp/synproxy/synack_options/learn";

/// A walk through the tree.
struct Reader {
    config: BootConfig,
    /// Where each block with a name was written, by path.
    places: BTreeMap<String, Span>,
    warnings: Vec<Error>,
    errors: Vec<Error>,
}

impl Reader {
    /// `path` has keywords only, as in the table; `place` also has names.
    fn blocks(&mut self, blocks: &[Block], path: &str, place: &str) {
        for block in blocks {
            let path = join(path, block.name());
            match table::find(&path) {
                Some(key) => self.key(key, block, &path, place),
                None => self.errors.push(Error::new(&block.span, table::unknown(&path))),
            }
        }
    }

    fn key(&mut self, key: &'static Key, block: &Block, path: &str, place: &str) {
        if let Takes::Nothing(why) = key.takes {
            self.warn(&block.span, format!("{} has no effect: {why}", block.name()));
            return;
        }
        let value = match key.takes.read(block) {
            Ok(value) => value,
            Err(Bad::Range(text)) if !key.default.is_empty() => {
                self.warn(&block.span, format!("{text}, {} is used", key.default));
                key.takes.default(key.default)
            }
            Err(Bad::Range(text) | Bad::Wrong(text)) => {
                self.errors.push(Error::new(&block.span, text));
                return;
            }
        };
        if let Err(text) = key.set(&mut self.config, &value) {
            self.errors
                .push(Error::new(&block.span, format!("{} `{}`: {text}", block.name(), block.value())));
            return;
        }
        let name =
            if let Takes::Named(_) = key.takes { format!(" {}", block.value()) } else { String::new() };
        let place = join(place, &format!("{}{name}", block.name()));
        self.config.spans.insert((place.clone(), block.value()), block.span.clone());
        let written = self.config.given.entry(place.clone()).or_default();
        match key.takes {
            Takes::Line(_) => written.push(block.value()),
            Takes::Block | Takes::Named(_) => {}
            _ => *written = vec![block.value()],
        }
        self.places.entry(place.clone()).or_insert_with(|| block.span.clone());
        if !name.is_empty() {
            self.config.set_defaults(path);
        }
        self.blocks(block.children(), path, &place);
    }

    fn warn(&mut self, span: &Span, text: String) {
        self.warnings.push(Error::new(span, text));
    }
}

fn join(path: &str, word: &str) -> String {
    if path.is_empty() { word.to_owned() } else { format!("{path}/{word}") }
}
