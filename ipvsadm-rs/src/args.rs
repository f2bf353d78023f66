// SPDX-License-Identifier: Apache-2.0
//! A command line, read and legal: the command, the service, the server and the values, each checked by itself.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use model::options::AccessSubject;
use model::{Family, Granularity, ServiceKey, ServiceOptionsPatch, Transport};

use crate::address::{self, HostPort};
use crate::grammar::{self, Given};
use crate::names::Names;
use crate::options::{Command, Found, Opt};
use crate::popt::{WordError, Words, Written};
use crate::values;

/// A command line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it does.
    pub command: Command,
    /// The value of the command, as of `--start-daemon`.
    pub command_value: String,
    /// The options given.
    pub given: Given,
    /// The service it is about.
    pub service: Option<ServiceKey>,
    /// The server.
    pub server: Option<HostPort>,
    /// `-s`; empty for the default.
    pub scheduler: String,
    /// `-b` of a service.
    pub sched_flags: Vec<String>,
    /// `-p`, in seconds.
    pub persistent: Option<u32>,
    /// `-M`, or what a service address of IPv6 implies.
    pub netmask: Option<Granularity>,
    /// `--pe`.
    pub pe: Option<String>,
    /// What DPVS adds.
    pub options: ServiceOptionsPatch,
    /// `-w`.
    pub weight: Option<u32>,
    /// `-x`.
    pub upper: u32,
    /// `-y`.
    pub lower: u32,
    /// `--tun-type`.
    pub tun_type: String,
    /// `--tun-port`.
    pub tun_port: Option<u16>,
    /// `-z`.
    pub laddr: Option<IpAddr>,
    /// `-F`.
    pub ifname: String,
    /// `-k` or `-2`.
    pub subject: Option<AccessSubject>,
    /// `--cpu`: a worker, numbered from 0.
    pub worker: Option<u16>,
    /// `--sockpair`.
    pub sockpair: Option<Sockpair>,
    /// The three numbers of `--set`.
    pub times: Vec<u32>,
    /// `--interval`, in seconds.
    pub interval: u32,
    /// Commands may be commented: `ipvsadm-restore` drops lines that begin with `#`.
    pub notes: bool,
    /// `--ipc`.
    pub ipc: Option<PathBuf>,
    /// `--style`.
    pub style: Option<Style>,
}

/// One connection, by its client and service addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sockpair {
    /// Protocol.
    pub transport: Transport,
    /// The client.
    pub source: (IpAddr, u16),
    /// The service.
    pub target: (IpAddr, u16),
}

/// How listings and `-S` are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As ipvsadm 1.31.
    #[default]
    Stock,
    /// As DPVS's ipvsadm.
    Dpvs,
}

/// Why a line is not run, and the exit status that scripts know for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Misuse {
    /// What is wrong.
    pub text: String,
    /// 2 for what a line says, 255 for what is no line.
    pub status: u8,
}

impl Misuse {
    /// The words make no line at all.
    pub fn words(text: impl Into<String>) -> Self {
        Misuse { text: text.into(), status: 255 }
    }

    /// The line says something impossible.
    pub fn line(text: impl Into<String>) -> Self {
        Misuse { text: text.into(), status: 2 }
    }
}

impl From<WordError> for Misuse {
    fn from(error: WordError) -> Self {
        Misuse::words(error.to_string())
    }
}

/// Reads the words of a line, without the name of the program. No words at all are `--list`.
///
/// # Errors
///
/// [`Misuse`], the first from left to right; what only the whole line shows comes last.
pub fn read(words: &[String], names: &Names) -> Result<Line, Misuse> {
    let mut words = Words::new(words);
    let mut line = Line::new(Command::List);
    let first = loop {
        match words.option(None) {
            Ok(None) if words.leftovers().is_empty() => return Ok(line),
            Ok(None) => return Err(no_command(words.leftovers()[0])),
            Ok(Some(written)) => match written.found {
                Found::Command(_) => break written,
                Found::Option(def) if matches!(def.opt, Opt::Ipc | Opt::Style) => {
                    line.take(def.opt, &written, names)?;
                }
                Found::Option(_) => return Err(no_command(&written.name)),
            },
            Err(error) => return Err(error.into()),
        }
    };
    line.begin(&first)?;
    if matches!(line.command, Command::Help | Command::Version) {
        // Help is given whatever else the line says.
        return Ok(line);
    }
    let mut server = None;
    while let Some(written) = words.option(Some(line.command))? {
        match written.found {
            Found::Command(def) => {
                let text =
                    format!("--{} after --{}: one command per line", def.long, line.command.def().long);
                return Err(Misuse::line(text));
            }
            Found::Option(def) if def.opt == Opt::RealServer && line.service.is_none() => {
                line.given.add(def.opt).map_err(Misuse::line)?;
                // The service, when it comes, says of which protocol a name of a port is.
                server = written.value;
            }
            Found::Option(def) => line.take(def.opt, &written, names)?,
        }
    }
    if let Some(text) = server {
        line.read_server(text, names)?;
    }
    line.finish(words.leftovers())?;
    Ok(line)
}

fn no_command(word: &str) -> Misuse {
    Misuse::words(format!("a command must come first, not `{word}`; try --help"))
}

impl Line {
    /// A line with nothing but its command.
    pub fn new(command: Command) -> Self {
        Line {
            command,
            command_value: String::new(),
            given: Given::default(),
            service: None,
            server: None,
            scheduler: String::new(),
            sched_flags: Vec::new(),
            persistent: None,
            netmask: None,
            pe: None,
            options: ServiceOptionsPatch::default(),
            weight: None,
            upper: 0,
            lower: 0,
            tun_type: String::new(),
            tun_port: None,
            laddr: None,
            ifname: String::new(),
            subject: None,
            worker: None,
            sockpair: None,
            times: Vec::new(),
            interval: 1,
            notes: false,
            ipc: None,
            style: None,
        }
    }

    /// Whether `opt` is given.
    pub fn has(&self, opt: Opt) -> bool {
        self.given.has(opt)
    }

    fn begin(&mut self, written: &Written<'_>) -> Result<(), Misuse> {
        let Found::Command(def) = written.found else { return Ok(()) };
        self.command = def.command;
        self.command_value = written.value.unwrap_or_default().to_owned();
        let words: &[&str] = match def.command {
            Command::StartDaemon | Command::StopDaemon => &["master", "backup"],
            _ => return Ok(()),
        };
        if words.contains(&self.command_value.as_str()) {
            return Ok(());
        }
        Err(Misuse::line(values::unknown(&written.name, &self.command_value, words)))
    }

    fn take(&mut self, opt: Opt, written: &Written<'_>, names: &Names) -> Result<(), Misuse> {
        self.given.add(opt).map_err(Misuse::line)?;
        let value = written.value.unwrap_or_default();
        let what = |reason: String| format!("{} `{value}`: {reason}", written.name);
        let taken = match opt {
            Opt::Tcp => self.read_service(value, Transport::Tcp, names).map_err(what),
            Opt::Udp => self.read_service(value, Transport::Udp, names).map_err(what),
            Opt::Sctp => self.read_service(value, Transport::Sctp, names).map_err(what),
            Opt::Icmp => self.read_service(value, Transport::Icmp, names).map_err(what),
            Opt::Icmpv6 => self.read_service(value, Transport::Icmpv6, names).map_err(what),
            Opt::Match => value
                .parse::<model::MatchRule>()
                .map(|rule| self.service = Some(ServiceKey::Match(rule)))
                .map_err(what),
            Opt::RealServer => return self.read_server(value, names),
            _ => self.take_value(opt, written, value),
        };
        taken.map_err(Misuse::line)
    }

    fn take_value(&mut self, opt: Opt, written: &Written<'_>, value: &str) -> Result<(), String> {
        let name = written.name.as_str();
        match opt {
            Opt::Fwmark => self.read_fwmark(name, value)?,
            Opt::Ipv6 => self.read_ipv6()?,
            Opt::Netmask => self.netmask = Some(self.read_netmask(name, value)?),
            Opt::Scheduler => self.scheduler = value.to_owned(),
            Opt::SchedFlags => self.sched_flags = values::flags(name, value)?,
            Opt::Persistent => {
                self.persistent = Some(match written.value {
                    Some(value) => values::number(name, value, 1, values::MONTH)?,
                    None => values::DEFAULT_PERSISTENCE,
                });
            }
            Opt::Pe => self.pe = Some(value.to_owned()).filter(|name| !name.is_empty()),
            Opt::Synproxy => self.options.synproxy = Some(values::syn_proxy(name, value)?),
            Opt::ExpireQuiescent => {
                self.options.expire_quiescent = Some(values::optional_switch(name, written.value)?);
            }
            Opt::Quic => self.options.quic = Some(values::optional_switch(name, written.value)?),
            Opt::HashTarget => self.options.hash_target = Some(values::hash_target(name, value)?),
            Opt::ConnTimeout => {
                self.options.conn_timeout = Some(values::number(name, value, 0, values::MONTH)?)
            }
            Opt::ProxyProtocol => self.options.proxy_protocol = Some(values::proxy_protocol(name, value)?),
            Opt::Bps => self.options.bps = Some(values::number(name, value, 0, values::INT_MAX)?),
            Opt::LimitProportion => {
                self.options.limit_proportion = Some(values::number(name, value, 1, 100)? as u8);
            }
            Opt::Echo => self.options.echo = Some(values::echo(name, value)?),
            Opt::DestCheck => {
                let checks = self.options.dest_check.take().unwrap_or_default();
                self.options.dest_check = Some(values::dest_check(name, value, checks)?);
            }
            Opt::Weight => self.weight = Some(values::number(name, value, 0, values::INT_MAX)?),
            Opt::UThreshold => self.upper = values::number(name, value, 0, values::INT_MAX)?,
            Opt::LThreshold => self.lower = values::number(name, value, 0, values::INT_MAX)?,
            Opt::TunType => self.tun_type = values::word(name, value, &["ipip", "gue", "gre"])?,
            Opt::TunPort => self.tun_port = Some(values::number(name, value, 1, 65535)? as u16),
            Opt::Laddr => self.laddr = Some(values::local_address(name, value)?),
            Opt::Ifname => self.ifname = values::link_name(name, value)?,
            Opt::Blklst | Opt::Whtlst => self.subject = Some(values::subject(name, value)?),
            Opt::Cpu => {
                let worker = values::number(name, value, 0, 65535)? as u16;
                self.worker = worker.checked_sub(1);
            }
            Opt::Sockpair => self.sockpair = Some(values::sockpair(name, value)?),
            Opt::Interval => self.interval = values::number(name, value, 1, 60)?,
            Opt::Ipc => self.ipc = Some(value.into()),
            Opt::Style => {
                let style = values::word(name, value, &["stock", "dpvs"])?;
                self.style = Some(if style == "dpvs" { Style::Dpvs } else { Style::Stock });
            }
            _ => values::check_daemon_option(opt, name, value)?,
        }
        Ok(())
    }

    fn read_service(&mut self, text: &str, transport: Transport, names: &Names) -> Result<(), String> {
        let HostPort { addr, port } = address::host_port(text, Some(transport), names)?;
        let right = match transport {
            Transport::Icmp => addr.is_ipv4(),
            Transport::Icmpv6 => addr.is_ipv6(),
            _ => true,
        };
        if !right {
            let other = if addr.is_ipv4() { "--icmp-service" } else { "--icmpv6-service" };
            return Err(format!("an address of the other family; use {other}"));
        }
        let has_no_port = matches!(transport, Transport::Icmp | Transport::Icmpv6);
        if let (true, Some(1..)) = (has_no_port, port) {
            return Err("ICMP has no ports: leave it out, or write 0".to_owned());
        }
        if addr.is_ipv6() {
            self.netmask = Some(Granularity::host(Family::Inet6));
        }
        self.service = Some(ServiceKey::endpoint(transport, addr, port.unwrap_or(0)));
        Ok(())
    }

    fn read_fwmark(&mut self, name: &str, value: &str) -> Result<(), String> {
        let mark = values::number(name, value, 1, i64::from(u32::MAX))?;
        let mark = NonZeroU32::new(mark).ok_or("a mark is never 0")?;
        self.service = Some(ServiceKey::FwMark { family: Family::Inet, mark });
        Ok(())
    }

    fn read_ipv6(&mut self) -> Result<(), String> {
        match &mut self.service {
            Some(ServiceKey::FwMark { family, .. }) => *family = Family::Inet6,
            _ => return Err("--ipv6 follows the --fwmark-service it is about".to_owned()),
        }
        self.netmask = Some(Granularity::host(Family::Inet6));
        Ok(())
    }

    /// The family is that of the service as far as it is known: scripts write `-M` after it.
    fn read_netmask(&self, name: &str, value: &str) -> Result<Granularity, String> {
        match self.service.as_ref().map_or(Family::Inet, ServiceKey::family) {
            Family::Inet => {
                let mask = address::classic_ipv4(value).map(Granularity::Inet);
                mask.ok_or_else(|| format!("{name} `{value}` is no IPv4 mask such as 255.255.255.0"))
            }
            Family::Inet6 => Ok(Granularity::Inet6(values::number(name, value, 1, 128)? as u8)),
        }
    }

    fn read_server(&mut self, text: &str, names: &Names) -> Result<(), Misuse> {
        if !self.given.has(Opt::RealServer) {
            self.given.add(Opt::RealServer).map_err(Misuse::line)?;
        }
        let transport = match &self.service {
            Some(ServiceKey::Endpoint { transport, .. }) => Some(*transport),
            _ => None,
        };
        let server = address::host_port(text, transport, names)
            .map_err(|reason| Misuse::line(format!("--real-server `{text}`: {reason}")))?;
        self.server = Some(server);
        Ok(())
    }

    fn finish(&mut self, leftovers: &[&str]) -> Result<(), Misuse> {
        let mut rest = leftovers;
        if self.command == Command::SetTimeouts {
            let (times, after) = leftovers.split_at_checked(3).ok_or_else(|| {
                Misuse::line("--set needs three numbers of seconds: TCP, TCP after FIN, UDP; 0 keeps one")
            })?;
            let read = times
                .iter()
                .map(|text| values::number("--set", text, 0, values::MONTH))
                .collect::<Result<_, _>>();
            self.times = read.map_err(Misuse::line)?;
            rest = after;
        }
        if let Some(word) = rest.first() {
            return Err(Misuse::line(format!("`{word}` belongs to no option")));
        }
        grammar::check(self.command, &self.given).map_err(Misuse::line)
    }
}
