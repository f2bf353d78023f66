// SPDX-License-Identifier: Apache-2.0
//! What operators can choose about the proxy.

use std::fmt;

use crate::proto::tcp::State;
use crate::tick::Tick;

/// The secret that cookie keys follow from. Directors with the same one accept each other's cookies.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MasterKey(pub [u8; 16]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(secret)")
    }
}

/// What the proxy offers and how long it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Largest segment announced to clients, in bytes, 1 to 65535. A link's MTU bounds it too.
    pub mss: u16,
    /// TTL and hop limit of answers to clients, 1 to 255.
    pub ttl: u8,
    /// Whether selective acknowledgements are agreed on.
    pub sack: bool,
    /// The window shift announced before a server's own is known, 0 to 14; `None` declines scaling.
    pub wscale: Option<u8>,
    /// Whether the shift announced follows what servers were seen to use. Off where several directors share a master key: one must
    /// know what another announced.
    pub learn: bool,
    /// Whether timestamps are agreed on.
    pub timestamps: bool,
    /// Whether classic ECN is agreed on. Only where every server does ECN: the promise is theirs to keep.
    pub ecn: bool,
    /// Whether clients may send only once the server has answered (window 0 until then).
    pub close_client_window: bool,
    /// Whether a server is only contacted once the client has sent data.
    pub defer_rs_syn: bool,
    /// How often a SYN to a server is repeated, 0 to 99.
    pub rs_syn_max_retry: u8,
    /// How many other servers are asked when one refuses or is silent, 0 to 9.
    pub rs_other: u8,
    /// Packets kept for a connection until its server answers, 1 to 63.
    pub max_ack_saved: u8,
    /// Equal acknowledgements in a row from a server after which more are dropped, 1 to 999.
    pub ack_storm_thresh: u16,
    /// States in which a client's new handshake replaces the old connection.
    pub reuse: Reuse,
    /// SYN-ACKs a second towards one neighbourhood of clients (/24, /56) and worker; 0 for no limit.
    pub synack_rate: u32,
    /// Resets a second towards one neighbourhood and worker; 0 for no limit.
    pub reset_rate: u32,
    /// When the proxy stands before services that have it only under load.
    pub auto: Auto,
    /// The secret that cookie keys follow from.
    pub key: MasterKey,
    /// Time of day at tick 0, in milliseconds since 1970: keys follow the clock.
    pub epoch_ms: u64,
}

impl Default for Config {
    /// Chosen for the quality of connections; DPVS's own are [`Config::dpvs`].
    fn default() -> Self {
        Config {
            mss: 8960,
            ttl: 64,
            sack: true,
            wscale: Some(7),
            learn: true,
            timestamps: true,
            ecn: false,
            close_client_window: false,
            defer_rs_syn: false,
            rs_syn_max_retry: 3,
            rs_other: 1,
            max_ack_saved: 10,
            ack_storm_thresh: 100,
            reuse: Reuse {
                established: true,
                fin_wait: true,
                close_wait: true,
                last_ack: true,
                ..Reuse::default()
            },
            synack_rate: 0,
            reset_rate: 100,
            auto: Auto::default(),
            key: MasterKey::default(),
            epoch_ms: 0,
        }
    }
}

impl Config {
    /// Time of day at `now`, in milliseconds since 1970.
    pub fn unix_ms(&self, now: Tick) -> u64 {
        self.epoch_ms.wrapping_add(now.0)
    }

    /// What DPVS does unless told otherwise.
    pub fn dpvs() -> Self {
        Config {
            mss: 1452,
            ttl: 63,
            wscale: None,
            learn: false,
            timestamps: false,
            rs_other: 0,
            max_ack_saved: 3,
            ack_storm_thresh: 10,
            reuse: Reuse::default(),
            reset_rate: 0,
            ..Config::default()
        }
    }
}

/// What a service says about the proxy before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proxying {
    /// It stands there only under load, as [`Auto`] says; otherwise always.
    pub auto: bool,
    /// Whether clients may send only once the server has answered; `None` as [`Config::close_client_window`] says.
    pub hold: Option<bool>,
}

/// When the proxy stands before a service that has it only under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auto {
    /// SYNs a second to the service from which on it stands there, all workers together; 0 for never by that.
    pub syn_rate: u32,
    /// Percentage of handshakes left half-open in a second from which on it stands there, 1 to 100; 100 for never by that.
    pub half_open: u8,
    /// Seconds without either, by half the measure, after which it steps aside, 1 to 3600.
    pub calm: u16,
    /// Seconds in which a neighbourhood that has proved itself passes by it, 0 to 3600.
    pub known: u16,
}

impl Default for Auto {
    fn default() -> Self {
        Auto { syn_rate: 10_000, half_open: 50, calm: 30, known: 60 }
    }
}

/// States in which a client's new handshake replaces the old connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// ESTABLISHED: the client has lost the connection and comes again by the same port.
    pub established: bool,
    /// CLOSE.
    pub close: bool,
    /// TIME_WAIT.
    pub time_wait: bool,
    /// FIN_WAIT.
    pub fin_wait: bool,
    /// CLOSE_WAIT.
    pub close_wait: bool,
    /// LAST_ACK.
    pub last_ack: bool,
}

impl Default for Reuse {
    fn default() -> Self {
        Reuse {
            established: false,
            close: true,
            time_wait: true,
            fin_wait: false,
            close_wait: false,
            last_ack: false,
        }
    }
}

impl Reuse {
    /// Whether a connection in `state` may be replaced.
    pub fn allows(self, state: State) -> bool {
        match state {
            State::Established => self.established,
            State::Close => self.close,
            State::TimeWait => self.time_wait,
            State::FinWait => self.fin_wait,
            State::CloseWait => self.close_wait,
            State::LastAck => self.last_ack,
            _ => false,
        }
    }
}
