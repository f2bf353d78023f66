// SPDX-License-Identifier: Apache-2.0
//! The listings of local addresses and of access lists.

use std::io::{self, Write};

use model::options::AccessList;
use model::{Family, ServiceKey};
use sockopt::reply::ServiceEntry;

use super::{Labels, protocol, vip};

/// Local addresses of the services given.
///
/// # Errors
///
/// Those of the writer.
pub fn laddrs(services: &[ServiceEntry], out: &mut dyn Write) -> io::Result<()> {
    let mut row = |cells: [&str; 5]| {
        let [service, total, addr, conflicts, conns] = cells;
        writeln!(out, "{service:<20} {total:<8} {addr:<20} {conflicts:<10} {conns:<10}")
    };
    row(["VIP:VPORT", "TOTAL", "SNAT_IP", "CONFLICTS", "CONNS"])?;
    for service in services {
        writeln!(out, "{:<20} {:<8} ", service_name(&service.key), service.laddrs.len())?;
        for laddr in &service.laddrs {
            writeln!(
                out,
                "{:<20} {:<8} {:<20} {:<10} {:<10}",
                "",
                "",
                laddr.addr.to_string(),
                laddr.conflicts,
                laddr.conns
            )?;
        }
    }
    Ok(())
}

/// One access list of the services given.
///
/// # Errors
///
/// Those of the writer.
pub fn access(services: &[ServiceEntry], list: AccessList, out: &mut dyn Write) -> io::Result<()> {
    let title = match list {
        AccessList::Block => "BLACKLIST",
        AccessList::Allow => "WHITELIST",
    };
    writeln!(out, "{:<8} {:<30} {title:<30}", "PROTO", "VIP:VPORT")?;
    for service in services {
        let subjects = match list {
            AccessList::Block => &service.block,
            AccessList::Allow => &service.allow,
        };
        for subject in subjects {
            let name = service_name(&service.key);
            writeln!(out, "{:<8} {name:<30} {:<30}", proto(&service.key), subject.to_string())?;
        }
    }
    Ok(())
}

fn service_name(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Endpoint { .. } => Labels(None).end(vip(key), None),
        ServiceKey::FwMark { family: Family::Inet, mark } => format!("fwmark {mark}"),
        ServiceKey::FwMark { family: Family::Inet6, mark } => format!("fwmark {mark} IPv6"),
        ServiceKey::Match(rule) => format!("match {rule}"),
    }
}

fn proto(key: &ServiceKey) -> &'static str {
    match key {
        ServiceKey::Endpoint { transport, .. } => protocol(*transport),
        ServiceKey::Match(rule) => protocol(rule.transport),
        ServiceKey::FwMark { .. } => "FWM",
    }
}
