// SPDX-License-Identifier: Apache-2.0
//! The device behind a port: attached by its name, and closed when the port and all its queues are gone.

use std::ffi::CString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::plan::Plan;
use super::{Checksums, Link, PortConfig, PortInfo, Rss, Stats, text};
use crate::device::{DeviceSpec, Driver};
use crate::eal::{Eal, Runtime};
use crate::error::{Error, negative};
use crate::logs;
use crate::netdev::Borrowed;
use crate::pool::Pool;

/// What drives a port: one device of DPDK's, or several where the driver gives each but one queue.
#[derive(Debug)]
pub(crate) struct Device {
    parts: Vec<Part>,
    name: String,
    up: AtomicBool,
    prepares: AtomicBool,
    mtu_limit: AtomicU32,
    /// The interface behind it, given back after the parts are closed.
    _borrowed: Option<Borrowed>,
}

/// A device that DPDK gave a number. Closed when dropped.
#[derive(Debug)]
struct Part {
    id: u16,
    /// Name in DPDK of a virtual device, which is taken out again when it is closed.
    vdev: Option<CString>,
    _runtime: Arc<Runtime>,
}

/// How a device was set up.
pub(crate) struct Setup {
    pub info: PortInfo,
    pub rx_queues: u16,
    pub tx_queues: u16,
}

impl Device {
    /// Adds the device to DPDK and finds it by name: DPDK reports success for devices it could not make.
    pub(crate) fn attach(
        eal: &Eal,
        spec: &DeviceSpec,
        plan: &Plan,
        borrowed: Option<Borrowed>,
    ) -> Result<Device, Error> {
        let attached =
            plan.devargs.iter().enumerate().map(|(part, devargs)| Part::attach(eal, spec, part, devargs));
        Ok(Device {
            parts: attached.collect::<Result<_, _>>()?,
            name: spec.name().to_owned(),
            up: AtomicBool::new(false),
            prepares: AtomicBool::new(false),
            mtu_limit: AtomicU32::new(u32::from(u16::MAX)),
            _borrowed: borrowed,
        })
    }

    /// Sets up as many queues as the device has, at most those planned.
    pub(crate) fn configure(&self, config: &PortConfig, plan: &Plan, pool: &Pool) -> Result<Setup, Error> {
        let raw = self.raw_info()?;
        let parts = self.parts.len() as u16;
        let fewer = |most: u32| u32::from(plan.queues / parts).min(most).max(1) as u16;
        let (mut rx, mut tx) = (fewer(raw.max_rx_queues), fewer(raw.max_tx_queues));
        let pci = self.first().vdev.is_none();
        let mut conf = dpdk_sys::PortConf {
            // On a kernel interface the MTU is the interface's; the driver's own idea of it limits nothing.
            mtu: if pci { config.mtu.map_or(0, u32::from) } else { 0 },
            rx_queues: rx,
            tx_queues: tx,
            rx_desc: config.rx_desc,
            tx_desc: config.tx_desc,
            rss: u8::from(pci && rx > 1 && raw.rss != 0),
            csum_rx: u8::from(config.rx_csum),
            csum_tx: u8::from(config.tx_csum),
            key_len: if raw.rss_key == 40 { 40 } else { 0 },
            key: [0; 64],
        };
        conf.key[..40].copy_from_slice(&config.rss_key.unwrap_or(Rss::KEY));
        // SAFETY: the port is attached and not started; the pool lives as long as the environment.
        self.each(&format!("set up {rx} receive and {tx} transmit queues"), |id| unsafe {
            dpdk_sys::shim_port_configure(id, &mut conf, pool.as_ptr())
        })?;
        (rx, tx) = (rx * parts, tx * parts);
        let when = |wanted, bits| if wanted { Checksums::from_bits(bits) } else { Checksums::default() };
        let info = PortInfo {
            driver: text(&raw.driver),
            id: self.id(),
            max_rx_queues: raw.max_rx_queues * u32::from(parts),
            max_tx_queues: raw.max_tx_queues * u32::from(parts),
            rx_csum: when(config.rx_csum, raw.csum_rx),
            tx_csum: when(config.tx_csum, raw.csum_tx),
        };
        self.prepares.store(info.tx_csum.any(), Ordering::Relaxed);
        self.mtu_limit.store(plan.mtu_limit.min(raw.max_mtu), Ordering::Relaxed);
        Ok(Setup { info, rx_queues: rx, tx_queues: tx })
    }

    /// Starts it: queues may be used from now on.
    pub(crate) fn start(&self) -> Result<(), Error> {
        // SAFETY: the port is configured.
        self.each("start it", |id| unsafe { dpdk_sys::rte_eth_dev_start(id) })
    }

    /// Port and queue in DPDK of this port's queue number `queue`: every part has one queue, or the only part all.
    pub(crate) fn locate(&self, queue: u16) -> (u16, u16) {
        match self.parts.as_slice() {
            [only] => (only.id, queue),
            parts => (parts[usize::from(queue)].id, 0),
        }
    }

    /// Number in DPDK of its first device, under which all its packets come.
    pub(crate) fn id(&self) -> u16 {
        self.first().id
    }

    fn first(&self) -> &Part {
        &self.parts[0]
    }

    /// Whether the operator has it up. Read once per burst by every queue.
    #[inline]
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    /// Whether packets may ask for checksums and thus have to be prepared before they are sent.
    #[inline]
    pub(crate) fn prepares(&self) -> bool {
        self.prepares.load(Ordering::Relaxed)
    }

    pub(crate) fn mtu_limit(&self) -> u32 {
        self.mtu_limit.load(Ordering::Relaxed)
    }

    /// Tells the device to take its link up or down; many cannot, and need not.
    pub(crate) fn set_link(&self, up: bool) {
        // SAFETY: the port is open.
        let result = self.each("change the link", |id| unsafe {
            if up { dpdk_sys::rte_eth_dev_set_link_up(id) } else { dpdk_sys::rte_eth_dev_set_link_down(id) }
        });
        if let Err(e) = result {
            log::debug!(target: "dpdk", "{e}");
        }
    }

    pub(crate) fn mac(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        // SAFETY: the port is open; six bytes are written.
        unsafe { dpdk_sys::rte_eth_macaddr_get(self.first().id, &mut mac) };
        mac
    }

    pub(crate) fn set_mac(&self, mut mac: [u8; 6]) -> Result<(), Error> {
        // SAFETY: the port is open; six bytes are read.
        self.each("set the address", |id| unsafe { dpdk_sys::rte_eth_dev_default_mac_addr_set(id, &mut mac) })
    }

    pub(crate) fn mtu(&self) -> u16 {
        let mut mtu = 0;
        // SAFETY: the port is open; one integer is written.
        unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.first().id, &mut mtu) };
        mtu
    }

    pub(crate) fn set_mtu(&self, mtu: u16) -> Result<(), Error> {
        // SAFETY: the port is open.
        self.each(&format!("set the MTU to {mtu}"), |id| unsafe { dpdk_sys::rte_eth_dev_set_mtu(id, mtu) })
    }

    pub(crate) fn promiscuous(&self) -> bool {
        // SAFETY: the port is open.
        unsafe { dpdk_sys::rte_eth_promiscuous_get(self.first().id) == 1 }
    }

    pub(crate) fn set_promiscuous(&self, on: bool) -> Result<(), Error> {
        // SAFETY: the port is open.
        self.each("set promiscuous mode", |id| unsafe {
            if on {
                dpdk_sys::rte_eth_promiscuous_enable(id)
            } else {
                dpdk_sys::rte_eth_promiscuous_disable(id)
            }
        })
    }

    pub(crate) fn set_all_multicast(&self, on: bool) -> Result<(), Error> {
        // SAFETY: the port is open.
        self.each("set all-multicast", |id| unsafe {
            if on {
                dpdk_sys::rte_eth_allmulticast_enable(id)
            } else {
                dpdk_sys::rte_eth_allmulticast_disable(id)
            }
        })
    }

    pub(crate) fn link(&self) -> Link {
        let mut link = dpdk_sys::Link::default();
        // SAFETY: the port is open; the struct is written.
        unsafe { dpdk_sys::shim_port_link(self.first().id, &mut link) };
        Link {
            up: link.up != 0,
            speed_mbps: (link.speed != 0 && link.speed != u32::MAX).then_some(link.speed),
            full_duplex: link.full_duplex != 0,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for part in &self.parts {
            let mut raw = dpdk_sys::Stats::default();
            // SAFETY: the port is open; the struct is written, with zeros where the driver fails.
            unsafe { dpdk_sys::shim_port_stats(part.id, &mut raw) };
            sum.rx_packets += raw.rx_packets;
            sum.tx_packets += raw.tx_packets;
            sum.rx_bytes += raw.rx_bytes;
            sum.tx_bytes += raw.tx_bytes;
            sum.rx_missed += raw.rx_missed;
            sum.rx_errors += raw.rx_errors;
            sum.tx_errors += raw.tx_errors;
            sum.rx_no_mbuf += raw.rx_no_mbuf;
        }
        sum
    }

    /// Of all parts one after the other; a name may come several times.
    pub(crate) fn xstats(&self) -> Vec<(String, u64)> {
        self.parts.iter().flat_map(Part::xstats).collect()
    }

    pub(crate) fn reset_stats(&self) {
        for part in &self.parts {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_eth_stats_reset(part.id) };
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_eth_xstats_reset(part.id) };
        }
    }

    /// Spreads packets evenly over `queues` queues and reads back how; `None` when the device cannot or does not tell.
    pub(crate) fn rss(&self, queues: u16) -> Option<Rss> {
        let raw = self.raw_info().ok()?;
        let size = u16::try_from(raw.rss_table).ok().filter(|size| size.is_power_of_two())?;
        if raw.rss == 0 {
            return None;
        }
        let id = self.first().id;
        let mut table = Rss::spread(size, queues);
        // A device that cannot change its table has one all the same, read below.
        // SAFETY: the port is open; `size` entries are read.
        unsafe { dpdk_sys::shim_rss_table_set(id, table.as_ptr(), size) };
        // SAFETY: the port is open; `size` entries are written.
        let told = unsafe { dpdk_sys::shim_rss_table_get(id, table.as_mut_ptr(), size) };
        let mut key = vec![0; 64];
        // SAFETY: the port is open; at most 64 bytes are written.
        let len = unsafe { dpdk_sys::shim_rss_key(id, key.as_mut_ptr(), 64) };
        key.truncate(usize::try_from(len).unwrap_or(0));
        (told == 0 && key.len() >= 40).then_some(Rss { key, table })
    }

    /// An operation that failed.
    pub(crate) fn failed(&self, what: &str, cause: io::Error) -> Error {
        self.explained(what, cause, String::new())
    }

    fn explained(&self, what: &str, cause: io::Error, said: String) -> Error {
        Error::Port { device: self.name.clone(), what: what.to_owned(), cause, said }
    }

    /// Does something to all parts until one fails.
    fn each(&self, what: &str, mut f: impl FnMut(u16) -> i32) -> Result<(), Error> {
        let all = || self.parts.iter().map(|part| f(part.id)).find(|&rc| rc < 0).unwrap_or(0);
        let (rc, said) = logs::catch(all);
        if rc == 0 { Ok(()) } else { Err(self.explained(what, negative(rc), said)) }
    }

    /// Of the first part; the others are alike.
    /// Numbers it reports of itself, in the order of [`super::Port::limits`]; zeros where it does not answer.
    pub(crate) fn limits(&self) -> [u64; dpdk_sys::LIMITS] {
        let mut limits = [0; dpdk_sys::LIMITS];
        // SAFETY: the port is attached; all of the array is written, or nothing.
        unsafe { dpdk_sys::shim_port_limits(self.first().id, &mut limits) };
        limits
    }

    fn raw_info(&self) -> Result<dpdk_sys::PortInfo, Error> {
        let mut raw = std::mem::MaybeUninit::uninit();
        // SAFETY: the port is attached; the shim clears the struct before anything else.
        let rc = unsafe { dpdk_sys::shim_port_info(self.first().id, raw.as_mut_ptr()) };
        if rc != 0 {
            return Err(self.failed("ask what it can do", negative(rc)));
        }
        // SAFETY: written above.
        Ok(unsafe { raw.assume_init() })
    }
}

impl Part {
    fn attach(eal: &Eal, spec: &DeviceSpec, part: usize, devargs: &str) -> Result<Part, Error> {
        let refused = |cause, said| Error::Attach {
            device: spec.name().to_owned(),
            driver: spec.driver().word(),
            args: devargs.to_owned(),
            cause,
            said,
        };
        let invalid = |_| refused(io::Error::from_raw_os_error(libc::EINVAL), String::new());
        let name = CString::new(spec.dpdk_name(part)).map_err(invalid)?;
        let args = CString::new(devargs).map_err(invalid)?;
        let runtime = Arc::clone(eal.runtime());
        if spec.driver() == Driver::Pci {
            // EAL attached the named PCI devices when it started.
            let id = find(&name)
                .ok_or_else(|| refused(io::Error::from_raw_os_error(libc::ENODEV), String::new()))?;
            return Ok(Part { id, vdev: None, _runtime: runtime });
        }
        if find(&name).is_some() {
            return Err(refused(io::Error::from_raw_os_error(libc::EEXIST), String::new()));
        }
        if spec.driver() == Driver::Memif {
            runtime.leave();
        }
        // SAFETY: the environment runs; the strings are copied.
        let add = || unsafe { dpdk_sys::rte_eal_hotplug_add(c"vdev".as_ptr(), name.as_ptr(), args.as_ptr()) };
        let (rc, said) = logs::catch(add);
        if rc != 0 {
            return Err(refused(negative(rc), said));
        }
        let id = find(&name).ok_or_else(|| refused(io::Error::from_raw_os_error(libc::ENODEV), said))?;
        Ok(Part { id, vdev: Some(name), _runtime: runtime })
    }

    fn xstats(&self) -> Vec<(String, u64)> {
        // SAFETY: the port is open; with no room nothing is written.
        let count = unsafe { dpdk_sys::shim_port_xstats(self.id, std::ptr::null_mut(), 0) };
        let mut all = vec![dpdk_sys::Xstat { name: [0; 64], value: 0 }; usize::try_from(count).unwrap_or(0)];
        // SAFETY: there is room for as many as told.
        let count = unsafe { dpdk_sys::shim_port_xstats(self.id, all.as_mut_ptr(), all.len() as u32) };
        all.truncate(usize::try_from(count).unwrap_or(0));
        all.iter().map(|xstat| (text(&xstat.name), xstat.value)).collect()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // SAFETY: the port and its queues are gone: nobody uses the device. Stopping one that never started is allowed.
        unsafe {
            dpdk_sys::rte_eth_dev_stop(self.id);
            dpdk_sys::rte_eth_dev_close(self.id);
        }
        if let Some(name) = &self.vdev {
            // SAFETY: the environment runs; the string is copied.
            unsafe { dpdk_sys::rte_eal_hotplug_remove(c"vdev".as_ptr(), name.as_ptr()) };
        }
    }
}

/// The number of the port with this name in DPDK.
fn find(name: &CString) -> Option<u16> {
    let mut id = 0;
    // SAFETY: the environment runs; one integer is written.
    (unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &mut id) } == 0).then_some(id)
}
