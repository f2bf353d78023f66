// SPDX-License-Identifier: Apache-2.0
//! A kernel network interface as af_packet, af_xdp and tap stand on one: asked and changed by ioctl, which reaches the
//! network namespace this process is in, whatever is mounted on /sys.

use std::ffi::c_void;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::device::DeviceSpec;
use crate::error::Error;
use crate::port::Link;

/// An interface by name. The name may be taken by another interface later; every question is asked anew.
#[derive(Debug)]
pub(crate) struct Netdev {
    name: String,
    socket: OwnedFd,
}

/// An interface of somebody else's as it was before it was a device. Dropping this makes it so again.
#[derive(Debug)]
pub(crate) struct Borrowed {
    netdev: Netdev,
    flags: i32,
    mtu: u32,
    mac: [u8; 6],
    _claim: UnixListener,
}

impl Borrowed {
    /// The interface behind a device as it is now.
    pub(crate) fn new(spec: &DeviceSpec) -> Result<Borrowed, Error> {
        let netdev = spec.netdev()?;
        let now = |netdev: &Netdev| Ok((netdev.flags()?, netdev.mtu()?, netdev.mac()?));
        let (flags, mtu, mac) = now(&netdev).map_err(|cause| Error::Port {
            device: spec.name().to_owned(),
            what: format!("look at interface {}", netdev.name),
            cause,
            said: String::new(),
        })?;
        let claim = claim(&netdev.name).map_err(|cause| Error::Port {
            device: spec.name().to_owned(),
            what: format!("use interface {}: another device or daemon has it", netdev.name),
            cause,
            said: String::new(),
        });
        Ok(Borrowed { netdev, flags, mtu, mac, _claim: claim? })
    }

    /// The interface.
    pub(crate) fn netdev(&self) -> &Netdev {
        &self.netdev
    }

    fn give_back(&self) -> io::Result<()> {
        let netdev = &self.netdev;
        if netdev.mac()? != self.mac {
            netdev.set_mac(self.mac)?;
        }
        if netdev.mtu()? != self.mtu {
            netdev.set_mtu(u16::try_from(self.mtu).unwrap_or(u16::MAX))?;
        }
        for flag in [libc::IFF_PROMISC, libc::IFF_ALLMULTI, libc::IFF_UP] {
            netdev.set_flag(flag, self.flags & flag != 0)?;
        }
        Ok(())
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        match self.give_back() {
            // The interface itself is gone, as when its namespace was removed.
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => {}
            Err(e) => {
                log::warn!(target: "dpdk", "interface {} is not as it was before: {e}", self.netdev.name)
            }
            Ok(()) => {}
        }
    }
}

/// Takes an interface for this process and device alone. Two of them on one interface would both receive every packet. Abstract
/// names belong to a network namespace, as interfaces do, and are free again when their process ends in whatever way.
fn claim(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("dpvs-interface-{name}"))?)
}

/// Queues of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queues {
    /// All that receive.
    pub rx: u16,
    /// Those of them that send too. Some devices have none, such as veth.
    pub combined: u16,
}

impl Netdev {
    /// The interface, if there is one.
    pub(crate) fn find(name: &str) -> io::Result<Option<Netdev>> {
        // SAFETY: a plain system call.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else knows of.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let netdev = Netdev { name: name.to_owned(), socket };
        match netdev.flags() {
            Ok(_) => Ok(Some(netdev)),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// `IFF_` flags.
    pub(crate) fn flags(&self) -> io::Result<i32> {
        let mut request = self.request();
        self.ioctl(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the kernel filled this member.
        Ok(i32::from(unsafe { request.ifr_ifru.ifru_flags }) & 0xffff)
    }

    /// Sets or clears one flag, such as `IFF_UP`.
    pub(crate) fn set_flag(&self, flag: i32, on: bool) -> io::Result<()> {
        let flags = self.flags()?;
        let mut request = self.request();
        request.ifr_ifru.ifru_flags = (if on { flags | flag } else { flags & !flag }) as i16;
        self.ioctl(libc::SIOCSIFFLAGS, &mut request)
    }

    /// MTU in bytes.
    pub(crate) fn mtu(&self) -> io::Result<u32> {
        let mut request = self.request();
        self.ioctl(libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: the kernel filled this member.
        Ok(unsafe { request.ifr_ifru.ifru_mtu } as u32)
    }

    /// Changes the MTU.
    pub(crate) fn set_mtu(&self, mtu: u16) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_mtu = i32::from(mtu);
        self.ioctl(libc::SIOCSIFMTU, &mut request)
    }

    /// Ethernet address.
    pub(crate) fn mac(&self) -> io::Result<[u8; 6]> {
        let mut request = self.request();
        self.ioctl(libc::SIOCGIFHWADDR, &mut request)?;
        // SAFETY: the kernel filled this member.
        let bytes = unsafe { request.ifr_ifru.ifru_hwaddr.sa_data };
        Ok([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]].map(|b| b as u8))
    }

    /// Changes the Ethernet address.
    pub(crate) fn set_mac(&self, mac: [u8; 6]) -> io::Result<()> {
        let mut request = self.request();
        let mut address = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: [0; 14] };
        for (to, from) in address.sa_data.iter_mut().zip(mac) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_hwaddr = address;
        self.ioctl(libc::SIOCSIFHWADDR, &mut request)
    }

    /// Its queues; a device that does not tell has one.
    pub(crate) fn queues(&self) -> Queues {
        let mut channels = Channels { cmd: ETHTOOL_GCHANNELS, ..Channels::default() };
        match self.ethtool(&mut channels) {
            Ok(()) => Queues {
                rx: u16::try_from(channels.rx + channels.combined).unwrap_or(u16::MAX).max(1),
                combined: u16::try_from(channels.combined).unwrap_or(u16::MAX),
            },
            Err(_) => Queues { rx: 1, combined: 0 },
        }
    }

    /// Whether the kernel merges received frames beyond the MTU (generic receive offload).
    pub(crate) fn gro(&self) -> bool {
        let mut value = Value { cmd: ETHTOOL_GGRO, data: 0 };
        self.ethtool(&mut value).is_ok() && value.data != 0
    }

    /// Whether it is up and its cable has somebody at the other end, and how fast it is.
    pub(crate) fn link(&self) -> io::Result<Link> {
        let wanted = libc::IFF_UP | libc::IFF_RUNNING;
        let up = self.flags()? & wanted == wanted;
        let mut settings = Settings { cmd: ETHTOOL_GSET, ..Settings::default() };
        let told = self.ethtool(&mut settings).is_ok();
        let speed = u32::from(settings.speed) | u32::from(settings.speed_hi) << 16;
        Ok(Link {
            up,
            speed_mbps: (told && up && speed != 0 && speed != u32::MAX && speed != 0xffff).then_some(speed),
            full_duplex: told && settings.duplex == 1,
        })
    }

    fn request(&self) -> libc::ifreq {
        // SAFETY: all members are integers or arrays of them, for which zero is a value.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        let room = request.ifr_name.len() - 1;
        for (to, from) in request.ifr_name[..room].iter_mut().zip(self.name.bytes()) {
            *to = from as libc::c_char;
        }
        request
    }

    fn ioctl(&self, number: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: every number used here takes a `struct ifreq`, which lives across the call.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), number, request) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// `value` starts with the ethtool command that it is the argument of.
    fn ethtool<T: Ethtool>(&self, value: &mut T) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_data = (value as *mut T).cast::<c_void>().cast();
        self.ioctl(libc::SIOCETHTOOL, &mut request)
    }
}

const ETHTOOL_GSET: u32 = 0x01;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// An argument of ethtool's: as large as the kernel's struct of the command in its first member.
trait Ethtool {}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    cmd: u32,
    data: u32,
}
impl Ethtool for Value {}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}
impl Ethtool for Channels {}

/// `struct ethtool_cmd`.
#[repr(C)]
#[derive(Default)]
struct Settings {
    cmd: u32,
    supported: u32,
    advertising: u32,
    speed: u16,
    duplex: u8,
    port: u8,
    phy_address: u8,
    transceiver: u8,
    autoneg: u8,
    mdio_support: u8,
    maxtxpkt: u32,
    maxrxpkt: u32,
    speed_hi: u16,
    eth_tp_mdix: u8,
    eth_tp_mdix_ctrl: u8,
    lp_advertising: u32,
    reserved: [u32; 2],
}
impl Ethtool for Settings {}

const _: () = assert!(size_of::<Settings>() == 44 && size_of::<Channels>() == 36);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_known_and_a_made_up_one_is_not() {
        let lo = Netdev::find("lo").expect("a socket").expect("every machine has lo");
        assert_ne!(lo.flags().expect("flags") & libc::IFF_LOOPBACK, 0);
        assert_eq!(lo.mac().expect("an address"), [0; 6]);
        assert!(lo.mtu().expect("an MTU") >= 1500);
        assert_eq!(lo.queues(), Queues { rx: 1, combined: 0 });
        assert!(Netdev::find("no-such-if").expect("a socket").is_none());
    }
}
