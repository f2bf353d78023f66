// SPDX-License-Identifier: Apache-2.0
//! Devices, as the control thread sees them: what they are, what they count, and changes of them, which they can refuse.

use std::collections::BTreeSet;
use std::net::IpAddr;

use control::observed::PortReport;
use control::{Effect, PortFacts, State};
use dpdk::{Pool, Port};
use engine::ids::{LcoreId, PortId};
use engine::steer::Rss;
use model::MacAddr;
use model::link::LinkChange;
use model::stats::PortCounters;

use crate::{config, kernel};

/// All devices, by [`PortId`].
pub struct Devices {
    devices: Vec<Device>,
    pool: Pool,
}

/// One device, and what does not change by itself.
pub struct Device {
    port: Port,
    /// The tap that leads to the host's own stack.
    kernel: Option<Port>,
    facts: PortFacts,
}

impl Device {
    /// A device that was opened. Who polls a queue says the configuration; where it does not, worker `n` polls queue `n` as far as
    /// there are workers, then from the first again.
    pub fn new(port: Port, kernel: Option<Port>, config: &config::Device, workers: u16) -> Device {
        let by_turns = |queues: u16| (0..queues).map(|queue| LcoreId(queue % workers)).collect::<Vec<_>>();
        let mac = MacAddr(port.mac());
        let info = port.info();
        let bus = config.spec.pci().map_or_else(|| "vdev".to_owned(), |address| address.to_string());
        let offloads = [
            ("OF_RX_IP_CSUM", info.rx_csum.ipv4),
            ("OF_TX_IP_CSUM", info.tx_csum.ipv4),
            ("OF_TX_TCP_CSUM", info.tx_csum.tcp),
            ("OF_TX_UDP_CSUM", info.tx_csum.udp),
        ];
        let in_use = offloads.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned());
        let mut rx = by_turns(port.rx_queues());
        rx.iter_mut().zip(&config.polled_by).for_each(|(owner, said)| *owner = *said);
        let facts = PortFacts {
            driver: info.driver.clone(),
            mtu: u16::try_from(port.mtu()).unwrap_or(u16::MAX),
            rss: port.rss().and_then(|rss| {
                Rss::new(&rss.key, rss.table.iter().map(|&queue| rx[usize::from(queue)]).collect())
            }),
            tx: by_turns(port.tx_queues()),
            rx,
            rx_csum: config.rx_csum,
            promisc: config.port.promiscuous,
            allmulticast: config.port.all_multicast,
            offloads: in_use.collect(),
            capabilities: capabilities(&port, &bus),
            bus,
            ..PortFacts::new(port.name(), mac)
        };
        let mut device = Device { port, kernel, facts };
        device.refresh();
        device
    }

    /// What control may know of it.
    pub fn facts(&self) -> &PortFacts {
        &self.facts
    }

    /// The port, to take its queues.
    pub fn port_mut(&mut self) -> &mut Port {
        &mut self.port
    }

    /// The tap, to take its queues.
    pub fn kernel_mut(&mut self) -> Option<&mut Port> {
        self.kernel.as_mut()
    }

    /// Looks at what changes by itself; whether it did.
    fn refresh(&mut self) -> bool {
        let link = self.port.link();
        let now = (link.up, link.speed_mbps.unwrap_or(0), link.full_duplex);
        let known = (self.facts.carrier, self.facts.speed, self.facts.full_duplex);
        (self.facts.carrier, self.facts.speed, self.facts.full_duplex) = now;
        now != known
    }

    /// Makes a change; the change that takes it back.
    fn apply(&mut self, change: &LinkChange) -> Result<LinkChange, dpdk::Error> {
        let port = &mut self.port;
        Ok(match *change {
            LinkChange::Promisc(on) => {
                let before = port.promiscuous();
                port.set_promiscuous(on)?;
                LinkChange::Promisc(before)
            }
            LinkChange::AllMulticast(on) => {
                port.set_all_multicast(on)?;
                LinkChange::AllMulticast(std::mem::replace(&mut self.facts.allmulticast, on))
            }
            LinkChange::Up(up) => {
                let before = port.is_up();
                port.set_up(up)?;
                LinkChange::Up(before)
            }
            LinkChange::Mtu(mtu) => {
                let before = u16::try_from(port.mtu()).unwrap_or(u16::MAX);
                port.set_mtu(mtu)?;
                self.kernel.as_mut().map_or(Ok(()), |tap| tap.set_mtu(mtu))?;
                LinkChange::Mtu(before)
            }
            LinkChange::Mac(mac) => {
                let before = MacAddr(port.mac());
                port.set_mac(mac.0)?;
                self.kernel.as_mut().map_or(Ok(()), |tap| tap.set_mac(mac.0))?;
                LinkChange::Mac(before)
            }
        })
    }

    fn report(&self) -> PortReport {
        let stats = self.port.stats();
        PortReport {
            counters: PortCounters {
                ipackets: stats.rx_packets,
                opackets: stats.tx_packets,
                ibytes: stats.rx_bytes,
                obytes: stats.tx_bytes,
                ierrors: stats.rx_errors,
                oerrors: stats.tx_errors,
                imissed: stats.rx_missed,
                rx_nombuf: stats.rx_no_mbuf,
            },
            xstats: self.port.xstats(),
            mbuf_avail: 0,
            mbuf_inuse: 0,
        }
    }
}

impl Devices {
    /// These devices, which receive into `pool`.
    pub fn new(devices: Vec<Device>, pool: Pool) -> Devices {
        Devices { devices, pool }
    }

    /// Makes the changes of devices among `effects`, all or none.
    ///
    /// # Errors
    /// What a device said that refused; those before it are as they were.
    pub fn apply(&mut self, effects: &[Effect]) -> Result<(), dpdk::Error> {
        let mut done: Vec<(PortId, LinkChange)> = Vec::new();
        for effect in effects {
            let Effect::Device { port, change } = effect else { continue };
            match self.devices[port.index()].apply(change) {
                Ok(back) => done.push((*port, back)),
                Err(error) => {
                    self.take_back(done);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn take_back(&mut self, done: Vec<(PortId, LinkChange)>) {
        for (port, back) in done.into_iter().rev() {
            if let Err(error) = self.devices[port.index()].apply(&back) {
                log::error!("{error}; the device is not as the configuration says");
            }
        }
    }

    /// Tells the state about links that came up or went down at the other end.
    pub fn refresh(&mut self, state: &mut State) {
        for (at, device) in (0..).zip(&mut self.devices) {
            if device.refresh() {
                let facts = &device.facts;
                let word = if facts.carrier { "up" } else { "down" };
                log::info!("link={} peer={word} speed={}", facts.name, facts.speed);
                state.refresh(PortId(at), facts.clone());
            }
        }
    }

    /// Addresses that the host's own stack has, each with the port it is behind.
    pub fn kernel_addresses(&self) -> BTreeSet<(String, IpAddr)> {
        let behind = |device: &Device| {
            let addresses = device.kernel.as_ref().map(|tap| kernel::addresses(tap.name()));
            let named = |addr| (device.facts.name.clone(), addr);
            addresses.unwrap_or_default().into_iter().map(named).collect::<Vec<_>>()
        };
        self.devices.iter().flat_map(behind).collect()
    }

    /// What they count.
    pub fn reports(&self) -> Vec<PortReport> {
        let (mbuf_avail, mbuf_inuse) = (self.pool.available(), self.pool.in_use());
        let report = |device: &Device| PortReport { mbuf_avail, mbuf_inuse, ..device.report() };
        self.devices.iter().map(report).collect()
    }
}

/// What the device can do, in the order of `dpip -v link show`.
fn capabilities(port: &Port, bus: &str) -> Vec<(String, String)> {
    let hexadecimal = ["rx_ol_capa", "tx_ol_capa", "flowtype_rss_ol"];
    let limits = port.limits().into_iter().map(|(title, value)| {
        let text = if hexadecimal.contains(&title) { format!("{value:#x}") } else { value.to_string() };
        (title, text)
    });
    [("pci_addr", bus.to_owned()), ("driver_name", port.info().driver.clone())]
        .into_iter()
        .chain(limits)
        .map(|(title, value)| (title.to_owned(), value))
        .collect()
}
