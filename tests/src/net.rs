// SPDX-License-Identifier: Apache-2.0
//! The wires of a lab: who is joined to whom, and under which addresses.
//!
//! ```text
//!  Arms::Two
//!    client ────────────── port0 director port1 ──── switch ──── server 1
//!    10.0.1.2             10.0.1.1     10.0.2.1             └─── server 2 ...
//!    fd00:1::2            vip .100     laddr .200               10.0.2.11, .12 ...
//!
//!  Arms::One
//!    client ────┐
//!    10.0.1.2   switch ──── port0 director        everybody in 10.0.1.0/24 and fd00:1::/64,
//!    server 1 ──┤           10.0.1.1, vip .100    servers at .11, .12 ..., laddr at .200
//!    server 2 ──┘
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::delay::{Delay, Wire};
use crate::netns::{Names, Netns};
use crate::tagger::Tagger;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, for loops.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// Prefix length of the lab's networks.
    pub fn prefix_len(self) -> u8 {
        match self {
            Family::V4 => 24,
            Family::V6 => 64,
        }
    }

    /// Prefix length of a single address.
    pub fn whole(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// `-4` or `-6`, as many tools want it.
    pub fn flag(self) -> &'static str {
        match self {
            Family::V4 => "-4",
            Family::V6 => "-6",
        }
    }

    /// Host `host` of network 1 (clients) or 2 (servers). Hosts are written in decimal in both families.
    pub fn host(self, network: u8, host: u8) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(10, 0, network, host).into(),
            Family::V6 => {
                let same_digits = u16::from_str_radix(&host.to_string(), 16).unwrap_or_default();
                Ipv6Addr::new(0xfd00, network.into(), 0, 0, 0, 0, 0, same_digits).into()
            }
        }
    }
}

/// How the director is joined to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arms {
    /// One port; clients and servers on the same network.
    One,
    /// Two ports: clients on the first, servers on the second.
    Two,
}

/// The DPDK driver of the director's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `net_af_packet`: works on every kernel.
    AfPacket,
    /// `net_af_xdp`.
    AfXdp,
}

impl Driver {
    /// Its name on `dpvsd`'s command line.
    pub fn name(self) -> &'static str {
        match self {
            Driver::AfPacket => "af_packet",
            Driver::AfXdp => "af_xdp",
        }
    }
}

/// What a scenario needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the director is joined.
    pub arms: Arms,
    /// Driver of the director's ports.
    pub driver: Driver,
    /// Workers of the director.
    pub workers: u16,
    /// Real servers with nginx.
    pub servers: u8,
    /// Clients reach the director by this VLAN of its first port.
    pub vlan: Option<u16>,
    /// What the wire between client and director is like, on two arms. `None` is as fast as it can.
    pub wire: Option<Wire>,
    /// Text of `dpvs.conf`.
    pub conf: String,
    /// Text of `keepalived.conf`; `None`: the director has none.
    pub keepalived: Option<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            arms: Arms::Two,
            driver: Driver::AfPacket,
            workers: 1,
            servers: 2,
            vlan: None,
            wire: None,
            conf: String::new(),
            keepalived: None,
        }
    }
}

impl Plan {
    /// Two arms, two servers, and this many workers.
    pub fn workers(workers: u16) -> Self {
        Plan { workers, ..Plan::default() }
    }

    /// The director's address towards clients.
    pub fn front(&self, family: Family) -> IpAddr {
        family.host(1, 1)
    }

    /// The director's address towards servers.
    pub fn back(&self, family: Family) -> IpAddr {
        family.host(self.server_network(), 1)
    }

    /// The client's address.
    pub fn client(&self, family: Family) -> IpAddr {
        family.host(1, 2)
    }

    /// The first service address; more of them follow at `.101`, `.102`.
    pub fn vip(&self, family: Family) -> IpAddr {
        family.host(1, 100)
    }

    /// The director's local address towards servers.
    pub fn laddr(&self, family: Family) -> IpAddr {
        family.host(self.server_network(), 200)
    }

    /// Address of a real server, counted from 0.
    pub fn server(&self, family: Family, index: u8) -> IpAddr {
        family.host(self.server_network(), 11 + index)
    }

    /// Name of the director's port towards clients, in dpip's and ipvsadm's words.
    pub fn front_dev(&self) -> String {
        self.vlan.map_or_else(|| "dpdk0".to_owned(), |id| format!("dpdk0.{id}"))
    }

    /// Name of the director's port towards servers.
    pub fn back_dev(&self) -> String {
        match self.arms {
            Arms::One => self.front_dev(),
            Arms::Two => "dpdk1".to_owned(),
        }
    }

    /// `(dpdk0, port0)` and so on: the director's names of its ports and the interfaces behind them.
    pub fn ports(&self) -> &'static [(&'static str, &'static str)] {
        match self.arms {
            Arms::One => &[("dpdk0", "port0")],
            Arms::Two => &[("dpdk0", "port0"), ("dpdk1", "port1")],
        }
    }

    fn server_network(&self) -> u8 {
        match self.arms {
            Arms::One => 1,
            Arms::Two => 2,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { arms, driver, workers, servers, .. } = self;
        write!(f, "arms {arms:?}, {}, {workers} worker(s), {servers} server(s)", driver.name())
    }
}

/// The namespaces of a lab, joined.
#[derive(Debug)]
pub struct Net {
    /// Where clients run; its interface is `eth0`.
    pub client: Netns,
    /// Where the director runs; its interfaces are `port0` and `port1`, without any address.
    pub director: Netns,
    /// Where real servers run; the interface of each is `eth0`.
    pub servers: Vec<Netns>,
    /// The bridge between servers and director.
    pub switch: Netns,
    /// The switch that tags what clients send, where clients are in a VLAN.
    pub tagger: Option<Tagger>,
    /// The wire to the client, where it is a long one.
    pub delay: Option<Delay>,
}

impl Net {
    /// Creates and joins the namespaces of a plan.
    ///
    /// # Errors
    /// Not root, or a tool or kernel feature is missing.
    pub fn build(plan: &Plan, names: &Names) -> Result<Self> {
        let mut net = Net {
            client: Netns::create(names, "client")?,
            director: Netns::create(names, "director")?,
            servers: (1..=plan.servers)
                .map(|n| Netns::create(names, &format!("server{n}")))
                .collect::<Result<_>>()?,
            switch: Netns::create(names, "switch")?,
            tagger: None,
            delay: None,
        };
        for family in ["all", "default"] {
            // The kernel must not answer neighbour discovery on the director's ports.
            net.director.sysctl(&format!("net/ipv6/conf/{family}/disable_ipv6"), "1")?;
            net.switch.sysctl(&format!("net/ipv6/conf/{family}/disable_ipv6"), "1")?;
        }
        net.switch.ip("link add br0 type bridge")?;
        net.switch.ip("link set br0 up")?;
        match plan.arms {
            Arms::Two if plan.vlan.is_some() => {
                net.tagger = plan.vlan.map(|id| Tagger::between(&net, names, id)).transpose()?;
                net.plug("director", &net.director, "port1")?;
            }
            Arms::Two if plan.wire.is_some() => {
                net.delay = plan.wire.map(|wire| Delay::between(&net, names, wire)).transpose()?;
                net.plug("director", &net.director, "port1")?;
            }
            Arms::Two => {
                join(&net.client, "eth0", &net.director, "port0")?;
                net.plug("director", &net.director, "port1")?;
            }
            Arms::One => {
                net.plug("client", &net.client, "eth0")?;
                net.plug("director", &net.director, "port0")?;
            }
        }
        for (n, server) in net.servers.iter().enumerate() {
            net.plug(&format!("server{}", n + 1), server, "eth0")?;
        }
        net.address(plan)?;
        Ok(net)
    }

    /// Lets the kernel of the director's namespace route, for tests of the lab itself.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn route_by_kernel(&self, plan: &Plan) -> Result<()> {
        for iface in ["all", "default", "port0", "port1"] {
            self.director.sysctl(&format!("net/ipv6/conf/{iface}/disable_ipv6"), "0")?;
        }
        self.director.sysctl("net/ipv4/ip_forward", "1")?;
        self.director.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        for family in Family::BOTH {
            add_address(&self.director, "port0", plan.front(family), family)?;
            add_address(&self.director, "port1", plan.back(family), family)?;
            let default = |via: IpAddr| format!("{} route add default via {via}", family.flag());
            self.client.ip(&default(plan.front(family)))?;
            for server in &self.servers {
                server.ip(&default(plan.back(family)))?;
            }
        }
        Ok(())
    }

    /// Joins a namespace's new interface to the bridge.
    ///
    /// # Errors
    /// An interface of that name exists.
    pub fn plug(&self, port: &str, ns: &Netns, iface: &str) -> Result<()> {
        join(&self.switch, port, ns, iface)?;
        self.switch.ip(&format!("link set {port} master br0")).map(drop)
    }

    fn address(&self, plan: &Plan) -> Result<()> {
        for family in Family::BOTH {
            add_address(&self.client, "eth0", plan.client(family), family)?;
            for (n, server) in (0..).zip(&self.servers) {
                add_address(server, "eth0", plan.server(family, n), family)?;
            }
        }
        Ok(())
    }
}

/// Puts a cable between two namespaces.
///
/// # Errors
/// An interface of that name exists.
pub fn join(a: &Netns, a_iface: &str, b: &Netns, b_iface: &str) -> Result<()> {
    a.ip(&format!("link add {a_iface} type veth peer name {b_iface} netns {}", b.name()))?;
    for (ns, iface) in [(a, a_iface), (b, b_iface)] {
        ns.plain_frames(iface)?;
        ns.ip(&format!("link set {iface} up"))?;
    }
    Ok(())
}

/// Gives an interface an address of one of the lab's networks.
///
/// # Errors
/// It has it already.
pub fn add_address(ns: &Netns, iface: &str, addr: IpAddr, family: Family) -> Result<()> {
    let nodad = if family == Family::V6 { "nodad" } else { "" };
    ns.ip(&format!("addr add {addr}/{} dev {iface} {nodad}", family.prefix_len())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_look_alike_in_both_families() {
        assert_eq!(Family::V4.host(2, 200).to_string(), "10.0.2.200");
        assert_eq!(Family::V6.host(2, 200).to_string(), "fd00:2::200");
    }

    #[test]
    fn one_arm_is_one_network() {
        let plan = Plan { arms: Arms::One, ..Plan::default() };
        assert_eq!(plan.server(Family::V4, 1).to_string(), "10.0.1.12");
        assert_eq!(Plan::default().server(Family::V4, 1).to_string(), "10.0.2.12");
    }
}
