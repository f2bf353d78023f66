// SPDX-License-Identifier: Apache-2.0
//! What can go wrong, said so that an operator knows what to do.

use std::io;

use crate::device::Driver;

/// Why something was refused. The texts name the thing and, where it is known, the fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not of the form `NAME=DRIVER[:ARGS]`.
    #[error("device '{0}' is not NAME=DRIVER[:ARGS], for example dpdk0=af_packet:eth0")]
    Shape(String),
    /// The port's name cannot be used.
    #[error("device name '{0}' must be 1 to 15 letters, digits, '.', '_' or '-'")]
    Name(String),
    /// No such driver.
    #[error("device {device}: unknown driver '{driver}', known are {}", Driver::list())]
    UnknownDriver {
        /// Name of the port.
        device: String,
        /// The word in place of a driver.
        driver: String,
    },
    /// The arguments of the driver make no sense.
    #[error("device {device}: {why}")]
    Argument {
        /// Name of the port.
        device: String,
        /// What is wrong.
        why: String,
    },
    /// The kernel interface is not there.
    #[error("device {device}: no interface '{iface}' here, see 'ip link'")]
    NoInterface {
        /// Name of the port.
        device: String,
        /// Name of the interface.
        iface: String,
    },
    /// The driver's plugin is not installed.
    #[error("device {device}: driver {driver} is not installed, {package} brings it")]
    NotInstalled {
        /// Name of the port.
        device: String,
        /// Its driver.
        driver: &'static str,
        /// Package of Debian that holds the plugin.
        package: String,
    },
    /// The PCI device cannot be used as it is.
    #[error("device {device}: {why}")]
    Pci {
        /// Name of the port.
        device: String,
        /// What is wrong and what helps.
        why: String,
    },
    /// EAL runs once per process.
    #[error("DPDK was already initialised in this process, which can be done once")]
    Again,
    /// An EAL option that cannot be honoured.
    #[error("EAL option '{option}': {why}")]
    EalOption {
        /// The option as given.
        option: String,
        /// Why not.
        why: &'static str,
    },
    /// EAL did not start.
    #[error("DPDK did not start with '{args}': {cause}{}", because(.said))]
    Eal {
        /// The arguments it was given.
        args: String,
        /// What EAL returned.
        cause: io::Error,
        /// What it logged.
        said: String,
    },
    /// Ordinary pages are not wanted, and there is nothing else.
    #[error("hugepages are asked for, but {0}")]
    Hugepages(String),
    /// A pool or ring could not be made: no memory, or a size or name that cannot be.
    #[error("cannot make {what}: {cause}{}", hint(.cause))]
    Memory {
        /// What was to be made.
        what: String,
        /// What DPDK returned.
        cause: io::Error,
    },
    /// The driver did not accept the device.
    #[error("device {device}: driver {driver} refused '{args}': {cause}{}", because(.said))]
    Attach {
        /// Name of the port.
        device: String,
        /// Its driver.
        driver: &'static str,
        /// The arguments it was given.
        args: String,
        /// What DPDK returned.
        cause: io::Error,
        /// What it logged.
        said: String,
    },
    /// An operation on a port failed.
    #[error("device {device}: cannot {what}: {cause}{}", because(.said))]
    Port {
        /// Name of the port.
        device: String,
        /// What was tried.
        what: String,
        /// What DPDK returned.
        cause: io::Error,
        /// What it logged.
        said: String,
    },
    /// A worker's thread could not be started.
    #[error("worker {name}: {cause}")]
    Worker {
        /// Name of the worker.
        name: String,
        /// Why not.
        cause: io::Error,
    },
}

/// The log lines behind an error, if there are any.
fn because(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!(" ({lines})") }
}

/// What helps where memory was lacking.
fn hint(cause: &io::Error) -> &'static str {
    if cause.raw_os_error() == Some(libc::ENOMEM) {
        "; reserve more hugepages or raise the memory limit"
    } else {
        ""
    }
}

/// The error of a DPDK function that returned `-errno`.
pub(crate) fn negative(rc: i32) -> io::Error {
    io::Error::from_raw_os_error(-rc)
}

/// The error a DPDK function left in `rte_errno`.
pub(crate) fn rte_errno() -> io::Error {
    // SAFETY: reads a thread-local integer.
    io::Error::from_raw_os_error(unsafe { dpdk_sys::shim_errno() })
}
