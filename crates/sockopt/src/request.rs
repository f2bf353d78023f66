// SPDX-License-Identifier: Apache-2.0
//! The whole control surface: one enum of changes, one of questions.

use std::net::{IpAddr, SocketAddr};

use bincode::{Decode, Encode};
use model::ipset::SetSpec;
use model::link::{LinkChange, VlanSpec};
use model::net::{FamilyFilter, IfAddr, NeighSpec, RouteKey, RouteSpec, VrrpRole};
use model::options::{AccessList, AccessSubject};
use model::tunnel::TunnelSpec;
use model::{
    DestSpec, Prefix, Scheduling, ServiceKey, ServiceOptionsPatch, ServiceSpec, Timeouts, Transport,
};

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Request {
    /// One change.
    Set(Set),
    /// Several changes, applied whole or not at all.
    Transaction {
        /// In order.
        steps: Vec<Set>,
        /// Only say what would happen.
        dry_run: bool,
    },
    /// One question.
    Get(Get),
    /// Something about the files that the daemon runs by.
    Files(Files),
}

/// What is asked about the daemon's files.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Files {
    /// Read them again, as at SIGHUP. The answer is [`crate::Reply::Told`].
    Reload,
    /// Let a VRRP instance of the keepalived.conf have a role. The answer is [`crate::Reply::Done`].
    Vrrp {
        /// Its name.
        instance: String,
        /// Its role from now on.
        role: VrrpRole,
    },
    /// List VRRP instances. The answer is [`crate::Reply::Vrrp`].
    Instances,
    /// List the servers of the keepalived.conf and how they are. The answer is [`crate::Reply::Health`].
    Health,
}

impl Request {
    /// Whether it goes on where an earlier reply ended: only the daemon that gave that reply can answer it.
    pub fn continues(&self) -> bool {
        matches!(
            self,
            Request::Get(
                Get::Services { cursor: 1.., .. }
                    | Get::Conns { cursor: 1.. }
                    | Get::Sets { cursor: 1.., .. }
            )
        )
    }
}

/// One change of the configuration.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Set {
    /// A new service.
    AddService(ServiceKey, ServiceSpec),
    /// Replaces how a service chooses servers; options not named stay.
    EditService(ServiceKey, Scheduling, ServiceOptionsPatch),
    /// Removes a service, its servers and local addresses.
    DelService(ServiceKey),
    /// Removes all services.
    FlushServices,
    /// A new server behind a service.
    AddDest(ServiceKey, SocketAddr, DestSpec),
    /// Replaces what is configured about a server.
    EditDest(ServiceKey, SocketAddr, DestSpec),
    /// Removes a server.
    DelDest(ServiceKey, SocketAddr),
    /// Gives a service a local address. The address is put on the link if it is not there.
    AddLaddr {
        /// The service.
        service: ServiceKey,
        /// The address.
        addr: IpAddr,
        /// Name of the link.
        dev: String,
    },
    /// Takes a local address from a service, and from the link if only a service had put it there and no other uses it.
    DelLaddr {
        /// The service.
        service: ServiceKey,
        /// The address.
        addr: IpAddr,
        /// Name of the link.
        dev: String,
    },
    /// Enters a client or set of clients in a list of a service.
    AddAccess {
        /// The service.
        service: ServiceKey,
        /// Which list.
        list: AccessList,
        /// Whom.
        subject: AccessSubject,
    },
    /// Strikes a client or set of clients off a list of a service.
    DelAccess {
        /// The service.
        service: ServiceKey,
        /// Which list.
        list: AccessList,
        /// Whom.
        subject: AccessSubject,
    },
    /// Zeroes the counters of one service and its servers, or of all.
    Zero(Option<ServiceKey>),
    /// Sets idle timeouts; 0 leaves one as it is.
    SetTimeouts(Timeouts),
    /// A new address on a link.
    AddAddr(IfAddr),
    /// Replaces what is configured about an address.
    EditAddr(IfAddr),
    /// Removes an address from a link.
    DelAddr {
        /// Address and length.
        prefix: Prefix,
        /// Name of the link.
        dev: String,
    },
    /// Removes all addresses of a link (and family).
    FlushAddr {
        /// Name of the link.
        dev: String,
        /// Only of this family.
        family: FamilyFilter,
    },
    /// A new route.
    AddRoute(RouteSpec),
    /// Replaces the route to the same prefix, or adds it.
    ReplaceRoute(RouteSpec),
    /// Removes a route.
    DelRoute(RouteKey),
    /// Removes all routes of a link and family.
    FlushRoute {
        /// Name of the link.
        dev: String,
        /// Only of this family.
        family: FamilyFilter,
    },
    /// Enters a neighbour by hand.
    AddNeigh(NeighSpec),
    /// Removes a neighbour, entered or learned.
    DelNeigh {
        /// Its address.
        addr: IpAddr,
        /// Name of the link.
        dev: String,
    },
    /// Removes all neighbours of a link that were learned.
    FlushNeigh {
        /// Name of the link.
        dev: String,
    },
    /// Changes a link.
    SetLink {
        /// Name of the link.
        dev: String,
        /// What to change.
        change: LinkChange,
    },
    /// A new VLAN.
    AddVlan(VlanSpec),
    /// Removes a VLAN by name.
    DelVlan(String),
    /// A new tunnel.
    AddTunnel(TunnelSpec),
    /// Other values for a tunnel that is there: all but its name.
    EditTunnel(TunnelSpec),
    /// Removes a tunnel by name.
    DelTunnel(String),
    /// A new set, empty.
    AddSet(SetSpec),
    /// Removes a set by name, unless it is in use.
    DelSet(String),
    /// Empties a set, or all.
    FlushSet(Option<String>),
    /// Puts an entry into a set.
    AddMember {
        /// Name of the set.
        set: String,
        /// As it is written: what that means depends on the kind of the set.
        entry: String,
        /// For people.
        comment: Option<String>,
        /// What it holds is not in the set, although a wider element holds it too.
        nomatch: bool,
        /// What is there already is no error.
        force: bool,
    },
    /// Takes an entry out of a set.
    DelMember {
        /// Name of the set.
        set: String,
        /// As it is written.
        entry: String,
        /// What is not there is no error.
        force: bool,
    },
}

/// One question.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Get {
    /// Name, version and start of the daemon.
    Daemon,
    /// Services with their servers and counters, a page at a time.
    Services {
        /// 0 at first, then what the last page said.
        cursor: u64,
        /// Only the counters of this worker, numbered from 0.
        lcore: Option<u16>,
    },
    /// One service.
    Service {
        /// Its key.
        key: ServiceKey,
        /// Only the counters of this worker, numbered from 0.
        lcore: Option<u16>,
    },
    /// Connections and persistence templates, a page at a time.
    Conns {
        /// 0 at first, then what the last page said.
        cursor: u64,
    },
    /// One connection, by its client and service addresses.
    Conn {
        /// Protocol.
        transport: Transport,
        /// Source of the packets.
        source: SocketAddr,
        /// Target of the packets.
        target: SocketAddr,
    },
    /// Idle timeouts.
    Timeouts,
    /// Addresses of one link or all.
    Addrs {
        /// Only of this link.
        dev: Option<String>,
        /// Only of this family.
        family: FamilyFilter,
    },
    /// Routes of one link or all.
    Routes {
        /// Only of this link.
        dev: Option<String>,
        /// Only of this family.
        family: FamilyFilter,
    },
    /// Neighbours of one link or all.
    Neighs {
        /// Only of this link.
        dev: Option<String>,
        /// Only of this family.
        family: FamilyFilter,
    },
    /// One link or all.
    Links {
        /// Only this link.
        dev: Option<String>,
    },
    /// Counters of one link or all.
    LinkStats {
        /// Only of this link.
        dev: Option<String>,
    },
    /// CPUs and their loops.
    Cpus,
    /// Where every packet went.
    Traffic,
    /// What the SYN proxy did.
    SynProxy,
    /// VLANs of one port or all.
    Vlans {
        /// Only of this port.
        dev: Option<String>,
    },
    /// Tunnels.
    Tunnels,
    /// One set or all with their elements, a page at a time.
    Sets {
        /// Only this one.
        name: Option<String>,
        /// 0 at first, then what the last page said.
        cursor: u64,
    },
    /// Whether an element is in a set.
    TestSet {
        /// Name of the set.
        name: String,
        /// The element, as entries are written.
        entry: String,
    },
}
