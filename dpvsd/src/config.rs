// SPDX-License-Identifier: Apache-2.0
//! What the daemon runs on: the command line over the configuration file over defaults.

use std::path::PathBuf;

use dpdk::{DeviceSpec, PortConfig};
use engine::link::RxCsum;

use crate::args::Args;
use crate::idle::Policy;

/// Connections, all workers together, if nobody says otherwise.
const CONNS: usize = 1 << 20;

/// Everything that is decided before the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Devices, in order.
    pub devices: Vec<Device>,
    /// Workers.
    pub workers: u16,
    /// How they wait.
    pub idle: Policy,
    /// Connections the tables hold, all workers together.
    pub conns: usize,
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
}

/// Why there is nothing to run on.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A device makes no sense or is not there.
    #[error("{0}")]
    Device(#[from] dpdk::Error),
    /// Two devices have one name.
    #[error("device {0} is named twice: every device needs a name of its own")]
    Twice(String),
    /// There are none.
    #[error(
        "no device: name one, such as --port dpdk0=af_packet:eth0, or in a device block of the configuration file"
    )]
    NoDevice,
}

impl Config {
    /// Puts together what `args` say.
    ///
    /// # Errors
    /// What makes no sense, or a device that is not there.
    pub fn load(args: &Args) -> Result<Config, ConfigError> {
        let specs = args.ports.iter().map(|port| port.parse());
        let specs: Vec<DeviceSpec> = specs.collect::<Result<_, _>>()?;
        let workers = args.workers.unwrap_or(1);
        let physical = specs.iter().all(|spec| spec.driver().is_physical());
        let device = |spec| Device {
            spec,
            port: PortConfig { queues: workers, ..PortConfig::default() },
            rx_csum: RxCsum::default(),
        };
        let config = Config {
            idle: if physical { Policy::Spin } else { Policy::Sleep },
            devices: specs.into_iter().map(device).collect(),
            workers,
            conns: CONNS,
            ipc: cli::connect::socket_path(args.ipc.as_deref()),
            eal: args.eal.clone(),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let specs = || self.devices.iter().map(|device| &device.spec);
        if self.devices.is_empty() {
            return Err(ConfigError::NoDevice);
        }
        for (at, spec) in specs().enumerate() {
            if specs().take(at).any(|earlier| earlier.name() == spec.name()) {
                return Err(ConfigError::Twice(spec.name().to_owned()));
            }
            spec.check()?;
        }
        Ok(())
    }
}
