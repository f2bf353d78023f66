// SPDX-License-Identifier: Apache-2.0
//! Safe, owning types over libdpdk: the environment ([`Eal`]), packet memory ([`Pool`], [`Mbuf`]), devices
//! ([`DeviceSpec`], [`Port`], [`RxQueue`], [`TxQueue`]), rings between workers ([`ring`]) and the workers' threads
//! ([`lcore`]).
//!
//! It is deliberately no complete binding: only what a director needs, in shapes that cannot be misused. What makes
//! it sound:
//!
//! - Everything that refers to DPDK's memory keeps the environment alive; it is torn down when the last of them goes.
//!   Pools live as long as the environment, so an [`Mbuf`] needs no pointer of its own to stay valid.
//! - An [`Mbuf`] is one segment with one owner. Whatever a driver delivers otherwise is made so or dropped and counted.
//! - A queue is taken once from its port, can be sent to a thread and not shared between two.
//!
//! ```no_run
//! use dpdk::{DeviceSpec, Eal, EalConfig, Pool, PoolConfig, Port, PortConfig, Burst};
//!
//! let spec: DeviceSpec = "dpdk0=af_packet:eth0".parse()?;
//! spec.check()?;
//! let eal = Eal::init(EalConfig::for_devices([&spec]))?;
//! let pool = Pool::new(&eal, "packets", &PoolConfig::for_devices([&spec], 1))?;
//! let mut port = Port::open(&eal, &spec, &PortConfig::default(), &pool)?;
//! let mut rx = port.take_rx(0).expect("a port has at least one queue");
//! let mut tx = port.take_tx(0).expect("a port has at least one queue");
//! let mut burst = Burst::new();
//! loop {
//!     rx.burst(&mut burst);
//!     tx.send(&mut burst);
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), dpdk::Error>(())
//! ```

mod device;
mod eal;
mod error;
mod files;
mod huge;
pub mod lcore;
mod logs;
mod mbuf;
mod memory;
mod netdev;
mod pci;
mod pool;
mod port;
mod queue;
pub mod ring;

pub use device::{DeviceSpec, Driver};
pub use eal::{Eal, EalConfig, Memory, Picked};
pub use error::Error;
pub use files::keep_files;
pub use huge::HugePages;
pub use mbuf::{BURST, Burst, L4, Mbuf, free_bulk};
pub use pci::PciAddress;
pub use pool::{Pool, PoolConfig};
pub use port::{Checksums, Link, Port, PortConfig, PortInfo, Rss, Stats};
pub use queue::{RxQueue, Sent, TxQueue};
