// SPDX-License-Identifier: Apache-2.0
//! Addresses as operators write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Serialize, Serializer};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// The family of `addr`.
    pub fn of(addr: IpAddr) -> Self {
        if addr.is_ipv4() { Family::Inet } else { Family::Inet6 }
    }

    /// Bits in an address of the family: 32 or 128.
    pub fn bits(self) -> u8 {
        match self {
            Family::Inet => 32,
            Family::Inet6 => 128,
        }
    }

    /// The all-zero address of the family.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Family::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// Why a text is no address, prefix or Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// Not an IP address.
    #[error("`{0}` is not an IP address")]
    Ip(String),
    /// The prefix length is not a number or too large for the family.
    #[error("`{text}` has no valid prefix length: 0 to {max} expected after the slash")]
    PrefixLen {
        /// What was given.
        text: String,
        /// 32 or 128.
        max: u8,
    },
    /// Not six hexadecimal octets.
    #[error(
        "`{0}` is not an Ethernet address: six hexadecimal octets with colons expected, such as 02:00:00:00:00:01"
    )]
    Mac(String),
}

/// An address and the number of leading bits that count. The remaining bits are kept, as in `10.0.0.5/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Prefix {
    /// The address, host bits included.
    pub addr: IpAddr,
    /// 0 to 32 or 128.
    pub len: u8,
}

impl Prefix {
    /// The prefix that contains `addr` alone.
    pub fn host(addr: IpAddr) -> Self {
        Prefix { addr, len: Family::of(addr).bits() }
    }

    /// The same prefix with all host bits zero.
    pub fn network(self) -> Self {
        let addr = match self.addr {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(u32::from(32 - self.len.min(32))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask))
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(u32::from(128 - self.len.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask))
            }
        };
        Prefix { addr, len: self.len }
    }

    /// Whether it contains a single address.
    pub fn is_host(self) -> bool {
        self.len == Family::of(self.addr).bits()
    }

    /// Whether `addr` lies inside.
    pub fn contains(self, addr: IpAddr) -> bool {
        Family::of(addr) == Family::of(self.addr)
            && Prefix { addr, len: self.len }.network() == self.network()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = AddrError;

    /// `IP[/LEN]`; without a length, the host prefix.
    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (ip, len) = match text.split_once('/') {
            Some((ip, len)) => (ip, Some(len)),
            None => (text, None),
        };
        let addr: IpAddr = ip.parse().map_err(|_| AddrError::Ip(ip.to_owned()))?;
        let max = Family::of(addr).bits();
        let Some(len) = len else { return Ok(Prefix::host(addr)) };
        let digits = !len.is_empty() && len.bytes().all(|b| b.is_ascii_digit());
        let len = len.parse().ok().filter(|&len: &u8| digits && len <= max);
        len.map(|len| Prefix { addr, len }).ok_or(AddrError::PrefixLen { text: text.to_owned(), max })
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// An Ethernet address, written `02:00:00:00:00:01`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Whether it names a group of stations or is all zero: no single station has it.
    pub fn is_unusable(self) -> bool {
        self.0[0] & 1 == 1 || self.0 == [0; 6]
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let bad = || AddrError::Mac(text.to_owned());
        let mut octets = [0; 6];
        let mut words = text.split(':');
        for octet in &mut octets {
            let word = words.next().filter(|w| (1..=2).contains(&w.len())).ok_or_else(bad)?;
            let hex = word.bytes().all(|b| b.is_ascii_hexdigit());
            *octet = u8::from_str_radix(word, 16).ok().filter(|_| hex).ok_or_else(bad)?;
        }
        if words.next().is_some() { Err(bad()) } else { Ok(MacAddr(octets)) }
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_without_length_is_a_host() {
        assert_eq!("10.0.0.5".parse::<Prefix>().unwrap().to_string(), "10.0.0.5/32");
        assert_eq!("2001:db8::5".parse::<Prefix>().unwrap().to_string(), "2001:db8::5/128");
    }

    #[test]
    fn host_bits_are_kept_until_asked_for_the_network() {
        let prefix: Prefix = "10.1.2.3/24".parse().unwrap();
        assert_eq!(prefix.to_string(), "10.1.2.3/24");
        assert_eq!(prefix.network().to_string(), "10.1.2.0/24");
        assert!(prefix.contains("10.1.2.200".parse().unwrap()));
        assert!(!prefix.contains("10.1.3.1".parse().unwrap()));
        assert_eq!("0.0.0.0/0".parse::<Prefix>().unwrap().network().to_string(), "0.0.0.0/0");
    }

    #[test]
    fn bad_prefixes_are_refused() {
        for text in ["", "10.0.0/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn ethernet_addresses_round_trip_and_bad_ones_are_refused() {
        assert_eq!("02:0:AA:00:00:01".parse::<MacAddr>().unwrap().to_string(), "02:00:aa:00:00:01");
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:zz",
            "02:00:00:00:00:01:02",
            "020000000001",
            "+2:00:00:00:00:01",
        ] {
            assert!(text.parse::<MacAddr>().is_err(), "{text}");
        }
    }
}
