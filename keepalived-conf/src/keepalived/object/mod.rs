// SPDX-License-Identifier: Apache-2.0
//! What a configuration says, with every value as it takes effect.

pub mod checker;
pub mod globals;
pub mod group;
pub mod service;
pub mod vrrp;

pub use checker::{
    Check, Checker, Connect, HttpCheck, HttpProtocol, Regex, Reply, StatusCodes, Timing, TrackFile, UdpCheck,
    Url,
};
pub use globals::{FlushOnStop, Globals, Ssl, SyncDaemon, Timeouts};
pub use group::{
    AccessGroup, AccessMember, Family, Group, GroupAddress, GroupMark, LocalAddress, LocalGroup, Tunnel,
};
pub use service::{
    Dpvs, Encapsulation, Flags, Forwarding, Granularity, HashTarget, Match, Method, Persistence, Protocol,
    ProxyProtocol, RealServer, Scheduler, Service, SorryServer, Target, TunnelChecksum, TunnelType,
};
pub use vrrp::{Vip, VrrpInstance};

/// A whole configuration. Everything stands in file order.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `global_defs`.
    pub globals: Globals,
    /// `virtual_server_group`. Of two with one name the first counts.
    pub groups: Vec<Group>,
    /// `virtual_server`, without those that were dropped.
    pub services: Vec<Service>,
    /// `local_address_group`.
    pub local_groups: Vec<LocalGroup>,
    /// `deny_address_group`.
    pub deny_groups: Vec<AccessGroup>,
    /// `allow_address_group`.
    pub allow_groups: Vec<AccessGroup>,
    /// `tunnel_group`.
    pub tunnels: Vec<Tunnel>,
    /// `vrrp_instance`.
    pub vrrp_instances: Vec<VrrpInstance>,
    /// `track_file`.
    pub track_files: Vec<TrackFile>,
    /// `SSL`.
    pub ssl: Option<Ssl>,
}
