// SPDX-License-Identifier: Apache-2.0
//! The JSON listings. Within a version of the documents, members are added and never change their meaning.

use std::net::IpAddr;

use model::dest::{TunnelCsum, TunnelKind};
use model::options::{AccessSubject, DestCheck, EchoPolicy, HashTarget, ProxyProtocol, SynProxyWindow};
use model::stats::SynProxyStats;
use model::{
    ConnEntry, ConnState, Counters, Family, Forwarding, Granularity, Rates, ServiceKey, Timeouts, Transport,
};
use serde::Serialize;
use sockopt::reply::{DestEntry, LaddrEntry, ServiceEntry};

use super::services::forwarding;
use crate::flags;

/// The document of a listing of services, their servers, local addresses and access lists.
pub fn services(services: &[ServiceEntry]) -> String {
    cli::json::document("services", &services.iter().map(Service::from).collect::<Vec<_>>())
}

/// The document of a listing of connections.
pub fn conns(conns: &[ConnEntry]) -> String {
    cli::json::document("connections", &conns.iter().map(Conn::from).collect::<Vec<_>>())
}

/// The document of the timeouts.
pub fn timeouts(timeouts: &Timeouts) -> String {
    cli::json::document("timeouts", timeouts)
}

/// The document of the synchronisation daemons: there are none.
pub fn sync_daemons() -> String {
    cli::json::document("sync_daemons", &[(); 0])
}

/// How a service is found: exactly one of `address` with `port`, `fwmark` and `match` is there.
#[derive(Serialize)]
struct Key {
    protocol: Option<Transport>,
    family: Family,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fwmark: Option<u32>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    rule: Option<model::MatchRule>,
}

#[derive(Serialize)]
struct Service<'a> {
    #[serde(flatten)]
    key: Key,
    scheduler: &'a str,
    scheduler_flags: Vec<&'static str>,
    persistent: Option<Persistent>,
    persistence_engine: Option<&'a str>,
    one_packet: bool,
    hash_target: Option<HashTarget>,
    synproxy: bool,
    synproxy_mode: &'static str,
    synproxy_window: Option<&'static str>,
    synproxy_stats: Option<&'a SynProxyStats>,
    conn_timeout: Option<u32>,
    proxy_protocol: Option<ProxyProtocol>,
    bps: Option<u32>,
    limit_proportion: Option<u8>,
    expire_quiescent: bool,
    quic: bool,
    dest_check: &'a DestCheck,
    echo: Option<EchoPolicy>,
    stats: Counters,
    rate: Rates,
    servers: Vec<Server>,
    local_addresses: &'a [LaddrEntry],
    deny: &'a [AccessSubject],
    allow: &'a [AccessSubject],
}

#[derive(Serialize)]
struct Persistent {
    timeout: u32,
    netmask: Granularity,
}

#[derive(Serialize)]
struct Server {
    address: IpAddr,
    port: u16,
    forward: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Tunnel>,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    active_connections: u32,
    inactive_connections: u32,
    persistent_connections: u32,
    inhibited: bool,
    overloaded: bool,
    stats: Counters,
    rate: Rates,
}

#[derive(Serialize)]
struct Tunnel {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    checksum: TunnelCsum,
}

impl From<&ServiceKey> for Key {
    fn from(key: &ServiceKey) -> Self {
        let mut parts =
            Key { protocol: None, family: key.family(), address: None, port: None, fwmark: None, rule: None };
        match key {
            ServiceKey::Endpoint { transport, vip } => {
                parts.protocol = Some(*transport);
                parts.address = Some(vip.ip());
                parts.port = Some(vip.port());
            }
            ServiceKey::FwMark { mark, .. } => parts.fwmark = Some(mark.get()),
            ServiceKey::Match(rule) => {
                parts.protocol = Some(rule.transport);
                parts.rule = Some(rule.clone());
            }
        }
        parts
    }
}

impl<'a> From<&'a ServiceEntry> for Service<'a> {
    fn from(entry: &'a ServiceEntry) -> Self {
        let (scheduling, options) = (&entry.spec.scheduling, &entry.spec.options);
        Service {
            key: Key::from(&entry.key),
            scheduler: &scheduling.scheduler,
            scheduler_flags: flags::names(scheduling.flags, &scheduling.scheduler),
            persistent: scheduling
                .persistence
                .map(|kept| Persistent { timeout: kept.timeout, netmask: kept.granularity }),
            persistence_engine: scheduling.pe.as_deref(),
            one_packet: scheduling.one_packet,
            hash_target: options.hash_target,
            synproxy: options.synproxy.is_on(),
            synproxy_mode: options.synproxy.word(),
            synproxy_window: options.synproxy.window.map(|window| match window {
                SynProxyWindow::Hold => "hold",
                SynProxyWindow::Open => "open",
            }),
            synproxy_stats: entry.syn_proxy.as_ref(),
            conn_timeout: options.conn_timeout,
            proxy_protocol: options.proxy_protocol,
            bps: options.bps,
            limit_proportion: options.limit_proportion,
            expire_quiescent: options.expire_quiescent,
            quic: options.quic,
            dest_check: &options.dest_check,
            echo: is_icmp(&entry.key).then_some(options.echo),
            stats: entry.counters,
            rate: entry.rates,
            servers: entry.dests.iter().map(Server::from).collect(),
            local_addresses: &entry.laddrs,
            deny: &entry.block,
            allow: &entry.allow,
        }
    }
}

/// Whether queries are what a service is asked.
fn is_icmp(key: &ServiceKey) -> bool {
    matches!(super::transport(key), Some(Transport::Icmp | Transport::Icmpv6))
}

impl From<&DestEntry> for Server {
    fn from(dest: &DestEntry) -> Self {
        let tunnel = match dest.spec.forwarding {
            Forwarding::Tunnel(TunnelKind::Ipip) => Some(("ipip", None, TunnelCsum::None)),
            Forwarding::Tunnel(TunnelKind::Gue { port, csum }) => Some(("gue", Some(port), csum)),
            Forwarding::Tunnel(TunnelKind::Gre { csum }) => Some(("gre", None, csum)),
            _ => None,
        };
        Server {
            address: dest.addr.ip(),
            port: dest.addr.port(),
            forward: forwarding(dest.spec.forwarding),
            tunnel: tunnel.map(|(kind, port, checksum)| Tunnel { kind, port, checksum }),
            weight: dest.spec.weight,
            upper_threshold: dest.spec.upper,
            lower_threshold: dest.spec.lower,
            active_connections: dest.active,
            inactive_connections: dest.inactive,
            persistent_connections: dest.persistent,
            inhibited: dest.inhibited,
            overloaded: dest.overloaded,
            stats: dest.counters,
            rate: dest.rates,
        }
    }
}

#[derive(Serialize)]
struct Conn<'a> {
    worker: u16,
    protocol: Transport,
    state: ConnState,
    expires: u32,
    client: End,
    service: End,
    local: End,
    server: End,
    template: bool,
    mark: Option<std::num::NonZeroU32>,
    persistence_engine: Option<&'a model::EngineData>,
}

#[derive(Serialize)]
struct End {
    address: IpAddr,
    port: u16,
}

impl<'a> From<&'a ConnEntry> for Conn<'a> {
    fn from(conn: &'a ConnEntry) -> Self {
        let end = |end: std::net::SocketAddr| End { address: end.ip(), port: end.port() };
        Conn {
            worker: conn.lcore + 1,
            protocol: conn.transport,
            state: conn.state,
            expires: conn.expires,
            client: end(conn.client),
            service: end(conn.virt),
            local: end(conn.local),
            server: end(conn.dest),
            template: conn.template,
            mark: conn.mark,
            persistence_engine: conn.engine.as_ref(),
        }
    }
}
