// SPDX-License-Identifier: Apache-2.0
//! Bring-up and shutdown, in order.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use control::State;
use crossbeam_channel::{Receiver, bounded, never, select, tick};
use dpdk::{DeviceSpec, Eal, EalConfig, Memory, Pool, Port, PortConfig};
use engine::persist::Templates;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sockopt::{Code, Files, Reply, Request, Status};

use crate::args::Args;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::controller::Controller;
use crate::cookie;
use crate::crew::{self, Crew};
use crate::effects::{Device, Devices};
use crate::file::File;
use crate::keepalived::{self, Keepalived};
use crate::listener::{Asked, Listener};
use crate::log::set_level;
use crate::mailbox::mailboxes;
use crate::notify::{self, Notifier};
use crate::publish::Publisher;
use crate::reload::reload;
use crate::socket::{self, ListenError};

/// How often counters are looked at for rates.
const BEAT: Duration = Duration::from_secs(2);

/// Requests published together, at most: signals and beats get their turn in between.
const TOGETHER: usize = 256;

/// Why the daemon did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line or the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// DPDK or a device.
    #[error(transparent)]
    Dpdk(#[from] dpdk::Error),
    /// What the file configures was refused; the text has the place.
    #[error("{0}")]
    Refused(String),
    /// What the keepalived.conf says cannot be done.
    #[error("{0}")]
    Keepalived(String),
    /// The control socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system.
    #[error("cannot {what}: {reason}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it says.
        reason: std::io::Error,
    },
    /// A worker ended though nobody told it to: a defect.
    #[error("worker {0} failed; see the lines above")]
    Worker(usize),
}

/// Starts, runs until told to stop, and cleans up.
///
/// # Errors
/// [`Failure`]; everything is cleaned up then too.
pub fn run(args: &Args) -> Result<(), Failure> {
    let config = Config::load(args)?;
    set_level(config.boot.log_level);
    socket::check(&config.ipc)?;
    let key = cookie::master_key(config.boot.cookie_key_file.as_deref())
        .map_err(|reason| Failure::System { what: "read the key of SYN cookies", reason })?;
    if let Some(path) = args.keepalived.as_deref().filter(|_| args.check) {
        keepalived::check(path).map_err(Failure::Keepalived)?;
    }
    if args.check {
        println!("configuration and devices are good");
        return Ok(());
    }
    let notifier = Notifier::from_env();
    let signals = signals()?;
    let clock = Clock::start();

    let (eal, pool) = environment(&config)?;
    let mut devices = open(&eal, &pool, &config)?;
    let mut state = state(&config, &devices);
    state.set_cookies(key, cookie::epoch_ms(clock));
    let (publisher, readers) = Publisher::new(control::compile(&state), config.workers.into());
    let (boxes, mail) = mailboxes(config.workers.into());
    let plan = crew::Plan { config: &config, clock, eal: &eal, pool: &pool, boxes: &boxes };
    let crew = Crew::hire(&plan, &mut devices, readers, mail)?;
    let mut controller = Controller::new(state, publisher, boxes, Devices::new(devices, pool), clock);
    let mut file = File::apply(&config, &mut controller)?;
    // Before the first script: packet memory is none of its business.
    dpdk::keep_files().map_err(|reason| Failure::System { what: "list open files", reason })?;
    let keepalived = args.keepalived.as_deref().map(|path| Keepalived::start(path, &mut controller));
    let mut keepalived = keepalived.transpose().map_err(Failure::Keepalived)?;
    // Devices run now: what their links are like is known before anybody can ask.
    controller.beat();
    let listener = Listener::start(&config.ipc)?;
    log::info!("{}", ready(&config, &eal, controller.state()));
    notifier.ready();

    let ended = serve(&mut controller, &mut file, &mut keepalived, &listener, &signals, &crew, &notifier);

    notifier.stopping();
    drop(listener);
    if let Some(keepalived) = keepalived {
        keepalived.stop();
    }
    // Workers first, then the devices they use, then the environment those live in.
    drop(crew);
    drop(controller);
    drop(eal);
    log::info!("stopped");
    ended
}

/// The control thread's life.
fn serve(
    controller: &mut Controller,
    file: &mut File,
    keepalived: &mut Option<Keepalived>,
    listener: &Listener,
    signals: &Receiver<i32>,
    crew: &Crew,
    notifier: &Notifier,
) -> Result<(), Failure> {
    let beats = tick(BEAT);
    let watchdog = notify::watchdog().map_or_else(never, tick);
    let outcomes = keepalived.as_ref().map_or_else(never, Keepalived::events);
    loop {
        select! {
            recv(listener.requests()) -> first => {
                let waiting = listener.requests().try_iter().take(TOGETHER);
                let all = first.into_iter().chain(waiting);
                let (files, rest): (Vec<_>, Vec<_>) = all.partition(|asked| matches!(asked.request, Request::Files(_)));
                controller.serve(rest.into_iter());
                for Asked { request, reply, peer } in files {
                    if let Request::Files(about) = request {
                        if !matches!(about, Files::Instances | Files::Health) {
                            log::info!("files=\"{about:?}\" {peer}");
                        }
                        let told = about_files(about, controller, file, keepalived.as_mut());
                        let _ = reply.try_send(told.unwrap_or_else(Reply::Refused));
                    }
                }
            }
            recv(signals) -> signal => match signal {
                Ok(SIGHUP) => drop(reload(controller, file, keepalived.as_mut())),
                _ => return Ok(()),
            },
            recv(outcomes) -> event => {
                if let (Ok(event), Some(keepalived)) = (event, keepalived.as_mut()) {
                    keepalived.take(event, controller);
                }
            }
            // From this thread, and after whatever it was busy with: one that hangs is found out.
            recv(watchdog) -> _ => notifier.alive(),
            recv(beats) -> _ => {
                controller.beat();
                if let Some(keepalived) = keepalived {
                    keepalived.beat(controller);
                }
                crew.check()?;
            }
        }
    }
}

/// Does or answers what is asked about the files.
fn about_files(
    about: Files,
    controller: &mut Controller,
    file: &mut File,
    keepalived: Option<&mut Keepalived>,
) -> Result<Reply, Status> {
    let none = || Status::new(Code::NotFound, "the daemon was started without --keepalived FILE");
    match about {
        Files::Reload => {
            let told = reload(controller, file, keepalived);
            told.map(Reply::Told).map_err(|reason| Status::new(Code::Invalid, reason))
        }
        Files::Vrrp { instance, role } => {
            keepalived.ok_or_else(none)?.vrrp(&instance, role, controller).map(|()| Reply::Done)
        }
        Files::Health => Ok(Reply::Health(keepalived.ok_or_else(none)?.report())),
        Files::Instances => Ok(Reply::Vrrp(keepalived.ok_or_else(none)?.instances(controller))),
    }
}

/// The devices, with the timeouts and switches of the file.
fn state(config: &Config, devices: &[Device]) -> State {
    let mut state = State::new(devices.iter().map(|device| device.facts().clone()).collect());
    let settings = state.settings(config.boot.timeouts.clone(), config.boot.options.clone());
    state.commit(settings);
    state.commit(state.marking(config.boot.marks.clone()));
    // As many as there may be connections, which is what each of them remembers at most.
    state.set_templates(Templates::new(config.boot.conns as usize, RandomState::new().hash_one(0)));
    state
}

fn signals() -> Result<Receiver<i32>, Failure> {
    let failed = |reason| Failure::System { what: "listen to signals", reason };
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT]).map_err(failed)?;
    let (sender, receiver) = bounded(16);
    let forward = move || signals.forever().try_for_each(|signal| sender.send(signal));
    std::thread::Builder::new().name("signals".to_owned()).spawn(forward).map_err(failed)?;
    Ok(receiver)
}

fn environment(config: &Config) -> Result<(Eal, Pool), Failure> {
    let packets = config.pool();
    let mut wanted = EalConfig::for_devices(config.specs()).with_pool(&packets).with_args(&config.eal);
    wanted.memory_mib = config.boot.memory.unwrap_or(wanted.memory_mib);
    wanted.hugepages = config.boot.hugepages;
    let eal = Eal::init(wanted)?;
    log::debug!("{} {}", Eal::version(), eal.picked());
    if let Memory::Ordinary { why, .. } = &eal.picked().memory {
        log::info!("{why}: running on ordinary pages, which costs speed on fast devices");
    }
    let pool = Pool::new(&eal, "packets", &packets)?;
    Ok((eal, pool))
}

fn open(eal: &Eal, pool: &Pool, config: &Config) -> Result<Vec<Device>, Failure> {
    let mut devices = Vec::with_capacity(config.devices.len());
    for device in &config.devices {
        let port = Port::open(eal, &device.spec, &device.port, pool)?;
        port.notes().iter().for_each(|note| log::info!("{note}"));
        let kernel = device.kernel.as_ref().map(|tap| kernel_path(eal, pool, &port, tap)).transpose()?;
        devices.push(Device::new(port, kernel, device, config.workers));
    }
    Ok(devices)
}

/// The tap beside a port: the same station with the same MTU, as far as its neighbours can see.
fn kernel_path(eal: &Eal, pool: &Pool, port: &Port, tap: &DeviceSpec) -> Result<Port, dpdk::Error> {
    let config = PortConfig {
        rx_desc: 256,
        tx_desc: 256,
        mac: Some(port.mac()),
        mtu: u16::try_from(port.mtu()).ok(),
        ..PortConfig::default()
    };
    Port::open(eal, tap, &config, pool)
}

fn ready(config: &Config, eal: &Eal, state: &State) -> String {
    let list =
        |part: fn(&control::PortFacts) -> &str| state.ports().iter().map(part).collect::<Vec<_>>().join(",");
    let memory = match &eal.picked().memory {
        Memory::Hugepages(kib) => format!("hugepages:{kib}kB"),
        Memory::Ordinary { mib, .. } => format!("ordinary:{mib}MB"),
        Memory::Given => "given".to_owned(),
    };
    format!(
        "ready ports={} drivers={} workers={} memory={memory} ipc={}",
        list(|port| &port.name),
        list(|port| &port.driver),
        config.workers,
        config.ipc.display()
    )
}
