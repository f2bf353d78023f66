// SPDX-License-Identifier: Apache-2.0
//! A port: a device of DPDK's, opened, configured and started.

mod device;
mod plan;
mod rss;

use std::cell::Cell;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::device::{DeviceSpec, Driver};
use crate::eal::Eal;
use crate::error::Error;
use crate::netdev::{Borrowed, Netdev};
use crate::pool::Pool;
use crate::queue::{RxQueue, TxQueue};

pub(crate) use device::Device;
pub use rss::Rss;

/// How a port is wanted. What the device cannot do is done without and said in [`Port::notes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Receive and transmit queues wanted, one per worker. A port may get fewer.
    pub queues: u16,
    /// Receive descriptors per queue.
    pub rx_desc: u16,
    /// Transmit descriptors per queue.
    pub tx_desc: u16,
    /// MTU in bytes; `None` leaves the interface's own, or 1500.
    pub mtu: Option<u16>,
    /// Ethernet address; `None` leaves the device's own.
    pub mac: Option<[u8; 6]>,
    /// Receive packets to any address.
    pub promiscuous: bool,
    /// Receive packets to any group, which IPv6 neighbour discovery needs.
    pub all_multicast: bool,
    /// Let the device verify checksums where it can.
    pub rx_csum: bool,
    /// Let the device write checksums where it can. Packets say so one by one.
    pub tx_csum: bool,
    /// Key of the RSS hash; `None` is one that is the same on every start. Devices with keys of another length keep theirs.
    pub rss_key: Option<[u8; 40]>,
}

impl Default for PortConfig {
    /// One queue, 1024 descriptors, all multicast, checksums where the device can.
    fn default() -> PortConfig {
        PortConfig {
            queues: 1,
            rx_desc: 1024,
            tx_desc: 1024,
            mtu: None,
            mac: None,
            promiscuous: false,
            all_multicast: true,
            rx_csum: true,
            tx_csum: true,
            rss_key: None,
        }
    }
}

/// Which checksums a device handles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// IPv4 header.
    pub ipv4: bool,
    /// UDP.
    pub udp: bool,
    /// TCP.
    pub tcp: bool,
}

impl Checksums {
    fn from_bits(bits: u8) -> Checksums {
        Checksums { ipv4: bits & 1 != 0, udp: bits & 2 != 0, tcp: bits & 4 != 0 }
    }

    /// Whether it handles any.
    pub fn any(self) -> bool {
        self.ipv4 || self.udp || self.tcp
    }
}

/// What a port is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// DPDK's driver, such as `net_af_packet`.
    pub driver: String,
    /// Number of the port in DPDK, as in [`Mbuf::port`](crate::Mbuf::port).
    pub id: u16,
    /// Most receive queues.
    pub max_rx_queues: u32,
    /// Most transmit queues.
    pub max_tx_queues: u32,
    /// Checksums verified on receive, if that was wanted.
    pub rx_csum: Checksums,
    /// Checksums written on transmit, if that was wanted.
    pub tx_csum: Checksums,
}

/// State of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Packets can pass: the port is up and so is the other end.
    pub up: bool,
    /// Mbit/s, where the device knows.
    pub speed_mbps: Option<u32>,
    /// Full duplex.
    pub full_duplex: bool,
}

/// Counters since the port was opened or they were reset, as the device counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets the device dropped because nobody fetched them in time.
    pub rx_missed: u64,
    /// Packets received damaged.
    pub rx_errors: u64,
    /// Packets the device could not send.
    pub tx_errors: u64,
    /// Packets dropped for want of an mbuf.
    pub rx_no_mbuf: u64,
}

/// An open port. It is closed when it and all its queues are dropped.
///
/// For the control thread: what changes the device takes `&mut self`. Packets pass through the queues.
#[derive(Debug)]
pub struct Port {
    device: Arc<Device>,
    name: String,
    driver: Driver,
    netdev: Option<Netdev>,
    info: PortInfo,
    rx_taken: Vec<bool>,
    tx_taken: Vec<bool>,
    rss: Option<Rss>,
    notes: Vec<String>,
    _one: PhantomData<Cell<()>>,
}

impl Port {
    /// Opens a device, sets it up and starts it. Packets are received into `pool`.
    ///
    /// # Errors
    /// What [`DeviceSpec::check`] finds, and whatever DPDK refuses, with what it logged about it.
    pub fn open(eal: &Eal, spec: &DeviceSpec, config: &PortConfig, pool: &Pool) -> Result<Port, Error> {
        debug_assert!(Arc::ptr_eq(eal.runtime(), pool.runtime()), "one environment per process");
        spec.check()?;
        let before = spec.iface().filter(|_| spec.driver() != Driver::Tap);
        let before = before.map(|_| Borrowed::new(spec)).transpose()?;
        let netdev = before.as_ref().map(Borrowed::netdev);
        let plan = plan::plan(spec, config, netdev, pool.data_room())?;
        if let Some(netdev) = netdev {
            // A packet socket on an interface that is down begins with an error, which would cost the first burst.
            netdev.set_flag(libc::IFF_UP, true).map_err(|e| failed(spec, UP, e))?;
        }
        let device = Device::attach(eal, spec, &plan, before)?;
        let netdev = spec.iface().map(|_| spec.netdev()).transpose()?;
        let setup = device.configure(config, &plan, pool)?;
        let mut port = Port {
            name: spec.name().to_owned(),
            driver: spec.driver(),
            info: setup.info,
            rx_taken: vec![false; usize::from(setup.rx_queues)],
            tx_taken: vec![false; usize::from(setup.tx_queues)],
            rss: None,
            notes: plan.notes,
            netdev,
            device: Arc::new(device),
            _one: PhantomData,
        };
        port.note_queues(config);
        port.bring_up(config)?;
        Ok(port)
    }

    /// Name of the port.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What drives it.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// What it is and can do.
    pub fn info(&self) -> &PortInfo {
        &self.info
    }

    /// What the device reports of itself, by the names that `dpip -v link show` has for it and in that order.
    pub fn limits(&self) -> [(&'static str, u64); dpdk_sys::LIMITS] {
        let mut values = self.device.limits().into_iter();
        LIMITS.map(|title| (title, values.next().unwrap_or(0)))
    }

    /// What the device lacks of what was wanted and how that is made up for: worth one line each in the log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Receive queues it has: at least one, at most as many as wanted.
    pub fn rx_queues(&self) -> u16 {
        self.rx_taken.len() as u16
    }

    /// Transmit queues it has: at least one, at most as many as wanted.
    pub fn tx_queues(&self) -> u16 {
        self.tx_taken.len() as u16
    }

    /// Receive queue number `queue`, once; `None` when there is none or it was taken.
    pub fn take_rx(&mut self, queue: u16) -> Option<RxQueue> {
        let taken = self.rx_taken.get_mut(usize::from(queue))?;
        (!std::mem::replace(taken, true)).then(|| RxQueue::new(Arc::clone(&self.device), queue))
    }

    /// Transmit queue number `queue`, once; `None` when there is none or it was taken.
    pub fn take_tx(&mut self, queue: u16) -> Option<TxQueue> {
        let taken = self.tx_taken.get_mut(usize::from(queue))?;
        (!std::mem::replace(taken, true)).then(|| TxQueue::new(Arc::clone(&self.device), queue))
    }

    /// How the device spreads packets over the receive queues, when it does so in a way that can be computed: Toeplitz
    /// over addresses and ports. `None` for one queue and for virtual devices, whose spreading is the kernel's secret.
    pub fn rss(&self) -> Option<&Rss> {
        self.rss.as_ref()
    }

    /// Its Ethernet address.
    pub fn mac(&self) -> [u8; 6] {
        let told = self.netdev.as_ref().and_then(|netdev| netdev.mac().ok());
        told.unwrap_or_else(|| self.device.mac())
    }

    /// Changes the Ethernet address.
    ///
    /// # Errors
    /// The device cannot.
    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<(), Error> {
        let through_dpdk = self.device.set_mac(mac);
        match (&self.netdev, through_dpdk) {
            // af_xdp has no such operation; the interface has.
            (Some(netdev), Err(_)) => {
                netdev.set_mac(mac).map_err(|e| self.device.failed("set the address", e))
            }
            (_, result) => result,
        }
    }

    /// MTU in bytes.
    pub fn mtu(&self) -> u32 {
        let told = self.netdev.as_ref().and_then(|netdev| netdev.mtu().ok());
        told.unwrap_or_else(|| u32::from(self.device.mtu()))
    }

    /// Changes the MTU. Many network cards can do it only while they are stopped and refuse here.
    ///
    /// # Errors
    /// The device cannot, or frames of this size would not fit its buffers.
    pub fn set_mtu(&mut self, mtu: u16) -> Result<(), Error> {
        if u32::from(mtu) > self.device.mtu_limit() {
            let cause = std::io::Error::from_raw_os_error(libc::EMSGSIZE);
            let what = format!("set the MTU to {mtu}, its buffers are made for {}", self.device.mtu_limit());
            return Err(self.device.failed(&what, cause));
        }
        match &self.netdev {
            Some(netdev) => {
                netdev.set_mtu(mtu).map_err(|e| self.device.failed(&format!("set the MTU to {mtu}"), e))
            }
            None => self.device.set_mtu(mtu),
        }
    }

    /// Whether packets to any address are received.
    pub fn promiscuous(&self) -> bool {
        self.device.promiscuous()
    }

    /// Sets whether packets to any address are received.
    ///
    /// # Errors
    /// The device cannot.
    pub fn set_promiscuous(&mut self, on: bool) -> Result<(), Error> {
        self.device.set_promiscuous(on)
    }

    /// Sets whether packets to any group are received.
    ///
    /// # Errors
    /// The device cannot.
    pub fn set_all_multicast(&mut self, on: bool) -> Result<(), Error> {
        match self.foreign() {
            Some(netdev) => netdev
                .set_flag(libc::IFF_ALLMULTI, on)
                .map_err(|e| self.device.failed("set all-multicast", e)),
            None => self.device.set_all_multicast(on),
        }
    }

    /// Whether the port was set up, which says nothing of the other end: that does [`link`](Self::link).
    pub fn is_up(&self) -> bool {
        self.device.is_up()
    }

    /// Sets the port up or down. A port that is down receives and takes nothing, whatever the device can do; where it
    /// can, its link goes down too and its peer sees that.
    ///
    /// # Errors
    /// The kernel refuses to change its interface.
    pub fn set_up(&mut self, up: bool) -> Result<(), Error> {
        match self.foreign() {
            Some(netdev) => netdev
                .set_flag(libc::IFF_UP, up)
                .map_err(|e| self.device.failed(if up { "set it up" } else { "set it down" }, e))?,
            None => self.device.set_link(up),
        }
        self.device.set_up(up);
        Ok(())
    }

    /// State of the link. For drivers on a kernel interface it follows the interface's carrier, which the drivers
    /// themselves do not.
    pub fn link(&self) -> Link {
        let link = match self.foreign() {
            Some(netdev) => netdev.link().unwrap_or_default(),
            None => self.device.link(),
        };
        Link { up: link.up && self.is_up(), ..link }
    }

    /// The device's counters.
    pub fn stats(&self) -> Stats {
        self.device.stats()
    }

    /// The driver's own counters by name; empty for drivers without.
    pub fn xstats(&self) -> Vec<(String, u64)> {
        self.device.xstats()
    }

    /// Sets the device's counters to zero.
    pub fn reset_stats(&mut self) {
        self.device.reset_stats();
    }

    /// The interface of the kernel that is not ours: af_packet's and af_xdp's. A tap is the driver's own.
    fn foreign(&self) -> Option<&Netdev> {
        self.netdev.as_ref().filter(|_| self.driver != Driver::Tap)
    }

    fn note_queues(&mut self, config: &PortConfig) {
        let (rx, tx, wanted) = (self.rx_queues(), self.tx_queues(), config.queues);
        if rx < wanted {
            self.notes.push(format!(
                "{}: {rx} of {wanted} receive queues: workers without one get their packets from the others",
                self.name
            ));
        }
        if tx < wanted {
            self.notes.push(format!("{}: {tx} of {wanted} transmit queues: workers share", self.name));
        }
    }

    /// Starts the device and gives it the address, MTU and filters that were asked for.
    fn bring_up(&mut self, config: &PortConfig) -> Result<(), Error> {
        if let Some(mac) = config.mac {
            self.set_mac(mac)?;
        }
        if let (Some(mtu), Some(_)) = (config.mtu, &self.netdev) {
            self.set_mtu(mtu)?;
        }
        self.device.start()?;
        self.set_up(true)?;
        if config.promiscuous {
            self.set_promiscuous(true)?;
        }
        if config.all_multicast
            && let Err(e) = self.set_all_multicast(true)
        {
            log::debug!(target: "dpdk", "{e}");
        }
        if self.driver == Driver::Pci && self.rx_queues() > 1 {
            self.rss = self.device.rss(self.rx_queues());
        }
        if self.rx_queues() > 1 && self.rss.is_none() {
            self.notes.push(format!(
                "{}: the device's choice of queue cannot be predicted: packets change workers in software",
                self.name
            ));
        }
        Ok(())
    }
}

/// What is tried first on an interface: whoever may not do this may do nothing else with it.
const UP: &str = "set it up, which takes CAP_NET_ADMIN and CAP_NET_RAW";

fn failed(spec: &DeviceSpec, what: &str, cause: std::io::Error) -> Error {
    Error::Port { device: spec.name().to_owned(), what: what.to_owned(), cause, said: String::new() }
}

/// Titles of [`Port::limits`].
const LIMITS: [&str; dpdk_sys::LIMITS] = [
    "if_index",
    "min_rx_bufsize",
    "max_rx_pktlen",
    "max_mac_addrs",
    "max_rx_queues",
    "max_tx_queues",
    "max_hash_addrs",
    "max_vfs",
    "max_vmdq_pools",
    "rx_ol_capa",
    "tx_ol_capa",
    "reta_size",
    "hash_key_size",
    "flowtype_rss_ol",
    "vmdq_que_base",
    "vmdq_que_num",
    "rx_desc_max",
    "rx_desc_min",
    "rx_desc_align",
    "vmdq_pool_base",
    "tx_desc_max",
    "tx_desc_min",
    "tx_desc_align",
    "speed_capa",
];

/// A zero-terminated name in a fixed array.
fn text(bytes: &[std::ffi::c_char]) -> String {
    // SAFETY: `c_char` and `u8` are both one byte.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), bytes.len()) };
    CStr::from_bytes_until_nul(bytes).map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}
