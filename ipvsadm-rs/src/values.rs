// SPDX-License-Identifier: Apache-2.0
//! Values of options: each read by itself. What is wrong is said with the option's name and what would be right.

use std::net::IpAddr;

use model::Transport;
use model::options::{
    AccessSubject, DestCheck, EchoPolicy, ExternalCheck, HashTarget, PassiveCheck, ProxyProtocol,
    ProxyVersion, Recovery, SynProxy,
};

use crate::address;
use crate::args::Sockpair;
use crate::options::Opt;

/// Seconds of a bare `-p`.
pub const DEFAULT_PERSISTENCE: u32 = 360;
/// The longest time that can be set: 31 days, in seconds.
pub const MONTH: i64 = 31 * 86_400;
/// The largest number of C's `int`.
pub const INT_MAX: i64 = i32::MAX as i64;

/// A whole number, as C reads it.
pub fn number(name: &str, text: &str, min: i64, max: i64) -> Result<u32, String> {
    let number =
        address::decimal(text).filter(|n| (min..=max).contains(n)).and_then(|n| u32::try_from(n).ok());
    number.ok_or_else(|| format!("{name} `{text}` is not a number from {min} to {max}"))
}

/// One of several words.
pub fn word(name: &str, text: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&text) { Ok(text.to_owned()) } else { Err(unknown(name, text, words)) }
}

/// Says which words are known.
pub fn unknown(name: &str, text: &str, words: &[&str]) -> String {
    format!("{name} `{text}` is unknown: {} expected", words.join(", "))
}

/// `enable` or `disable`.
pub fn switch(name: &str, text: &str) -> Result<bool, String> {
    word(name, text, &["enable", "disable"]).map(|word| word == "enable")
}

/// When the SYN proxy stands before a service, and what clients may send until their server answers.
pub fn syn_proxy(name: &str, text: &str) -> Result<SynProxy, String> {
    text.parse().map_err(|()| {
        format!(
            "{name} `{text}`: enable, disable or auto expected, behind enable and auto also ,hold or ,open"
        )
    })
}

/// On, unless the value says otherwise.
pub fn optional_switch(name: &str, value: Option<&str>) -> Result<bool, String> {
    value.map_or(Ok(true), |text| switch(name, text))
}

/// Names of scheduler flags, with commas; which there are, the scheduler says.
pub fn flags(name: &str, text: &str) -> Result<Vec<String>, String> {
    let flags: Vec<String> = text.split(',').filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
    if flags.is_empty() { Err(format!("{name} names no flag")) } else { Ok(flags) }
}

/// What `conhash` hashes.
pub fn hash_target(name: &str, text: &str) -> Result<HashTarget, String> {
    match word(name, text, &["sip", "qid"])?.as_str() {
        "sip" => Ok(HashTarget::SourceIp),
        _ => Ok(HashTarget::QuicId),
    }
}

/// Who answers queries.
pub fn echo(name: &str, text: &str) -> Result<EchoPolicy, String> {
    text.parse().map_err(|what| format!("{name} {what}"))
}

/// A PROXY protocol header, or none; in capitals or not.
pub fn proxy_protocol(name: &str, text: &str) -> Result<Option<ProxyProtocol>, String> {
    let lower = text.to_ascii_lowercase();
    let words = ["disable", "v1", "v2", "v1-insecure", "v2-insecure"];
    word(name, &lower, &words)?;
    let version = if lower.starts_with("v1") { ProxyVersion::V1 } else { ProxyVersion::V2 };
    let header = ProxyProtocol { version, insecure: lower.ends_with("-insecure") };
    Ok(Some(header).filter(|_| lower != "disable"))
}

/// One value of `--dest-check`, added to those before.
pub fn dest_check(name: &str, text: &str, mut checks: DestCheck) -> Result<DestCheck, String> {
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
pub fn local_address(name: &str, text: &str) -> Result<IpAddr, String> {
    let addr = text.parse().ok().or_else(|| text.parse().ok().map(|addr: std::net::SocketAddr| addr.ip()));
    addr.ok_or_else(|| format!("{name} `{text}` is not an IP address"))
}

/// The name of a link.
pub fn link_name(name: &str, text: &str) -> Result<String, String> {
    match text.len() {
        1..=15 => Ok(text.to_owned()),
        _ => Err(format!("{name} `{text}` is no name of a link: 1 to 15 characters expected")),
    }
}

/// Whom an access list names.
pub fn subject(name: &str, text: &str) -> Result<AccessSubject, String> {
    let set = text.strip_prefix("ipset:").filter(|set| !set.is_empty() && set.len() < 32);
    let subject = match set {
        Some(set) => Some(AccessSubject::Set(set.to_owned())),
        None => text.parse().ok().map(AccessSubject::Addr),
    };
    subject.ok_or_else(|| format!("{name} `{text}` is neither an IP address nor ipset:NAME"))
}

/// One connection.
pub fn sockpair(name: &str, text: &str) -> Result<Sockpair, String> {
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
pub fn check_daemon_option(opt: Opt, name: &str, value: &str) -> Result<(), String> {
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
