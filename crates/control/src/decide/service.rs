// SPDX-License-Identifier: Apache-2.0
//! Services: `ipvsadm -A -E -D -C -Z`.

use engine::ids::{DestId, LinkId, ServiceId};
use model::{
    Family, Persistence, Scheduling, ServiceKey, ServiceOptions, ServiceOptionsPatch, ServiceSpec, Transport,
};
use sockopt::{Code, Status};

use super::{Decision, laddr, refuse};
use crate::capabilities;
use crate::change::Row;
use crate::effect::Effect;
use crate::state::{Service, State};

/// Longest time a client network is remembered, in seconds: 31 days.
pub const MAX_PERSISTENCE: u32 = 2_678_400;

/// Longest idle time of a connection, in seconds: a year less a second.
pub const MAX_TIMEOUT: u32 = 31_535_999;

pub(super) fn add(state: &State, key: &ServiceKey, spec: &ServiceSpec) -> Result<Decision, Status> {
    if state.find_service(key).is_some() {
        return refuse(Code::Exists, format!("service {key} already exists"));
    }
    check_key(key, &spec.scheduling)?;
    check_scheduling(key, &spec.scheduling)?;
    check_options(&spec.options)?;
    capabilities::service(key)?;
    let (id, generation) = state.services.vacant();
    let service = Service {
        key: key.clone(),
        scheduler: capabilities::scheduler(&spec.scheduling.scheduler)?,
        spec: spec.clone(),
        dests: Vec::new(),
        laddrs: Vec::new(),
        revision: 1,
    };
    capabilities::scheduling(&spec.scheduling)?;
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
    check_key(key, scheduling)?;
    check_scheduling(key, scheduling)?;
    let options = patched(&old.spec.options, patch);
    check_options(&options)?;
    let mut service = old.clone();
    service.scheduler = capabilities::scheduler(&scheduling.scheduler)?;
    capabilities::scheduling(scheduling)?;
    if service.scheduler != old.scheduler {
        service.revision = service.revision.wrapping_add(1);
    }
    service.spec = ServiceSpec { scheduling: scheduling.clone(), options };
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

fn patched(old: &ServiceOptions, patch: &ServiceOptionsPatch) -> ServiceOptions {
    let conn_timeout = match patch.conn_timeout {
        None => old.conn_timeout,
        Some(0) => None,
        some => some,
    };
    ServiceOptions { conn_timeout }
}

fn check_key(key: &ServiceKey, scheduling: &Scheduling) -> Result<(), Status> {
    let ServiceKey::Endpoint { transport, vip } = key else { return Ok(()) };
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
    let datagrams =
        !matches!(key, ServiceKey::Endpoint { transport, .. } if !matches!(transport, Transport::Udp));
    if scheduling.one_packet && !datagrams {
        return refuse(Code::Invalid, format!("service {key}: one-packet scheduling is for udp and marks"));
    }
    if scheduling.pe.is_some() && scheduling.persistence.is_none() {
        return refuse(Code::Invalid, format!("service {key}: a persistence engine needs persistence (-p)"));
    }
    scheduling.persistence.map_or(Ok(()), |persistence| check_persistence(key, persistence))
}

fn check_persistence(key: &ServiceKey, persistence: Persistence) -> Result<(), Status> {
    let Persistence { timeout, prefix_len } = persistence;
    if !(1..=MAX_PERSISTENCE).contains(&timeout) {
        return refuse(
            Code::Invalid,
            format!("service {key}: persistence of {timeout} s: 1 to {MAX_PERSISTENCE} expected"),
        );
    }
    let lengths = match key.family() {
        Family::Inet => 0..=32,
        Family::Inet6 => 1..=128,
    };
    if !lengths.contains(&prefix_len) {
        let (min, max) = lengths.into_inner();
        return refuse(
            Code::Invalid,
            format!("service {key}: persistence mask of {prefix_len} bits: {min} to {max} expected"),
        );
    }
    Ok(())
}

fn check_options(options: &ServiceOptions) -> Result<(), Status> {
    match options.conn_timeout {
        Some(secs) if !(1..=MAX_TIMEOUT).contains(&secs) => {
            refuse(Code::Invalid, format!("connection timeout of {secs} s: 1 to {MAX_TIMEOUT} expected"))
        }
        _ => Ok(()),
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
