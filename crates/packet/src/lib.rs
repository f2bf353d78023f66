// SPDX-License-Identifier: Apache-2.0
//! Header views, builders and checksums.
//!
//! What a packet looks like on the wire, and nothing about what to do with it. A view is checked once, when it is
//! made from bytes; after that it never panics. Values are in host byte order.
#![forbid(unsafe_code)]

pub mod arp;
pub mod buffer;
pub mod build;
pub mod checksum;
pub mod error;
pub mod ether;
pub mod fragment;
pub mod gre;
pub mod gue;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod nd;
pub mod proxy;
pub mod quote;
pub mod sctp;
pub mod tcp;
pub mod udp;

pub use buffer::{Buffer, Csum, Frame, RxMeta};

/// IP protocol and IPv6 next-header numbers.
pub mod proto {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 inside.
    pub const IPIP: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside.
    pub const IPV6: u8 = 41;
    /// GRE.
    pub const GRE: u8 = 47;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// The address of a client, before a datagram (UOA).
    pub const UOA: u8 = 248;
}

#[inline(always)]
pub(crate) fn get16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
pub(crate) fn get32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline(always)]
pub(crate) fn get128<const N: usize>(bytes: &[u8; N], at: usize) -> u128 {
    let mut word = [0; 16];
    word.copy_from_slice(&bytes[at..at + 16]);
    u128::from_be_bytes(word)
}
