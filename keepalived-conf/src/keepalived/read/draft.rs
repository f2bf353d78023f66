// SPDX-License-Identifier: Apache-2.0
//! What was written, before defaults, inheritance and corrections.

use std::net::IpAddr;

use crate::keepalived::object::{
    AccessGroup, Check, Dpvs, Family, Flags, Globals, Granularity, Group, LocalGroup, Method, Protocol,
    Scheduler, Ssl, Target, TrackFile, Tunnel, VrrpInstance,
};
use crate::keepalived::report::Skipped;
use crate::keepalived::script::Script;
use crate::span::Span;

/// A whole configuration as written.
#[derive(Default)]
pub struct Draft {
    pub globals: Globals,
    pub groups: Vec<Group>,
    pub services: Vec<ServiceDraft>,
    pub local_groups: Vec<LocalGroup>,
    pub deny_groups: Vec<AccessGroup>,
    pub allow_groups: Vec<AccessGroup>,
    pub tunnels: Vec<Tunnel>,
    pub vrrp_instances: Vec<VrrpInstance>,
    pub track_files: Vec<TrackFile>,
    pub bfd_instances: Vec<String>,
    pub ssl: Option<Ssl>,
    pub skipped: Vec<Skipped>,
}

/// A service as written.
pub struct ServiceDraft {
    pub target: Target,
    pub family: Option<Family>,
    pub protocol: Option<Protocol>,
    pub scheduler: Option<Scheduler>,
    pub flags: Flags,
    pub method: Option<Method>,
    pub persistence_timeout: Option<u32>,
    pub granularity: Option<Granularity>,
    pub engine: Option<String>,
    pub ha_suspend: bool,
    pub alpha: bool,
    pub omega: bool,
    pub inhibit_on_failure: bool,
    pub quorum: u32,
    pub hysteresis: u32,
    pub smtp_alert: Option<bool>,
    pub quorum_up: Option<Script>,
    pub quorum_down: Option<Script>,
    pub virtualhost: Option<String>,
    pub snmp_name: Option<String>,
    pub dpvs: Dpvs,
    pub weight: Option<u32>,
    pub timing: TimingDraft,
    pub sorry_server: Option<SorryDraft>,
    pub real_servers: Vec<RealServerDraft>,
    pub span: Span,
}

/// A sorry server as written.
pub struct SorryDraft {
    pub addr: IpAddr,
    pub port: u16,
    pub method: Option<Method>,
    pub inhibit_on_failure: bool,
    pub span: Span,
}

/// A real server as written.
pub struct RealServerDraft {
    pub addr: IpAddr,
    pub port: u16,
    pub weight: Option<u32>,
    pub method: Option<Method>,
    pub inhibit_on_failure: Option<bool>,
    pub uthreshold: u32,
    pub lthreshold: u32,
    pub alpha: Option<bool>,
    pub smtp_alert: Option<bool>,
    pub virtualhost: Option<String>,
    pub snmp_name: Option<String>,
    pub notify_up: Option<Script>,
    pub notify_down: Option<Script>,
    pub timing: TimingDraft,
    pub checkers: Vec<CheckerDraft>,
    pub span: Span,
}

/// A checker as written.
#[derive(Clone)]
pub struct CheckerDraft {
    pub check: Check,
    pub timing: TimingDraft,
    pub alpha: Option<bool>,
    pub log_all_failures: bool,
    pub connect: Option<ConnectDraft>,
    pub span: Span,
}

/// Times as written, on any of the three levels.
#[derive(Clone, Copy, Default)]
pub struct TimingDraft {
    pub delay_loop_us: Option<u64>,
    pub connect_timeout_us: Option<u64>,
    pub retry: Option<u32>,
    pub delay_before_retry_us: Option<u64>,
    pub warmup_us: Option<u64>,
}

impl TimingDraft {
    /// What is written here, else what is written on the outer level.
    pub fn or(self, outer: TimingDraft) -> TimingDraft {
        TimingDraft {
            delay_loop_us: self.delay_loop_us.or(outer.delay_loop_us),
            connect_timeout_us: self.connect_timeout_us.or(outer.connect_timeout_us),
            retry: self.retry.or(outer.retry),
            delay_before_retry_us: self.delay_before_retry_us.or(outer.delay_before_retry_us),
            warmup_us: self.warmup_us.or(outer.warmup_us),
        }
    }
}

/// Where a checker connects to, as written.
#[derive(Clone)]
pub struct ConnectDraft {
    pub addr: IpAddr,
    pub port: u16,
    pub bindto: Option<IpAddr>,
    pub bind_port: u16,
    pub bind_if: Option<String>,
    pub fwmark: u32,
    /// Whether any of it was written, and not taken from the real server.
    pub given: bool,
}
