// SPDX-License-Identifier: Apache-2.0
//! What the daemon runs on: the command line over the configuration file over defaults.

use std::path::{Path, PathBuf};

use control::boot::{self, BootConfig, WorkerKind};
use dpdk::{DeviceSpec, PoolConfig, PortConfig};
use engine::ids::LcoreId;
use engine::link::RxCsum;

use crate::args::{Args, Conf};
use crate::idle::Policy;

/// Everything that is decided before the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the file says; what an empty one would say, where there is none.
    pub boot: BootConfig,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Devices, in order.
    pub devices: Vec<Device>,
    /// Workers.
    pub workers: u16,
    /// By worker: the CPU it was given by the file.
    pub cpus: Vec<Option<usize>>,
    /// How workers wait.
    pub idle: Policy,
    /// Path of the control socket.
    pub ipc: PathBuf,
    /// Options of the DPDK environment.
    pub eal: Vec<String>,
}

/// One device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name and driver.
    pub spec: DeviceSpec,
    /// How it is opened.
    pub port: PortConfig,
    /// How received checksums are treated.
    pub rx_csum: RxCsum,
    /// By receive queue: the worker that polls it, where the file says so.
    pub polled_by: Vec<LcoreId>,
    /// The tap that leads to the host's own stack, if one does.
    pub kernel: Option<DeviceSpec>,
}

/// Why there is nothing to run on.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or makes no sense: one line for each mistake.
    #[error("{}", lines(.0))]
    File(Vec<keepalived_conf::Error>),
    /// A device makes no sense or is not there.
    #[error("{0}")]
    Device(#[from] dpdk::Error),
    /// Nothing says what drives a device.
    #[error(
        "device {0}: nothing says what drives it: write `driver` and `iface`, or `pci`, or give -a ADDRESS after --"
    )]
    NoDriver(String),
    /// Two devices have one name.
    #[error("device {0} is named twice: every device needs a name of its own")]
    Twice(String),
    /// There are none.
    #[error(
        "no device: name one, such as --port dpdk0=af_packet:eth0, or in a device block of the configuration file"
    )]
    NoDevice,
}

fn lines(errors: &[keepalived_conf::Error]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Puts together what `args` and their file say.
    ///
    /// # Errors
    /// What makes no sense, or a device that is not there.
    pub fn load(args: &Args) -> Result<Config, ConfigError> {
        let file = match &args.conf {
            Conf::File(path) => Some(path.clone()),
            Conf::None => None,
        };
        let boot = file.as_deref().map_or(Ok(BootConfig::default()), read)?;
        let (workers, cpus) = workers(args, &boot);
        let devices = devices(args, &boot, workers)?;
        let config = Config {
            idle: idle(&boot, &devices),
            ipc: cli::connect::socket_path(args.ipc.as_deref().or(boot.ipc_file.as_deref())),
            eal: args.eal.clone(),
            boot,
            file,
            devices,
            workers,
            cpus,
        };
        config.check()?;
        Ok(config)
    }

    /// The devices' names and drivers.
    pub fn specs(&self) -> impl Iterator<Item = &DeviceSpec> {
        self.devices.iter().map(|device| &device.spec)
    }

    /// Packet memory: what the devices need at least, and what the file asks for.
    pub fn pool(&self) -> PoolConfig {
        let needed = PoolConfig::for_devices(self.specs(), self.workers);
        let physical = self.specs().any(|spec| spec.driver().is_physical());
        // The file's default is meant for network cards; virtual devices come by with less.
        let asked = self.boot.says("netif_defs/pktpool_size") || physical;
        let mtu = self.devices.iter().filter_map(|device| device.port.mtu).max().unwrap_or(0);
        let taps = self.devices.iter().filter(|device| device.kernel.is_some()).count();
        PoolConfig {
            mbufs: needed.mbufs.max(if asked { self.boot.pool_size } else { 0 }) + taps as u32 * TAP_MBUFS,
            cache: self.boot.pool_cache.min(512),
            data_room: needed.data_room.max(mtu.saturating_add(FRAME)),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.devices.is_empty() {
            return Err(ConfigError::NoDevice);
        }
        for (at, spec) in self.specs().enumerate() {
            if self.specs().take(at).any(|earlier| earlier.name() == spec.name()) {
                return Err(ConfigError::Twice(spec.name().to_owned()));
            }
            spec.check()?;
        }
        self.devices.iter().filter_map(|device| device.kernel.as_ref()).try_for_each(DeviceSpec::check)?;
        Ok(())
    }
}

/// Bytes of Ethernet header, two tags and trailer around an IP packet, and what drivers round up.
const FRAME: u16 = 128;

/// Mbufs a tap holds on to.
const TAP_MBUFS: u32 = 1024;

/// Reads and checks a file; says in the log what an operator should know of it.
///
/// # Errors
/// Everything that is wrong, with file and line.
pub fn read(path: &Path) -> Result<BootConfig, ConfigError> {
    let tree = keepalived_conf::tree::load(path).map_err(|error| ConfigError::File(vec![error]))?;
    let checked = boot::read(&tree).map_err(ConfigError::File)?;
    checked.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(checked.config)
}

/// How many workers, and their CPUs.
fn workers(args: &Args, boot: &BootConfig) -> (u16, Vec<Option<usize>>) {
    let named: Vec<Option<usize>> = slaves(boot).map(|worker| worker.cpu.map(usize::from)).collect();
    let by_file = boot.worker_count.or(u16::try_from(named.len()).ok().filter(|&count| count > 0));
    let count = args.workers.or(by_file).unwrap_or(1);
    let cpus = if named.len() == usize::from(count) { named } else { vec![None; count.into()] };
    (count, cpus)
}

fn slaves(boot: &BootConfig) -> impl Iterator<Item = &boot::Worker> {
    boot.workers.iter().filter(|worker| worker.kind == WorkerKind::Slave)
}

fn idle(boot: &BootConfig, devices: &[Device]) -> Policy {
    match boot.idle {
        Some(boot::Idle::Spin) => Policy::Spin,
        Some(boot::Idle::Pause) => Policy::Pause,
        Some(boot::Idle::Sleep) => Policy::Sleep,
        None if devices.iter().all(|device| device.spec.driver().is_physical()) => Policy::Spin,
        None => Policy::Sleep,
    }
}

/// Devices of the file, as the command line changes them, then those that only the command line names.
fn devices(args: &Args, boot: &BootConfig, workers: u16) -> Result<Vec<Device>, ConfigError> {
    let given: Vec<DeviceSpec> = args.ports.iter().map(|port| port.parse()).collect::<Result<_, _>>()?;
    let mut allowed = allowed(&args.eal);
    let mut devices = Vec::new();
    for device in &boot.devices {
        let spec = match given.iter().find(|spec| spec.name() == device.name) {
            Some(spec) => spec.clone(),
            None => spec(device, &mut allowed)?,
        };
        devices.push(Device {
            spec,
            port: port(device, workers),
            rx_csum: device.rx_csum,
            polled_by: polled_by(boot, &device.name, workers),
            kernel: kernel(boot, &device.name)?,
        });
    }
    for spec in given.into_iter().filter(|spec| boot.device(spec.name()).is_none()) {
        let port = PortConfig { queues: workers, ..PortConfig::default() };
        let kernel = kernel(boot, spec.name())?;
        devices.push(Device { spec, port, rx_csum: RxCsum::default(), polled_by: Vec::new(), kernel });
    }
    Ok(devices)
}

/// What drives a device of the file; one that does not say takes the next PCI address that was given to DPDK.
fn spec(
    device: &boot::Device,
    allowed: &mut impl Iterator<Item = String>,
) -> Result<DeviceSpec, ConfigError> {
    let driver = match device.driver {
        Some(boot::Driver::AfPacket) => "af_packet",
        Some(boot::Driver::AfXdp) => "af_xdp",
        Some(boot::Driver::Tap) => "tap",
        Some(boot::Driver::Null) => "null",
        Some(boot::Driver::Pcap) => "pcap",
        Some(boot::Driver::Memif) => "memif",
        Some(boot::Driver::Pci) | None => "pci",
    };
    let target = match driver {
        "pci" => device.pci.clone().or_else(|| allowed.next()),
        _ => device.iface.clone(),
    };
    if driver == "pci" && target.is_none() {
        return Err(ConfigError::NoDriver(device.name.clone()));
    }
    let args: Vec<String> = target.into_iter().chain(device.args.clone()).collect();
    Ok(DeviceSpec::new(&device.name, driver, &args.join(","))?)
}

/// The tap beside a device.
fn kernel(boot: &BootConfig, device: &str) -> Result<Option<DeviceSpec>, ConfigError> {
    if !boot.kernel_path {
        return Ok(None);
    }
    let said = boot.device(device).and_then(|device| device.kni_name.clone());
    let iface = said.unwrap_or_else(|| format!("{device}.kni"));
    Ok(Some(DeviceSpec::new(&iface, "tap", &iface)?))
}

/// PCI addresses among the options of the DPDK environment.
fn allowed(eal: &[String]) -> impl Iterator<Item = String> {
    let address = |at: usize| {
        let value = match eal[at].strip_prefix("--allow").or(eal[at].strip_prefix("-a"))? {
            "" => eal.get(at + 1)?,
            value => value.strip_prefix('=').unwrap_or(value),
        };
        Some(value.split(',').next().unwrap_or(value).to_owned())
    };
    (0..eal.len()).filter_map(address).collect::<Vec<_>>().into_iter()
}

fn port(device: &boot::Device, workers: u16) -> PortConfig {
    PortConfig {
        queues: device.rx_queues.into_iter().chain(device.tx_queues).max().unwrap_or(workers),
        rx_desc: device.rx_descriptors,
        tx_desc: device.tx_descriptors,
        mtu: Some(device.mtu),
        promiscuous: device.promisc,
        all_multicast: device.allmulticast,
        ..PortConfig::default()
    }
}

/// Who polls each receive queue by the worker blocks; nobody in particular when they do not fit the number of workers.
fn polled_by(boot: &BootConfig, device: &str, workers: u16) -> Vec<LcoreId> {
    if slaves(boot).count() != usize::from(workers) {
        return Vec::new();
    }
    let mut owners: Vec<(u16, LcoreId)> = (0..)
        .zip(slaves(boot))
        .flat_map(|(at, worker)| worker.queues.iter().map(move |queues| (LcoreId(at), queues)))
        .filter(|(_, queues)| queues.device == device)
        .flat_map(|(at, queues)| queues.rx.iter().map(move |&queue| (queue, at)))
        .collect();
    owners.sort_unstable();
    owners.into_iter().map(|(_, owner)| owner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(text: &str) -> BootConfig {
        let tree = keepalived_conf::tree::parse(text, "dpvs.conf").expect("well-formed");
        boot::read(&tree).expect("it makes sense").config
    }

    fn args(ports: &[&str], workers: Option<u16>, eal: &[&str]) -> Args {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Args {
            conf: Conf::None,
            keepalived: None,
            ports: owned(ports),
            workers,
            ipc: None,
            check: false,
            eal: owned(eal),
        }
    }

    const TWO: &str = "
        netif_defs {
            device dpdk0 { 
                driver af_packet
                iface eth7 
                mtu 1400 
            }
            device dpdk1 {
                pci 0000:03:00.0
            }
        }
        worker_defs {
            worker cpu0 { 
                type master 
                cpu_id 0 
            }
            worker cpu1 { 
                type slave 
                cpu_id 4
                port dpdk0 { 
                    rx_queue_ids 1
                    tx_queue_ids 0 
                }
            }
            worker cpu2 { 
                type slave 
                cpu_id 5
                port dpdk0 { 
                    rx_queue_ids 0
                    tx_queue_ids 1 
                }
            }
        }";

    #[test]
    fn the_command_line_replaces_drivers_and_adds_devices() {
        let given = args(&["dpdk0=null", "dpdk9=tap:t9"], None, &[]);
        let devices = devices(&given, &boot(TWO), 2).expect("well-formed");
        let specs: Vec<String> = devices.iter().map(|device| device.spec.to_string()).collect();
        assert_eq!(specs, ["dpdk0=null", "dpdk1=pci:0000:03:00.0", "dpdk9=tap:t9"]);
        assert_eq!(devices[0].port.mtu, Some(1400), "what else the file says stays");
        assert_eq!(devices[2].port.mtu, None);
    }

    #[test]
    fn multicast_is_received_unless_the_file_says_otherwise() {
        let received = |device: &str| {
            let file = boot(&format!("netif_defs {{\n device d {{\n driver null\n{device}\n }}\n}}"));
            devices(&args(&[], None, &[]), &file, 1).expect("well-formed")[0].port.all_multicast
        };
        assert_eq!(
            (received(""), received("allmulticast on"), received("allmulticast off")),
            (true, true, false)
        );
    }

    #[test]
    fn worker_blocks_say_how_many_where_and_who_polls_what() {
        let (count, cpus) = workers(&args(&[], None, &[]), &boot(TWO));
        assert_eq!((count, cpus), (2, vec![Some(4), Some(5)]));
        assert_eq!(polled_by(&boot(TWO), "dpdk0", 2), [LcoreId(1), LcoreId(0)]);
        let (count, cpus) = workers(&args(&[], Some(3), &[]), &boot(TWO));
        assert_eq!((count, cpus), (3, vec![None; 3]), "the command line wins");
        assert_eq!(polled_by(&boot(TWO), "dpdk0", 3), []);
        assert_eq!(workers(&args(&[], None, &[]), &boot("")), (1, vec![None]));
    }

    #[test]
    fn devices_without_a_driver_take_the_pci_addresses_in_order() {
        let text = "netif_defs {\n device dpdk0 {\n }\n device dpdk1 {\n }\n}";
        let given = args(&[], None, &["-a", "0000:01:00.0,opt=1", "--allow=0000:02:00.0"]);
        let found = devices(&given, &boot(text), 1).expect("two addresses for two devices");
        let specs: Vec<String> = found.iter().map(|device| device.spec.to_string()).collect();
        assert_eq!(specs, ["dpdk0=pci:0000:01:00.0", "dpdk1=pci:0000:02:00.0"]);
        let short = devices(&args(&[], None, &["-a0000:01:00.0"]), &boot(text), 1);
        assert!(matches!(short, Err(ConfigError::NoDriver(name)) if name == "dpdk1"));
    }

    #[test]
    fn virtual_devices_sleep_and_cards_spin_unless_the_file_says_otherwise() {
        let of = |ports: &[&str], text: &str| {
            let boot = boot(text);
            idle(&boot, &devices(&args(ports, None, &[]), &boot, 1).expect("well-formed"))
        };
        assert_eq!(of(&["dpdk0=null"], ""), Policy::Sleep);
        assert_eq!(of(&["dpdk0=pci:0000:03:00.0"], ""), Policy::Spin);
        assert_eq!(of(&["dpdk0=null"], "global_defs {\n idle pause\n}"), Policy::Pause);
    }
    #[test]
    fn virtual_devices_take_the_pool_that_is_written_even_if_it_is_the_default() {
        let mbufs = |text: &str| {
            let dir = tempfile::tempdir().expect("a directory");
            let file = dir.path().join("dpvs.conf");
            std::fs::write(&file, text).expect("it can be written");
            let args = Args { conf: Conf::File(file), ..args(&["dpdk0=null"], None, &[]) };
            Config::load(&args).expect("it makes sense").pool().mbufs
        };
        assert_eq!(mbufs("netif_defs {\n pktpool_size 65535\n}"), 65_535);
        assert_eq!(mbufs("netif_defs {\n pktpool_size 262143\n}"), 262_143);
        assert!(mbufs("") < 65_535);
    }
}
