// SPDX-License-Identifier: Apache-2.0
//! What was read, and everything that was found on the way.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::object::Config;
use crate::span::Span;

/// Why nothing can be made of the input: keepalived would not run either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fatal {
    /// The place.
    pub span: Span,
    /// The first word of the statement.
    pub keyword: String,
    /// What is wrong and how to mend it.
    pub reason: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing, nothing is lost.
    Note,
    /// One statement or block was ignored.
    Warning,
}

/// Something found at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The physical line; line 0 for a `}` lost at the end of the input.
    pub span: Span,
    /// The offending first word, after substitution.
    pub keyword: String,
    /// What is wrong, lower case, no full stop.
    pub message: String,
}

/// A value that was defaulted or corrected after all blocks were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// `ADDR:PORT`, `fwmark:N`, `group:NAME` or `match:NAME`.
    pub service: String,
    /// The place of the service.
    pub span: Span,
    /// What was done.
    pub code: Code,
    /// `ADDR:PORT` of the real server it was done to, with the port before it.
    pub real_server: Option<String>,
}

/// A known top-level block or statement that says nothing about layer 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place.
    pub span: Span,
    /// Its keyword.
    pub keyword: String,
    /// Its name, where it has one.
    pub name: Option<String>,
}

/// Everything about one input.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The configuration id it was read for.
    pub config_id: String,
    /// What it says.
    pub config: Config,
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
    /// Per service, in file order.
    pub adjustments: Vec<Adjustment>,
    /// In file order.
    pub skipped: Vec<Skipped>,
    /// How an included file was written in the `include` that read it, by its path. The main file is absent.
    pub included_as: HashMap<Arc<str>, Arc<str>>,
}

impl Report {
    /// Whether anything was ignored or corrected.
    pub fn has_warnings(&self) -> bool {
        !self.adjustments.is_empty() || self.findings.iter().any(|found| found.severity == Severity::Warning)
    }
}

macro_rules! codes {
    ($($code:ident $name:literal $text:literal,)*) => {
        /// What an adjustment did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $text] $code,)*
        }

        impl Code {
            /// Its name in the JSON document.
            pub fn name(self) -> &'static str {
                match self { $(Code::$code => $name,)* }
            }

            /// What it means, for people.
            pub fn text(self) -> &'static str {
                match self { $(Code::$code => $text,)* }
            }
        }
    };
}

codes! {
    DefaultProtocolUdp "default_protocol_udp" "no protocol given, UDP assumed",
    DefaultSchedulerWlc "default_scheduler_wlc" "no scheduler given, wlc assumed",
    DefaultForwardingNat "default_forwarding_nat" "no lvs_method given, NAT assumed",
    ZeroPortMadePersistent "zero_port_made_persistent" "a service without port needs persistence, 360 seconds assumed",
    OpsCleared "ops_cleared" "ops is for UDP only, ignored",
    FwmarkProtocolIgnored "fwmark_protocol_ignored" "a firewall mark has no protocol, ignored",
    HaSuspendCleared "ha_suspend_cleared" "ha_suspend needs an address, ignored with a firewall mark",
    QuorumReduced "quorum_reduced" "quorum was above the sum of all weights, reduced to it",
    HysteresisReduced "hysteresis_reduced" "hysteresis was not below quorum, reduced",
    DuplicateRealServer "duplicate_real_server" "real server given twice, the later one dropped",
    NoRealServers "no_real_servers" "service without real servers, dropped",
    RsPortReset "rs_port_reset" "the forwarding method keeps ports, the service's port is used",
    RsPortCleared "rs_port_cleared" "the forwarding method keeps ports, the port is ignored with a firewall mark",
    RsPortIgnored "rs_port_ignored" "the forwarding method keeps ports, the port is ignored for the group's firewall marks",
    SorryPortReset "sorry_port_reset" "sorry server: the forwarding method keeps ports, the service's port is used",
    SorryPortCleared "sorry_port_cleared" "sorry server: the port is ignored with a firewall mark",
    SorryPortIgnored "sorry_port_ignored" "sorry server: the forwarding method keeps ports, the port is ignored",
    GroupPortMismatch "group_port_mismatch" "the forwarding method keeps ports, but an entry of the group has another one",
    SorryInhibitAligned "sorry_inhibit_aligned" "real server is also the sorry server, its inhibit_on_failure is used for both",
    GroupNotFound "group_not_found" "no such virtual_server_group, service dropped",
    GroupFamilyMismatch "group_family_mismatch" "address families of group and service differ, service dropped",
    GroupFamilyDefaulted "group_family_defaulted" "address family unknown, IPv4 assumed",
    LocalGroupNotFound "local_group_not_found" "no such local_address_group, no local address is used",
    DenyGroupNotFound "deny_group_not_found" "no such deny_address_group, nothing is denied",
    AllowGroupNotFound "allow_group_not_found" "no such allow_address_group, nothing is allowed specially",
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span.line {
            // The file as a whole.
            0 => write!(f, "{}: fatal: {}", self.span.file, self.reason),
            _ => write!(f, "{}: fatal: {}", self.span, self.reason),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}: {}: {}", self.span, self.keyword, self.message)
    }
}

impl fmt::Display for Adjustment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: adjustment: {}", self.span, self.service)?;
        if let Some(real_server) = &self.real_server {
            write!(f, ": real server {real_server}")?;
        }
        write!(f, ": {}", self.code.text())
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: note: {}", self.span, self.keyword)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        f.write_str(": not about layer 4, skipped")
    }
}
