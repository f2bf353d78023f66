// SPDX-License-Identifier: Apache-2.0
//! A line into what it asks of the daemon: pure, and everything that only the whole line shows is checked here.

use std::net::SocketAddr;

use model::dest::{TunnelCsum, TunnelKind};
use model::options::{AccessList, HashTarget, SynProxy};
use model::{
    DestSpec, Family, Forwarding, Granularity, Persistence, Scheduling, ServiceKey, ServiceOptions,
    ServiceSpec, Timeouts, Transport,
};
use sockopt::Set;

use crate::args::{Line, Misuse, Sockpair};
use crate::flags;
use crate::options::{Command, Opt};

/// What a line does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// One change.
    Change(Set),
    /// Replaces how a service chooses servers; what the line does not name is kept where that is the style.
    EditService(Box<Edit>),
    /// Lists services.
    Services(Services),
    /// Lists connections.
    Conns(Option<Sockpair>),
    /// Lists timeouts.
    Timeouts,
    /// Lists synchronisation daemons: there are none.
    SyncDaemons,
    /// Synchronisation of connections is asked for.
    StartSync,
    /// Its end is asked for.
    StopSync,
    /// Lists local addresses of one service or all.
    Laddrs(Option<ServiceKey>, Option<u16>),
    /// Lists access lists of one service or all.
    Access(AccessList, Option<ServiceKey>),
    /// Writes the table as commands.
    Save,
    /// Runs the commands on standard input.
    Restore,
    /// `--import`.
    Import,
    /// Reads commands from the terminal.
    Shell,
    /// Watches services.
    Top,
    /// Prints the help.
    Help,
    /// Prints the version.
    Version,
}

/// An edit of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Which.
    pub key: ServiceKey,
    /// What the line says, with defaults for what it leaves out.
    pub scheduling: Scheduling,
    /// What DPVS adds, as far as the line names it.
    pub patch: model::ServiceOptionsPatch,
    /// Which parts of `scheduling` the line names.
    pub named: Vec<Opt>,
}

impl Edit {
    /// The change that replaces everything but what DPVS adds.
    pub fn replacing(self) -> Set {
        Set::EditService(self.key, self.scheduling, self.patch)
    }
}

/// A listing of services.
#[derive(Clone, Debug, PartialEq)]
pub struct Services {
    /// One, or all.
    pub key: Option<ServiceKey>,
    /// Only the numbers of this worker.
    pub worker: Option<u16>,
}

/// What `line` does.
///
/// # Errors
///
/// [`Misuse`] where its parts contradict each other.
pub fn action(line: &Line) -> Result<Action, Misuse> {
    build(line).map_err(Misuse::line)
}

fn build(line: &Line) -> Result<Action, String> {
    Ok(match line.command {
        Command::AddService => Action::Change(Set::AddService(service(line)?, service_spec(line)?)),
        Command::EditService => Action::EditService(Box::new(edit(line)?)),
        Command::DelService => Action::Change(Set::DelService(service(line)?)),
        Command::Clear => Action::Change(Set::FlushServices),
        Command::AddServer => {
            let (key, server, spec) = server_spec(line)?;
            Action::Change(Set::AddDest(key, server, spec))
        }
        Command::EditServer => {
            let (key, server, spec) = server_spec(line)?;
            Action::Change(Set::EditDest(key, server, spec))
        }
        Command::DelServer => {
            let key = service(line)?;
            let server = server_address(line, &key)?;
            Action::Change(Set::DelDest(key, server))
        }
        Command::Zero => Action::Change(Set::Zero(line.service.clone())),
        Command::SetTimeouts => match *line.times {
            [tcp, tcp_fin, udp] => Action::Change(Set::SetTimeouts(Timeouts { tcp, tcp_fin, udp })),
            _ => return Err("--set needs three numbers".to_owned()),
        },
        Command::AddLaddr => {
            let (service, addr, dev) = laddr(line)?;
            Action::Change(Set::AddLaddr { service, addr, dev })
        }
        Command::DelLaddr => {
            let (service, addr, dev) = laddr(line)?;
            Action::Change(Set::DelLaddr { service, addr, dev })
        }
        Command::AddBlock => add_access(line, AccessList::Block)?,
        Command::AddAllow => add_access(line, AccessList::Allow)?,
        Command::DelBlock => del_access(line, AccessList::Block)?,
        Command::DelAllow => del_access(line, AccessList::Allow)?,
        Command::GetLaddr => Action::Laddrs(line.service.clone(), line.worker),
        Command::GetBlock => Action::Access(AccessList::Block, line.service.clone()),
        Command::GetAllow => Action::Access(AccessList::Allow, line.service.clone()),
        Command::List => list(line),
        Command::Save => Action::Save,
        Command::Restore => Action::Restore,
        Command::Import => Action::Import,
        Command::StartDaemon => Action::StartSync,
        Command::StopDaemon => Action::StopSync,
        Command::Shell => Action::Shell,
        Command::Top => Action::Top,
        Command::Help => Action::Help,
        Command::Version => Action::Version,
    })
}

fn list(line: &Line) -> Action {
    if line.has(Opt::Connection) {
        Action::Conns(line.sockpair)
    } else if line.has(Opt::Timeout) {
        Action::Timeouts
    } else if line.has(Opt::Daemon) {
        Action::SyncDaemons
    } else {
        Action::Services(Services { key: line.service.clone(), worker: line.worker })
    }
}

fn service(line: &Line) -> Result<ServiceKey, String> {
    line.service.clone().ok_or_else(|| "a service is needed".to_owned())
}

fn service_spec(line: &Line) -> Result<ServiceSpec, String> {
    let key = service(line)?;
    check_options(line, &key)?;
    let scheduling = scheduling(line, &key)?;
    let mut options = ServiceOptions::default();
    line.options.clone().apply(&mut options);
    if scheduling.scheduler == CONHASH {
        options.hash_target = options.hash_target.or(Some(HashTarget::SourceIp));
    } else if options.hash_target.is_some() {
        return Err(format!("--hash-target belongs to the scheduler {CONHASH}"));
    }
    Ok(ServiceSpec { scheduling, options })
}

fn edit(line: &Line) -> Result<Edit, String> {
    let key = service(line)?;
    check_options(line, &key)?;
    let named = [Opt::Scheduler, Opt::SchedFlags, Opt::Persistent, Opt::Netmask, Opt::Pe, Opt::Ops];
    Ok(Edit {
        scheduling: scheduling(line, &key)?,
        key,
        patch: line.options.clone(),
        named: named.into_iter().filter(|&opt| line.has(opt)).collect(),
    })
}

fn scheduling(line: &Line, key: &ServiceKey) -> Result<Scheduling, String> {
    let scheduler = if line.scheduler.is_empty() { "wlc" } else { line.scheduler.as_str() };
    if let ServiceKey::Endpoint { transport, vip } = key {
        let has_ports = !matches!(transport, Transport::Icmp | Transport::Icmpv6);
        if has_ports && vip.port() == 0 && line.persistent.is_none() {
            return Err("port 0 stands for every port: that needs --persistent".to_owned());
        }
        if line.has(Opt::Ops) && *transport != Transport::Udp {
            return Err("--ops is for UDP services and firewall marks".to_owned());
        }
    }
    let granularity = line.netmask.filter(|mask| mask.family() == key.family());
    let granularity = granularity.unwrap_or(Granularity::host(key.family()));
    Ok(Scheduling {
        scheduler: scheduler.to_owned(),
        flags: flags::bits(&line.sched_flags, scheduler)?,
        persistence: line.persistent.map(|timeout| Persistence { timeout, granularity }),
        one_packet: line.has(Opt::Ops),
        pe: line.pe.clone(),
    })
}

/// What DPVS adds belongs to some protocols only.
fn check_options(line: &Line, key: &ServiceKey) -> Result<(), String> {
    let transport = match key {
        ServiceKey::Endpoint { transport, .. } => Some(*transport),
        ServiceKey::Match(rule) => Some(rule.transport),
        ServiceKey::FwMark { .. } => None,
    };
    let udp = transport == Some(Transport::Udp);
    if line.options.hash_target == Some(HashTarget::QuicId) && !udp {
        return Err("--hash-target qid is for UDP services: QUIC is what has the identifier".to_owned());
    }
    if line.options.quic == Some(true) && !udp {
        return Err("--quic is for UDP services".to_owned());
    }
    if line.options.synproxy.is_some_and(SynProxy::is_on) && transport != Some(Transport::Tcp) {
        return Err("--synproxy is for TCP services".to_owned());
    }
    if line.options.echo.is_some() && !matches!(transport, Some(Transport::Icmp | Transport::Icmpv6)) {
        return Err("--echo is for ICMP services".to_owned());
    }
    let named = !line.scheduler.is_empty() && line.scheduler != CONHASH;
    if line.options.hash_target.is_some() && named {
        return Err(format!("--hash-target belongs to the scheduler {CONHASH}"));
    }
    Ok(())
}

fn server_spec(line: &Line) -> Result<(ServiceKey, SocketAddr, DestSpec), String> {
    let key = service(line)?;
    let forwarding = forwarding(line)?;
    let mut server = server_address(line, &key)?;
    let same_family = Family::of(server.ip()) == key.family();
    if !same_family && !matches!(forwarding, Forwarding::Tunnel(_) | Forwarding::FullNat) {
        return Err(format!(
            "service and server are of different families: only tunnels and full NAT join them, not {}",
            option_of(forwarding)
        ));
    }
    match (forwarding, &key) {
        (Forwarding::Snat, _) => server.set_port(0),
        (Forwarding::DirectRouting | Forwarding::Tunnel(_), ServiceKey::Endpoint { vip, .. }) => {
            // The packet arrives with the port that the client asked for.
            server.set_port(vip.port());
        }
        _ => {}
    }
    let spec =
        DestSpec { forwarding, weight: line.weight.unwrap_or(1), upper: line.upper, lower: line.lower };
    Ok((key, server, spec))
}

fn option_of(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Nat => "--masquerading",
        Forwarding::Snat => "--snat",
        _ => "--gatewaying",
    }
}

/// The server; without a port, it has that of the service.
fn server_address(line: &Line, key: &ServiceKey) -> Result<SocketAddr, String> {
    let server = line.server.ok_or_else(|| "a server is needed".to_owned())?;
    let service_port = match key {
        ServiceKey::Endpoint { vip, .. } => vip.port(),
        ServiceKey::FwMark { .. } | ServiceKey::Match(_) => 0,
    };
    if let ServiceKey::Endpoint { transport: Transport::Icmp | Transport::Icmpv6, .. } = key
        && let Some(port @ 1..) = server.port
    {
        return Err(format!("ICMP has no ports: leave `:{port}` of the server out"));
    }
    Ok(SocketAddr::new(server.addr, server.port.unwrap_or(service_port)))
}

fn forwarding(line: &Line) -> Result<Forwarding, String> {
    let tunnel_option = [Opt::TunType, Opt::TunPort, Opt::TunCsum, Opt::TunNocsum, Opt::TunRemcsum]
        .into_iter()
        .find(|&opt| line.has(opt));
    if let Some(opt) = tunnel_option
        && !line.has(Opt::Ipip)
    {
        return Err(format!("--{} is for servers behind a tunnel: it needs --ipip", opt.def().long));
    }
    Ok(if line.has(Opt::Ipip) {
        Forwarding::Tunnel(tunnel(line)?)
    } else if line.has(Opt::Masquerading) {
        Forwarding::Nat
    } else if line.has(Opt::FullNat) {
        Forwarding::FullNat
    } else if line.has(Opt::Snat) {
        Forwarding::Snat
    } else {
        Forwarding::DirectRouting
    })
}

fn tunnel(line: &Line) -> Result<TunnelKind, String> {
    let csums: Vec<Opt> =
        [Opt::TunNocsum, Opt::TunCsum, Opt::TunRemcsum].into_iter().filter(|&opt| line.has(opt)).collect();
    if let [one, other, ..] = csums[..] {
        return Err(format!("--{} and --{} exclude each other", one.def().long, other.def().long));
    }
    let csum = match csums.first() {
        Some(Opt::TunCsum) => TunnelCsum::Full,
        Some(Opt::TunRemcsum) => TunnelCsum::Remote,
        _ => TunnelCsum::None,
    };
    match (line.tun_type.as_str(), line.tun_port) {
        ("gue", Some(port)) => Ok(TunnelKind::Gue { port, csum }),
        ("gue", None) => Err("a gue tunnel needs --tun-port".to_owned()),
        (kind, Some(_)) => Err(format!("--tun-port is for gue tunnels, not {}", tunnel_name(kind))),
        ("gre", None) if csum == TunnelCsum::Remote => {
            Err("--tun-remcsum is for gue tunnels, not gre".to_owned())
        }
        ("gre", None) => Ok(TunnelKind::Gre { csum }),
        (kind, None) if !csums.is_empty() => {
            Err(format!("--{} is for gue and gre tunnels, not {}", csums[0].def().long, tunnel_name(kind)))
        }
        _ => Ok(TunnelKind::Ipip),
    }
}

fn tunnel_name(kind: &str) -> &str {
    if kind.is_empty() { "ipip" } else { kind }
}

fn laddr(line: &Line) -> Result<(ServiceKey, std::net::IpAddr, String), String> {
    let addr = line.laddr.ok_or_else(|| "a local address is needed".to_owned())?;
    Ok((service(line)?, addr, line.ifname.clone()))
}

fn add_access(line: &Line, list: AccessList) -> Result<Action, String> {
    let subject = line.subject.clone().ok_or_else(|| "a client is needed".to_owned())?;
    Ok(Action::Change(Set::AddAccess { service: service(line)?, list, subject }))
}

fn del_access(line: &Line, list: AccessList) -> Result<Action, String> {
    let subject = line.subject.clone().ok_or_else(|| "a client is needed".to_owned())?;
    Ok(Action::Change(Set::DelAccess { service: service(line)?, list, subject }))
}

const CONHASH: &str = "conhash";
