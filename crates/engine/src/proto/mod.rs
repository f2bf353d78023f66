// SPDX-License-Identifier: Apache-2.0
//! Connection states by protocol, and how long each may idle.

pub mod sctp;
pub mod tcp;
pub mod udp;

use model::{ConnState, Transport};

/// Idle seconds by protocol and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, by [`tcp::State`].
    pub tcp: [u32; tcp::STATES],
    /// UDP, by [`udp::State`].
    pub udp: [u32; udp::STATES],
    /// SCTP, by [`sctp::State`].
    pub sctp: [u32; sctp::STATES],
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { tcp: tcp::TIMEOUTS, udp: udp::TIMEOUTS, sctp: sctp::TIMEOUTS }
    }
}

/// The state of a connection of `transport` as listings name it.
pub fn listed(transport: Transport, state: u8) -> ConnState {
    match transport {
        Transport::Tcp => tcp::State::ALL.get(usize::from(state)).map_or(ConnState::None, |s| s.listed()),
        Transport::Sctp => sctp::State::from_number(state).listed(),
        Transport::Icmp | Transport::Icmpv6 => ConnState::IcmpNormal,
        _ => udp::State::ALL.get(usize::from(state)).map_or(ConnState::None, |s| s.listed()),
    }
}
