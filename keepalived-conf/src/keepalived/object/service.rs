// SPDX-License-Identifier: Apache-2.0
//! Services and real servers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::checker::Checker;
use super::group::Family;
use crate::keepalived::script::Script;
use crate::span::Span;

/// `virtual_server`: what the header names, with everything below it.
#[derive(Clone, Debug)]
pub struct Service {
    /// What clients address.
    pub target: Target,
    /// `None` where it cannot be decided: a group of both families, or of marks without one.
    pub family: Option<Family>,
    /// `None` for firewall marks.
    pub protocol: Option<Protocol>,
    /// Who picks the real server.
    pub scheduler: Scheduler,
    /// Flags of the scheduler, and one-packet scheduling.
    pub flags: Flags,
    /// Default of its real servers; `None` where each says its own.
    pub method: Option<Method>,
    /// Stickiness.
    pub persistence: Option<Persistence>,
    /// Between tests, where real servers and checkers say nothing themselves; microseconds.
    pub delay_loop_us: u64,
    /// Suspend checkers while no VIP is on this host.
    pub ha_suspend: bool,
    /// Start with checkers failed.
    pub alpha: bool,
    /// Run the down notifiers at stop.
    pub omega: bool,
    /// Sum of weights that the service needs.
    pub quorum: u32,
    /// Added to the quorum to gain it, taken from it to lose it; below it unless both are 0.
    pub hysteresis: u32,
    /// Mail when the quorum changes.
    pub smtp_alert: bool,
    /// Run when the quorum is gained.
    pub quorum_up: Option<Script>,
    /// Run when the quorum is lost.
    pub quorum_down: Option<Script>,
    /// Default Host header of HTTP checkers.
    pub virtualhost: Option<String>,
    /// Name for SNMP.
    pub snmp_name: Option<String>,
    /// What only DPVS knows.
    pub dpvs: Dpvs,
    /// Who serves without quorum.
    pub sorry_server: Option<SorryServer>,
    /// At least one.
    pub real_servers: Vec<RealServer>,
    /// The place of the header.
    pub span: Span,
}

/// What clients address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An address and port; port 0 for all ports.
    Address(IpAddr, u16),
    /// Packets with a firewall mark.
    Mark(u32),
    /// Every entry of a `virtual_server_group`.
    Group(String),
    /// Packets that match; the name is only a label.
    Match(Match),
}

/// Packets that a match service takes, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Match {
    /// Label.
    pub name: String,
    /// `ADDR[-ADDR][:PORT[-PORT]]`.
    pub src_range: Option<String>,
    /// `ADDR[-ADDR][:PORT[-PORT]]`.
    pub dst_range: Option<String>,
    /// Outbound port.
    pub oif: Option<String>,
    /// Inbound port.
    pub iif: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Address(addr, port) => SocketAddr::new(*addr, *port).fmt(f),
            Target::Mark(mark) => write!(f, "fwmark:{mark}"),
            Target::Group(name) => write!(f, "group:{name}"),
            Target::Match(rule) => write!(f, "match:{}", rule.name),
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $word:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = $text] $variant,)*
        }

        impl $name {
            /// Its word in lower case, as documents have it.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// What the lower-case word `text` stands for.
            pub fn find(text: &str) -> Option<$name> {
                match text { $($word => Some($name::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// Transport of a service.
    Protocol {
        Tcp "tcp" "TCP.",
        Udp "udp" "UDP.",
        Sctp "sctp" "SCTP.",
        Icmp "icmp" "ICMP.",
        Icmpv6 "icmpv6" "ICMPv6.",
    }
}

words! {
    /// Schedulers of IPVS and DPVS.
    Scheduler {
        Rr "rr" "Round robin.",
        Wrr "wrr" "Weighted round robin.",
        Lc "lc" "Least connections.",
        Wlc "wlc" "Weighted least connections.",
        Lblc "lblc" "Locality-based least connections.",
        Lblcr "lblcr" "Locality-based least connections with replication.",
        Sh "sh" "Source hashing.",
        Mh "mh" "Maglev hashing.",
        Dh "dh" "Destination hashing.",
        Fo "fo" "Weighted fail-over.",
        Ovf "ovf" "Weighted overflow.",
        Sed "sed" "Shortest expected delay.",
        Nq "nq" "Never queue.",
        Twos "twos" "Power of two choices.",
        Conhash "conhash" "Consistent hashing.",
    }
}

words! {
    /// PROXY protocol towards real servers.
    ProxyProtocol {
        V1 "v1" "Text.",
        V2 "v2" "Binary.",
        V1Insecure "v1-insecure" "Text, also where the client sent its own.",
        V2Insecure "v2-insecure" "Binary, also where the client sent its own.",
    }
}

words! {
    /// Key of consistent hashing.
    HashTarget {
        Sip "sip" "Source address.",
        Qid "qid" "QUIC connection id.",
    }
}

words! {
    /// How packets reach a real server.
    Forwarding {
        Nat "nat" "Masquerading.",
        Dr "dr" "Direct routing.",
        Tun "tun" "Tunnel.",
        FullNat "fnat" "Both addresses are translated.",
        Snat "snat" "Outbound source translation.",
    }
}

words! {
    /// Encapsulation of a tunnel.
    TunnelType {
        Ipip "ipip" "IP in IP.",
        Gue "gue" "Generic UDP encapsulation.",
        Gre "gre" "GRE.",
    }
}

words! {
    /// Checksums of a tunnel.
    TunnelChecksum {
        None "nocsum" "None.",
        Full "csum" "Whole packets.",
        Remote "remcsum" "Remote checksum offload.",
    }
}

/// Options of the tunnel forwarding method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encapsulation {
    /// The kind.
    pub kind: TunnelType,
    /// UDP port of GUE, else 0.
    pub port: u16,
    /// Checksums.
    pub checksum: TunnelChecksum,
}

impl Default for Encapsulation {
    fn default() -> Self {
        Encapsulation { kind: TunnelType::Ipip, port: 0, checksum: TunnelChecksum::None }
    }
}

/// A forwarding method with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method {
    /// The mode.
    pub forwarding: Forwarding,
    /// What counts while the mode is a tunnel.
    pub encapsulation: Encapsulation,
}

impl Method {
    /// The mode with default options.
    pub fn new(forwarding: Forwarding) -> Method {
        Method { forwarding, encapsulation: Encapsulation::default() }
    }

    /// The options, where the mode is a tunnel.
    pub fn tunnel(self) -> Option<Encapsulation> {
        (self.forwarding == Forwarding::Tun).then_some(self.encapsulation)
    }

    /// Whether a real server is reached at its own port.
    pub fn translates_port(self) -> bool {
        matches!(self.forwarding, Forwarding::Nat | Forwarding::FullNat)
    }
}

/// Flags of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// One-packet scheduling.
    pub ops: bool,
    /// flag-1: fallback of sh and mh.
    pub flag1: bool,
    /// flag-2: port of sh and mh.
    pub flag2: bool,
    /// flag-3.
    pub flag3: bool,
}

impl Flags {
    /// The words of the flags that are set, as `scheduler` calls them.
    pub fn names(self, scheduler: Scheduler) -> Vec<&'static str> {
        let [first, second] = match scheduler {
            Scheduler::Sh => ["sh-fallback", "sh-port"],
            Scheduler::Mh => ["mh-fallback", "mh-port"],
            _ => ["flag-1", "flag-2"],
        };
        let all = [(self.ops, "ops"), (self.flag1, first), (self.flag2, second), (self.flag3, "flag-3")];
        all.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
    }
}

/// Stickiness of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Seconds.
    pub timeout: u32,
    /// Which clients count as one; `None`: each address on its own.
    pub granularity: Option<Granularity>,
    /// Persistence engine.
    pub engine: Option<String>,
}

/// Which clients count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// Those equal under the mask, which may have holes.
    Mask(Ipv4Addr),
    /// Those equal in so many leading bits.
    Prefix(u32),
}

/// What only DPVS knows of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dpvs {
    /// `laddr_group_name`.
    pub local_group: Option<String>,
    /// `daddr_group_name`.
    pub deny_group: Option<String>,
    /// `waddr_group_name`.
    pub allow_group: Option<String>,
    /// Answer SYNs with cookies.
    pub syn_proxy: bool,
    /// Drop connections of servers that went.
    pub expire_quiescent_conn: bool,
    /// The service carries QUIC.
    pub quic: bool,
    /// Seconds, 1 to 3600; 0: the director's default.
    pub establish_timeout: u32,
    /// Bandwidth; 0: no limit.
    pub bps: i64,
    /// Percent let through; `None`: 100.
    pub limit_proportion: Option<i64>,
    /// PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Key of consistent hashing.
    pub hash_target: Option<HashTarget>,
    /// Port of the VIP.
    pub vip_bind_dev: Option<String>,
}

/// `sorry_server`. Its weight is always 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SorryServer {
    /// Its address.
    pub addr: IpAddr,
    /// 0 for none.
    pub port: u16,
    /// How packets reach it.
    pub method: Method,
    /// Keep it with weight 0 instead of taking it out.
    pub inhibit_on_failure: bool,
    /// Its place.
    pub span: Span,
}

/// `real_server`.
#[derive(Clone, Debug)]
pub struct RealServer {
    /// Its address.
    pub addr: IpAddr,
    /// 0 for none.
    pub port: u16,
    /// 0: no new connections.
    pub weight: u32,
    /// How packets reach it.
    pub method: Method,
    /// Set weight 0 instead of taking it out.
    pub inhibit_on_failure: bool,
    /// Connections above which it gets no more; 0: no limit.
    pub uthreshold: u32,
    /// Connections below which it gets some again; 0: none.
    pub lthreshold: u32,
    /// Starts failed.
    pub alpha: bool,
    /// Mail when it changes.
    pub smtp_alert: bool,
    /// Host header of its HTTP checkers, where it says one itself.
    pub virtualhost: Option<String>,
    /// Name for SNMP.
    pub snmp_name: Option<String>,
    /// Run when it comes up.
    pub notify_up: Option<Script>,
    /// Run when it goes down.
    pub notify_down: Option<Script>,
    /// Those of files last. Without any it is always up.
    pub checkers: Vec<Checker>,
    /// The place of the header.
    pub span: Span,
}
