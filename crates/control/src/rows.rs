// SPDX-License-Identifier: Apache-2.0
//! The rows of the state: what is configured about one thing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use engine::health::Health;
use engine::ids::{DestId, LinkId, PortId, ServiceId};
use engine::limit::Occupancy;
use engine::sched::Scheduler;
use engine::snapshot::Forwarding;
use engine::tick::Tick;
use engine::tunnel::Sequence;
use model::ipset::{Element, Member, SetSpec};
use model::net::{IfAddr, RouteScope};
use model::options::AccessSubject;
use model::tunnel::TunnelSpec;
use model::{DestSpec, MacAddr, Prefix, ServiceKey, ServiceSpec};

use crate::ports::PortFacts;

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its key.
    pub key: ServiceKey,
    /// What is configured, as it was asked for.
    pub spec: ServiceSpec,
    /// The scheduler `spec` names.
    pub scheduler: Scheduler,
    /// Its servers, in the order they were added.
    pub dests: Vec<DestId>,
    /// Its local addresses and the links they are on, in the order they were added.
    pub laddrs: Vec<(IpAddr, LinkId)>,
    /// Clients that are refused.
    pub block: Vec<AccessSubject>,
    /// Clients that alone are accepted, if any is named.
    pub allow: Vec<AccessSubject>,
    /// Changes whenever a server, weight or the scheduler changed.
    pub revision: u32,
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Dest {
    /// Whose server it is.
    pub service: ServiceId,
    /// Where it listens; port 0 is the port clients ask for.
    pub addr: SocketAddr,
    /// What is configured.
    pub spec: DestSpec,
    /// The forwarding `spec` asks for, as workers know it.
    pub forwarding: Forwarding,
    /// How many connections it has on all workers; counted while `spec` limits them.
    pub occupancy: Option<Occupancy>,
    /// What passing packets showed of it.
    pub health: Health,
}

/// A set of addresses, networks or ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpSet {
    /// What is configured.
    pub spec: SetSpec,
    /// Its elements, in the order they are listed.
    pub members: BTreeMap<Element, Member>,
}

/// A port, a VLAN of one, or a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The port frames leave by.
    pub port: PortId,
    /// The 802.1Q identifier, if it is a VLAN.
    pub vlan: Option<u16>,
    /// What makes it a tunnel, if it is one.
    pub tunnel: Option<Tunnel>,
    /// Longest IP packet in bytes; 0 for the port's, or what of it a tunnel's headers leave (ports have their own).
    pub mtu: u16,
    /// Ethernet address; VLANs have their port's.
    pub mac: MacAddr,
    /// Whether the operator has it up.
    pub up: bool,
    /// Receives frames of all stations (ports only).
    pub promisc: bool,
    /// Receives all multicast frames (ports only).
    pub allmulticast: bool,
}

/// A tunnel, and where its packets are in their order: that outlives changes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// As operators made it.
    pub spec: TunnelSpec,
    /// Numbers of its packets.
    pub sequence: Sequence,
}

/// What tells addresses apart: one may be there twice, with different lengths or on different links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddrKey {
    /// The link.
    pub link: LinkId,
    /// Address and length.
    pub prefix: Prefix,
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq)]
pub struct Addr {
    /// What is configured.
    pub spec: IfAddr,
    /// Put there by a service that uses it as local address, not by an operator: goes when no service uses it any more.
    pub implied: bool,
    /// When it ends, if its lifetime is limited.
    pub until: Option<Tick>,
    /// When it ceases to be preferred, if that is limited.
    pub preferred_until: Option<Tick>,
}

/// What tells routes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId {
    /// What it matches, host bits zero.
    pub dst: Prefix,
    /// Lower wins.
    pub metric: u32,
}

/// A route that was configured; those that follow from addresses are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The gateway, if any.
    pub via: Option<IpAddr>,
    /// The link.
    pub link: LinkId,
    /// Source of locally made packets.
    pub src: Option<IpAddr>,
    /// MTU in bytes; 0 for the link's.
    pub mtu: u16,
    /// Where it leads.
    pub scope: RouteScope,
}

impl Link {
    /// Whether it is a port's own.
    pub(crate) fn is_port(&self) -> bool {
        self.vlan.is_none() && self.tunnel.is_none()
    }

    /// The link of a device's untagged frames, as the device is at start.
    pub(crate) fn of_port(port: PortId, facts: &PortFacts) -> Self {
        Link {
            name: facts.name.clone(),
            port,
            vlan: None,
            tunnel: None,
            mtu: facts.mtu,
            mac: facts.mac,
            up: true,
            promisc: facts.promisc,
            allmulticast: facts.allmulticast,
        }
    }
}
