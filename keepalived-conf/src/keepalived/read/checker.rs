// SPDX-License-Identifier: Apache-2.0
//! Health checkers, but for the pages of HTTP.

use std::net::IpAddr;

use super::Reader;
use super::draft::{CheckerDraft, ConnectDraft, RealServerDraft, TimingDraft};
use crate::keepalived::cursor::Statement;
use crate::keepalived::keyword::Block;
use crate::keepalived::object::{Check, Reply, UdpCheck};
use crate::keepalived::report::Fatal;
use crate::keepalived::script::Script;
use crate::keepalived::value;

impl Reader {
    pub(super) fn checker(&mut self, header: &Statement, server: &mut RealServerDraft) -> Result<(), Fatal> {
        self.cursor.open()?;
        match header.keyword() {
            "TCP_CHECK" => self.connection(header, Check::Tcp, server),
            "PING_CHECK" => self.connection(header, Check::Ping, server),
            "HTTP_GET" | "SSL_GET" => self.http(header, server),
            "SMTP_CHECK" => self.smtp(header, server),
            "DNS_CHECK" => self.dns(header, server),
            "UDP_CHECK" => self.udp(header, server),
            "MISC_CHECK" => self.misc(header, server),
            "BFD_CHECK" => self.bfd(header, server),
            "FILE_CHECK" => self.file(header, server),
            _ => unreachable!("every block of a real server is listed here"),
        }
    }

    fn connection(
        &mut self,
        header: &Statement,
        check: Check,
        server: &mut RealServerDraft,
    ) -> Result<(), Fatal> {
        let mut checker = connecting(header, check, server);
        while let Some(statement) = self.cursor.statement()? {
            if self.known(Block::Connection, &statement)?.is_some() {
                self.common(&statement, &mut checker);
            }
        }
        self.add(header, checker, server);
        Ok(())
    }

    /// Sets what checkers have in common. False when the keyword is not about that.
    pub(super) fn common(&mut self, statement: &Statement, checker: &mut CheckerDraft) -> bool {
        match statement.keyword() {
            "alpha" => super::replace(&mut checker.alpha, self.boolean(statement)),
            "log_all_failures" => {
                checker.log_all_failures = self.boolean(statement).unwrap_or(checker.log_all_failures);
            }
            "connect_timeout" => {
                if let Some(connect) = &mut checker.connect {
                    connect.given = true;
                }
                self.timing(statement, &mut checker.timing, 0);
            }
            "connect_ip" | "connect_port" | "bindto" | "bind_port" | "bind_if" | "fwmark" => {
                if let Some(connect) = &mut checker.connect {
                    connect.given = true;
                    self.connect(statement, connect);
                }
            }
            _ => return self.timing(statement, &mut checker.timing, 0),
        }
        true
    }

    fn connect(&mut self, statement: &Statement, connect: &mut ConnectDraft) {
        let word = statement.value();
        match statement.keyword() {
            "connect_ip" => {
                let addr = value::address(word).and_then(|addr| match connect.bindto {
                    Some(bindto) if bindto.is_ipv4() != addr.is_ipv4() => {
                        Err(format!("{addr} has another address family than bindto, ignored"))
                    }
                    _ => Ok(addr),
                });
                connect.addr = self.accept(statement, addr).unwrap_or(connect.addr);
            }
            "bindto" => {
                let target = connect.addr;
                let addr = value::address(word).and_then(|addr| match addr.is_ipv4() == target.is_ipv4() {
                    true => Ok(addr),
                    false => Err(format!("{addr} has another address family than {target}, ignored")),
                });
                super::replace(&mut connect.bindto, self.accept(statement, addr));
            }
            "connect_port" => connect.port = self.checker_port(statement).unwrap_or(connect.port),
            "bind_port" => connect.bind_port = self.checker_port(statement).unwrap_or(connect.bind_port),
            "bind_if" => super::replace(&mut connect.bind_if, self.interface(statement)),
            _ => connect.fwmark = self.number(statement, 0, u32::MAX).unwrap_or(connect.fwmark),
        }
    }

    fn checker_port(&mut self, statement: &Statement) -> Option<u16> {
        let port = self.number(statement, 1, 65535)?;
        Some(u16::try_from(port).expect("within the range asked for"))
    }

    /// Adds a checker at the end of its block, unless its target cannot be reached.
    pub(super) fn add(&mut self, header: &Statement, checker: CheckerDraft, server: &mut RealServerDraft) {
        if let Some(connect) = &checker.connect
            && let IpAddr::V6(addr) = connect.addr
            && addr.is_unicast_link_local()
            && connect.bind_if.is_none()
        {
            self.warn_at_end(
                header.keyword(),
                format!("link-local address {addr} needs bind_if, checker removed"),
            );
            return;
        }
        server.checkers.push(checker);
    }

    fn smtp(&mut self, header: &Statement, server: &mut RealServerDraft) -> Result<(), Fatal> {
        let mut helo = None;
        let mut checker = connecting(header, Check::Tcp, server);
        let mut hosts = Vec::new();
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::SmtpCheck, &statement)? else { continue };
            match keyword.name {
                "helo_name" => self.text(&statement, &mut helo),
                "host" => hosts.push(self.smtp_host(&statement, server)?),
                _ => drop(self.common(&statement, &mut checker)),
            }
        }
        checker.check = Check::Smtp { helo_name: helo.unwrap_or_else(|| DEFAULT_HELO.to_string()) };
        let plain = checker.connect.as_ref().is_some_and(|connect| connect.given) || hosts.is_empty();
        let shared = |host: CheckerDraft| {
            let own = host.timing.connect_timeout_us;
            let timing = TimingDraft { connect_timeout_us: own, ..checker.timing };
            CheckerDraft { timing, connect: host.connect, ..checker.clone() }
        };
        let hosts: Vec<CheckerDraft> = hosts.into_iter().map(shared).collect();
        if plain {
            self.add(header, checker, server);
        }
        for host in hosts {
            self.add(header, host, server);
        }
        Ok(())
    }

    /// An old way to name several targets; each is a checker of its own.
    fn smtp_host(&mut self, header: &Statement, server: &RealServerDraft) -> Result<CheckerDraft, Fatal> {
        self.note(header, "deprecated, taken as one more checker");
        let mut host = connecting(header, Check::Tcp, server);
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            if self.known(Block::SmtpHost, &statement)?.is_some() {
                self.common(&statement, &mut host);
            }
        }
        Ok(host)
    }

    fn dns(&mut self, header: &Statement, server: &mut RealServerDraft) -> Result<(), Fatal> {
        let mut kind = "SOA".to_string();
        let mut name: Option<String> = None;
        let mut checker = connecting(header, Check::Tcp, server);
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::DnsCheck, &statement)? else { continue };
            let word = statement.value();
            match keyword.name {
                "type" => match word.to_ascii_uppercase() {
                    known if DNS_TYPES.contains(&known.as_str()) => kind = known,
                    _ => self.warn(&statement, format!("`{word}` is no known type of record")),
                },
                "name" if name.is_some() => self.warn(&statement, "given before, this one is ignored"),
                "name" if has_empty_label(word) => {
                    self.warn(&statement, format!("`{word}` has an empty label"))
                }
                "name" => name = Some(word.to_string()),
                _ => drop(self.common(&statement, &mut checker)),
            }
        }
        checker.check = Check::Dns { kind, name: name.unwrap_or_default() };
        self.add(header, checker, server);
        Ok(())
    }

    fn udp(&mut self, header: &Statement, server: &mut RealServerDraft) -> Result<(), Fatal> {
        let mut udp =
            UdpCheck { payload: None, reply: None, min_reply_length: 0, max_reply_length: DEFAULT_MAX_REPLY };
        let mut checker = connecting(header, Check::Tcp, server);
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::UdpCheck, &statement)? else { continue };
            match keyword.name {
                "payload" => {
                    let payload = self.accept(&statement, value::hex(statement.args(), false));
                    udp.payload = payload.map(|pattern| pattern.bytes);
                }
                "require_reply" if statement.args().is_empty() => udp.reply = Some(Reply::default()),
                "require_reply" => {
                    let pattern = self.accept(&statement, value::hex(statement.args(), true));
                    udp.reply = Some(Reply { pattern });
                }
                "min_reply_length" => {
                    udp.min_reply_length = self.number(&statement, 0, 65535).unwrap_or(udp.min_reply_length);
                }
                "max_reply_length" => {
                    udp.max_reply_length = self.number(&statement, 0, 65535).unwrap_or(udp.max_reply_length);
                }
                _ => drop(self.common(&statement, &mut checker)),
            }
        }
        if udp.min_reply_length > udp.max_reply_length {
            self.warn_at_end(header.keyword(), "min_reply_length is above max_reply_length");
        }
        checker.check = Check::Udp(udp);
        self.add(header, checker, server);
        Ok(())
    }

    fn misc(&mut self, header: &Statement, server: &mut RealServerDraft) -> Result<(), Fatal> {
        let mut script: Option<Script> = None;
        let mut user = None;
        let (mut timeout_us, mut dynamic) = (0, false);
        let mut checker = CheckerDraft { connect: None, ..connecting(header, Check::Tcp, server) };
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::MiscCheck, &statement)? else { continue };
            match keyword.name {
                "misc_path" => script = self.accept(&statement, Script::parse(&statement.raw)),
                "misc_timeout" => {
                    let seconds = self.number(&statement, 0, MAX_MISC_TIMEOUT);
                    timeout_us = seconds.map_or(timeout_us, |seconds| u64::from(seconds) * 1_000_000);
                }
                "misc_dynamic" => dynamic = true,
                "user" => user = Some(statement.args()[..statement.args().len().min(2)].join(" ")),
                _ => drop(self.common(&statement, &mut checker)),
            }
        }
        match script {
            None => self.warn_at_end(header.keyword(), "misc_path missing, checker removed"),
            Some(script) => {
                let script = Script { user, ..script };
                checker.check = Check::Misc { script, timeout_us, dynamic };
                self.add(header, checker, server);
            }
        }
        Ok(())
    }

    fn bfd(&mut self, header: &Statement, server: &mut RealServerDraft) -> Result<(), Fatal> {
        let mut name: Option<String> = None;
        let mut removed = false;
        let mut checker = CheckerDraft { connect: None, ..connecting(header, Check::Tcp, server) };
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::BfdCheck, &statement)? else {
                removed |= statement.keyword() == "name";
                continue;
            };
            if keyword.name == "alpha" {
                super::replace(&mut checker.alpha, self.boolean(&statement));
                continue;
            }
            match self.bfd_name(&statement, name.is_some(), server) {
                Ok(()) => name = Some(statement.value().to_string()),
                Err(reason) => {
                    removed = true;
                    self.warn(&statement, format!("{reason}, checker removed"));
                }
            }
        }
        match name {
            _ if removed => {}
            None => self.warn_at_end(header.keyword(), "name missing, checker removed"),
            Some(name) => {
                checker.check = Check::Bfd { name };
                server.checkers.push(checker);
            }
        }
        Ok(())
    }

    fn bfd_name(&self, statement: &Statement, given: bool, server: &RealServerDraft) -> Result<(), String> {
        let word = statement.value();
        let same = |checker: &CheckerDraft| matches!(&checker.check, Check::Bfd { name } if name == word);
        if given {
            return Err("name given twice".to_string());
        }
        if statement.args().len() != 1 {
            return Err("exactly one word expected".to_string());
        }
        if !self.draft.bfd_instances.iter().any(|name| name == word) {
            return Err(format!("no bfd_instance {word} for checkers before this line"));
        }
        if server.checkers.iter().any(same) {
            return Err(format!("the real server watches {word} already"));
        }
        Ok(())
    }

    fn file(&mut self, header: &Statement, server: &mut RealServerDraft) -> Result<(), Fatal> {
        let mut file = None;
        let mut factor = None;
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::FileCheck, &statement)? else { continue };
            match keyword.name {
                "weight" => super::replace(&mut factor, self.factor(&statement, MAX_FILE_WEIGHT)),
                _ => match self.find_track_file(statement.value()).cloned() {
                    Some(found) => file = Some(found),
                    None => {
                        let reason = format!("no track_file {} before this line", statement.value());
                        self.warn(&statement, reason);
                    }
                },
            }
        }
        let Some(file) = file else {
            self.warn_at_end(header.keyword(), "track_file missing, checker removed");
            return Ok(());
        };
        let (weight, reverse) = factor.unwrap_or((file.weight, file.reverse));
        let check = Check::File { track_file: file.name, weight, reverse };
        let checker = CheckerDraft { connect: None, ..connecting(header, check, server) };
        server.checkers.push(checker);
        Ok(())
    }
}

/// A checker with nothing but its target: the real server, at the port as written.
pub(super) fn connecting(header: &Statement, check: Check, server: &RealServerDraft) -> CheckerDraft {
    CheckerDraft {
        check,
        timing: TimingDraft::default(),
        alpha: None,
        log_all_failures: false,
        connect: Some(ConnectDraft {
            addr: server.addr,
            port: server.port,
            bindto: None,
            bind_port: 0,
            bind_if: None,
            fwmark: 0,
            given: false,
        }),
        span: header.span.clone(),
    }
}

/// A single dot is the root; one at the end is no label.
fn has_empty_label(name: &str) -> bool {
    name != "." && name.strip_suffix('.').unwrap_or(name).split('.').any(str::is_empty)
}

const DEFAULT_HELO: &str = "smtpchecker.keepalived.org";
const DNS_TYPES: [&str; 9] = ["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"];
const DEFAULT_MAX_REPLY: u32 = 255;
/// Seconds.
const MAX_MISC_TIMEOUT: u32 = 4294;
const MAX_FILE_WEIGHT: i64 = i32::MAX as i64;
