// SPDX-License-Identifier: Apache-2.0
//! Connections, as listings show them.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use bincode::{Decode, Encode};
use serde::Serialize;

use crate::service::Transport;

/// State of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnState {
    /// Just created.
    #[default]
    None,
    /// TCP: data flows.
    Established,
    /// TCP: SYN seen from the server side first.
    SynSent,
    /// TCP: SYN seen from the client.
    SynRecv,
    /// TCP: the server closed first.
    FinWait,
    /// TCP: both closed.
    TimeWait,
    /// TCP: reset, or out of step.
    Close,
    /// TCP: the client closed first.
    CloseWait,
    /// TCP: the last acknowledgement is outstanding.
    LastAck,
    /// TCP: listening.
    Listen,
    /// TCP: SYN-ACK seen.
    SynAck,
    /// UDP: nothing came back yet.
    UdpOneWay,
    /// UDP: both directions seen.
    UdpNormal,
    /// ICMP: the only state there is.
    IcmpNormal,
    /// SCTP: the client's INIT was seen.
    SctpInit1,
    /// SCTP: a second INIT of the client was seen.
    SctpInit,
    /// SCTP: the server answered INIT.
    SctpCookieSent,
    /// SCTP: the client brought the cookie back.
    SctpCookieReplied,
    /// SCTP: the server's INIT was seen, or the client's answer to one.
    SctpCookieWait,
    /// SCTP: the client answered INIT twice.
    SctpCookie,
    /// SCTP: the server brought the cookie back.
    SctpCookieEchoed,
    /// SCTP: the server shuts down.
    SctpShutdownSent,
    /// SCTP: the client shuts down.
    SctpShutdownReceived,
    /// SCTP: the server answered the shutdown.
    SctpShutdownAckSent,
    /// SCTP: refused.
    SctpRejected,
    /// SCTP: over.
    SctpClosed,
}

/// One connection, as listings show it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ConnEntry {
    /// The worker that owns it.
    pub lcore: u16,
    /// Its protocol.
    pub transport: Transport,
    /// Its state.
    pub state: ConnState,
    /// Seconds until it expires if nothing more is seen.
    pub expires: u32,
    /// The client.
    pub client: SocketAddr,
    /// The service address.
    pub virt: SocketAddr,
    /// The director's own address towards the server; the client's where none is used.
    pub local: SocketAddr,
    /// The server.
    pub dest: SocketAddr,
    /// Not a connection but what remembers a client's server: its state is established once a connection made from it was.
    pub template: bool,
    /// A template of a service that is found by this mark.
    pub mark: Option<NonZeroU32>,
    /// What a persistence engine knows the client by.
    pub engine: Option<EngineData>,
}

/// What a persistence engine found in a packet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct EngineData {
    /// Its name.
    pub name: String,
    /// What it found.
    pub data: String,
}
