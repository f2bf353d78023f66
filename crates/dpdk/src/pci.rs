// SPDX-License-Identifier: Apache-2.0
//! Addresses of PCI devices, and what the kernel says about one.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// Domain, bus, device and function: `0000:03:00.0`. The domain may be left out when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl FromStr for PciAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<PciAddress, ()> {
        let (rest, function) = text.rsplit_once('.').ok_or(())?;
        let (rest, device) = rest.rsplit_once(':').ok_or(())?;
        let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
        let device = hex(device, 2).filter(|&d| d < 32).ok_or(())?;
        let function = hex(function, 1).filter(|&f| f < 8).ok_or(())?;
        Ok(PciAddress {
            domain: hex(domain, 8).ok_or(())?,
            bus: hex(bus, 2).ok_or(())? as u8,
            device: device as u8,
            function: function as u8,
        })
    }
}

/// 1 to `most` hexadecimal digits, nothing else.
fn hex(text: &str, most: usize) -> Option<u32> {
    let digits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{}", self.domain, self.bus, self.device, self.function)
    }
}

/// Drivers of the kernel through which DPDK reaches a device.
const USERSPACE: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/// Drivers of the kernel that share their device with DPDK.
const BIFURCATED: [&str; 2] = ["mlx5_core", "mlx4_core"];

/// Why a device cannot be given to DPDK, with the command that helps.
pub(crate) fn obstacle(address: PciAddress) -> Option<String> {
    obstacle_in(Path::new("/sys/bus/pci/devices"), address)
}

fn obstacle_in(devices: &Path, address: PciAddress) -> Option<String> {
    let device = devices.join(address.to_string());
    if !device.exists() {
        return Some(format!("no PCI device {address} here, see 'dpdk-devbind.py --status-dev net'"));
    }
    let link = fs::read_link(device.join("driver")).ok();
    let driver = link.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    match driver.as_deref() {
        Some(name) if USERSPACE.contains(&name) || BIFURCATED.contains(&name) => None,
        Some(name) => Some(format!(
            "PCI device {address} belongs to the kernel driver {name}: 'dpdk-devbind.py -b vfio-pci {address}' frees it"
        )),
        None => Some(format!(
            "PCI device {address} is bound to no driver: 'dpdk-devbind.py -b vfio-pci {address}' binds it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn addresses_are_read_with_and_without_domain() {
        let full: PciAddress = "0000:03:1f.7".parse().expect("a full address");
        assert_eq!(full.to_string(), "0000:03:1f.7");
        assert_eq!("03:1f.7".parse(), Ok(full));
        assert_eq!(
            "10000:e1:00.0".parse::<PciAddress>().map(|a| a.to_string()),
            Ok("10000:e1:00.0".to_owned())
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "03",
            "03:00",
            "0000:03:20.0",
            "0000:03:00.8",
            "0000:103:00.0",
            "0000:03:00.",
            "x:03:00.0",
            "+1:03:00.0",
        ] {
            assert_eq!(text.parse::<PciAddress>(), Err(()), "{text}");
        }
    }

    #[test]
    fn the_kernels_driver_decides() {
        let root = std::env::temp_dir().join(format!("dpdk-pci-{}", std::process::id()));
        for (name, driver) in
            [("0000:01:00.0", "vfio-pci"), ("0000:02:00.0", "ixgbe"), ("0000:04:00.0", "mlx5_core")]
        {
            fs::create_dir_all(root.join(name)).expect("a temporary folder");
            symlink(format!("../../drivers/{driver}"), root.join(name).join("driver")).expect("a link");
        }
        fs::create_dir_all(root.join("0000:03:00.0")).expect("a temporary folder");
        let about = |text: &str| obstacle_in(&root, text.parse().expect("an address"));
        let answers =
            [about("01:00.0"), about("02:00.0"), about("03:00.0"), about("04:00.0"), about("05:00.0")];
        fs::remove_dir_all(&root).expect("it was just made");
        assert_eq!(answers[0], None);
        assert_eq!(
            answers[1].as_deref(),
            Some(
                "PCI device 0000:02:00.0 belongs to the kernel driver ixgbe: 'dpdk-devbind.py -b vfio-pci 0000:02:00.0' frees it"
            )
        );
        assert_eq!(
            answers[2].as_deref(),
            Some(
                "PCI device 0000:03:00.0 is bound to no driver: 'dpdk-devbind.py -b vfio-pci 0000:03:00.0' binds it"
            )
        );
        assert_eq!(answers[3], None);
        assert_eq!(
            answers[4].as_deref(),
            Some("no PCI device 0000:05:00.0 here, see 'dpdk-devbind.py --status-dev net'")
        );
    }
}
