// SPDX-License-Identifier: Apache-2.0
//! `global_defs`, `SSL`, `track_file`, `bfd_instance`.

use super::Reader;
use crate::keepalived::cursor::Statement;
use crate::keepalived::keyword::Block;
use crate::keepalived::object::{FlushOnStop, Ssl, SyncDaemon, TrackFile};
use crate::keepalived::report::Fatal;
use crate::keepalived::strict::Strict;
use crate::keepalived::value;

impl Reader {
    pub(super) fn global_defs(&mut self) -> Result<(), Fatal> {
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            if let Some(keyword) = self.known(Block::GlobalDefs, &statement)? {
                self.global(keyword.name, &statement);
            }
        }
        Ok(())
    }

    fn global(&mut self, keyword: &str, statement: &Statement) {
        match keyword {
            "lvs_timeouts" => self.lvs_timeouts(statement),
            "lvs_flush" => self.draft.globals.lvs_flush = true,
            "lvs_flush_on_stop" | "lvs_flush_onstop" => match statement.args().first().map(String::as_str) {
                None => self.draft.globals.lvs_flush_on_stop = FlushOnStop::Full,
                Some("VS") => self.draft.globals.lvs_flush_on_stop = FlushOnStop::Services,
                Some(word) => self.warn(statement, format!("`{word}` is unknown, VS or nothing expected")),
            },
            "lvs_sync_daemon" => self.lvs_sync_daemon(statement),
            "checker_log_all_failures" => {
                if let Some(on) = self.boolean(statement) {
                    self.draft.globals.checker_log_all_failures = on;
                }
            }
            "smtp_alert" => {
                let on = self.boolean(statement);
                super::replace(&mut self.draft.globals.smtp_alert, on);
            }
            "smtp_alert_checker" => {
                let on = self.boolean(statement);
                super::replace(&mut self.draft.globals.smtp_alert_checker, on);
            }
            "rs_init_notifies" => {
                if let Some(on) = self.boolean(statement) {
                    self.draft.globals.rs_init_notifies = on;
                }
            }
            "script_user" => {
                let words = &statement.args()[..statement.args().len().min(2)];
                self.draft.globals.script_user = Some(words.join(" "));
            }
            "include_check" => self.include_check(statement),
            _ => unreachable!("every honoured keyword is listed here"),
        }
    }

    fn lvs_timeouts(&mut self, statement: &Statement) {
        let mut wrong = None;
        for pair in statement.args().chunks(2) {
            let [name, seconds] = pair else {
                wrong = Some(format!("{} has no seconds", pair[0]));
                break;
            };
            let timeouts = &mut self.draft.globals.lvs_timeouts;
            let field = match name.as_str() {
                "tcp" => &mut timeouts.tcp,
                "tcpfin" => &mut timeouts.tcpfin,
                "udp" => &mut timeouts.udp,
                name => {
                    wrong = Some(format!("`{name}` is unknown, tcp, tcpfin or udp expected"));
                    continue;
                }
            };
            match value::unsigned32(seconds, 0, MAX_TIMEOUT) {
                Ok(seconds) => *field = seconds,
                Err(reason) => wrong = Some(format!("{name} {reason}")),
            }
        }
        if let Some(reason) = wrong {
            self.warn(statement, reason);
        }
    }

    fn lvs_sync_daemon(&mut self, statement: &Statement) {
        if self.draft.globals.lvs_sync_daemon.is_some() {
            self.warn(statement, "given before, this one is ignored");
            return;
        }
        let mut daemon = SyncDaemon { interface: statement.value().to_string(), ..SyncDaemon::default() };
        let mut words = statement.args().iter().skip(1).map(String::as_str);
        let mut wrong = None;
        while let Some(word) = words.next() {
            let read = match word {
                "inst" => words
                    .next()
                    .map(|name| daemon.vrrp_instance = Some(name.to_string()))
                    .ok_or(missing(word)),
                "id" => option(&mut words, word, 0, 255).map(|id| daemon.id = Some(id)),
                "maxlen" => option(&mut words, word, 1, 65507).map(|len| daemon.maxlen = Some(len)),
                "port" => option(&mut words, word, 1, 65535).map(|port| daemon.port = Some(port)),
                "ttl" => option(&mut words, word, 1, 255).map(|ttl| daemon.ttl = Some(ttl)),
                "group" => words
                    .next()
                    .ok_or(missing(word))
                    .and_then(value::exact_address)
                    .map(|addr| daemon.group = Some(addr)),
                // The old form: IF VRRP N.
                word if daemon.vrrp_instance.is_none() => {
                    daemon.vrrp_instance = Some(word.to_string());
                    Ok(())
                }
                word => value::unsigned32(word, 0, 255).and_then(|id| {
                    daemon.id = Some(id);
                    Err(format!("write `id {id}` instead of `{id}`"))
                }),
            };
            wrong = read.err().or(wrong);
        }
        if let Some(reason) = wrong {
            self.warn(statement, reason);
        }
        self.draft.globals.lvs_sync_daemon = Some(daemon);
    }

    /// A first word without sign sets; the others add, or remove with `-`.
    fn include_check(&mut self, statement: &Statement) {
        let words = statement.args();
        let plain = words.first().is_some_and(|word| !word.starts_with(['+', '-']));
        let strict = self.cursor.source().strict();
        if words.is_empty() {
            *strict = Strict::ALL;
        } else if plain {
            *strict = Strict::default();
        }
        let mut unknown = None;
        for word in words {
            let strict = self.cursor.source().strict();
            let on = !word.starts_with('-');
            match word.trim_start_matches(['+', '-']) {
                "read" => strict.read = on,
                "match" => strict.name = on,
                "wildcard_match" => strict.wildcard = on,
                "brace_match" => strict.brace = on,
                _ => unknown = Some(format!("`{word}` is unknown")),
            }
        }
        if let Some(reason) = unknown {
            self.warn(statement, reason);
        }
    }

    pub(super) fn ssl(&mut self, header: &Statement) -> Result<(), Fatal> {
        if self.draft.ssl.is_some() {
            self.warn(header, "given before, this one is used");
        }
        let mut ssl = Ssl::default();
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::Ssl, &statement)? else { continue };
            let field = match keyword.name {
                "password" => &mut ssl.password,
                "ca" => &mut ssl.ca,
                "certificate" => &mut ssl.certificate,
                "key" => &mut ssl.key,
                _ => unreachable!("every honoured keyword is listed here"),
            };
            self.text(&statement, field);
        }
        self.draft.ssl = Some(ssl);
        Ok(())
    }

    pub(super) fn track_file(&mut self, header: &Statement) -> Result<(), Fatal> {
        let mut file = None;
        let (mut weight, mut reverse) = (1, false);
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::TrackFile, &statement)? else { continue };
            match keyword.name {
                "file" => file = Some(statement.value().to_string()),
                "weight" => {
                    if let Some(read) = self.factor(&statement, MAX_TRACK_WEIGHT) {
                        (weight, reverse) = read;
                    }
                }
                _ => unreachable!("every honoured keyword is listed here"),
            }
        }
        match file {
            None => self.warn_at_end(header.keyword(), "file missing, block ignored"),
            Some(file) => {
                let (name, span) = (header.value().to_string(), header.span.clone());
                self.draft.track_files.push(TrackFile { name, file, weight, reverse, span });
            }
        }
        Ok(())
    }

    /// A factor within plus and minus `max`, and whether it is reversed.
    pub(super) fn factor(&mut self, statement: &Statement, max: i64) -> Option<(i64, bool)> {
        let weight = self.accept(statement, value::signed(statement.value(), -max, max))?;
        match statement.args().get(1).map(String::as_str) {
            None | Some("noreverse") => Some((weight, false)),
            Some("reverse") => Some((weight, true)),
            Some(word) => {
                self.warn(statement, format!("`{word}` is unknown, reverse or noreverse expected"));
                None
            }
        }
    }

    /// Only its name matters, and whether it tells checkers about its session.
    pub(super) fn bfd_instance(&mut self, header: &Statement) -> Result<(), Fatal> {
        let (mut vrrp, mut checker) = (false, false);
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            vrrp |= statement.keyword() == "vrrp";
            checker |= statement.keyword() == "checker";
            self.cursor.skip_block()?;
        }
        if checker || !vrrp {
            self.draft.bfd_instances.push(header.value().to_string());
        }
        Ok(())
    }
}

fn missing(word: &str) -> String {
    format!("{word} has no value")
}

fn option<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    name: &str,
    min: u32,
    max: u32,
) -> Result<u32, String> {
    let word = words.next().ok_or_else(|| missing(name))?;
    value::unsigned32(word, min, max).map_err(|reason| format!("{name} {reason}"))
}

/// 31 days in seconds.
const MAX_TIMEOUT: u32 = 2_678_400;
const MAX_TRACK_WEIGHT: i64 = 254;
