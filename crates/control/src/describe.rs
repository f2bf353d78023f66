// SPDX-License-Identifier: Apache-2.0
//! Changes in words, for dry runs and logs.

use std::fmt::Write;

use model::link::LinkChange;
use model::net::{IfAddr, RouteSpec};
use model::{DestSpec, Family, Forwarding, ServiceOptionsPatch, Timeouts};
use sockopt::Set;

/// One line that says what a change does: `add server 10.0.0.11:80 to tcp 192.0.2.1:80 (masq, weight 1)`.
pub fn describe(set: &Set) -> String {
    match set {
        Set::AddService(key, spec) => {
            let patch = ServiceOptionsPatch { conn_timeout: spec.options.conn_timeout };
            format!("add service {key} ({}{})", scheduling(&spec.scheduling), options(&patch))
        }
        Set::EditService(key, how, patch) => {
            format!("edit service {key} ({}{})", scheduling(how), options(patch))
        }
        Set::DelService(key) => format!("delete service {key}"),
        Set::FlushServices => "delete all services".to_owned(),
        Set::AddDest(key, addr, spec) => format!("add server {addr} to {key} ({})", dest(spec)),
        Set::EditDest(key, addr, spec) => format!("edit server {addr} of {key} ({})", dest(spec)),
        Set::DelDest(key, addr) => format!("delete server {addr} of {key}"),
        Set::AddLaddr { service, addr, dev } => format!("add local address {addr} on {dev} to {service}"),
        Set::DelLaddr { service, addr, dev } => format!("delete local address {addr} on {dev} of {service}"),
        Set::Zero(Some(key)) => format!("zero counters of {key}"),
        Set::Zero(None) => "zero counters of all services".to_owned(),
        Set::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
            format!("set timeouts (tcp {tcp}, tcp fin {tcp_fin}, udp {udp}; 0 keeps)")
        }
        Set::AddAddr(addr) => format!("add address {}", address(addr)),
        Set::EditAddr(addr) => format!("edit address {}", address(addr)),
        Set::DelAddr { prefix, dev } => format!("delete address {prefix} on {dev}"),
        Set::FlushAddr { dev, family } => format!("delete all {}addresses on {dev}", only(*family)),
        Set::AddRoute(spec) => format!("add route {}", route(spec)),
        Set::ReplaceRoute(spec) => format!("replace route {}", route(spec)),
        Set::DelRoute(key) => {
            let via = key.via.map(|via| format!(" via {via}")).unwrap_or_default();
            let dev = key.dev.as_ref().map(|dev| format!(" on {dev}")).unwrap_or_default();
            format!("delete route {}{via}{dev}", key.dst)
        }
        Set::FlushRoute { dev, family } => format!("delete all {}routes on {dev}", only(*family)),
        Set::AddNeigh(spec) => format!("set neighbour {} on {} to {}", spec.addr, spec.dev, spec.mac),
        Set::DelNeigh { addr, dev } => format!("delete neighbour {addr} on {dev}"),
        Set::FlushNeigh { dev } => format!("forget learned neighbours on {dev}"),
        Set::SetLink { dev, change } => format!("set {dev} {}", link_change(change)),
        Set::AddVlan(spec) => {
            let name = spec.name.clone().unwrap_or_else(|| format!("{}.{}", spec.dev, spec.id));
            format!("add vlan {name} (id {} of {})", spec.id, spec.dev)
        }
        Set::DelVlan(name) => format!("delete vlan {name}"),
    }
}

fn scheduling(how: &model::Scheduling) -> String {
    let mut text = how.scheduler.clone();
    let mut put = |part: std::fmt::Arguments<'_>| {
        text.write_fmt(part).expect("writing to a string cannot fail");
    };
    if how.flags != 0 {
        put(format_args!(", flags {:#x}", how.flags));
    }
    if let Some(persistence) = how.persistence {
        put(format_args!(", persistent {} s mask /{}", persistence.timeout, persistence.prefix_len));
    }
    if let Some(pe) = &how.pe {
        put(format_args!(", engine {pe}"));
    }
    if how.one_packet {
        put(format_args!(", one-packet"));
    }
    text
}

fn options(patch: &ServiceOptionsPatch) -> String {
    match patch.conn_timeout {
        None => String::new(),
        Some(0) => ", conn-timeout off".to_owned(),
        Some(secs) => format!(", conn-timeout {secs}"),
    }
}

fn dest(spec: &DestSpec) -> String {
    let mode = match spec.forwarding {
        Forwarding::Nat => "masq",
        Forwarding::FullNat => "fullnat",
        Forwarding::DirectRouting => "route",
        Forwarding::Tunnel(_) => "tunnel",
        Forwarding::Snat => "snat",
        Forwarding::Local => "local",
    };
    let limits = match (spec.upper, spec.lower) {
        (0, 0) => String::new(),
        (upper, lower) => format!(", thresholds {upper} {lower}"),
    };
    format!("{mode}, weight {}{limits}", spec.weight)
}

fn address(addr: &IfAddr) -> String {
    format!("{} on {}", addr.prefix, addr.dev)
}

fn route(spec: &RouteSpec) -> String {
    let via = spec.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let dev = if spec.dev.is_empty() { String::new() } else { format!(" on {}", spec.dev) };
    let metric = if spec.metric == 0 { String::new() } else { format!(" metric {}", spec.metric) };
    format!("{}{via}{dev}{metric}", spec.dst)
}

fn only(family: Option<Family>) -> &'static str {
    match family {
        None => "",
        Some(Family::Inet) => "IPv4 ",
        Some(Family::Inet6) => "IPv6 ",
    }
}

fn link_change(change: &LinkChange) -> String {
    let switch = |on: bool| if on { "on" } else { "off" };
    match change {
        LinkChange::Promisc(on) => format!("promisc {}", switch(*on)),
        LinkChange::AllMulticast(on) => format!("allmulticast {}", switch(*on)),
        LinkChange::Up(up) => if *up { "up" } else { "down" }.to_owned(),
        LinkChange::Mtu(mtu) => format!("mtu {mtu}"),
        LinkChange::Mac(mac) => format!("addr {mac}"),
    }
}
