// SPDX-License-Identifier: Apache-2.0
//! Longer ways to the director: a client and a server two routers away, the link between the routers as narrow as a test wants.
//!
//! ```text
//!  remote ── gate ══ client ── director ── switch ── server 1
//!   .9.2          .7         .1          .2       └─ server 2 ══ gate ── hidden
//!                                                    .2.12     .6        .8.2
//! ```
//!
//! The lab's client and its second server become routers; the double lines are the links in question. Everybody else is as ever.

use std::net::IpAddr;

use anyhow::Result;

use crate::lab::Lab;
use crate::net::{Family, add_address, join};
use crate::netns::{Names, Netns};

/// A station two routers away from the director.
#[derive(Debug)]
pub struct Beyond {
    /// The station; its interface is `eth0`.
    pub station: Netns,
    /// The router next to it; its interfaces are `lan` and `wan`.
    pub gate: Netns,
    /// Its network, 10.0.N.0/24 and fd00:N::/64; the station is `.2`, the gate `.1`.
    network: u8,
}

/// A way that begins and ends beyond routers.
#[derive(Debug)]
pub struct Path {
    /// Beyond the client.
    pub remote: Beyond,
    /// Beyond the second server.
    pub hidden: Beyond,
}

/// Clients of any number: every address of this network is the remote station's.
const CROWD: u8 = 11;

impl Path {
    /// Builds both ends, and tells the director the routes to them.
    ///
    /// # Errors
    /// The lab has fewer than two servers, or a command is refused.
    pub fn build(lab: &Lab) -> Result<Self> {
        let (client, server) = (&lab.net.client, &lab.net.servers[1]);
        let remote = Beyond::build("remote", client, 9, 7)?;
        let hidden = Beyond::build("hidden", server, 8, 6)?;
        for family in Family::BOTH {
            let flag = family.flag();
            let net = |n: u8| format!("{}/{}", family.host(n, 0), family.prefix_len());
            for (network, via, dev) in [
                (9, lab.plan.client(family), lab.plan.front_dev()),
                (CROWD, lab.plan.client(family), lab.plan.front_dev()),
                (8, lab.plan.server(family, 1), lab.plan.back_dev()),
            ] {
                lab.director.dpip(&format!("{flag} route add {} via {via} dev {dev}", net(network)))?;
            }
            server.ip(&format!("{flag} route add default via {}", lab.plan.back(family)))?;
            client.ip(&format!("{flag} route add {} via {}", net(CROWD), family.host(7, 1)))?;
            remote.gate.ip(&format!("{flag} route add {} via {}", net(CROWD), family.host(9, 2)))?;
            remote.station.ip(&format!("{flag} route add local {} dev lo", net(CROWD)))?;
        }
        // With IPv6 a route makes nobody's address one to bind to.
        remote.station.sysctl("net/ipv6/ip_nonlocal_bind", "1")?;
        Ok(Path { remote, hidden })
    }

    /// An address of the remote station, one of many.
    pub fn one_of_many(&self, family: Family, n: u8) -> IpAddr {
        family.host(CROWD, n)
    }

    /// Makes everybody forget what paths take.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget(&self) -> Result<()> {
        for ns in [&self.remote.station, &self.remote.gate, &self.hidden.station, &self.hidden.gate] {
            for family in Family::BOTH {
                ns.ip(&format!("{} route flush cache", family.flag()))?;
            }
        }
        Ok(())
    }
}

impl Beyond {
    /// A station in `network`, behind a gate, joined by `link` to what becomes a router here.
    fn build(role: &str, router: &Netns, network: u8, link: u8) -> Result<Self> {
        let names = Names::unique();
        let station = Netns::create(&names, role)?;
        let gate = Netns::create(&names, &format!("{role}gate"))?;
        join(&station, "eth0", &gate, "lan")?;
        join(&gate, "wan", router, "wan")?;
        for ns in [&gate, router] {
            ns.sysctl("net/ipv4/ip_forward", "1")?;
            ns.sysctl("net/ipv6/conf/all/forwarding", "1")?;
            // Errors are what is tested, not how many a second.
            for path in ["net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"] {
                ns.sysctl(path, "0")?;
            }
        }
        for family in Family::BOTH {
            let flag = family.flag();
            add_address(&station, "eth0", family.host(network, 2), family)?;
            add_address(&gate, "lan", family.host(network, 1), family)?;
            add_address(&gate, "wan", family.host(link, 1), family)?;
            add_address(router, "wan", family.host(link, 2), family)?;
            station.ip(&format!("{flag} route add default via {}", family.host(network, 1)))?;
            gate.ip(&format!("{flag} route add default via {}", family.host(link, 2)))?;
            let net = format!("{}/{}", family.host(network, 0), family.prefix_len());
            router.ip(&format!("{flag} route add {net} via {}", family.host(link, 1)))?;
        }
        Ok(Beyond { station, gate, network })
    }

    /// The station's address.
    pub fn addr(&self, family: Family) -> IpAddr {
        family.host(self.network, 2)
    }

    /// The gate's address next to the station.
    pub fn near(&self, family: Family) -> IpAddr {
        family.host(self.network, 1)
    }

    /// How many bytes the link between gate and router takes, 1280 to 1500.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn narrow(&self, router: &Netns, mtu: u16) -> Result<()> {
        for ns in [&self.gate, router] {
            ns.ip(&format!("link set wan mtu {mtu}"))?;
        }
        Ok(())
    }
}
