// SPDX-License-Identifier: Apache-2.0
//! Drafts into what takes effect: inheritance, defaults, corrections. Every correction is an adjustment.

use std::net::{IpAddr, SocketAddr};

use super::object::{
    Check, Checker, Config, Connect, Family, Forwarding, Group, Method, Persistence, Protocol, RealServer,
    Scheduler, Service, SorryServer, Target, Timing,
};
use super::read::{CheckerDraft, Draft, Outcome, RealServerDraft, ServiceDraft, TimingDraft};
use super::report::{Adjustment, Code, Report};

/// Settles everything that was read.
pub(super) fn report(outcome: Outcome) -> Report {
    let Outcome { config_id, mut draft, findings, included_as } = outcome;
    let mut settling = Settling::default();
    let mut services = Vec::new();
    for service in std::mem::take(&mut draft.services) {
        services.extend(settling.service(service, &draft));
    }
    let config = Config {
        globals: draft.globals,
        groups: draft.groups,
        services,
        local_groups: draft.local_groups,
        deny_groups: draft.deny_groups,
        allow_groups: draft.allow_groups,
        tunnels: draft.tunnels,
        vrrp_instances: draft.vrrp_instances,
        track_files: draft.track_files,
        ssl: draft.ssl,
    };
    let (adjustments, skipped) = (settling.adjustments, draft.skipped);
    Report { config_id, config, findings, adjustments, skipped, included_as }
}

#[derive(Default)]
struct Settling {
    adjustments: Vec<Adjustment>,
}

impl Settling {
    fn note(&mut self, service: &ServiceDraft, code: Code, real_server: Option<(IpAddr, u16)>) {
        self.adjustments.push(Adjustment {
            service: service.target.to_string(),
            span: service.span.clone(),
            code,
            real_server: real_server.map(|(addr, port)| SocketAddr::new(addr, port).to_string()),
        });
    }

    /// The service, unless it is dropped. keepalived's order is kept, because one correction may hide another.
    fn service(&mut self, mut service: ServiceDraft, draft: &Draft) -> Option<Service> {
        if service.real_servers.is_empty() {
            self.note(&service, Code::NoRealServers, None);
            return None;
        }
        let group = match &service.target {
            Target::Group(name) => {
                let Some(group) = draft.groups.iter().find(|group| group.name == *name) else {
                    self.note(&service, Code::GroupNotFound, None);
                    return None;
                };
                Some(group)
            }
            _ => None,
        };
        if !self.family(&mut service, group) {
            return None;
        }
        self.suspend_and_protocol(&mut service, group);
        if service.scheduler.is_none() {
            self.note(&service, Code::DefaultSchedulerWlc, None);
        }
        let mut servers = std::mem::take(&mut service.real_servers);
        self.duplicates(&service, &mut servers);
        self.methods(&mut service, &mut servers);
        self.quorum(&mut service, &servers);
        self.ports(&mut service, &mut servers, group);
        self.sorry_inhibit(&mut service, &servers);
        self.access_groups(&service, draft);
        let real_servers = servers.into_iter().map(|server| real_server(server, &service, draft)).collect();
        Some(finished(service, real_servers, draft))
    }

    /// Decides the family. False when the group's is another one.
    fn family(&mut self, service: &mut ServiceDraft, group: Option<&Group>) -> bool {
        let Some(group) = group else {
            if service.family.is_none() {
                service.family = Some(common_family(service));
            }
            return true;
        };
        let (inet, inet6) = (group.has(Family::Inet), group.has(Family::Inet6));
        // IPv4 servers with FNAT fit both families, but not at once.
        let decided =
            service.family.is_some() || service.real_servers.iter().any(|server| !is_tunnelled(server));
        let clash = match service.family {
            Some(Family::Inet) => inet6,
            Some(Family::Inet6) => inet,
            None => decided && inet && inet6,
        };
        if clash {
            self.note(service, Code::GroupFamilyMismatch, None);
            return false;
        }
        match (service.family, inet, inet6) {
            (None, true, false) => service.family = Some(Family::Inet),
            (None, false, true) => service.family = Some(Family::Inet6),
            (None, false, false) if decided => service.family = Some(Family::Inet),
            (None, false, false) => self.note(service, Code::GroupFamilyDefaulted, None),
            _ => {}
        }
        true
    }

    fn suspend_and_protocol(&mut self, service: &mut ServiceDraft, group: Option<&Group>) {
        let has_marks = match (&service.target, group) {
            (Target::Mark(_), _) => true,
            (_, Some(group)) => !group.marks.is_empty(),
            _ => false,
        };
        let only_marks = has_marks && group.is_none_or(|group| group.addresses.is_empty());
        if service.ha_suspend && has_marks {
            service.ha_suspend = false;
            self.note(service, Code::HaSuspendCleared, None);
        }
        if only_marks {
            if service.protocol.take().is_some() {
                self.note(service, Code::FwmarkProtocolIgnored, None);
            }
        } else {
            self.addressed(service, group);
        }
        if service.granularity.is_some() && service.persistence_timeout.is_none() {
            service.persistence_timeout = Some(DEFAULT_PERSISTENCE);
        }
    }

    /// What holds only where clients address an address.
    fn addressed(&mut self, service: &mut ServiceDraft, group: Option<&Group>) {
        if service.protocol.is_none() {
            service.protocol = Some(Protocol::Udp);
            self.note(service, Code::DefaultProtocolUdp, None);
        }
        if service.flags.ops && service.protocol != Some(Protocol::Udp) {
            service.flags.ops = false;
            self.note(service, Code::OpsCleared, None);
        }
        let port_missing = match (&service.target, group) {
            (Target::Address(_, port), _) => *port == 0,
            (_, Some(group)) => group.addresses.iter().any(|range| range.port == 0),
            _ => true,
        };
        let outbound = service.method.is_some_and(|method| method.forwarding == Forwarding::Snat);
        let persistent = service.persistence_timeout.is_some() || service.granularity.is_some();
        if port_missing && !persistent && !outbound {
            service.persistence_timeout = Some(DEFAULT_PERSISTENCE);
            self.note(service, Code::ZeroPortMadePersistent, None);
        }
    }

    /// Drops real servers written twice, before any port is corrected.
    fn duplicates(&mut self, service: &ServiceDraft, servers: &mut Vec<RealServerDraft>) {
        let mut seen = std::collections::HashSet::new();
        servers.retain(|server| {
            let first = seen.insert((server.addr, server.port));
            if !first {
                self.note(service, Code::DuplicateRealServer, Some((server.addr, server.port)));
            }
            first
        });
    }

    /// Gives every server without a forwarding method that of the service, NAT where that has none.
    fn methods(&mut self, service: &mut ServiceDraft, servers: &mut [RealServerDraft]) {
        let needed = servers.iter().any(|server| server.method.is_none())
            || service.sorry_server.as_ref().is_some_and(|sorry| sorry.method.is_none());
        if needed && service.method.is_none() {
            service.method = Some(Method::new(Forwarding::Nat));
            self.note(service, Code::DefaultForwardingNat, None);
        }
        for server in servers {
            server.method = server.method.or(service.method);
        }
        if let Some(sorry) = &mut service.sorry_server {
            sorry.method = sorry.method.or(service.method);
        }
    }

    fn quorum(&mut self, service: &mut ServiceDraft, servers: &[RealServerDraft]) {
        let sum: u64 = servers.iter().map(|server| u64::from(weight(server, service))).sum();
        let sum = u32::try_from(sum).unwrap_or(u32::MAX);
        if service.quorum > sum {
            service.quorum = sum;
            self.note(service, Code::QuorumReduced, None);
        }
        if service.hysteresis >= service.quorum {
            service.hysteresis = service.quorum.saturating_sub(1);
            self.note(service, Code::HysteresisReduced, None);
        }
    }

    fn ports(&mut self, service: &mut ServiceDraft, servers: &mut [RealServerDraft], group: Option<&Group>) {
        for server in servers.iter_mut() {
            let old = (server.addr, server.port);
            let (port, codes) =
                corrected(old.1, method(server.method), &service.target, group, Who::RealServer);
            server.port = port;
            for code in codes {
                self.note(service, code, Some(old));
            }
        }
        let Some(sorry) = &mut service.sorry_server else { return };
        let (port, codes) =
            corrected(sorry.port, method(sorry.method), &service.target, group, Who::SorryServer);
        sorry.port = port;
        for code in codes {
            self.note(service, code, None);
        }
    }

    /// A real server that is the sorry server too cannot be kept and taken out at once.
    fn sorry_inhibit(&mut self, service: &mut ServiceDraft, servers: &[RealServerDraft]) {
        for server in servers {
            let inhibit = server.inhibit_on_failure.unwrap_or(service.inhibit_on_failure);
            let Some(sorry) = &mut service.sorry_server else { return };
            let same = (sorry.addr, sorry.port) == (server.addr, server.port);
            if same && sorry.inhibit_on_failure != inhibit {
                sorry.inhibit_on_failure = inhibit;
                self.note(service, Code::SorryInhibitAligned, Some((server.addr, server.port)));
            }
        }
    }

    fn access_groups(&mut self, service: &ServiceDraft, draft: &Draft) {
        let dpvs = &service.dpvs;
        let missing = |name: &Option<String>, mut names: Box<dyn Iterator<Item = &String> + '_>| {
            name.as_ref().is_some_and(|name| !names.any(|known| known == name))
        };
        if missing(&dpvs.local_group, Box::new(draft.local_groups.iter().map(|group| &group.name))) {
            self.note(service, Code::LocalGroupNotFound, None);
        }
        if missing(&dpvs.deny_group, Box::new(draft.deny_groups.iter().map(|group| &group.name))) {
            self.note(service, Code::DenyGroupNotFound, None);
        }
        if missing(&dpvs.allow_group, Box::new(draft.allow_groups.iter().map(|group| &group.name))) {
            self.note(service, Code::AllowGroupNotFound, None);
        }
    }
}

fn is_tunnelled(server: &RealServerDraft) -> bool {
    server.method.is_some_and(|method| method.forwarding == Forwarding::Tun)
}

/// The one family of all servers; IPv4 where they have two.
fn common_family(service: &ServiceDraft) -> Family {
    let servers = service.real_servers.iter().map(|server| server.addr);
    let all_six =
        servers.chain(service.sorry_server.iter().map(|sorry| sorry.addr)).all(|addr| addr.is_ipv6());
    if all_six { Family::Inet6 } else { Family::Inet }
}

/// The method, which every server has once the defaults are given.
fn method(method: Option<Method>) -> Method {
    method.unwrap_or(Method::new(Forwarding::Nat))
}

fn weight(server: &RealServerDraft, service: &ServiceDraft) -> u32 {
    server.weight.or(service.weight).unwrap_or(1)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    RealServer,
    SorryServer,
}

/// The port that a server is reached at, and what was done to the one written.
fn corrected(
    port: u16,
    method: Method,
    target: &Target,
    group: Option<&Group>,
    who: Who,
) -> (u16, Vec<Code>) {
    let code = |real: Code, sorry: Code| if who == Who::RealServer { real } else { sorry };
    match target {
        Target::Address(_, own) if method.forwarding == Forwarding::Nat => {
            // keepalived leaves a sorry server alone.
            (if port == 0 && who == Who::RealServer { *own } else { port }, Vec::new())
        }
        _ if method.translates_port() => (port, Vec::new()),
        Target::Address(..) | Target::Match(_) => {
            let own = if let Target::Address(_, own) = target { *own } else { 0 };
            let changed = port != 0 && port != own;
            (own, changed.then(|| code(Code::RsPortReset, Code::SorryPortReset)).into_iter().collect())
        }
        Target::Mark(_) => {
            (0, (port != 0).then(|| code(Code::RsPortCleared, Code::SorryPortCleared)).into_iter().collect())
        }
        Target::Group(_) => {
            let mut codes = Vec::new();
            let differs = group.is_some_and(|group| group.addresses.iter().any(|range| range.port != port));
            if port != 0 && group.is_some_and(|group| !group.marks.is_empty()) {
                codes.push(code(Code::RsPortIgnored, Code::SorryPortIgnored));
            }
            if port != 0 && differs {
                codes.push(code(Code::GroupPortMismatch, Code::SorryPortIgnored));
            }
            codes.dedup();
            (port, codes)
        }
    }
}

fn real_server(server: RealServerDraft, service: &ServiceDraft, draft: &Draft) -> RealServer {
    let globals = &draft.globals;
    let timing = server.timing.or(service.timing);
    let alpha = server.alpha.unwrap_or(service.alpha);
    RealServer {
        addr: server.addr,
        port: server.port,
        weight: weight(&server, service),
        method: method(server.method),
        inhibit_on_failure: server.inhibit_on_failure.unwrap_or(service.inhibit_on_failure),
        uthreshold: server.uthreshold,
        lthreshold: server.lthreshold,
        alpha,
        smtp_alert: server.smtp_alert.or(globals.smtp_alert_checker).or(globals.smtp_alert).unwrap_or(true),
        virtualhost: server.virtualhost,
        snmp_name: server.snmp_name,
        notify_up: server.notify_up,
        notify_down: server.notify_down,
        checkers: server.checkers.into_iter().map(|checker| settled(checker, timing, alpha)).collect(),
        span: server.span,
    }
}

fn settled(checker: CheckerDraft, outer: TimingDraft, alpha: bool) -> Checker {
    let timing = checker.timing.or(outer);
    let delay_loop_us = timing.delay_loop_us.unwrap_or(DEFAULT_DELAY_LOOP_US);
    let (retry, delay_us) = match checker.check {
        Check::Http(_) | Check::Ssl(_) => (1, 3_000_000),
        Check::Dns { .. } => (3, delay_loop_us),
        Check::Misc { .. } => (0, 1_000_000),
        _ => (1, 1_000_000),
    };
    let events = matches!(checker.check, Check::Bfd { .. } | Check::File { .. });
    Checker {
        timing: (!events).then(|| Timing {
            delay_loop_us,
            warmup_us: timing.warmup_us.unwrap_or(delay_loop_us),
            retry: timing.retry.unwrap_or(retry),
            delay_before_retry_us: timing.delay_before_retry_us.unwrap_or(delay_us),
            log_all_failures: checker.log_all_failures,
        }),
        alpha: checker.alpha.unwrap_or(alpha) && !matches!(checker.check, Check::File { .. }),
        connect: checker.connect.map(|connect| Connect {
            addr: connect.addr,
            port: connect.port,
            timeout_us: timing.connect_timeout_us.unwrap_or(DEFAULT_CONNECT_TIMEOUT_US),
            bindto: connect.bindto,
            bind_port: connect.bind_port,
            bind_if: connect.bind_if,
            fwmark: connect.fwmark,
        }),
        check: checker.check,
        span: checker.span,
    }
}

fn finished(service: ServiceDraft, real_servers: Vec<RealServer>, draft: &Draft) -> Service {
    let globals = &draft.globals;
    let smtp_alert =
        service.smtp_alert.or(globals.smtp_alert_checker).or(globals.smtp_alert).unwrap_or(false);
    let persistence = service.persistence_timeout.map(|timeout| Persistence {
        timeout,
        granularity: service.granularity,
        engine: service.engine,
    });
    let sorry_server = service.sorry_server.map(|sorry| SorryServer {
        addr: sorry.addr,
        port: sorry.port,
        method: method(sorry.method),
        inhibit_on_failure: sorry.inhibit_on_failure,
        span: sorry.span,
    });
    Service {
        target: service.target,
        family: service.family,
        protocol: service.protocol,
        scheduler: service.scheduler.unwrap_or(Scheduler::Wlc),
        flags: service.flags,
        method: service.method,
        persistence,
        delay_loop_us: service.timing.delay_loop_us.unwrap_or(DEFAULT_DELAY_LOOP_US),
        ha_suspend: service.ha_suspend,
        alpha: service.alpha,
        omega: service.omega,
        quorum: service.quorum,
        hysteresis: service.hysteresis,
        smtp_alert,
        quorum_up: service.quorum_up,
        quorum_down: service.quorum_down,
        virtualhost: service.virtualhost,
        snmp_name: service.snmp_name,
        dpvs: service.dpvs,
        sorry_server,
        real_servers,
        span: service.span,
    }
}

/// Seconds.
const DEFAULT_PERSISTENCE: u32 = 360;
const DEFAULT_DELAY_LOOP_US: u64 = 60_000_000;
const DEFAULT_CONNECT_TIMEOUT_US: u64 = 5_000_000;
