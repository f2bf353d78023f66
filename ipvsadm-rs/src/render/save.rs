// SPDX-License-Identifier: Apache-2.0
//! The table as commands that make it again.

use std::io::{self, Write};

use model::dest::{TunnelCsum, TunnelKind};
use model::options::EchoPolicy;
use model::rule::MatchRule;
use model::{DestSpec, Family, Forwarding, ServiceKey, Transport};
use sockopt::reply::{DestEntry, ServiceEntry};

use super::{Labels, transport};
use crate::args::Style;
use crate::flags;

/// Commands for the services given, in their order.
///
/// In the stock style the connection limits of servers that stock ipvsadm has are left out, because it leaves them out.
///
/// # Errors
///
/// Those of the writer.
pub fn commands(
    services: &[ServiceEntry],
    labels: Labels<'_>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    for service in services {
        let name = service_name(&service.key, labels);
        writeln!(out, "-A {name}{}", service_options(service))?;
        for laddr in &service.laddrs {
            writeln!(out, "-P {name} -z {} -F {}", laddr.addr, laddr.dev)?;
        }
        for subject in &service.block {
            writeln!(out, "-U {name} -k {subject}")?;
        }
        for subject in &service.allow {
            writeln!(out, "-O {name} -2 {subject}")?;
        }
        for dest in &service.dests {
            let server = labels.end(dest.addr, transport(&service.key));
            writeln!(out, "-a {name} -r {server}{}", server_options(dest, style))?;
        }
    }
    Ok(())
}

/// The options that name a service.
pub fn service_name(key: &ServiceKey, labels: Labels<'_>) -> String {
    match key {
        ServiceKey::Endpoint { transport, vip } => {
            let option = match transport {
                Transport::Tcp => "-t",
                Transport::Udp => "-u",
                Transport::Sctp => "--sctp-service",
                Transport::Icmp => "-q",
                Transport::Icmpv6 => "-1",
            };
            format!("{option} {}", labels.end(*vip, Some(*transport)))
        }
        ServiceKey::FwMark { family: Family::Inet, mark } => format!("-f {mark}"),
        ServiceKey::FwMark { family: Family::Inet6, mark } => format!("-f {mark} -6"),
        ServiceKey::Match(rule) => format!("-H {}", match_text(rule)),
    }
}

fn match_text(rule: &MatchRule) -> String {
    let mut text = format!("proto={}", rule.transport);
    if rule.src.is_none() && rule.dst.is_none() {
        text += match rule.family {
            Family::Inet => ",af=ipv4",
            Family::Inet6 => ",af=ipv6",
        };
    }
    let ranges = [("src-range", rule.src), ("dst-range", rule.dst)];
    for (key, range) in ranges.into_iter().filter_map(|(key, range)| Some((key, range?))) {
        text += &format!(",{key}={range}");
    }
    let links = [("iif", &rule.iif), ("oif", &rule.oif)];
    for (key, link) in links.into_iter().filter_map(|(key, link)| Some((key, link.as_ref()?))) {
        text += &format!(",{key}={link}");
    }
    text
}

fn service_options(service: &ServiceEntry) -> String {
    let (scheduling, options) = (&service.spec.scheduling, &service.spec.options);
    let mut text = format!(" -s {}", scheduling.scheduler);
    if let Some(persistence) = scheduling.persistence {
        text += &format!(" -p {}", persistence.timeout);
        if !persistence.granularity.is_host() {
            text += &format!(" -M {}", persistence.granularity);
        }
    }
    if let Some(pe) = &scheduling.pe {
        text += &format!(" --pe {pe}");
    }
    if scheduling.one_packet {
        text += " -o";
    }
    let flags = flags::names(scheduling.flags, &scheduling.scheduler);
    if !flags.is_empty() {
        text += &format!(" -b {}", flags.join(","));
    }
    if let Some(target) = options.hash_target {
        text += &format!(" --hash-target {target}");
    }
    if options.synproxy.is_on() {
        text += &format!(" -j {}", options.synproxy);
    }
    if let Some(seconds) = options.conn_timeout {
        text += &format!(" --conn-timeout {seconds}");
    }
    if let Some(header) = options.proxy_protocol {
        text += &format!(" --proxy-protocol {header}");
    }
    if let Some(mbps) = options.bps {
        text += &format!(" --bps {mbps}");
    }
    if let Some(percent) = options.limit_proportion {
        text += &format!(" --limit-proportion {percent}");
    }
    if options.expire_quiescent {
        text += " --expire-quiescent";
    }
    if options.quic {
        text += " --quic";
    }
    if options.echo != EchoPolicy::Forward {
        text += &format!(" --echo {}", options.echo);
    }
    if let Some(check) = options.dest_check.passive {
        text += &format!(" --dest-check {check}");
    }
    for check in &options.dest_check.external {
        text += &format!(" --dest-check {check}");
    }
    text
}

fn server_options(dest: &DestEntry, style: Style) -> String {
    let DestSpec { forwarding, weight, upper, lower } = dest.spec;
    let mut text = format!(" {} -w {weight}", letter(forwarding));
    if let Forwarding::Tunnel(kind) = forwarding {
        text += &tunnel(kind);
    }
    let ours = matches!(forwarding, Forwarding::FullNat | Forwarding::Snat);
    if (ours || style == Style::Dpvs) && (upper, lower) != (0, 0) {
        text += &format!(" -x {upper} -y {lower}");
    }
    text
}

fn letter(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Nat => "-m",
        Forwarding::FullNat => "-b",
        // The director itself is a server that is reached directly.
        Forwarding::DirectRouting | Forwarding::Local => "-g",
        Forwarding::Tunnel(_) => "-i",
        Forwarding::Snat => "-J",
    }
}

fn tunnel(kind: TunnelKind) -> String {
    let option = |csum| match csum {
        TunnelCsum::None => "--tun-nocsum",
        TunnelCsum::Full => "--tun-csum",
        TunnelCsum::Remote => "--tun-remcsum",
    };
    match kind {
        TunnelKind::Ipip => " --tun-type ipip".to_owned(),
        TunnelKind::Gue { port, csum } => {
            format!(" --tun-type gue --tun-port {port} {}", option(csum))
        }
        TunnelKind::Gre { csum } => format!(" --tun-type gre {}", option(csum)),
    }
}
