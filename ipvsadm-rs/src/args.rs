// SPDX-License-Identifier: Apache-2.0
//! A command line, read and legal: the command, the service, the server and the values, each checked by itself.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use model::options::{
    AccessSubject, DestCheck, ExternalCheck, HashTarget, PassiveCheck, ProxyProtocol, ProxyVersion, Recovery,
};
use model::{Family, Granularity, ServiceKey, ServiceOptionsPatch, Transport};

use crate::address::{self, HostPort};
use crate::grammar::{self, Given};
use crate::names::Names;
use crate::options::{Command, Found, Opt};
use crate::popt::{WordError, Words, Written};

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
        Err(Misuse::line(unknown(&written.name, &self.command_value, words)))
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
            Opt::Match => address::match_rule(value)
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
            Opt::SchedFlags => self.sched_flags = read_flags(name, value)?,
            Opt::Persistent => {
                self.persistent = Some(match written.value {
                    Some(value) => number(name, value, 1, MONTH)?,
                    None => DEFAULT_PERSISTENCE,
                });
            }
            Opt::Pe => self.pe = Some(value.to_owned()).filter(|name| !name.is_empty()),
            Opt::Synproxy => self.options.synproxy = Some(switch(name, value)?),
            Opt::ExpireQuiescent => {
                self.options.expire_quiescent = Some(optional_switch(name, written.value)?);
            }
            Opt::Quic => self.options.quic = Some(optional_switch(name, written.value)?),
            Opt::HashTarget => self.options.hash_target = Some(hash_target(name, value)?),
            Opt::ConnTimeout => self.options.conn_timeout = Some(number(name, value, 0, MONTH)?),
            Opt::ProxyProtocol => self.options.proxy_protocol = Some(proxy_protocol(name, value)?),
            Opt::DestCheck => {
                let checks = self.options.dest_check.take().unwrap_or_default();
                self.options.dest_check = Some(dest_check(name, value, checks)?);
            }
            Opt::Weight => self.weight = Some(number(name, value, 0, INT_MAX)?),
            Opt::UThreshold => self.upper = number(name, value, 0, INT_MAX)?,
            Opt::LThreshold => self.lower = number(name, value, 0, INT_MAX)?,
            Opt::TunType => self.tun_type = word(name, value, &["ipip", "gue", "gre"])?,
            Opt::TunPort => self.tun_port = Some(number(name, value, 1, 65535)? as u16),
            Opt::Laddr => self.laddr = Some(local_address(name, value)?),
            Opt::Ifname => self.ifname = link_name(name, value)?,
            Opt::Blklst | Opt::Whtlst => self.subject = Some(subject(name, value)?),
            Opt::Cpu => {
                let worker = number(name, value, 0, 65535)? as u16;
                self.worker = worker.checked_sub(1);
            }
            Opt::Sockpair => self.sockpair = Some(sockpair(name, value)?),
            Opt::Interval => self.interval = number(name, value, 1, 60)?,
            Opt::Ipc => self.ipc = Some(value.into()),
            Opt::Style => {
                let style = word(name, value, &["stock", "dpvs"])?;
                self.style = Some(if style == "dpvs" { Style::Dpvs } else { Style::Stock });
            }
            _ => check_daemon_option(opt, name, value)?,
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
        let mark = number(name, value, 1, i64::from(u32::MAX))?;
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
            Family::Inet6 => Ok(Granularity::Inet6(number(name, value, 1, 128)? as u8)),
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
            let read = times.iter().map(|text| number("--set", text, 0, MONTH)).collect::<Result<_, _>>();
            self.times = read.map_err(Misuse::line)?;
            rest = after;
        }
        if let Some(word) = rest.first() {
            return Err(Misuse::line(format!("`{word}` belongs to no option")));
        }
        grammar::check(self.command, &self.given).map_err(Misuse::line)
    }
}

/// Seconds of a bare `-p`.
pub const DEFAULT_PERSISTENCE: u32 = 360;
const MONTH: i64 = 31 * 86_400;
const INT_MAX: i64 = i32::MAX as i64;

fn number(name: &str, text: &str, min: i64, max: i64) -> Result<u32, String> {
    let number =
        address::decimal(text).filter(|n| (min..=max).contains(n)).and_then(|n| u32::try_from(n).ok());
    number.ok_or_else(|| format!("{name} `{text}` is not a number from {min} to {max}"))
}

fn word(name: &str, text: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&text) { Ok(text.to_owned()) } else { Err(unknown(name, text, words)) }
}

fn unknown(name: &str, text: &str, words: &[&str]) -> String {
    format!("{name} `{text}` is unknown: {} expected", words.join(", "))
}

fn switch(name: &str, text: &str) -> Result<bool, String> {
    word(name, text, &["enable", "disable"]).map(|word| word == "enable")
}

/// On, unless the value says otherwise.
fn optional_switch(name: &str, value: Option<&str>) -> Result<bool, String> {
    value.map_or(Ok(true), |text| switch(name, text))
}

fn read_flags(name: &str, text: &str) -> Result<Vec<String>, String> {
    let flags: Vec<String> = text.split(',').filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
    if flags.is_empty() { Err(format!("{name} names no flag")) } else { Ok(flags) }
}

fn hash_target(name: &str, text: &str) -> Result<HashTarget, String> {
    match word(name, text, &["sip", "qid"])?.as_str() {
        "sip" => Ok(HashTarget::SourceIp),
        _ => Ok(HashTarget::QuicId),
    }
}

fn proxy_protocol(name: &str, text: &str) -> Result<Option<ProxyProtocol>, String> {
    let lower = text.to_ascii_lowercase();
    let words = ["disable", "v1", "v2", "v1-insecure", "v2-insecure"];
    word(name, &lower, &words)?;
    let version = if lower.starts_with("v1") { ProxyVersion::V1 } else { ProxyVersion::V2 };
    let header = ProxyProtocol { version, insecure: lower.ends_with("-insecure") };
    Ok(Some(header).filter(|_| lower != "disable"))
}

/// One value of `--dest-check`, added to those before.
fn dest_check(name: &str, text: &str, mut checks: DestCheck) -> Result<DestCheck, String> {
    let external = match text {
        "disable" => return Ok(DestCheck::default()),
        "tcp" => Some(ExternalCheck::Tcp),
        "udp" => Some(ExternalCheck::Udp),
        "sctp" => Some(ExternalCheck::Sctp),
        "ping" => Some(ExternalCheck::Ping),
        _ => None,
    };
    match external {
        Some(kind) => {
            checks.external.push(kind);
            checks.external.sort_unstable();
            checks.external.dedup();
        }
        None => {
            checks.passive = Some(passive_check(text).ok_or_else(|| {
                format!(
                    "{name} `{text}`: default, DOWN,WAITs, DOWN,UP,WAITs,MIN-MAXs, tcp, udp, sctp, ping or disable \
                     expected; counts from 1 to 255, MIN and MAX from 1 to 65535; several by repeating {name}"
                )
            })?);
        }
    }
    Ok(checks)
}

fn passive_check(text: &str) -> Option<PassiveCheck> {
    fn positive<T: std::str::FromStr + Default + PartialEq>(text: &str) -> Option<T> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n| digits && *n != T::default())
    }
    let seconds = |text: &str| positive(text.strip_suffix('s')?);
    if text == "default" {
        return Some(PassiveCheck::default());
    }
    match *text.split(',').collect::<Vec<_>>() {
        [down, wait] => Some(PassiveCheck { down: positive(down)?, wait: seconds(wait)?, recovery: None }),
        [down, up, wait, span] => {
            let (min, max) = span.strip_suffix('s')?.split_once('-')?;
            let (min, max): (u16, u16) = (positive(min)?, positive(max)?);
            let recovery = Recovery { up: positive(up)?, min, max };
            let recovery = Some(recovery).filter(|_| min <= max)?;
            Some(PassiveCheck { down: positive(down)?, wait: seconds(wait)?, recovery: Some(recovery) })
        }
        _ => None,
    }
}

/// An IP address; a port is tolerated and means nothing.
fn local_address(name: &str, text: &str) -> Result<IpAddr, String> {
    let addr = text.parse().ok().or_else(|| text.parse().ok().map(|addr: std::net::SocketAddr| addr.ip()));
    addr.ok_or_else(|| format!("{name} `{text}` is not an IP address"))
}

fn link_name(name: &str, text: &str) -> Result<String, String> {
    match text.len() {
        1..=15 => Ok(text.to_owned()),
        _ => Err(format!("{name} `{text}` is no name of a link: 1 to 15 characters expected")),
    }
}

fn subject(name: &str, text: &str) -> Result<AccessSubject, String> {
    let set = text.strip_prefix("ipset:").filter(|set| !set.is_empty() && set.len() < 32);
    let subject = match set {
        Some(set) => Some(AccessSubject::Set(set.to_owned())),
        None => text.parse().ok().map(AccessSubject::Addr),
    };
    subject.ok_or_else(|| format!("{name} `{text}` is neither an IP address nor ipset:NAME"))
}

fn sockpair(name: &str, text: &str) -> Result<Sockpair, String> {
    read_sockpair(text).ok_or_else(|| {
        format!("{name} `{text}`: PROTO:SIP:SPORT:TIP:TPORT expected, IPv6 addresses in brackets")
    })
}

fn read_sockpair(text: &str) -> Option<Sockpair> {
    fn end(text: &str) -> Option<((IpAddr, u16), &str)> {
        let (addr, rest): (IpAddr, &str) = match text.strip_prefix('[') {
            Some(text) => {
                let (addr, rest) = text.split_once("]:")?;
                (IpAddr::V6(addr.parse().ok()?), rest)
            }
            None => {
                let (addr, rest) = text.split_once(':')?;
                (IpAddr::V4(addr.parse().ok()?), rest)
            }
        };
        let (port, rest) = rest.split_once(':').unwrap_or((rest, ""));
        Some(((addr, port.parse().ok()?), rest))
    }
    let (proto, rest) = text.split_once(':')?;
    let transport = match proto {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "sctp" => Transport::Sctp,
        _ => return None,
    };
    let (source, rest) = end(rest)?;
    let (target, rest) = end(rest)?;
    let same_family = source.0.is_ipv4() == target.0.is_ipv4();
    (rest.is_empty() && same_family).then_some(Sockpair { transport, source, target })
}

/// Options of the synchronisation daemon are checked like all others, though it does not exist.
fn check_daemon_option(opt: Opt, name: &str, value: &str) -> Result<(), String> {
    match opt {
        Opt::Syncid => number(name, value, 0, 255).map(drop),
        Opt::SyncMaxlen => number(name, value, 1, 65507).map(drop),
        Opt::McastPort => number(name, value, 1, 65535).map(drop),
        Opt::McastTtl => number(name, value, 1, 255).map(drop),
        Opt::McastGroup => match value.parse::<IpAddr>() {
            Ok(group) if group.is_multicast() => Ok(()),
            _ => Err(format!("{name} `{value}` is not a multicast address")),
        },
        _ => Ok(()),
    }
}
