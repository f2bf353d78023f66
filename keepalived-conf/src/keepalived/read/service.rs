// SPDX-License-Identifier: Apache-2.0
//! `virtual_server`.

use std::net::IpAddr;

use super::Reader;
use super::draft::{RealServerDraft, ServiceDraft, SorryDraft, TimingDraft};
use crate::keepalived::cursor::Statement;
use crate::keepalived::keyword::Block;
use crate::keepalived::object::{
    Dpvs, Encapsulation, Family, Flags, Forwarding, Granularity, HashTarget, Match, Method, Protocol,
    ProxyProtocol, Scheduler, Target, TunnelChecksum, TunnelType,
};
use crate::keepalived::report::Fatal;
use crate::keepalived::value;

impl Reader {
    pub(super) fn virtual_server(&mut self, header: &Statement) -> Result<(), Fatal> {
        if matches!(header.value(), "group" | "fwmark" | "match") && header.args().len() == 1 {
            return Err(super::missing(header, "name or number"));
        }
        let Some(target) = self.accept(header, target(header)) else { return self.cursor.skip_block() };
        let mut service = service(target, header);
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::VirtualServer, &statement)? else { continue };
            if keyword.name == "real_server" {
                self.real_server(&statement, &mut service)?;
            } else {
                self.service_keyword(keyword.name, &statement, &mut service);
            }
        }
        if let Some(sorry) = &service.sorry_server
            && !fits(&mut service.family, sorry.addr, sorry.method)
        {
            let reason = format!("sorry server {} has another address family, ignored", sorry.addr);
            self.warn_at_end(header.keyword(), reason);
            service.sorry_server = None;
        }
        self.draft.services.push(service);
        Ok(())
    }

    fn service_keyword(&mut self, keyword: &str, statement: &Statement, service: &mut ServiceDraft) {
        if self.timing(statement, &mut service.timing, 1) || self.dpvs_keyword(keyword, statement, service) {
            return;
        }
        match keyword {
            "ip_family" => self.ip_family(statement, service),
            "lvs_sched" | "lb_algo" => {
                super::replace(&mut service.scheduler, self.word(statement, Scheduler::find, "scheduler"));
            }
            "lvs_method" | "lb_kind" => self.method(statement, &mut service.method),
            "protocol" => {
                let find = |word: &str| Protocol::find(&word.to_ascii_lowercase());
                super::replace(&mut service.protocol, self.word(statement, find, "protocol"));
            }
            "persistence_timeout" if statement.args().is_empty() => {
                service.persistence_timeout = Some(DEFAULT_PERSISTENCE);
            }
            "persistence_timeout" => {
                super::replace(&mut service.persistence_timeout, self.number(statement, 1, MAX_PERSISTENCE));
            }
            "persistence_granularity" => self.granularity(statement, service),
            "persistence_engine" => service.engine = Some(self.engine(statement)),
            "ops" => service.flags.ops = true,
            "flag-1" => service.flags.flag1 = true,
            "flag-2" => service.flags.flag2 = true,
            "flag-3" => service.flags.flag3 = true,
            "sh-port" | "sh-fallback" | "mh-port" | "mh-fallback" => {
                self.hash_flag(keyword, statement, service)
            }
            "hashed" => {
                if !matches!(service.scheduler, Some(Scheduler::Sh | Scheduler::Mh)) {
                    self.warn(statement, "has no effect");
                }
            }
            "weight" => super::replace(&mut service.weight, self.number(statement, 1, MAX_WEIGHT)),
            "alpha" => service.alpha = true,
            "omega" => service.omega = true,
            "inhibit_on_failure" => service.inhibit_on_failure = true,
            // A bad quorum does not leave the old one, unlike every other value.
            "quorum" => service.quorum = self.number(statement, 1, u32::MAX).unwrap_or(1),
            "hysteresis" => {
                service.hysteresis = self.number(statement, 0, u32::MAX).unwrap_or(service.hysteresis)
            }
            "quorum_up" => self.script(statement, &mut service.quorum_up),
            "quorum_down" => self.script(statement, &mut service.quorum_down),
            "ha_suspend" => service.ha_suspend = true,
            "smtp_alert" => super::replace(&mut service.smtp_alert, self.boolean(statement)),
            "virtualhost" => self.text(statement, &mut service.virtualhost),
            "snmp_name" => self.snmp_name(statement, &mut service.snmp_name),
            "sorry_server" => self.sorry_server(statement, service),
            "sorry_server_inhibit" => match &mut service.sorry_server {
                Some(sorry) => sorry.inhibit_on_failure = true,
                None => self.warn(statement, "no sorry_server before it"),
            },
            "sorry_server_lvs_method" => match &mut service.sorry_server {
                Some(sorry) => self.method(statement, &mut sorry.method),
                None => self.warn(statement, "no sorry_server before it"),
            },
            _ => unreachable!("every honoured keyword is listed here"),
        }
    }

    /// A keyword that only DPVS knows. False when it is none.
    fn dpvs_keyword(&mut self, keyword: &str, statement: &Statement, service: &mut ServiceDraft) -> bool {
        let dpvs = &mut service.dpvs;
        let word = || Some(statement.value().to_string());
        match keyword {
            "laddr_group_name" => dpvs.local_group = word(),
            "daddr_group_name" => dpvs.deny_group = word(),
            "waddr_group_name" => dpvs.allow_group = word(),
            "syn_proxy" => dpvs.syn_proxy = true,
            "expire_quiescent_conn" => dpvs.expire_quiescent_conn = true,
            "quic" => dpvs.quic = true,
            "establish_timeout" => dpvs.establish_timeout = self.establish_timeout(statement),
            "proxy_protocol" => dpvs.proxy_protocol = self.proxy_protocol(statement),
            "hash_target" => {
                let target = self.word(statement, HashTarget::find, "hash target");
                dpvs.hash_target = Some(target.unwrap_or(HashTarget::Sip));
            }
            "bps" => dpvs.bps = value::leading(statement.value()),
            "limit_proportion" => dpvs.limit_proportion = Some(value::leading(statement.value())),
            "vip_bind_dev" => dpvs.vip_bind_dev = word(),
            "src-range" | "dst-range" | "oif" | "iif" => self.match_keyword(keyword, statement, service),
            _ => return false,
        }
        true
    }

    fn match_keyword(&mut self, keyword: &str, statement: &Statement, service: &mut ServiceDraft) {
        let Target::Match(rule) = &mut service.target else {
            self.note(statement, "means something in a match service only");
            return;
        };
        let text = statement.value();
        let most = if keyword.ends_with("range") { MAX_RANGE } else { super::MAX_INTERFACE };
        if text.len() > most {
            self.warn(statement, format!("longer than {most} bytes"));
            return;
        }
        let field = match keyword {
            "src-range" => &mut rule.src_range,
            "dst-range" => &mut rule.dst_range,
            "oif" => &mut rule.oif,
            _ => &mut rule.iif,
        };
        *field = Some(text.to_string());
    }

    fn establish_timeout(&mut self, statement: &Statement) -> u32 {
        let seconds = value::leading(statement.value());
        let clamped = seconds.clamp(1, 3600);
        if clamped != seconds {
            self.warn(statement, format!("{} is not within 1 to 3600, {clamped} is used", statement.value()));
        }
        u32::try_from(clamped).expect("clamped to what fits")
    }

    fn proxy_protocol(&mut self, statement: &Statement) -> Option<ProxyProtocol> {
        let word = statement.value().to_ascii_lowercase();
        if word == "disable" {
            return None;
        }
        self.word(statement, |_| ProxyProtocol::find(&word), "version of the PROXY protocol")
    }

    /// What the value stands for, or a warning.
    fn word<T>(&mut self, statement: &Statement, find: impl Fn(&str) -> Option<T>, what: &str) -> Option<T> {
        let found = find(statement.value()).ok_or_else(|| format!("`{}` is no {what}", statement.value()));
        self.accept(statement, found)
    }

    fn ip_family(&mut self, statement: &Statement, service: &mut ServiceDraft) {
        let find = |word: &str| match word {
            "inet" => Some(Family::Inet),
            "inet6" => Some(Family::Inet6),
            _ => None,
        };
        let Some(family) = self.word(statement, find, "address family") else { return };
        if *service.family.get_or_insert(family) != family {
            self.warn(statement, "the service has another address family");
        }
    }

    fn granularity(&mut self, statement: &Statement, service: &mut ServiceDraft) {
        let word = statement.value();
        let family = service.family.unwrap_or(if word.contains('.') { Family::Inet } else { Family::Inet6 });
        let granularity = match family {
            Family::Inet => value::ipv4_mask(word).map(Granularity::Mask),
            Family::Inet6 => value::unsigned32(word, 1, 128).map(Granularity::Prefix),
        };
        if let Some(granularity) = self.accept(statement, granularity) {
            service.granularity = Some(granularity);
            service.family = Some(family);
        }
    }

    fn engine(&mut self, statement: &Statement) -> String {
        let name = statement.value();
        if name.len() > MAX_ENGINE {
            self.warn(statement, format!("longer than {MAX_ENGINE} bytes, cut"));
        }
        // Whole characters, at most so many bytes.
        let end = (0..=name.len().min(MAX_ENGINE)).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
        name[..end].to_string()
    }

    /// The flags of sh and mh share their bits; each word counts for its own scheduler and no other.
    fn hash_flag(&mut self, keyword: &str, statement: &Statement, service: &mut ServiceDraft) {
        let own = if keyword.starts_with("sh") { Scheduler::Sh } else { Scheduler::Mh };
        match service.scheduler {
            Some(scheduler) if scheduler == own => match keyword.ends_with("port") {
                true => service.flags.flag2 = true,
                false => service.flags.flag1 = true,
            },
            Some(Scheduler::Sh | Scheduler::Mh) => {}
            _ => self
                .warn(statement, format!("only for the scheduler {}, which must come before it", own.name())),
        }
    }

    pub(super) fn snmp_name(&mut self, statement: &Statement, name: &mut Option<String>) {
        match statement.args() {
            [_] => self.text(statement, name),
            _ => self.warn(statement, "exactly one word expected"),
        }
    }

    fn sorry_server(&mut self, statement: &Statement, service: &mut ServiceDraft) {
        let Some((addr, port)) = self.accept(statement, endpoint(statement.args())) else { return };
        let (method, span) = (service.method, statement.span.clone());
        service.sorry_server = Some(SorryDraft { addr, port, method, inhibit_on_failure: false, span });
    }

    /// Sets a forwarding method. After a bad option the mode counts all the same, with the options it had.
    pub(super) fn method(&mut self, statement: &Statement, method: &mut Option<Method>) {
        let find = |word: &str| match word {
            "NAT" => Some(Forwarding::Nat),
            "DR" => Some(Forwarding::Dr),
            "TUN" => Some(Forwarding::Tun),
            "FNAT" => Some(Forwarding::FullNat),
            "SNAT" => Some(Forwarding::Snat),
            _ => None,
        };
        let what = "forwarding method: NAT, DR, TUN, FNAT or SNAT expected";
        let Some(forwarding) = self.word(statement, find, what) else { return };
        let former = method.map(|method| method.encapsulation).unwrap_or_default();
        let encapsulation = self.accept(statement, encapsulation(&statement.args()[1..]));
        *method = Some(Method { forwarding, encapsulation: encapsulation.unwrap_or(former) });
    }
}

/// Whether a server of this address can serve `family`, which it decides where it is still open.
pub(super) fn fits(family: &mut Option<Family>, addr: IpAddr, method: Option<Method>) -> bool {
    let own = Family::of(addr);
    match (method.map(|method| method.forwarding), *family) {
        (Some(Forwarding::Tun), _) => true,
        // NAT64: an IPv6 service may have IPv4 servers, so that an IPv4 server decides nothing.
        (Some(Forwarding::FullNat), None) if own == Family::Inet => true,
        (Some(Forwarding::FullNat), Some(Family::Inet6)) => true,
        (_, None) => {
            *family = Some(own);
            true
        }
        (_, Some(family)) => family == own,
    }
}

/// An address and a port, which may be missing.
pub(super) fn endpoint(words: &[String]) -> Result<(IpAddr, u16), String> {
    let addr = value::address(&words[0])?;
    Ok((addr, value::port(words.get(1).map(String::as_str))?))
}

fn target(header: &Statement) -> Result<Target, String> {
    let second = header.args().get(1).cloned().unwrap_or_default();
    match header.value() {
        "fwmark" => value::unsigned32(&second, 0, u32::MAX).map(Target::Mark),
        "group" => Ok(Target::Group(second)),
        "match" => Ok(Target::Match(Match { name: second, ..Match::default() })),
        _ => endpoint(header.args()).map(|(addr, port)| Target::Address(addr, port)),
    }
}

fn service(target: Target, header: &Statement) -> ServiceDraft {
    ServiceDraft {
        family: match target {
            Target::Address(addr, _) => Some(Family::of(addr)),
            _ => None,
        },
        // Outbound translation is what match services are for.
        method: matches!(target, Target::Match(_)).then(|| Method::new(Forwarding::Snat)),
        target,
        protocol: None,
        scheduler: None,
        flags: Flags::default(),
        persistence_timeout: None,
        granularity: None,
        engine: None,
        ha_suspend: false,
        alpha: false,
        omega: false,
        inhibit_on_failure: false,
        quorum: 1,
        hysteresis: 0,
        smtp_alert: None,
        quorum_up: None,
        quorum_down: None,
        virtualhost: None,
        snmp_name: None,
        dpvs: Dpvs::default(),
        weight: None,
        timing: TimingDraft::default(),
        sorry_server: None,
        real_servers: Vec::<RealServerDraft>::new(),
        span: header.span.clone(),
    }
}

/// The options after a forwarding method. They are read after every method, and count for tunnels only.
fn encapsulation(words: &[String]) -> Result<Encapsulation, String> {
    let mut options = Encapsulation::default();
    let mut checksum = None;
    let mut port = None;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "type" => {
                let kind = words.next().ok_or("type without ipip, gue or gre")?;
                options.kind =
                    TunnelType::find(kind).ok_or_else(|| format!("`{kind}` is no type of tunnel"))?;
            }
            "port" => {
                let number = words.next().ok_or("port without a number")?;
                port = Some(value::unsigned32(number, 1, 65535).map_err(|reason| format!("port {reason}"))?);
            }
            word => {
                let found =
                    TunnelChecksum::find(word).ok_or_else(|| format!("`{word}` is no option of TUN"))?;
                checksum = Some(found);
            }
        }
    }
    match (options.kind, port) {
        (TunnelType::Gue, None) => return Err("type gue needs a port".to_string()),
        (TunnelType::Ipip | TunnelType::Gre, Some(_)) => return Err("only type gue has a port".to_string()),
        _ => {}
    }
    match (options.kind, checksum) {
        (TunnelType::Ipip, Some(TunnelChecksum::Full | TunnelChecksum::Remote)) => {
            return Err("type ipip has no checksum".to_string());
        }
        (TunnelType::Gre, Some(TunnelChecksum::Remote)) => return Err("type gre has no remcsum".to_string()),
        _ => {}
    }
    options.port = port.map_or(0, |port| u16::try_from(port).expect("checked above"));
    options.checksum = checksum.unwrap_or(TunnelChecksum::None);
    Ok(options)
}

/// Seconds, where no number is given.
const DEFAULT_PERSISTENCE: u32 = 360;
/// 31 days in seconds.
const MAX_PERSISTENCE: u32 = 2_678_400;
const MAX_ENGINE: usize = 16;
/// Bytes of a range of a match service.
const MAX_RANGE: usize = 255;
pub(super) const MAX_WEIGHT: u32 = i32::MAX as u32;
