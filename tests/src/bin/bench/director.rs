// SPDX-License-Identifier: Apache-2.0
//! A dpvsd on a file of frames, configured like the sample of one service with four servers.

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

/// How long connections may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running dpvsd whose connections are open.
pub struct Director {
    child: Child,
    client: Client,
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
            Ok(client) => Director { child, client },
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
    pub fn sample(&mut self, window: Duration) -> Result<Sample> {
        let pid = self.child.id();
        let (times, before) = (cpu::times(pid)?, self.traffic()?);
        sleep(window);
        let (later, after) = (cpu::times(pid)?, self.traffic()?);
        Ok(Sample { time: cpu::busiest(&times, &later), packets: after.rx - before.rx })
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
        for last in 200..204 {
            let addr = [10, 0, 0, last].into();
            steps.push(Set::AddLaddr { service: service.clone(), addr, dev: dev.to_owned() });
        }
        for last in 2..6 {
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

    /// Waits until every flow has its connection and packets come through as the case expects.
    fn settle(&mut self, case: &Case) -> Result<()> {
        let hits = matches!(case.traffic, Traffic::Udp | Traffic::Tcp);
        let begin = Instant::now();
        loop {
            let before = self.traffic()?;
            sleep(Duration::from_millis(300));
            let after = self.traffic()?;
            let (rx, tx) = (after.rx - before.rx, after.tx - before.tx);
            let settled = match hits {
                true => rx > 0 && tx.abs_diff(rx) <= rx / 1000 && self.conns()? >= u64::from(case.flows),
                false => rx > 0 && tx == 0,
            };
            if settled {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "{}: traffic does not settle: rx {rx}, tx {tx}, {after:?}",
                case.name
            );
        }
    }

    fn traffic(&mut self) -> Result<model::stats::Traffic> {
        match self.client.call(&Request::Get(Get::Traffic))? {
            Reply::Traffic(traffic) => Ok(traffic),
            reply => bail!("unexpected reply {reply:?}"),
        }
    }

    /// Connections of all servers.
    fn conns(&mut self) -> Result<u64> {
        match self.client.call(&Request::Get(Get::Services { cursor: 0, lcore: None }))? {
            Reply::Services(page) => {
                let dests = page.entries.iter().flat_map(|service| &service.dests);
                Ok(dests.map(|dest| u64::from(dest.active) + u64::from(dest.inactive)).sum())
            }
            reply => bail!("unexpected reply {reply:?}"),
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
        Traffic::Tcp => Transport::Tcp,
        _ => Transport::Udp,
    }
}

fn configuration(file: &Path, mbufs: u32, case: &Case, memory: Memory) -> String {
    let hugepages = if memory == Memory::Huge { "on" } else { "off" };
    let conns = (case.flows * 2).max(65_536);
    format!(
        "global_defs {{\n    log_level warning\n    idle spin\n    kni off\n    hugepages {hugepages}\n}}\n\
         netif_defs {{\n    pktpool_size {mbufs}\n    device dpdk0 {{\n        driver pcap\n        args {}\n    }}\n}}\n\
         ipvs_defs {{\n    conn {{\n        conn_pool_size {conns}\n    }}\n    \
         udp {{\n        timeout {{\n            oneway 600\n        }}\n    }}\n    \
         tcp {{\n        timeout {{\n            established 600\n        }}\n    }}\n}}\n",
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
