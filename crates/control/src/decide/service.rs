// SPDX-License-Identifier: Apache-2.0
//! Services: `ipvsadm -A -E -D -C -Z`.

use engine::ids::{DestId, LinkId, ServiceId};
use engine::sched::Scheduler;
use model::options::{EchoPolicy, HashTarget, PassiveCheck, ProxyProtocol, ProxyVersion, Recovery};
use model::rule::{EndpointRange, MatchRule};
use model::service::Granularity;
use model::{Family, Persistence, Scheduling, ServiceKey, ServiceOptionsPatch, ServiceSpec, Transport};
use sockopt::{Code, Status};

use super::{Decision, dest, laddr, refuse};
use crate::capabilities;
use crate::change::Row;
use crate::effect::Effect;
use crate::rows::Service;
use crate::state::State;

/// Longest time a client network is remembered, in seconds: 31 days.
pub const MAX_PERSISTENCE: u32 = 2_678_400;

/// The scheduler that hash targets are for.
const CONHASH: &str = "conhash";

/// Longest idle time of a connection, in seconds: a year less a second.
pub const MAX_TIMEOUT: u32 = 31_535_999;

pub(super) fn add(state: &State, key: &ServiceKey, spec: &ServiceSpec) -> Result<Decision, Status> {
    if state.find_service(key).is_some() {
        return refuse(Code::Exists, format!("service {key} already exists"));
    }
    let (spec, scheduler) = check(key, spec.clone())?;
    let (id, generation) = state.services.vacant();
    let service = Service {
        key: key.clone(),
        spec,
        scheduler,
        dests: Vec::new(),
        laddrs: Vec::new(),
        block: Vec::new(),
        allow: Vec::new(),
        revision: 1,
    };
    Ok(Decision::new(vec![Row::Service(ServiceId(id), Some((generation, Box::new(service))))], Vec::new()))
}

/// Replaces the scheduling as a whole; options not named stay.
pub(super) fn edit(
    state: &State,
    key: &ServiceKey,
    scheduling: &Scheduling,
    patch: &ServiceOptionsPatch,
) -> Result<Decision, Status> {
    let (id, old) = state.service(key)?;
    let mut options = old.spec.options.clone();
    if scheduling.scheduler != old.spec.scheduling.scheduler {
        // What the old scheduler hashed means nothing to the new one.
        options.hash_target = None;
    }
    patch.clone().apply(&mut options);
    let (spec, scheduler) = check(key, ServiceSpec { scheduling: scheduling.clone(), options })?;
    for dest in old.dests.iter().filter_map(|id| state.dests.get(id.0)) {
        dest::fits_options(key, &spec.options, dest.addr, &dest.spec)?;
    }
    let mut service = Service { spec, scheduler, ..old.clone() };
    if service.scheduler != old.scheduler {
        service.revision = service.revision.wrapping_add(1);
    }
    Ok(Decision::new(vec![replaced(state, id, service)], Vec::new()))
}

pub(super) fn delete(state: &State, key: &ServiceKey) -> Result<Decision, Status> {
    let (id, service) = state.service(key)?;
    Ok(remove(state, [(id, service)]))
}

pub(super) fn flush(state: &State) -> Result<Decision, Status> {
    Ok(remove(state, state.services.iter().map(|(id, service)| (ServiceId(id), &**service))))
}

pub(super) fn zero(state: &State, key: Option<&ServiceKey>) -> Result<Decision, Status> {
    let services: Vec<(ServiceId, &Service)> = match key {
        Some(key) => vec![state.service(key)?],
        None => state.services.iter().map(|(id, service)| (ServiceId(id), &**service)).collect(),
    };
    if services.is_empty() {
        return Ok(Decision::nothing());
    }
    let dests = services.iter().flat_map(|(_, service)| service.dests.iter().copied()).collect();
    let services = services.into_iter().map(|(id, _)| id).collect();
    Ok(Decision::new(Vec::new(), vec![Effect::Zero { services, dests }]))
}

/// The row of a service that is there already.
pub(super) fn replaced(state: &State, id: ServiceId, service: Service) -> Row {
    Row::Service(id, Some((state.services.generation(id.0), Box::new(service))))
}

/// Services with their servers, and the addresses that were on links only for their sake.
fn remove<'s>(state: &State, services: impl IntoIterator<Item = (ServiceId, &'s Service)>) -> Decision {
    let mut rows = Vec::new();
    let mut laddrs = Vec::new();
    for (id, service) in services {
        rows.extend(service.dests.iter().map(|&dest: &DestId| Row::Dest(dest, None)));
        rows.push(Row::Service(id, None));
        laddrs.extend(service.laddrs.iter().copied());
    }
    let gone = rows.iter().any(|row| matches!(row, Row::Dest(..)));
    rows.extend(laddr::unused(state, &laddrs));
    Decision::new(rows, if gone { vec![Effect::Retire] } else { Vec::new() })
}

/// What is asked for, completed, and its scheduler.
fn check(key: &ServiceKey, mut spec: ServiceSpec) -> Result<(ServiceSpec, Scheduler), Status> {
    check_key(key, &spec.scheduling)?;
    check_scheduling(key, &spec.scheduling)?;
    if spec.scheduling.scheduler == CONHASH {
        spec.options.hash_target.get_or_insert(HashTarget::SourceIp);
    }
    check_options(key, &spec)?;
    let scheduler = capabilities::scheduler(&spec.scheduling.scheduler)?;
    capabilities::scheduling(&spec.scheduling)?;
    Ok((spec, scheduler))
}

fn check_key(key: &ServiceKey, scheduling: &Scheduling) -> Result<(), Status> {
    let (transport, vip) = match key {
        ServiceKey::Endpoint { transport, vip } => (transport, vip),
        ServiceKey::FwMark { .. } => return Ok(()),
        ServiceKey::Match(rule) => return check_rule(rule),
    };
    if vip.ip().is_multicast() {
        return refuse(Code::Invalid, format!("service {key}: a group address cannot be balanced"));
    }
    match (transport, Family::of(vip.ip())) {
        (Transport::Icmp, Family::Inet6) => {
            return refuse(Code::Invalid, format!("service {key}: IPv6 has icmpv6, not icmp"));
        }
        (Transport::Icmpv6, Family::Inet) => {
            return refuse(Code::Invalid, format!("service {key}: IPv4 has icmp, not icmpv6"));
        }
        _ => {}
    }
    let portless = matches!(transport, Transport::Icmp | Transport::Icmpv6);
    match vip.port() {
        0 if !portless && scheduling.persistence.is_none() => refuse(
            Code::Invalid,
            format!("service {key}: port 0 stands for any port and needs persistence (-p)"),
        ),
        1.. if portless => {
            refuse(Code::Invalid, format!("service {key}: {transport} has no ports, write port 0"))
        }
        _ => Ok(()),
    }
}

fn check_scheduling(key: &ServiceKey, scheduling: &Scheduling) -> Result<(), Status> {
    if scheduling.flags > 0b111 {
        return refuse(
            Code::Invalid,
            format!("scheduler flags {:#x}: only flags 1 to 3 exist", scheduling.flags),
        );
    }
    if scheduling.one_packet && transport(key).is_some_and(|transport| transport != Transport::Udp) {
        return refuse(Code::Invalid, format!("service {key}: one-packet scheduling is for udp and marks"));
    }
    if scheduling.one_packet && matches!(key, ServiceKey::Match(_)) {
        return refuse(
            Code::NotSupported,
            format!("service {key}: one-packet scheduling is for services at an address"),
        );
    }
    scheduling.persistence.map_or(Ok(()), |persistence| check_persistence(key, persistence))
}

fn check_persistence(key: &ServiceKey, persistence: Persistence) -> Result<(), Status> {
    let Persistence { timeout, granularity } = persistence;
    if !(1..=MAX_PERSISTENCE).contains(&timeout) {
        return refuse(
            Code::Invalid,
            format!("service {key}: persistence of {timeout} s: 1 to {MAX_PERSISTENCE} expected"),
        );
    }
    match granularity {
        _ if granularity.family() != key.family() => refuse(
            Code::Invalid,
            format!("service {key}: persistence mask {granularity} is of another family"),
        ),
        Granularity::Inet6(0 | 129..) => {
            refuse(Code::Invalid, format!("service {key}: persistence mask {granularity}: 1 to 128 expected"))
        }
        _ => Ok(()),
    }
}

fn check_options(key: &ServiceKey, spec: &ServiceSpec) -> Result<(), Status> {
    let options = &spec.options;
    if let Some(secs) = options.conn_timeout
        && !(1..=MAX_TIMEOUT).contains(&secs)
    {
        let text = format!("service {key}: connection timeout of {secs} s: 1 to {MAX_TIMEOUT} expected");
        return refuse(Code::Invalid, text);
    }
    if let Some(percent) = options.limit_proportion
        && !(1..100).contains(&percent)
    {
        return refuse(
            Code::Invalid,
            format!("service {key}: {percent} percent of its packets: 1 to 99 expected"),
        );
    }
    let only = |wanted: Transport, what: &str| match transport(key) {
        Some(transport) if transport == wanted => Ok(()),
        _ => refuse(Code::Invalid, format!("service {key}: {what} is for {wanted} only")),
    };
    if options.synproxy.is_on() {
        only(Transport::Tcp, "the syn proxy")?;
    }
    if let Some(header) = options.proxy_protocol {
        check_header(key, header)?;
    }
    if options.quic {
        only(Transport::Udp, "quic")?;
    }
    if options.echo != EchoPolicy::Forward
        && !matches!(transport(key), Some(Transport::Icmp | Transport::Icmpv6))
    {
        return refuse(
            Code::Invalid,
            format!("service {key}: who answers queries (--echo) is for icmp only"),
        );
    }
    if options.echo == EchoPolicy::Alive(0) {
        return refuse(Code::Invalid, format!("service {key}: echo alive:0: 1 to 65535 servers expected"));
    }
    if options.hash_target == Some(HashTarget::QuicId) {
        only(Transport::Udp, "hash target qid")?;
    }
    if options.hash_target.is_some() && spec.scheduling.scheduler != CONHASH {
        return refuse(
            Code::Invalid,
            format!(
                "service {key}: a hash target is for scheduler {CONHASH}, not {}",
                spec.scheduling.scheduler
            ),
        );
    }
    options.dest_check.passive.map_or(Ok(()), |passive| check_passive(key, passive))
}

fn check_header(key: &ServiceKey, header: ProxyProtocol) -> Result<(), Status> {
    let why = match (key, transport(key)) {
        (ServiceKey::Match(_), _) => "the proxy protocol is for services at an address or of a mark",
        (_, None | Some(Transport::Tcp)) => return Ok(()),
        (_, Some(Transport::Udp)) if header.version == ProxyVersion::V2 => return Ok(()),
        (_, Some(Transport::Udp)) => "version 1 of the proxy protocol is for tcp only, v2 for udp too",
        _ => "the proxy protocol is for tcp and udp",
    };
    refuse(Code::Invalid, format!("service {key}: {why}"))
}

fn check_passive(key: &ServiceKey, passive: PassiveCheck) -> Result<(), Status> {
    let good = passive.down > 0
        && passive.wait > 0
        && passive.recovery.is_none_or(|Recovery { up, min, max }| up > 0 && min > 0 && min <= max);
    if good {
        return Ok(());
    }
    let text = format!(
        "service {key}: check {passive}: counts and times from 1, the first inhibition not above the last expected"
    );
    refuse(Code::Invalid, text)
}

fn check_rule(rule: &MatchRule) -> Result<(), Status> {
    let other = match (rule.transport, rule.family) {
        (Transport::Icmp, Family::Inet6) => Some("IPv6 has icmpv6, not icmp"),
        (Transport::Icmpv6, Family::Inet) => Some("IPv4 has icmp, not icmpv6"),
        (Transport::Icmp | Transport::Icmpv6, _) => {
            let ranges = rule.src.iter().chain(&rule.dst);
            let ports = ranges.into_iter().any(|range| (range.first_port, range.last_port) != (0, 0));
            ports.then_some("icmp has no ports, leave them out of the range")
        }
        _ => None,
    };
    if let Some(what) = other {
        return refuse(Code::Invalid, format!("match {rule}: {what}"));
    }
    for EndpointRange { first, last, first_port, last_port } in rule.src.iter().chain(&rule.dst) {
        let family = Family::of(*first) == rule.family && Family::of(*last) == rule.family;
        if !family || first > last || first_port > last_port {
            return refuse(
                Code::Invalid,
                format!("match {rule}: a range goes from low to high within the family of the rule"),
            );
        }
    }
    Ok(())
}

/// What its packets have above IP; marks leave that open.
fn transport(key: &ServiceKey) -> Option<Transport> {
    match key {
        ServiceKey::Endpoint { transport, .. } => Some(*transport),
        ServiceKey::Match(rule) => Some(rule.transport),
        ServiceKey::FwMark { .. } => None,
    }
}

/// A service that uses a local address on a link, for messages.
pub(super) fn user_of(state: &State, laddr: (std::net::IpAddr, LinkId)) -> Option<&ServiceKey> {
    state
        .services
        .iter()
        .find(|(_, service)| service.laddrs.contains(&laddr))
        .map(|(_, service)| &service.key)
}
