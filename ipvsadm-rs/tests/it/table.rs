// SPDX-License-Identifier: Apache-2.0
//! A daemon in memory: a table that stores all that ipvsadm can say and refuses what the kernel refuses, and groups.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use cli::{Ask, AskError};
use model::link::{LinkInfo, LinkKind};
use model::net::IfAddr;
use model::options::AccessList;
use model::{ConnEntry, Counters, DestSpec, Rates, ServiceKey, ServiceSpec, Timeouts};
use sockopt::reply::{AddrEntry, DaemonInfo, DestEntry, LaddrEntry, Page, ServiceEntry};
use sockopt::{Code, Get, Reply, Request, Set, Status};

/// The table.
pub struct Table {
    /// Addresses of the one link, dpdk0.
    pub addrs: Vec<IfAddr>,
    /// Tunnel links.
    pub tunnels: Vec<model::tunnel::TunnelSpec>,
    /// In the order of their addition.
    pub services: Vec<ServiceEntry>,
    /// Connections, as a test puts them there.
    pub conns: Vec<ConnEntry>,
    /// As set.
    pub timeouts: Timeouts,
    /// Every request, for tests that look at what is asked.
    pub asked: Vec<Request>,
}

impl Default for Table {
    fn default() -> Self {
        let timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
        Table {
            addrs: Vec::new(),
            tunnels: Vec::new(),
            services: Vec::new(),
            conns: Vec::new(),
            timeouts,
            asked: Vec::new(),
        }
    }
}

fn dpdk0() -> LinkInfo {
    LinkInfo {
        index: 1,
        name: "dpdk0".into(),
        kind: LinkKind::Port { driver: "net_null".into(), bus: "vdev".into() },
        socket: 0,
        mtu: 1500,
        rx_queues: 1,
        tx_queues: 1,
        up: true,
        speed: 10_000,
        full_duplex: true,
        autoneg: false,
        promisc: false,
        allmulticast: false,
        mac: model::MacAddr([2, 0, 0, 0, 0, 1]),
        offloads: Vec::new(),
        queue_cpus: vec![1],
        capabilities: Vec::new(),
    }
}

impl Ask for Table {
    fn ask(&mut self, request: &Request) -> Result<Reply, AskError> {
        self.asked.push(request.clone());
        let reply = match request {
            Request::Set(set) => self.set(set).map(|()| Reply::Done),
            Request::Transaction { steps, dry_run } => self.transaction(steps, *dry_run),
            Request::Get(get) => self.get(get),
            Request::Files(_) => panic!("ipvsadm asks for no files"),
        };
        Ok(reply.unwrap_or_else(Reply::Refused))
    }
}

impl Table {
    fn transaction(&mut self, steps: &[Set], dry_run: bool) -> Result<Reply, Status> {
        let (services, timeouts) = (self.services.clone(), self.timeouts);
        let done = steps.iter().enumerate().try_for_each(|(at, step)| {
            self.set(step).map_err(|status| Status { step: Some(at as u32), ..status })
        });
        if dry_run || done.is_err() {
            (self.services, self.timeouts) = (services, timeouts);
        }
        done?;
        Ok(if dry_run {
            Reply::Plan(steps.iter().map(|step| format!("{step:?}")).collect())
        } else {
            Reply::Done
        })
    }

    fn set(&mut self, set: &Set) -> Result<(), Status> {
        match set.clone() {
            Set::AddService(key, spec) => {
                known(&spec)?;
                no_group(&key)?;
                if self.services.iter().any(|service| service.key == key) {
                    return Err(Status::new(Code::Exists, format!("{key} already exists")));
                }
                self.services.push(service(key, spec));
            }
            Set::EditService(key, scheduling, patch) => {
                let service = self.service(&key)?;
                let mut spec = service.spec.clone();
                spec.scheduling = scheduling;
                patch.apply(&mut spec.options);
                known(&spec)?;
                service.spec = spec;
            }
            Set::DelService(key) => {
                self.service(&key)?;
                self.services.retain(|service| service.key != key);
            }
            Set::FlushServices => self.services.clear(),
            Set::AddDest(key, addr, spec) => {
                let service = self.service(&key)?;
                unicast(addr)?;
                limits(spec)?;
                if service.dests.iter().any(|dest| dest.addr == addr) {
                    return Err(Status::new(Code::Exists, format!("{addr} already exists")));
                }
                service.dests.push(dest(addr, spec));
            }
            Set::EditDest(key, addr, spec) => {
                limits(spec)?;
                self.dest(&key, addr)?.spec = spec;
            }
            Set::DelDest(key, addr) => {
                self.dest(&key, addr)?;
                self.service(&key)?.dests.retain(|dest| dest.addr != addr);
            }
            Set::AddLaddr { service, addr, dev } => {
                self.service(&service)?.laddrs.push(LaddrEntry { addr, dev, conflicts: 0, conns: 0 });
            }
            Set::DelLaddr { service, addr, .. } => {
                self.service(&service)?.laddrs.retain(|laddr| laddr.addr != addr);
            }
            Set::AddAccess { service, list, subject } => {
                let service = self.service(&service)?;
                match list {
                    AccessList::Block => service.block.push(subject),
                    AccessList::Allow => service.allow.push(subject),
                }
            }
            Set::DelAccess { service, list, subject } => {
                let service = self.service(&service)?;
                match list {
                    AccessList::Block => service.block.retain(|known| *known != subject),
                    AccessList::Allow => service.allow.retain(|known| *known != subject),
                }
            }
            Set::Zero(Some(key)) => drop(self.service(&key)?),
            Set::Zero(None) => {}
            Set::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
                let keep = |old: &mut u32, new: u32| *old = if new == 0 { *old } else { new };
                keep(&mut self.timeouts.tcp, tcp);
                keep(&mut self.timeouts.tcp_fin, tcp_fin);
                keep(&mut self.timeouts.udp, udp);
            }
            Set::AddAddr(addr) => self.addrs.push(addr),
            Set::AddTunnel(spec) => self.tunnels.push(spec),
            other => panic!("ipvsadm does not ask for {other:?}"),
        }
        Ok(())
    }

    fn get(&mut self, get: &Get) -> Result<Reply, Status> {
        Ok(match get {
            Get::Daemon => Reply::Daemon(DaemonInfo {
                version: "0".into(),
                uptime: 0,
                workers: 1,
                conn_table_size: 4096,
            }),
            // Pages of two: no listing may rely on one being enough.
            Get::Services { cursor, .. } => {
                let rest = self.services.iter().skip(*cursor as usize);
                let entries: Vec<_> = rest.take(2).cloned().collect();
                let end = cursor + entries.len() as u64;
                Reply::Services(Page {
                    entries,
                    next: Some(end).filter(|&end| end < self.services.len() as u64),
                })
            }
            Get::Service { key, .. } => {
                Reply::Services(Page { entries: vec![self.service(key)?.clone()], next: None })
            }
            Get::Conns { .. } => Reply::Conns(Page { entries: self.conns.clone(), next: None }),
            Get::Conn { source, .. } => {
                let found = self.conns.iter().find(|conn| conn.client == *source).cloned();
                let none = || Status::new(Code::NotFound, "connection specified not found");
                Reply::Conns(Page { entries: vec![found.ok_or_else(none)?], next: None })
            }
            Get::Timeouts => Reply::Timeouts(self.timeouts),
            Get::Addrs { .. } => {
                let entry = |addr: &IfAddr| AddrEntry { addr: addr.clone(), pool: None };
                Reply::Addrs(self.addrs.iter().map(entry).collect())
            }
            Get::Links { .. } => Reply::Links(vec![dpdk0()]),
            Get::Tunnels => Reply::Tunnels(self.tunnels.clone()),
            other => panic!("ipvsadm does not ask {other:?}"),
        })
    }

    fn service(&mut self, key: &ServiceKey) -> Result<&mut ServiceEntry, Status> {
        let service = self.services.iter_mut().find(|service| service.key == *key);
        service.ok_or_else(|| Status::new(Code::NoService, format!("no service {key}")))
    }

    fn dest(&mut self, key: &ServiceKey, addr: SocketAddr) -> Result<&mut DestEntry, Status> {
        let dest = self.service(key)?.dests.iter_mut().find(|dest| dest.addr == addr);
        dest.ok_or_else(|| Status::new(Code::NotFound, format!("no server {addr}")))
    }
}

fn known(spec: &ServiceSpec) -> Result<(), Status> {
    let schedulers = "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh conhash twos none";
    let scheduler = &spec.scheduling.scheduler;
    if !schedulers.split(' ').any(|known| known == scheduler) {
        return Err(Status::new(Code::NoScheduler, format!("no scheduler `{scheduler}`")));
    }
    match spec.scheduling.pe.as_deref() {
        None | Some("sip") => Ok(()),
        Some(pe) => Err(Status::new(Code::NoScheduler, format!("no persistence engine `{pe}`"))),
    }
}

fn no_group(key: &ServiceKey) -> Result<(), Status> {
    match key {
        ServiceKey::Endpoint { vip, .. } if vip.ip().is_multicast() => {
            Err(Status::new(Code::Invalid, format!("{key} is at a group address")))
        }
        _ => Ok(()),
    }
}

fn unicast(addr: SocketAddr) -> Result<(), Status> {
    let ip = addr.ip();
    if ip.is_multicast() || ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(Status::new(Code::Invalid, format!("{ip} is no address of a server")));
    }
    Ok(())
}

fn limits(spec: DestSpec) -> Result<(), Status> {
    if spec.lower > spec.upper {
        return Err(Status::new(Code::Invalid, "the lower limit is above the upper"));
    }
    Ok(())
}

fn service(key: ServiceKey, spec: ServiceSpec) -> ServiceEntry {
    ServiceEntry {
        key,
        spec,
        counters: Counters::default(),
        rates: Rates::default(),
        dests: Vec::new(),
        laddrs: Vec::new(),
        block: Vec::new(),
        allow: Vec::new(),
        syn_proxy: None,
    }
}

fn dest(addr: SocketAddr, spec: DestSpec) -> DestEntry {
    DestEntry {
        addr,
        spec,
        counters: Counters::default(),
        rates: Rates::default(),
        active: 0,
        inactive: 0,
        persistent: 0,
        inhibited: false,
        overloaded: false,
    }
}
