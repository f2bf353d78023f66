// SPDX-License-Identifier: Apache-2.0
//! The listing of services and servers.

use std::io::{self, Write};

use cli::units::Digits;
use model::dest::{TunnelCsum, TunnelKind};
use model::options::{EchoPolicy, SynProxy};
use model::{Counters, Family, Forwarding, Rates, ServiceKey};
use sockopt::reply::{DestEntry, ServiceEntry};

use super::{Labels, protocol, transport};
use crate::args::Style;
use crate::flags;

/// Which columns are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// Forwarding, weight, connections.
    #[default]
    Plain,
    /// The same with the kind of tunnel.
    Tunnels,
    /// Counters.
    Stats(Digits),
    /// Rates.
    Rates(Digits),
    /// Connection limits.
    Thresholds,
    /// Persistent connections.
    Persistent,
}

/// How a listing of services looks.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Its columns.
    pub columns: Columns,
    /// Its names.
    pub labels: Labels<'a>,
    /// Whose manner.
    pub style: Style,
}

/// The line that begins a full listing. `size` is the number of connections the daemon has room for.
///
/// # Errors
///
/// Those of the writer.
pub fn banner(style: Style, size: u64, out: &mut dyn Write) -> io::Result<()> {
    match style {
        Style::Stock => writeln!(out, "IP Virtual Server version 1.2.1 (size={size})"),
        Style::Dpvs => writeln!(out, "IP Virtual Server version 1.10.2 (size=0)"),
    }
}

/// Titles, services and their servers, in the order given.
///
/// # Errors
///
/// Those of the writer.
pub fn table(services: &[ServiceEntry], look: Look<'_>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(look.columns.titles().as_bytes())?;
    for service in services {
        look.service(service, out)?;
        for dest in &service.dests {
            look.dest(service, dest, out)?;
        }
    }
    Ok(())
}

impl Columns {
    fn titles(self) -> &'static str {
        match self {
            Columns::Plain => {
                "Prot LocalAddress:Port Scheduler Flags\n  \
                   -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
            }
            Columns::Tunnels => {
                "Prot LocalAddress:Port Scheduler Flags\n  \
                   -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
            }
            Columns::Stats(_) => {
                "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  \
                   -> RemoteAddress:Port\n"
            }
            Columns::Rates(_) => {
                "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  \
                   -> RemoteAddress:Port\n"
            }
            Columns::Thresholds => {
                "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n  \
                   -> RemoteAddress:Port\n"
            }
            Columns::Persistent => {
                "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  \
                   -> RemoteAddress:Port\n"
            }
        }
    }
}

impl Look<'_> {
    fn service(&self, service: &ServiceEntry, out: &mut dyn Write) -> io::Result<()> {
        let name = service_name(&service.key, self.labels, self.style);
        match self.columns {
            Columns::Stats(digits) => writeln!(out, "{name:<33}{}", counters(&service.counters, digits)),
            Columns::Rates(digits) => writeln!(out, "{name:<33}{}", rates(&service.rates, digits)),
            _ => writeln!(out, "{name} {}", annotations(service)),
        }
    }

    fn dest(&self, service: &ServiceEntry, dest: &DestEntry, out: &mut dyn Write) -> io::Result<()> {
        let name = self.labels.cut_end(dest.addr, transport(&service.key), 28);
        let name = format!("  -> {name:<28}");
        let DestEntry { spec, active, inactive, .. } = dest;
        let conns = format!("{active:<10} {inactive:<10}");
        // What counts: a server found dead takes none.
        let weight = if dest.inhibited { 0 } else { spec.weight };
        let forward = forwarding(spec.forwarding);
        match self.columns {
            Columns::Plain => {
                writeln!(out, "{name} {forward:<7} {weight:<6} {conns}{}", state(dest))
            }
            Columns::Tunnels => {
                let tunnel = tunnel(spec.forwarding);
                writeln!(out, "{name} {forward:<7} {tunnel:<13} {weight:<6} {conns}")
            }
            Columns::Stats(digits) => writeln!(out, "{name}{}", counters(&dest.counters, digits)),
            Columns::Rates(digits) => writeln!(out, "{name}{}", dest_rates(&dest.rates, digits)),
            Columns::Thresholds => writeln!(out, "{name} {:<10} {:<10} {conns}", spec.upper, spec.lower),
            Columns::Persistent => {
                writeln!(out, "{name} {weight:<9} {:<11} {conns}", dest.persistent)
            }
        }
    }
}

/// Protocol and name of a service, as a listing begins its row.
pub fn service_name(key: &ServiceKey, labels: Labels<'_>, style: Style) -> String {
    match key {
        ServiceKey::Endpoint { transport, vip } => {
            let vip = labels.cut_end(*vip, Some(*transport), 33);
            match style {
                Style::Stock => format!("{:<4} {vip}", protocol(*transport)),
                Style::Dpvs => format!("{}  {vip}", protocol(*transport)),
            }
        }
        // The mark is shown as a signed number, as it always was.
        ServiceKey::FwMark { family, mark } => {
            let ipv6 = if *family == Family::Inet6 { " IPv6" } else { "" };
            format!("FWM  {}{ipv6}", mark.get() as i32)
        }
        ServiceKey::Match(rule) => format!("MATCH {rule}"),
    }
}

/// Scheduler and everything else about a service, as it follows its name.
fn annotations(service: &ServiceEntry) -> String {
    let (scheduling, options) = (&service.spec.scheduling, &service.spec.options);
    let mut text = scheduling.scheduler.clone();
    let mut add = |note: String| {
        text.push(' ');
        text.push_str(&note);
    };
    let flags = flags::names(scheduling.flags, &scheduling.scheduler);
    if !flags.is_empty() {
        add(format!("({})", flags.join(",")));
    }
    if let Some(target) = options.hash_target {
        add(target.to_string());
    }
    if let Some(persistence) = scheduling.persistence {
        add(format!("persistent {}", persistence.timeout));
        if !persistence.granularity.is_host() {
            add(format!("mask {}", persistence.granularity));
        }
        if let Some(pe) = &scheduling.pe {
            add(format!("pe {pe}"));
        }
    }
    if scheduling.one_packet {
        add("ops".to_owned());
    }
    if options.synproxy == SynProxy::ON {
        add("synproxy".to_owned());
    } else if options.synproxy.is_on() {
        add(format!("synproxy {}", options.synproxy));
    }
    if let Some(seconds) = options.conn_timeout {
        add(format!("conn-timeout {seconds}"));
    }
    if let Some(header) = options.proxy_protocol {
        add(format!("pp{header}"));
    }
    if let Some(mbps) = options.bps {
        add(format!("bps {mbps}"));
    }
    if let Some(percent) = options.limit_proportion {
        add(format!("limit-proportion {percent}"));
    }
    if options.expire_quiescent {
        add("expire-quiescent".to_owned());
    }
    if options.quic {
        add("quic".to_owned());
    }
    if options.echo != EchoPolicy::Forward {
        add(format!("echo {}", options.echo));
    }
    let checks = &options.dest_check;
    if checks.passive.is_some() || !checks.external.is_empty() {
        add("dest-check".to_owned());
    }
    if let Some(passive) = checks.passive {
        add(format!("internal:{passive}"));
    }
    if !checks.external.is_empty() {
        let kinds: Vec<String> = checks.external.iter().map(ToString::to_string).collect();
        add(format!("external:{}", kinds.join(",")));
    }
    text
}

fn state(dest: &DestEntry) -> &'static str {
    match (dest.inhibited, dest.overloaded) {
        (false, false) => "",
        (true, false) => " inhibited",
        (false, true) => " overload",
        (true, true) => " inhibited,overload",
    }
}

/// What listings call a way of forwarding.
pub fn forwarding(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Nat => "Masq",
        Forwarding::FullNat => "FullNat",
        Forwarding::DirectRouting => "Route",
        Forwarding::Tunnel(_) => "Tunnel",
        Forwarding::Snat => "SNAT",
        Forwarding::Local => "Local",
    }
}

fn tunnel(forwarding: Forwarding) -> String {
    let csum = |csum| match csum {
        TunnelCsum::None => "-c",
        TunnelCsum::Full => "+c",
        TunnelCsum::Remote => "r+c",
    };
    match forwarding {
        Forwarding::Tunnel(TunnelKind::Ipip) => "ipip".to_owned(),
        Forwarding::Tunnel(TunnelKind::Gue { port, csum: kind }) => format!("gue:{port}:{}", csum(kind)),
        Forwarding::Tunnel(TunnelKind::Gre { csum: kind }) => format!("gre:{}", csum(kind)),
        _ => "n/a".to_owned(),
    }
}

fn counters(counters: &Counters, digits: Digits) -> String {
    let Counters { conns, in_packets, out_packets, in_bytes, out_bytes } = *counters;
    cells(&[conns, in_packets, out_packets, in_bytes, out_bytes], digits)
}

fn rates(rates: &Rates, digits: Digits) -> String {
    let Rates { cps, in_pps, out_pps, in_bps, out_bps } = *rates;
    cells(&[cps, in_pps, out_pps, in_bps, out_bps], digits)
}

/// Of a server, connections and packets are never shortened.
fn dest_rates(rates: &Rates, digits: Digits) -> String {
    let Rates { cps, in_pps, out_pps, in_bps, out_bps } = *rates;
    cells(&[cps, in_pps, out_pps], Digits::Exact) + &cells(&[in_bps, out_bps], digits)
}

fn cells(numbers: &[u64], digits: Digits) -> String {
    numbers.iter().map(|&number| digits.cell(number, 9)).collect()
}
