// SPDX-License-Identifier: Apache-2.0
//! Values for the whole director.

/// `global_defs`, as far as it is about layer 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globals {
    /// Remove all services at start.
    pub lvs_flush: bool,
    /// What to remove at stop.
    pub lvs_flush_on_stop: FlushOnStop,
    /// Connection timeouts.
    pub lvs_timeouts: Timeouts,
    /// Synchronisation of connections.
    pub lvs_sync_daemon: Option<SyncDaemon>,
    /// Log every failure of a checker.
    pub checker_log_all_failures: bool,
    /// Mail about services and real servers, where they say nothing themselves.
    pub smtp_alert: Option<bool>,
    /// The same, ahead of `smtp_alert`.
    pub smtp_alert_checker: Option<bool>,
    /// Run `notify_up` for real servers added at start.
    pub rs_init_notifies: bool,
    /// User, and group, of scripts that name none.
    pub script_user: Option<String>,
}

/// What is removed when keepalived stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlushOnStop {
    /// Every object on its own.
    #[default]
    None,
    /// Everything at once.
    Full,
    /// Services, with their destinations left to go with them.
    Services,
}

/// Seconds; 0 leaves the value in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcpfin: u32,
    /// UDP.
    pub udp: u32,
}

/// `lvs_sync_daemon`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncDaemon {
    /// The device that multicast leaves by.
    pub interface: String,
    /// The VRRP instance that decides between sending and receiving.
    pub vrrp_instance: Option<String>,
    /// Synchronisation id, 0 to 255; `None`: that of the VRRP instance.
    pub id: Option<u32>,
    /// Largest message in bytes.
    pub maxlen: Option<u32>,
    /// UDP port.
    pub port: Option<u32>,
    /// Hops.
    pub ttl: Option<u32>,
    /// Multicast group.
    pub group: Option<std::net::IpAddr>,
}

/// The client side of every SSL_GET.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssl {
    /// Of the key file.
    pub password: Option<String>,
    /// File of authorities.
    pub ca: Option<String>,
    /// Certificate file.
    pub certificate: Option<String>,
    /// Key file.
    pub key: Option<String>,
}
