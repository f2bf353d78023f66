// SPDX-License-Identifier: Apache-2.0
//! What drives a port, as operators write it: `NAME=DRIVER[:ARGS]`.

use std::ffi::CStr;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use crate::error::Error;
use crate::netdev::Netdev;
use crate::pci::{self, PciAddress};

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// A kernel interface through packet sockets: works everywhere.
    AfPacket,
    /// A kernel interface through XDP sockets: faster, and takes the packets away from the kernel.
    AfXdp,
    /// A new interface of the kernel, whose other end the director has.
    Tap,
    /// Receives empty packets for ever and drops what it is sent.
    Null,
    /// Capture files or libpcap on an interface.
    Pcap,
    /// Shared memory with another process.
    Memif,
    /// Receives what it sent.
    Ring,
    /// A network card, through whichever driver of DPDK's knows it.
    Pci,
}

impl Driver {
    /// All of them, in the order they are listed.
    pub const ALL: [Driver; 8] = [
        Driver::AfPacket,
        Driver::AfXdp,
        Driver::Tap,
        Driver::Null,
        Driver::Pcap,
        Driver::Memif,
        Driver::Ring,
        Driver::Pci,
    ];

    /// The word operators write.
    pub fn word(self) -> &'static str {
        match self {
            Driver::AfPacket => "af_packet",
            Driver::AfXdp => "af_xdp",
            Driver::Tap => "tap",
            Driver::Null => "null",
            Driver::Pcap => "pcap",
            Driver::Memif => "memif",
            Driver::Ring => "ring",
            Driver::Pci => "pci",
        }
    }

    /// Whether its first argument is the name of a kernel interface.
    pub fn takes_interface(self) -> bool {
        matches!(self, Driver::AfPacket | Driver::AfXdp | Driver::Tap)
    }

    /// Whether it is a device of the machine's own rather than a virtual one, so that polling without pause is what
    /// operators expect.
    pub fn is_physical(self) -> bool {
        self == Driver::Pci
    }

    /// The words of all drivers.
    pub(crate) fn list() -> String {
        Driver::ALL.map(Driver::word).join(", ")
    }

    fn find(word: &str) -> Option<Driver> {
        Driver::ALL.into_iter().find(|driver| driver.word() == word)
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A port's name and what drives it. A value of this type is well-formed; whether the device exists says
/// [`check`](Self::check).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    name: String,
    driver: Driver,
    /// Interface or PCI address; empty for drivers that take neither.
    target: String,
    args: String,
}

impl DeviceSpec {
    /// From its parts: the port's name, the driver's word, and the arguments as after the colon. Those are the interface
    /// and then the driver's options for af_packet, af_xdp and tap, the address and then options for pci, and the
    /// driver's options alone for the others; all separated by commas.
    ///
    /// # Errors
    /// A bad name, an unknown driver, a missing interface or address, an argument that cannot be.
    pub fn new(name: &str, driver: &str, args: &str) -> Result<DeviceSpec, Error> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=15).contains(&name.len()) || !name.bytes().all(letter) {
            return Err(Error::Name(name.to_owned()));
        }
        let driver = Driver::find(driver)
            .ok_or_else(|| Error::UnknownDriver { device: name.to_owned(), driver: driver.to_owned() })?;
        let (target, args) = match driver {
            Driver::Pci => args.split_once(',').unwrap_or((args, "")),
            driver if driver.takes_interface() => args.split_once(',').unwrap_or((args, "")),
            _ => ("", args),
        };
        let spec =
            DeviceSpec { name: name.to_owned(), driver, target: target.to_owned(), args: args.to_owned() };
        spec.well_formed().map_err(|why| Error::Argument { device: name.to_owned(), why })?;
        Ok(spec)
    }

    /// Name of the port.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What drives it.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The kernel interface, for drivers that take one.
    pub fn iface(&self) -> Option<&str> {
        self.driver.takes_interface().then_some(self.target.as_str())
    }

    /// The PCI address, for network cards.
    pub fn pci(&self) -> Option<PciAddress> {
        (self.driver == Driver::Pci).then(|| self.target.parse().expect("checked when it was made"))
    }

    /// The driver's own options, separated by commas.
    pub fn args(&self) -> &str {
        &self.args
    }

    /// Looks whether the device is there and its driver installed, without DPDK and without changing anything.
    ///
    /// # Errors
    /// A missing interface, PCI device or plugin, or a PCI device that the kernel holds.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(address) = self.pci() {
            let device = self.name.clone();
            return pci::obstacle(address).map_or(Ok(()), |why| Err(Error::Pci { device, why }));
        }
        self.installed_in(plugin_dir())?;
        match self.driver {
            Driver::AfPacket | Driver::AfXdp => self.netdev().map(drop),
            _ => Ok(()),
        }
    }

    /// The kernel interface.
    pub(crate) fn netdev(&self) -> Result<Netdev, Error> {
        let found = Netdev::find(&self.target).map_err(|cause| Error::Port {
            device: self.name.clone(),
            what: format!("look at interface {}", self.target),
            cause,
            said: String::new(),
        })?;
        found.ok_or_else(|| Error::NoInterface { device: self.name.clone(), iface: self.target.clone() })
    }

    /// The driver as DPDK calls it.
    pub(crate) fn pmd(&self) -> String {
        format!("net_{}", self.driver.word())
    }

    /// The name in DPDK of the `part`-th device of this port, which mostly has one: virtual devices begin with their
    /// driver's.
    pub(crate) fn dpdk_name(&self, part: usize) -> String {
        match (self.pci(), part) {
            (Some(address), _) => address.to_string(),
            (None, 0) => format!("{}_{}", self.pmd(), self.name),
            (None, part) => format!("{}_{}.{part}", self.pmd(), self.name),
        }
    }

    /// Mbufs that one receive and one transmit queue of this device may hold on to.
    pub(crate) fn mbufs_per_queue(&self) -> u32 {
        match self.driver {
            // The fill ring takes 2048 before anything is received, the completion ring as many on the way out.
            Driver::AfXdp => 4096,
            // Copies at once.
            Driver::AfPacket | Driver::Tap | Driver::Null | Driver::Pcap => 64,
            Driver::Memif | Driver::Ring => 2048,
            // Both descriptor rings full.
            Driver::Pci => 2 * 1024,
        }
    }

    /// Value of one of the driver's options.
    pub(crate) fn option(&self, key: &str) -> Option<&str> {
        options(&self.args).find_map(|(k, v)| (k == key).then_some(v))
    }

    fn well_formed(&self) -> Result<(), String> {
        let word = self.driver.word();
        match self.driver {
            Driver::Pci if self.target.parse::<PciAddress>().is_err() => {
                Err(format!("'{}' is no PCI address, as in {}=pci:0000:03:00.0", self.target, self.name))
            }
            driver if driver.takes_interface() => {
                let iface = &self.target;
                if iface.is_empty() {
                    return Err(format!("driver {word} needs an interface, as in {}={word}:eth0", self.name));
                }
                let bad = |b: u8| b == b'/' || b == b'=' || b.is_ascii_whitespace() || b == 0;
                if iface.len() > 15 || iface.bytes().any(bad) {
                    return Err(format!("'{iface}' cannot be the name of an interface"));
                }
                match self.option("iface") {
                    Some(_) => Err(format!("'iface=' is given by the first argument of {word} already")),
                    None => self.options_well_formed(),
                }
            }
            _ => self.options_well_formed(),
        }
    }

    fn options_well_formed(&self) -> Result<(), String> {
        let bad = options(&self.args).find(|(key, _)| key.is_empty() || key.contains([' ', '\0']));
        if let Some((key, value)) = bad {
            return Err(format!("'{key}={value}' is no option of driver {}", self.driver.word()));
        }
        Ok(())
    }

    /// Looks for the driver's plugin. DPDK built into one file has no folder for them.
    fn installed_in(&self, folder: &Path) -> Result<(), Error> {
        let plugin = format!("librte_{}.so", self.pmd());
        let entries = fs::read_dir(folder).ok().into_iter().flatten().flatten();
        let mut plugins = entries.map(|entry| entry.file_name());
        if folder.as_os_str().is_empty() || plugins.any(|name| name.to_string_lossy().starts_with(&plugin)) {
            return Ok(());
        }
        Err(Error::NotInstalled {
            device: self.name.clone(),
            driver: self.driver.word(),
            package: format!("librte-net-{}{}", self.driver.word().replace('_', "-"), abi(folder)),
        })
    }
}

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<DeviceSpec, Error> {
        let (name, rest) = text.split_once('=').ok_or_else(|| Error::Shape(text.to_owned()))?;
        let (driver, args) = rest.split_once(':').unwrap_or((rest, ""));
        if driver.is_empty() {
            return Err(Error::Shape(text.to_owned()));
        }
        DeviceSpec::new(name, driver, args)
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.driver)?;
        let parts = [&self.target, &self.args];
        let given: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).map(String::as_str).collect();
        if given.is_empty() { Ok(()) } else { write!(f, ":{}", given.join(",")) }
    }
}

/// `key=value` pairs, or keys alone.
fn options(args: &str) -> impl Iterator<Item = (&str, &str)> {
    args.split(',').filter(|_| !args.is_empty()).map(|option| option.split_once('=').unwrap_or((option, "")))
}

/// Where EAL looks for drivers; empty when they are built in.
fn plugin_dir() -> &'static Path {
    // SAFETY: returns a static string.
    let folder = unsafe { CStr::from_ptr(dpdk_sys::shim_plugin_dir()) };
    Path::new(folder.to_str().unwrap_or_default())
}

/// The major ABI version that Debian puts behind the packages' names: 23 for a folder called `pmds-23.0`.
fn abi(folder: &Path) -> &str {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let version = name.strip_prefix("pmds-").unwrap_or_default();
    version.split_once('.').map_or(version, |(major, _)| major)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> DeviceSpec {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    fn refusal(text: &str) -> String {
        text.parse::<DeviceSpec>().expect_err(text).to_string()
    }

    #[test]
    fn an_interface_comes_first_and_options_follow() {
        let spec = parsed("dpdk0=af_packet:eth0");
        assert_eq!((spec.name(), spec.driver(), spec.iface()), ("dpdk0", Driver::AfPacket, Some("eth0")));
        assert_eq!(spec.args(), "");
        let spec = parsed("wan.1=af_xdp:eth0,busy_budget=0,force_copy=1");
        assert_eq!((spec.iface(), spec.args()), (Some("eth0"), "busy_budget=0,force_copy=1"));
        assert_eq!((spec.option("force_copy"), spec.option("queue_count")), (Some("1"), None));
        assert_eq!(
            (spec.dpdk_name(0).as_str(), spec.dpdk_name(1).as_str()),
            ("net_af_xdp_wan.1", "net_af_xdp_wan.1.1")
        );
    }

    #[test]
    fn other_drivers_take_their_own_arguments() {
        let spec = parsed("dpdk0=pcap:rx_pcap=/tmp/a.pcap,infinite_rx=1");
        assert_eq!((spec.iface(), spec.args()), (None, "rx_pcap=/tmp/a.pcap,infinite_rx=1"));
        assert_eq!(parsed("dpdk0=null").args(), "");
        assert_eq!(
            parsed("dpdk0=memif:role=server,socket=/run/a:b.sock").args(),
            "role=server,socket=/run/a:b.sock"
        );
    }

    #[test]
    fn a_pci_address_may_leave_out_its_domain() {
        let spec = parsed("dpdk0=pci:03:00.1,rxq_cqe_comp_en=0");
        assert_eq!(spec.pci().map(|a| a.to_string()).as_deref(), Some("0000:03:00.1"));
        assert_eq!((spec.dpdk_name(0).as_str(), spec.args()), ("0000:03:00.1", "rxq_cqe_comp_en=0"));
    }

    #[test]
    fn what_was_parsed_prints_as_it_was() {
        for text in [
            "a=null",
            "a=af_packet:eth0",
            "a=tap:t0,mac=fixed",
            "a=pci:0000:03:00.0",
            "a=null:size=64,copy=1",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    #[test]
    fn refusals_name_the_thing_and_the_fix() {
        assert_eq!(
            refusal("dpdk0"),
            "device 'dpdk0' is not NAME=DRIVER[:ARGS], for example dpdk0=af_packet:eth0"
        );
        assert_eq!(
            refusal("dpdk0="),
            "device 'dpdk0=' is not NAME=DRIVER[:ARGS], for example dpdk0=af_packet:eth0"
        );
        assert_eq!(refusal("=null"), "device name '' must be 1 to 15 letters, digits, '.', '_' or '-'");
        assert_eq!(
            refusal("sixteen-letters-=null"),
            "device name 'sixteen-letters-' must be 1 to 15 letters, digits, '.', '_' or '-'"
        );
        assert_eq!(
            refusal("dpdk0=afpacket:eth0"),
            "device dpdk0: unknown driver 'afpacket', known are af_packet, af_xdp, tap, null, pcap, memif, ring, pci"
        );
        assert_eq!(
            refusal("dpdk0=af_packet"),
            "device dpdk0: driver af_packet needs an interface, as in dpdk0=af_packet:eth0"
        );
        assert_eq!(
            refusal("dpdk0=tap:,mac=fixed"),
            "device dpdk0: driver tap needs an interface, as in dpdk0=tap:eth0"
        );
        assert_eq!(
            refusal("dpdk0=af_packet:iface=eth0"),
            "device dpdk0: 'iface=eth0' cannot be the name of an interface"
        );
        assert_eq!(
            refusal("dpdk0=af_packet:eth0,iface=eth1"),
            "device dpdk0: 'iface=' is given by the first argument of af_packet already"
        );
        assert_eq!(
            refusal("dpdk0=pci:eth0"),
            "device dpdk0: 'eth0' is no PCI address, as in dpdk0=pci:0000:03:00.0"
        );
        assert_eq!(refusal("dpdk0=null:size=64,,"), "device dpdk0: '=' is no option of driver null");
    }

    #[test]
    fn a_missing_interface_is_found_without_dpdk() {
        assert_eq!(
            parsed("dpdk0=af_packet:no-such-if").check().expect_err("it does not exist").to_string(),
            "device dpdk0: no interface 'no-such-if' here, see 'ip link'"
        );
        assert!(parsed("dpdk0=null").check().is_ok());
    }

    #[test]
    fn a_missing_plugin_names_debians_package() {
        let folder = std::env::temp_dir().join(format!("dpdk-{}", std::process::id())).join("pmds-24.0");
        fs::create_dir_all(&folder).expect("a temporary folder");
        fs::write(folder.join("librte_net_null.so.24.0"), "").expect("a temporary file");
        let null = parsed("dpdk0=null").installed_in(&folder).is_ok();
        let xdp = parsed("dpdk0=af_xdp:eth0").installed_in(&folder).expect_err("no such file").to_string();
        fs::remove_dir_all(folder.parent().expect("it has one")).expect("it was just made");
        assert!(null);
        assert_eq!(xdp, "device dpdk0: driver af_xdp is not installed, librte-net-af-xdp24 brings it");
    }
}
