// SPDX-License-Identifier: Apache-2.0
//! What DPVS adds to a service.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Serialize, Serializer};

/// What DPVS adds to a service: `ipvsadm -E` leaves alone what is not named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ServiceOptions {
    /// Idle seconds of an established TCP or any UDP connection, instead of the daemon's.
    pub conn_timeout: Option<u32>,
    /// SYNs are answered by the director; servers see only clients that completed the handshake (TCP).
    pub synproxy: SynProxy,
    /// What `conhash` hashes; `None` with other schedulers.
    pub hash_target: Option<HashTarget>,
    /// Connections of servers with weight 0, and of removed ones, end at once.
    pub expire_quiescent: bool,
    /// Tells servers the client's address in a PROXY protocol header.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Datagrams are QUIC: connections follow their connection identifier (UDP).
    pub quic: bool,
    /// How dead servers are noticed.
    pub dest_check: DestCheck,
    /// What becomes of queries (ICMP).
    pub echo: EchoPolicy,
    /// Megabits (10^6) a second that are carried at most, in each direction; `None` without limit.
    pub bps: Option<u32>,
    /// Percentage of packets that pass, 1 to 99; `None` when all do.
    pub limit_proportion: Option<u8>,
}

/// A change of [`ServiceOptions`]; `None` leaves the option as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ServiceOptionsPatch {
    /// `Some(0)` returns to the daemon's timeouts.
    pub conn_timeout: Option<u32>,
    /// Replaces what is said about the SYN proxy.
    pub synproxy: Option<SynProxy>,
    /// What `conhash` hashes from now on.
    pub hash_target: Option<HashTarget>,
    /// Switches expiry of quiescent servers' connections.
    pub expire_quiescent: Option<bool>,
    /// `Some(None)` switches the header off.
    pub proxy_protocol: Option<Option<ProxyProtocol>>,
    /// Switches QUIC.
    pub quic: Option<bool>,
    /// Replaces all checks.
    pub dest_check: Option<DestCheck>,
    /// What becomes of queries from now on.
    pub echo: Option<EchoPolicy>,
    /// `Some(0)` lifts the limit.
    pub bps: Option<u32>,
    /// `Some(100)` lets all packets pass.
    pub limit_proportion: Option<u8>,
}

impl ServiceOptionsPatch {
    /// Makes the change.
    pub fn apply(self, options: &mut ServiceOptions) {
        if let Some(seconds) = self.conn_timeout {
            options.conn_timeout = Some(seconds).filter(|&seconds| seconds > 0);
        }
        options.synproxy = self.synproxy.unwrap_or(options.synproxy);
        options.hash_target = self.hash_target.or(options.hash_target);
        options.expire_quiescent = self.expire_quiescent.unwrap_or(options.expire_quiescent);
        options.proxy_protocol = self.proxy_protocol.unwrap_or(options.proxy_protocol);
        options.quic = self.quic.unwrap_or(options.quic);
        if let Some(check) = self.dest_check {
            options.dest_check = check;
        }
        options.echo = self.echo.unwrap_or(options.echo);
        if let Some(mbps) = self.bps {
            options.bps = Some(mbps).filter(|&mbps| mbps > 0);
        }
        if let Some(percent) = self.limit_proportion {
            options.limit_proportion = Some(percent).filter(|&percent| percent < 100);
        }
    }
}

/// What becomes of the queries that an ICMP service is asked: echo, and what else hosts answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum EchoPolicy {
    /// They go to a server.
    #[default]
    Forward,
    /// The director answers, as if there were no service.
    Local,
    /// The director answers while at least so many servers of all services at that address have a weight; from 1.
    Alive(u16),
    /// Nobody answers.
    Drop,
}

impl fmt::Display for EchoPolicy {
    /// As `--echo` takes it: `forward`, `local`, `alive:N` or `drop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EchoPolicy::Forward => f.write_str("forward"),
            EchoPolicy::Local => f.write_str("local"),
            EchoPolicy::Alive(servers) => write!(f, "alive:{servers}"),
            EchoPolicy::Drop => f.write_str("drop"),
        }
    }
}

impl FromStr for EchoPolicy {
    type Err = String;

    /// What [`EchoPolicy`] displays; `alive` alone is for one server.
    fn from_str(text: &str) -> Result<Self, String> {
        let (word, servers) = text.split_once(':').map_or((text, None), |(word, n)| (word, Some(n)));
        match (word, servers) {
            ("forward", None) => Ok(EchoPolicy::Forward),
            ("local", None) => Ok(EchoPolicy::Local),
            ("drop", None) => Ok(EchoPolicy::Drop),
            ("alive", None) => Ok(EchoPolicy::Alive(1)),
            ("alive", Some(n)) => match n.parse() {
                Ok(servers @ 1..) => Ok(EchoPolicy::Alive(servers)),
                _ => Err(format!("`{n}` servers: 1 to 65535 expected")),
            },
            _ => Err(format!("`{text}`: forward, local, alive[:N] or drop expected")),
        }
    }
}

impl Serialize for EchoPolicy {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// The SYN proxy before a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct SynProxy {
    /// When it stands there.
    pub when: SynProxyWhen,
    /// What clients may send before their server has answered; `None` as the daemon is configured.
    pub window: Option<SynProxyWindow>,
}

/// When the SYN proxy stands before a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum SynProxyWhen {
    /// Never.
    #[default]
    Off,
    /// Always.
    On,
    /// Under load.
    Auto,
}

/// What clients of the SYN proxy may send before their server has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum SynProxyWindow {
    /// Nothing.
    Hold,
    /// As much as is kept.
    Open,
}

impl SynProxy {
    /// Always there, windows as the daemon is configured.
    pub const ON: SynProxy = SynProxy { when: SynProxyWhen::On, window: None };

    /// Whether it is there at all.
    pub fn is_on(self) -> bool {
        self.when != SynProxyWhen::Off
    }

    /// The word for when it is there.
    pub fn word(self) -> &'static str {
        match self.when {
            SynProxyWhen::Off => "disable",
            SynProxyWhen::On => "enable",
            SynProxyWhen::Auto => "auto",
        }
    }
}

impl fmt::Display for SynProxy {
    /// As `ipvsadm -j` takes it: `disable`, or `enable` or `auto`, and `,hold` or `,open` behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self.window.filter(|_| self.is_on()) {
            None => Ok(()),
            Some(SynProxyWindow::Hold) => f.write_str(",hold"),
            Some(SynProxyWindow::Open) => f.write_str(",open"),
        }
    }
}

impl std::str::FromStr for SynProxy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (when, window) = text.split_once(',').map_or((text, None), |(when, window)| (when, Some(window)));
        let window = match window {
            None => None,
            Some("hold") => Some(SynProxyWindow::Hold),
            Some("open") => Some(SynProxyWindow::Open),
            Some(_) => return Err(()),
        };
        match when {
            "disable" if window.is_none() => Ok(SynProxy::default()),
            "enable" => Ok(SynProxy { when: SynProxyWhen::On, window }),
            "auto" => Ok(SynProxy { when: SynProxyWhen::Auto, window }),
            _ => Err(()),
        }
    }
}

impl Serialize for SynProxy {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// What `conhash` hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HashTarget {
    /// The client's address (`sip`).
    SourceIp,
    /// The QUIC connection identifier (`qid`), UDP only.
    QuicId,
}

impl fmt::Display for HashTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HashTarget::SourceIp => "sip",
            HashTarget::QuicId => "qid",
        })
    }
}

/// A PROXY protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ProxyProtocol {
    /// Text or binary.
    pub version: ProxyVersion,
    /// A header that the client sent is passed on instead of one made here.
    pub insecure: bool,
}

/// Versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum ProxyVersion {
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

impl fmt::Display for ProxyProtocol {
    /// `v1`, `v2`, `v1-insecure` or `v2-insecure`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.version {
            ProxyVersion::V1 => "v1",
            ProxyVersion::V2 => "v2",
        })?;
        if self.insecure { f.write_str("-insecure") } else { Ok(()) }
    }
}

impl Serialize for ProxyProtocol {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// How dead servers of a service are noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct DestCheck {
    /// By the packets that pass.
    pub passive: Option<PassiveCheck>,
    /// By probes of a checker beside the daemon: the service is only labelled. Sorted, no duplicates.
    pub external: Vec<ExternalCheck>,
}

/// Notices dead servers by the packets that pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
pub struct PassiveCheck {
    /// Failures within `wait` that inhibit a server: 1 to 255.
    pub down: u8,
    /// Seconds within which failures count together: 1 to 255.
    pub wait: u8,
    /// How an inhibited server comes back; `None`: not by itself.
    pub recovery: Option<Recovery>,
}

/// How an inhibited server comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
pub struct Recovery {
    /// Successes that clear the inhibition: 1 to 255.
    pub up: u8,
    /// Seconds of the first inhibition: 1 to 65535.
    pub min: u16,
    /// Each repeated failure doubles the inhibition up to this many seconds: `min` to 65535.
    pub max: u16,
}

impl Default for PassiveCheck {
    fn default() -> Self {
        PassiveCheck { down: 1, wait: 3, recovery: Some(Recovery { up: 1, min: 5, max: 3600 }) }
    }
}

impl fmt::Display for PassiveCheck {
    /// `default`, `DOWN,WAITs` or `DOWN,UP,WAITs,MIN-MAXs`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PassiveCheck { down, wait, recovery } = self;
        match recovery {
            _ if *self == PassiveCheck::default() => f.write_str("default"),
            None => write!(f, "{down},{wait}s"),
            Some(Recovery { up, min, max }) => write!(f, "{down},{up},{wait}s,{min}-{max}s"),
        }
    }
}

/// A kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExternalCheck {
    /// Opens a TCP connection.
    Tcp,
    /// Sends a datagram.
    Udp,
    /// Opens an SCTP association.
    Sctp,
    /// Asks for an echo.
    Ping,
}

impl fmt::Display for ExternalCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExternalCheck::Tcp => "tcp",
            ExternalCheck::Udp => "udp",
            ExternalCheck::Sctp => "sctp",
            ExternalCheck::Ping => "ping",
        })
    }
}

/// Whom an access list names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum AccessSubject {
    /// One client.
    Addr(IpAddr),
    /// All clients in a set.
    Set(String),
}

impl fmt::Display for AccessSubject {
    /// `192.0.2.66` or `ipset:office`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessSubject::Addr(addr) => write!(f, "{addr}"),
            AccessSubject::Set(name) => write!(f, "ipset:{name}"),
        }
    }
}

impl Serialize for AccessSubject {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// One of the two access lists of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessList {
    /// Who is in it is refused, even if the other list has him too.
    Block,
    /// If it has entries, who is not in it is refused.
    Allow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_about_the_syn_proxy_is_read_as_it_is_written() {
        let said = |when, window| SynProxy { when, window };
        let (hold, open) = (Some(SynProxyWindow::Hold), Some(SynProxyWindow::Open));
        for (text, expected) in [
            ("disable", SynProxy::default()),
            ("enable", SynProxy::ON),
            ("enable,hold", said(SynProxyWhen::On, hold)),
            ("enable,open", said(SynProxyWhen::On, open)),
            ("auto", said(SynProxyWhen::Auto, None)),
            ("auto,hold", said(SynProxyWhen::Auto, hold)),
            ("auto,open", said(SynProxyWhen::Auto, open)),
        ] {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        for wrong in ["", "on", "Enable", "enable,", "auto,closed", "disable,hold", "enable,hold,open"] {
            assert_eq!(wrong.parse::<SynProxy>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let mut options =
            ServiceOptions { synproxy: SynProxy::ON, conn_timeout: Some(60), ..Default::default() };
        let patch = ServiceOptionsPatch { quic: Some(true), conn_timeout: Some(0), ..Default::default() };
        patch.apply(&mut options);
        assert_eq!(options, ServiceOptions { synproxy: SynProxy::ON, quic: true, ..Default::default() });
    }

    #[test]
    fn echo_policies_are_read_as_they_are_written() {
        for text in ["forward", "local", "alive:1", "alive:65535", "drop"] {
            assert_eq!(text.parse::<EchoPolicy>().map(|policy| policy.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("alive".parse(), Ok(EchoPolicy::Alive(1)));
        for text in ["alive:0", "alive:65536", "alive:", "local:1", "Drop", ""] {
            assert!(text.parse::<EchoPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn checks_are_written_as_listings_show_them() {
        let check = |down, wait, recovery| PassiveCheck { down, wait, recovery };
        assert_eq!(PassiveCheck::default().to_string(), "default");
        assert_eq!(check(1, 3, None).to_string(), "1,3s");
        let recovery = Some(Recovery { up: 2, min: 5, max: 600 });
        assert_eq!(check(1, 5, recovery).to_string(), "1,2,5s,5-600s");
    }
}
