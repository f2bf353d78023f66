// SPDX-License-Identifier: Apache-2.0
//! Services found by what their packets look like.

mod parse;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use bincode::{Decode, Encode};
use serde::{Serialize, Serializer};

use crate::addr::Family;
use crate::service::Transport;

/// What packets of a match service have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
pub struct MatchRule {
    /// Their protocol.
    pub transport: Transport,
    /// Their family; both ranges agree with it.
    pub family: Family,
    /// Where they come from; `None` for anywhere.
    pub src: Option<EndpointRange>,
    /// Where they go; `None` for anywhere.
    pub dst: Option<EndpointRange>,
    /// Name of the link they come in by; `None` for any.
    pub iif: Option<String>,
    /// Name of the link they leave by; `None` for any.
    pub oif: Option<String>,
}

impl fmt::Display for MatchRule {
    /// As listings show it: `tcp,from=10.9.0.0-10.9.255.255:0-0,oif=dpdk1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.transport)?;
        if let Some(range) = self.src {
            write!(f, ",from={range}")?;
        }
        if let Some(range) = self.dst {
            write!(f, ",to={range}")?;
        }
        if let Some(name) = &self.iif {
            write!(f, ",iif={name}")?;
        }
        if let Some(name) = &self.oif {
            write!(f, ",oif={name}")?;
        }
        Ok(())
    }
}

/// What puts a mark on packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marking {
    /// The mark.
    pub mark: NonZeroU32,
    /// What the packets look like.
    pub rule: MatchRule,
}

/// Addresses and ports from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct EndpointRange {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address, of the same family.
    pub last: IpAddr,
    /// The lowest port; 0 with [`EndpointRange::last_port`] 0 for every port.
    pub first_port: u16,
    /// The highest port.
    pub last_port: u16,
}

impl EndpointRange {
    /// Whether `addr:port` lies inside. A last address of all zeros, and a last port of 0, say nothing: any address of the family, any
    /// port.
    pub fn contains(&self, addr: IpAddr, port: u16) -> bool {
        Family::of(addr) == Family::of(self.first)
            && (self.last.is_unspecified() || (self.first..=self.last).contains(&addr))
            && (self.last_port == 0 || (self.first_port..=self.last_port).contains(&port))
    }
}

impl fmt::Display for EndpointRange {
    /// `A-B:P1-P2`, and `[A-B]:P1-P2` for IPv6; always with both ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EndpointRange { first, last, first_port, last_port } = self;
        match first {
            IpAddr::V4(_) => write!(f, "{first}-{last}:{first_port}-{last_port}"),
            IpAddr::V6(_) => write!(f, "[{first}-{last}]:{first_port}-{last_port}"),
        }
    }
}

impl Serialize for EndpointRange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: &str, last: &str, first_port: u16, last_port: u16) -> EndpointRange {
        EndpointRange { first: first.parse().unwrap(), last: last.parse().unwrap(), first_port, last_port }
    }

    #[test]
    fn a_rule_is_written_without_what_it_does_not_ask() {
        let mut rule = MatchRule {
            transport: Transport::Udp,
            family: Family::Inet,
            src: Some(range("172.16.0.1", "172.16.0.9", 1, 1024)),
            dst: None,
            iif: None,
            oif: Some("dpdk0".into()),
        };
        assert_eq!(rule.to_string(), "udp,from=172.16.0.1-172.16.0.9:1-1024,oif=dpdk0");
        rule.src = None;
        rule.dst = Some(range("fd00::1", "fd00::9", 53, 54));
        rule.iif = Some("dpdk1".into());
        assert_eq!(rule.to_string(), "udp,to=[fd00::1-fd00::9]:53-54,iif=dpdk1,oif=dpdk0");
    }

    #[test]
    fn both_ends_belong_to_a_range_and_port_zero_means_all() {
        let some = range("10.0.0.1", "10.0.0.9", 53, 54);
        assert!(some.contains("10.0.0.1".parse().unwrap(), 53));
        assert!(some.contains("10.0.0.9".parse().unwrap(), 54));
        assert!(!some.contains("10.0.0.10".parse().unwrap(), 54));
        assert!(!some.contains("10.0.0.9".parse().unwrap(), 55));
        assert!(!some.contains("::1".parse().unwrap(), 53));
        assert!(range("10.0.0.1", "10.0.0.9", 0, 0).contains("10.0.0.5".parse().unwrap(), 7777));
    }
}
