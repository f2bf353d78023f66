// SPDX-License-Identifier: Apache-2.0
//! Health checkers. Times are microseconds.

use std::net::IpAddr;

use crate::keepalived::script::Script;
use crate::keepalived::value::Pattern;
use crate::span::Span;

/// A checker of a real server.
#[derive(Clone, Debug)]
pub struct Checker {
    /// What is tested.
    pub check: Check,
    /// When; `None` for BFD and files, which follow events.
    pub timing: Option<Timing>,
    /// Start failed.
    pub alpha: bool,
    /// Where to; `None` for scripts, BFD and files.
    pub connect: Option<Connect>,
    /// The place of its keyword.
    pub span: Span,
}

/// When a checker tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between tests.
    pub delay_loop_us: u64,
    /// Longest random delay of the first test.
    pub warmup_us: u64,
    /// Failures tolerated before the last one counts.
    pub retry: u32,
    /// Between a failure and the next test.
    pub delay_before_retry_us: u64,
    /// Log every failure.
    pub log_all_failures: bool,
}

/// Where a checker connects to, and from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Target address.
    pub addr: IpAddr,
    /// Target port; 0 where the real server was written without one: its final port then.
    pub port: u16,
    /// For one test.
    pub timeout_us: u64,
    /// Source address.
    pub bindto: Option<IpAddr>,
    /// Source port; 0 for any.
    pub bind_port: u16,
    /// Device.
    pub bind_if: Option<String>,
    /// Firewall mark of the packets; 0 for none.
    pub fwmark: u32,
}

/// What is tested.
#[derive(Clone, Debug)]
pub enum Check {
    /// A TCP connection.
    Tcp,
    /// An ICMP echo.
    Ping,
    /// Pages over HTTP.
    Http(HttpCheck),
    /// Pages over HTTPS.
    Ssl(HttpCheck),
    /// A greeting over SMTP.
    Smtp {
        /// The name to greet with.
        helo_name: String,
    },
    /// A name over DNS.
    Dns {
        /// `A`, `SOA` and so on.
        kind: String,
        /// The name; empty for the root.
        name: String,
    },
    /// A datagram.
    Udp(UdpCheck),
    /// A script.
    Misc {
        /// The script.
        script: Script,
        /// For one run; 0: the service's delay_loop.
        timeout_us: u64,
        /// Whether its status sets the weight.
        dynamic: bool,
    },
    /// A BFD session.
    Bfd {
        /// The `bfd_instance`.
        name: String,
    },
    /// A number in a file.
    File {
        /// The `track_file`.
        track_file: String,
        /// Its factor; 0: any number but 0 is failure.
        weight: i64,
        /// Whether the number is subtracted.
        reverse: bool,
    },
}

impl Check {
    /// Its keyword.
    pub fn keyword(&self) -> &'static str {
        match self {
            Check::Tcp => "TCP_CHECK",
            Check::Ping => "PING_CHECK",
            Check::Http(_) => "HTTP_GET",
            Check::Ssl(_) => "SSL_GET",
            Check::Smtp { .. } => "SMTP_CHECK",
            Check::Dns { .. } => "DNS_CHECK",
            Check::Udp(_) => "UDP_CHECK",
            Check::Misc { .. } => "MISC_CHECK",
            Check::Bfd { .. } => "BFD_CHECK",
            Check::File { .. } => "FILE_CHECK",
        }
    }
}

/// HTTP_GET and SSL_GET.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCheck {
    /// Version of the requests.
    pub protocol: HttpProtocol,
    /// Host header, where the checker says one itself.
    pub virtualhost: Option<String>,
    /// Leave out the waits between pages.
    pub fast_recovery: bool,
    /// Send a server name in TLS.
    pub enable_sni: bool,
    /// Which; `None`: the Host header.
    pub sni_name: Option<String>,
    /// Demand a clean end of TLS.
    pub tls_compliant: bool,
    /// Tested in order; at least one.
    pub urls: Vec<Url>,
}

/// Version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpProtocol {
    /// 1.0.
    #[default]
    V10,
    /// 1.0 with `Connection: close`.
    V10Close,
    /// 1.1.
    V11,
}

impl HttpProtocol {
    /// As configurations have it.
    pub fn name(self) -> &'static str {
        match self {
            HttpProtocol::V10 => "1.0",
            HttpProtocol::V10Close => "1.0C",
            HttpProtocol::V11 => "1.1",
        }
    }
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// Path and query.
    pub path: String,
    /// MD5 of the body, 32 lower-case hexadecimal digits.
    pub digest: Option<String>,
    /// Host header, where the page says one itself.
    pub virtualhost: Option<String>,
    /// Demand a clean end of TLS.
    pub tls_compliant: bool,
    /// Which answers are good.
    pub status_codes: StatusCodes,
    /// What the body must match, or must not.
    pub regex: Option<Regex>,
}

/// Status codes that are good: ranges, merged and sorted; 200 to 299 by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCodes(pub Vec<(u32, u32)>);

impl Default for StatusCodes {
    fn default() -> Self {
        StatusCodes(vec![(200, 299)])
    }
}

impl StatusCodes {
    /// Those of `ranges` in any order.
    pub fn merged(mut ranges: Vec<(u32, u32)>) -> StatusCodes {
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (from, to) in ranges {
            match merged.last_mut() {
                Some((_, last)) if from <= *last + 1 => *last = to.max(*last),
                _ => merged.push((from, to)),
            }
        }
        StatusCodes(merged)
    }
}

/// A Perl-compatible regular expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regex {
    /// The expression.
    pub pattern: String,
    /// Whether a match is failure.
    pub no_match: bool,
    /// Known options, in the order given.
    pub options: Vec<String>,
    /// First byte of the body where a match may begin.
    pub min_offset: u64,
    /// Last one; `None` for no limit.
    pub max_offset: Option<u64>,
}

/// UDP_CHECK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpCheck {
    /// What is sent; `None`: a default text.
    pub payload: Option<Vec<u8>>,
    /// What must come back; `None`: nothing must.
    pub reply: Option<Reply>,
    /// Shortest good reply in bytes.
    pub min_reply_length: u32,
    /// Longest good reply in bytes.
    pub max_reply_length: u32,
}

/// A reply that must come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// What it must look like; `None`: anything.
    pub pattern: Option<Pattern>,
}

/// `track_file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackFile {
    /// Its name.
    pub name: String,
    /// The file's path.
    pub file: String,
    /// Factor of the number in it.
    pub weight: i64,
    /// Whether the number is subtracted.
    pub reverse: bool,
    /// Its place.
    pub span: Span,
}
