// SPDX-License-Identifier: Apache-2.0
//! Changes in words, for dry runs and logs.

use std::fmt::Write;

use model::link::LinkChange;
use model::net::{IfAddr, RouteSpec};
use model::options::{AccessList, DestCheck, EchoPolicy};
use model::tunnel::TunnelSpec;
use model::{DestSpec, Family, Forwarding, ServiceOptions, ServiceOptionsPatch, Timeouts};
use sockopt::Set;

/// One line that says what a change does: `add server 10.0.0.11:80 to tcp 192.0.2.1:80 (masq, weight 1)`.
pub fn describe(set: &Set) -> String {
    match set {
        Set::AddService(key, spec) => {
            let named = named(&spec.options);
            format!("add service {key} ({}{})", scheduling(&spec.scheduling), options(&named))
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
        Set::AddAccess { service, list, subject } => {
            format!("add {subject} to the {} list of {service}", access(*list))
        }
        Set::DelAccess { service, list, subject } => {
            format!("delete {subject} from the {} list of {service}", access(*list))
        }
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
        Set::AddTunnel(spec) => format!("add tunnel {}", tunnel(spec)),
        Set::EditTunnel(spec) => format!("edit tunnel {}", tunnel(spec)),
        Set::DelTunnel(name) => format!("delete tunnel {name}"),
        Set::AddSet(spec) => format!("create set {} ({})", spec.name, spec.kind),
        Set::DelSet(name) => format!("destroy set {name}"),
        Set::FlushSet(Some(name)) => format!("empty set {name}"),
        Set::FlushSet(None) => "empty all sets".to_owned(),
        Set::AddMember { set, entry, nomatch, .. } => {
            format!("add {entry}{} to set {set}", if *nomatch { " (nomatch)" } else { "" })
        }
        Set::DelMember { set, entry, .. } => format!("delete {entry} from set {set}"),
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
        put(format_args!(", persistent {} s mask {}", persistence.timeout, persistence.granularity));
    }
    if let Some(pe) = &how.pe {
        put(format_args!(", engine {pe}"));
    }
    if how.one_packet {
        put(format_args!(", one-packet"));
    }
    text
}

/// Options that differ from what services have anyway, as a patch.
fn named(options: &ServiceOptions) -> ServiceOptionsPatch {
    let ServiceOptions {
        conn_timeout,
        synproxy,
        hash_target,
        expire_quiescent,
        proxy_protocol,
        quic,
        dest_check,
        echo,
        bps,
        limit_proportion,
    } = options;
    ServiceOptionsPatch {
        conn_timeout: *conn_timeout,
        synproxy: synproxy.is_on().then_some(*synproxy),
        hash_target: *hash_target,
        expire_quiescent: expire_quiescent.then_some(true),
        proxy_protocol: proxy_protocol.is_some().then_some(*proxy_protocol),
        quic: quic.then_some(true),
        dest_check: (*dest_check != DestCheck::default()).then(|| dest_check.clone()),
        echo: (*echo != EchoPolicy::default()).then_some(*echo),
        bps: *bps,
        limit_proportion: *limit_proportion,
    }
}

fn options(patch: &ServiceOptionsPatch) -> String {
    let mut parts = Vec::new();
    let mut switch = |name: &str, on: Option<bool>| {
        parts.extend(on.map(|on| format!(", {name} {}", if on { "on" } else { "off" })));
    };
    switch("expire-quiescent", patch.expire_quiescent);
    switch("quic", patch.quic);
    parts.extend(patch.synproxy.map(|proxy| format!(", synproxy {proxy}")));
    match patch.conn_timeout {
        None => {}
        Some(0) => parts.push(", conn-timeout off".to_owned()),
        Some(secs) => parts.push(format!(", conn-timeout {secs}")),
    }
    parts.extend(patch.hash_target.map(|target| format!(", hash {target}")));
    parts.extend(patch.proxy_protocol.map(|header| match header {
        None => ", proxy-protocol off".to_owned(),
        Some(header) => format!(", proxy-protocol {header}"),
    }));
    parts.extend(patch.bps.map(|mbps| match mbps {
        0 => ", bps off".to_owned(),
        mbps => format!(", bps {mbps}"),
    }));
    parts.extend(patch.limit_proportion.map(|percent| match percent {
        100 => ", limit-proportion off".to_owned(),
        percent => format!(", limit-proportion {percent}"),
    }));
    parts.extend(patch.echo.map(|echo| format!(", echo {echo}")));
    parts.extend(patch.dest_check.as_ref().map(|check| match (check.passive, check.external.as_slice()) {
        (None, []) => ", dest-check off".to_owned(),
        (passive, external) => {
            let words = passive.map(|passive| passive.to_string()).into_iter();
            let words = words.chain(external.iter().map(ToString::to_string));
            format!(", dest-check {}", words.collect::<Vec<_>>().join(" "))
        }
    }));
    parts.concat()
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

fn access(list: AccessList) -> &'static str {
    match list {
        AccessList::Block => "block",
        AccessList::Allow => "allow",
    }
}

fn tunnel(spec: &TunnelSpec) -> String {
    format!("{} ({} from {} to {})", spec.name, spec.mode, spec.local, spec.remote)
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
