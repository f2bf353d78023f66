// SPDX-License-Identifier: Apache-2.0
//! A dpvsd on a file of frames: one service with eight servers and eight local addresses.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use model::net::{IfAddr, NeighSpec, RouteSpec};
use model::{DestSpec, Forwarding, Scheduling, ServiceKey, ServiceSpec, Transport};
use sockopt::{Client, Get, Reply, Request, Set};

use crate::frames::{SERVICE, Traffic};
use crate::{Case, Memory, Sample, cpu, pcap_args};

/// How long the director may take to come up, and its traffic to be what the case says.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running dpvsd whose connections are open.
pub struct Director {
    child: Child,
    client: Client,
    traffic: Traffic,
}

impl Director {
    /// Starts it on `file` with room for `mbufs` packets and waits until the traffic is what the case says.
    pub fn start(dir: &Path, file: &Path, mbufs: u32, case: &Case, memory: Memory) -> Result<Director> {
        let (ipc, conf) = (dir.join("bench.sock"), dir.join("dpvs.conf"));
        fs::write(&conf, configuration(file, mbufs, case, memory))?;
        let log = fs::File::create(dir.join("dpvsd.log"))?;
        let mut child = Command::new(binary()?)
            .arg("--conf")
            .arg(&conf)
            .arg("--ipc")
            .arg(&ipc)
            .args(["--workers", "1"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start dpvsd")?;
        let client = connect(&ipc, &mut child)
            .with_context(|| fs::read_to_string(dir.join("dpvsd.log")).unwrap_or_default());
        let mut director = match client {
            Ok(client) => Director { child, client, traffic: case.traffic },
            Err(error) => {
                let _ = child.kill();
                return Err(error);
            }
        };
        director.configure(case)?;
        director.settle(case)?;
        Ok(director)
    }

    /// Packets received and time spent during `window`.
    ///
    /// # Errors
    /// The packets of this window did not do what the case says.
    pub fn sample(&mut self, window: Duration) -> Result<Sample> {
        let pid = self.child.id();
        let (times, before) = (cpu::times(pid)?, self.seen()?);
        sleep(window);
        let (later, after) = (cpu::times(pid)?, self.seen()?);
        let seen = after.since(&before);
        ensure!(seen.fits(self.traffic), "the packets of {:?} did something else: {seen:?}", self.traffic);
        Ok(Sample { time: cpu::busiest(&times, &later), packets: seen.rx })
    }

    fn configure(&mut self, case: &Case) -> Result<()> {
        let (service, dev) =
            (ServiceKey::Endpoint { transport: transport(case), vip: SERVICE.into() }, "dpdk0");
        let addr = |prefix: &str| -> Result<Set> {
            Ok(Set::AddAddr(IfAddr {
                prefix: prefix.parse()?,
                dev: dev.to_owned(),
                broadcast: None,
                scope: Default::default(),
                valid_lft: 0,
                preferred_lft: 0,
                sapool: false,
            }))
        };
        let neigh = |addr: IpAddr, last: u8| {
            Set::AddNeigh(NeighSpec {
                addr,
                mac: model::MacAddr([2, 0xbb, 0, 0, 0, last]),
                dev: dev.to_owned(),
            })
        };
        let gateway: IpAddr = [10, 0, 255, 254].into();
        let mut steps = vec![addr("10.0.0.1/16")?, addr("10.0.0.100/32")?, neigh(gateway, 254)];
        steps.push(Set::AddRoute(RouteSpec {
            dst: "0.0.0.0/0".parse()?,
            via: Some(gateway),
            dev: dev.to_owned(),
            src: None,
            mtu: 0,
            scope: None,
            metric: 0,
        }));
        let scheduling = Scheduling { scheduler: "rr".to_owned(), ..Scheduling::default() };
        let spec = ServiceSpec { scheduling, ..ServiceSpec::default() };
        steps.push(Set::AddService(service.clone(), spec));
        for last in 200..208 {
            let addr = [10, 0, 0, last].into();
            steps.push(Set::AddLaddr { service: service.clone(), addr, dev: dev.to_owned() });
        }
        for last in 2..10 {
            let addr = SocketAddr::from(([10, 0, 0, last], 80));
            steps.push(neigh(addr.ip(), last));
            let spec = DestSpec { forwarding: Forwarding::FullNat, ..DestSpec::default() };
            steps.push(Set::AddDest(service.clone(), addr, spec));
        }
        match self.client.call(&Request::Transaction { steps, dry_run: false })? {
            Reply::Done => Ok(()),
            reply => bail!("the director refused its configuration: {reply:?}"),
        }
    }

    /// Waits until packets do what the case says: of hits, every flow has its connection.
    fn settle(&mut self, case: &Case) -> Result<()> {
        let begin = Instant::now();
        loop {
            let before = self.seen()?;
            sleep(Duration::from_millis(500));
            let after = self.seen()?;
            let seen = after.since(&before);
            let all = match case.traffic {
                Traffic::Udp | Traffic::Tcp => after.live >= u64::from(case.flows),
                // The first expired, and from then on as many come as go.
                Traffic::UdpOpen | Traffic::TcpOpen => after.opened > u64::from(case.flows),
                Traffic::NoHost | Traffic::NoPort => true,
            };
            if all && seen.fits(case.traffic) {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "{}: traffic does not settle: {seen:?}, {:?}",
                case.name,
                self.traffic()?
            );
        }
    }

    fn seen(&mut self) -> Result<Seen> {
        let traffic = self.traffic()?;
        let page = match self.client.call(&Request::Get(Get::Services { cursor: 0, lcore: None }))? {
            Reply::Services(page) => page,
            reply => bail!("unexpected reply {reply:?}"),
        };
        let dests = page.entries.iter().flat_map(|service| &service.dests);
        Ok(Seen {
            rx: traffic.rx,
            tx: traffic.tx,
            opened: page.entries.iter().map(|service| service.counters.conns).sum(),
            live: dests.map(|dest| u64::from(dest.active) + u64::from(dest.inactive)).sum(),
        })
    }

    fn traffic(&mut self) -> Result<model::stats::Traffic> {
        match self.client.call(&Request::Get(Get::Traffic))? {
            Reply::Traffic(traffic) => Ok(traffic),
            reply => bail!("unexpected reply {reply:?}"),
        }
    }
}

/// What the director says it did.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Packets received.
    rx: u64,
    /// Packets sent.
    tx: u64,
    /// Connections opened.
    opened: u64,
    /// Connections that are there.
    live: u64,
}

impl Seen {
    fn since(&self, before: &Seen) -> Seen {
        Seen {
            rx: self.rx - before.rx,
            tx: self.tx - before.tx,
            opened: self.opened - before.opened,
            live: self.live,
        }
    }

    /// Whether packets did what the case says. The counters are read one after the other while packets come, so none fits exactly.
    fn fits(&self, traffic: Traffic) -> bool {
        let about = |count: u64| count.abs_diff(self.rx) <= self.rx / 100;
        self.rx > 0
            && match traffic {
                Traffic::Udp | Traffic::Tcp => about(self.tx) && self.opened <= self.rx / 1000,
                Traffic::UdpOpen | Traffic::TcpOpen => about(self.tx) && about(self.opened),
                Traffic::NoHost | Traffic::NoPort => self.tx == 0,
            }
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn transport(case: &Case) -> Transport {
    match case.traffic {
        Traffic::Tcp | Traffic::TcpOpen => Transport::Tcp,
        _ => Transport::Udp,
    }
}

fn configuration(file: &Path, mbufs: u32, case: &Case, memory: Memory) -> String {
    let hugepages = if memory == Memory::Huge { "on" } else { "off" };
    let conns = (case.flows * 2).max(65_536);
    let lifetime = match case.traffic {
        Traffic::UdpOpen | Traffic::TcpOpen => 1,
        _ => 600,
    };
    // Servers that never answer would be told of their clients with every segment; those of hits have answered.
    let toa = if case.traffic == Traffic::Tcp { "off" } else { "on" };
    format!(
        "global_defs {{\n    log_level warning\n    idle spin\n    kni off\n    hugepages {hugepages}\n}}\n\
         netif_defs {{\n    pktpool_size {mbufs}\n    device dpdk0 {{\n        driver pcap\n        args {}\n    }}\n}}\n\
         ipvs_defs {{\n    conn {{\n        conn_pool_size {conns}\n    }}\n    \
         udp {{\n        timeout {{\n            oneway {lifetime}\n        }}\n    }}\n    \
         tcp {{\n        toa {toa}\n        timeout {{\n            syn_recv {lifetime}\n            established 600\n        }}\n    }}\n}}\n",
        pcap_args(file)
    )
}

fn connect(ipc: &Path, child: &mut Child) -> Result<Client> {
    let begin = Instant::now();
    loop {
        if let Ok(client) = Client::connect(ipc) {
            return Ok(client);
        }
        if let Some(status) = child.try_wait()? {
            bail!("dpvsd ended at once: {status}");
        }
        ensure!(begin.elapsed() < PATIENCE, "dpvsd does not come up");
        sleep(Duration::from_millis(50));
    }
}

/// The daemon beside this program.
fn binary() -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("dpvsd");
    ensure!(beside.exists(), "{} is not built: `make build` builds it", beside.display());
    Ok(beside)
}
