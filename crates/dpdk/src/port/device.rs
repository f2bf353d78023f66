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
use crate::pool::Pool;

/// A device that DPDK gave a number.
#[derive(Debug)]
pub(crate) struct Device {
    id: u16,
    name: String,
    /// Name in DPDK of a virtual device, which is taken out again when it is closed.
    vdev: Option<CString>,
    up: AtomicBool,
    prepares: AtomicBool,
    mtu_limit: AtomicU32,
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
    pub(crate) fn attach(eal: &Eal, spec: &DeviceSpec, devargs: &str) -> Result<Device, Error> {
        let refused = |cause, said| Error::Attach {
            device: spec.name().to_owned(),
            driver: spec.driver().word(),
            args: devargs.to_owned(),
            cause,
            said,
        };
        let invalid = |_| refused(io::Error::from_raw_os_error(libc::EINVAL), String::new());
        let dpdk_name = CString::new(spec.dpdk_name()).map_err(invalid)?;
        let args = CString::new(devargs).map_err(invalid)?;
        let vdev = (spec.driver() != Driver::Pci).then(|| dpdk_name.clone());
        if find(&dpdk_name).is_some() && vdev.is_some() {
            return Err(refused(io::Error::from_raw_os_error(libc::EEXIST), String::new()));
        }
        let (rc, said) = logs::catch(|| match &vdev {
            // SAFETY: the environment runs; the strings are copied.
            Some(name) => unsafe {
                dpdk_sys::rte_eal_hotplug_add(c"vdev".as_ptr(), name.as_ptr(), args.as_ptr())
            },
            // EAL attached the named PCI devices when it started.
            None => 0,
        });
        if rc != 0 {
            return Err(refused(negative(rc), said));
        }
        let id = find(&dpdk_name).ok_or_else(|| refused(io::Error::from_raw_os_error(libc::ENODEV), said))?;
        Ok(Device {
            id,
            name: spec.name().to_owned(),
            vdev,
            up: AtomicBool::new(false),
            prepares: AtomicBool::new(false),
            mtu_limit: AtomicU32::new(u32::from(u16::MAX)),
            _runtime: Arc::clone(eal.runtime()),
        })
    }

    /// Sets up as many queues as the device has, at most those planned.
    pub(crate) fn configure(&self, config: &PortConfig, plan: &Plan, pool: &Pool) -> Result<Setup, Error> {
        let raw = self.raw_info()?;
        let fewer = |most: u32| u32::from(plan.queues).min(most).max(1) as u16;
        let (rx, tx) = (fewer(raw.max_rx_queues), fewer(raw.max_tx_queues));
        let pci = self.vdev.is_none();
        let key = config.rss_key.unwrap_or(Rss::KEY);
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
        conf.key[..40].copy_from_slice(&key);
        // SAFETY: the port is attached and not started; the pool lives as long as the environment.
        let (rc, said) =
            logs::catch(|| unsafe { dpdk_sys::shim_port_configure(self.id, &mut conf, pool.as_ptr()) });
        if rc != 0 {
            let what = format!("set up {rx} receive and {tx} transmit queues");
            return Err(self.explained(&what, negative(rc), said));
        }
        let when = |wanted, bits| if wanted { Checksums::from_bits(bits) } else { Checksums::default() };
        let info = PortInfo {
            driver: text(&raw.driver),
            id: self.id,
            max_rx_queues: raw.max_rx_queues,
            max_tx_queues: raw.max_tx_queues,
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
        let (rc, said) = logs::catch(|| unsafe { dpdk_sys::rte_eth_dev_start(self.id) });
        if rc == 0 { Ok(()) } else { Err(self.explained("start it", negative(rc), said)) }
    }

    pub(crate) fn id(&self) -> u16 {
        self.id
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
        let rc = unsafe {
            if up {
                dpdk_sys::rte_eth_dev_set_link_up(self.id)
            } else {
                dpdk_sys::rte_eth_dev_set_link_down(self.id)
            }
        };
        if rc != 0 && rc != -libc::ENOTSUP {
            log::debug!(target: "dpdk", "{}: link state: {}", self.name, negative(rc));
        }
    }

    pub(crate) fn mac(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        // SAFETY: the port is open; six bytes are written.
        unsafe { dpdk_sys::rte_eth_macaddr_get(self.id, &mut mac) };
        mac
    }

    pub(crate) fn set_mac(&self, mut mac: [u8; 6]) -> Result<(), Error> {
        // SAFETY: the port is open; six bytes are read.
        self.done("set the address", || unsafe {
            dpdk_sys::rte_eth_dev_default_mac_addr_set(self.id, &mut mac)
        })
    }

    pub(crate) fn mtu(&self) -> u16 {
        let mut mtu = 0;
        // SAFETY: the port is open; one integer is written.
        unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.id, &mut mtu) };
        mtu
    }

    pub(crate) fn set_mtu(&self, mtu: u16) -> Result<(), Error> {
        // SAFETY: the port is open.
        self.done(&format!("set the MTU to {mtu}"), || unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.id, mtu) })
    }

    pub(crate) fn promiscuous(&self) -> bool {
        // SAFETY: the port is open.
        unsafe { dpdk_sys::rte_eth_promiscuous_get(self.id) == 1 }
    }

    pub(crate) fn set_promiscuous(&self, on: bool) -> Result<(), Error> {
        // SAFETY: the port is open.
        self.done("set promiscuous mode", || unsafe {
            if on {
                dpdk_sys::rte_eth_promiscuous_enable(self.id)
            } else {
                dpdk_sys::rte_eth_promiscuous_disable(self.id)
            }
        })
    }

    pub(crate) fn set_all_multicast(&self, on: bool) -> Result<(), Error> {
        // SAFETY: the port is open.
        self.done("set all-multicast", || unsafe {
            if on {
                dpdk_sys::rte_eth_allmulticast_enable(self.id)
            } else {
                dpdk_sys::rte_eth_allmulticast_disable(self.id)
            }
        })
    }

    pub(crate) fn link(&self) -> Link {
        let mut link = dpdk_sys::Link::default();
        // SAFETY: the port is open; the struct is written.
        unsafe { dpdk_sys::shim_port_link(self.id, &mut link) };
        Link {
            up: link.up != 0,
            speed_mbps: (link.speed != 0 && link.speed != u32::MAX).then_some(link.speed),
            full_duplex: link.full_duplex != 0,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut raw = dpdk_sys::Stats::default();
        // SAFETY: the port is open; the struct is written, with zeros where the driver fails.
        unsafe { dpdk_sys::shim_port_stats(self.id, &mut raw) };
        Stats {
            rx_packets: raw.rx_packets,
            tx_packets: raw.tx_packets,
            rx_bytes: raw.rx_bytes,
            tx_bytes: raw.tx_bytes,
            rx_missed: raw.rx_missed,
            rx_errors: raw.rx_errors,
            tx_errors: raw.tx_errors,
            rx_no_mbuf: raw.rx_no_mbuf,
        }
    }

    pub(crate) fn xstats(&self) -> Vec<(String, u64)> {
        // SAFETY: the port is open; with no room nothing is written.
        let count = unsafe { dpdk_sys::shim_port_xstats(self.id, std::ptr::null_mut(), 0) };
        let mut all = vec![dpdk_sys::Xstat { name: [0; 64], value: 0 }; usize::try_from(count).unwrap_or(0)];
        // SAFETY: there is room for as many as told.
        let count = unsafe { dpdk_sys::shim_port_xstats(self.id, all.as_mut_ptr(), all.len() as u32) };
        all.truncate(usize::try_from(count).unwrap_or(0));
        all.iter().map(|xstat| (text(&xstat.name), xstat.value)).collect()
    }

    pub(crate) fn reset_stats(&self) {
        // SAFETY: the port is open.
        unsafe { dpdk_sys::rte_eth_stats_reset(self.id) };
        // SAFETY: the port is open.
        unsafe { dpdk_sys::rte_eth_xstats_reset(self.id) };
    }

    /// Spreads packets evenly over `queues` queues and reads back how; `None` when the device cannot or does not tell.
    pub(crate) fn rss(&self, queues: u16) -> Option<Rss> {
        let raw = self.raw_info().ok()?;
        let size = u16::try_from(raw.rss_table).ok().filter(|size| size.is_power_of_two())?;
        if raw.rss == 0 {
            return None;
        }
        let mut table = Rss::spread(size, queues);
        // A device that cannot change its table has one all the same, read below.
        // SAFETY: the port is open; `size` entries are read.
        unsafe { dpdk_sys::shim_rss_table_set(self.id, table.as_ptr(), size) };
        // SAFETY: the port is open; `size` entries are written.
        let told = unsafe { dpdk_sys::shim_rss_table_get(self.id, table.as_mut_ptr(), size) };
        let mut key = vec![0; 64];
        // SAFETY: the port is open; at most 64 bytes are written.
        let len = unsafe { dpdk_sys::shim_rss_key(self.id, key.as_mut_ptr(), 64) };
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

    fn done(&self, what: &str, f: impl FnOnce() -> i32) -> Result<(), Error> {
        let (rc, said) = logs::catch(f);
        if rc == 0 { Ok(()) } else { Err(self.explained(what, negative(rc), said)) }
    }

    fn raw_info(&self) -> Result<dpdk_sys::PortInfo, Error> {
        let mut raw = std::mem::MaybeUninit::uninit();
        // SAFETY: the port is attached; the shim clears the struct before anything else.
        let rc = unsafe { dpdk_sys::shim_port_info(self.id, raw.as_mut_ptr()) };
        if rc != 0 {
            return Err(self.failed("ask what it can do", negative(rc)));
        }
        // SAFETY: written above.
        Ok(unsafe { raw.assume_init() })
    }
}

impl Drop for Device {
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
