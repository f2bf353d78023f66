// SPDX-License-Identifier: Apache-2.0
//! Statements into drafts: one file per kind of block.

mod checker;
mod draft;
mod globals;
mod group;
mod http;
mod real_server;
mod service;
mod vrrp;

use std::collections::HashMap;
use std::sync::Arc;

use super::cursor::{Cursor, Statement};
use super::keyword::{Block, Effect, Keyword, Takes};
use super::object::TrackFile;
use super::report::{Fatal, Finding, Severity, Skipped};
use super::script::Script;
use super::source::Source;
use super::value;

pub(super) use draft::{CheckerDraft, Draft, RealServerDraft, ServiceDraft, TimingDraft};

/// A draft with what was found while it was read.
pub(super) struct Outcome {
    pub config_id: String,
    pub draft: Draft,
    pub findings: Vec<Finding>,
    pub included_as: HashMap<Arc<str>, Arc<str>>,
}

/// Reads a whole configuration.
pub(super) fn config(source: Source) -> Result<Outcome, Fatal> {
    let mut reader = Reader { cursor: Cursor::new(source), draft: Draft::default() };
    while let Some(statement) = reader.cursor.top_statement()? {
        reader.top(&statement)?;
    }
    let source = reader.cursor.into_source();
    Ok(Outcome {
        config_id: source.config_id().to_string(),
        draft: reader.draft,
        findings: source.findings,
        included_as: source.included_as,
    })
}

struct Reader {
    cursor: Cursor,
    draft: Draft,
}

impl Reader {
    fn top(&mut self, statement: &Statement) -> Result<(), Fatal> {
        if Block::Top.find(statement.keyword()).is_some_and(|keyword| keyword.effect == Effect::Accepted) {
            self.draft.skipped.push(Skipped {
                span: statement.span.clone(),
                keyword: statement.keyword().to_string(),
                name: statement.args().first().cloned(),
            });
        }
        let Some(keyword) = self.known(Block::Top, statement)? else { return Ok(()) };
        match keyword.name {
            "virtual_server" => self.virtual_server(statement),
            "virtual_server_group" => self.virtual_server_group(statement),
            "local_address_group" => self.local_address_group(statement),
            "deny_address_group" | "allow_address_group" => self.access_group(statement),
            "tunnel_group" => self.tunnel_group(statement),
            "vrrp_instance" => self.vrrp_instance(statement),
            "global_defs" => self.global_defs(),
            "SSL" => self.ssl(statement),
            "track_file" | "vrrp_track_file" => self.track_file(statement),
            "bfd_instance" => self.bfd_instance(statement),
            _ => unreachable!("every honoured keyword is listed here"),
        }
    }

    /// Looks a statement up. `None` when there is nothing left to do with it: unknown, left out, or without a value
    /// that it needs; then its block is skipped too.
    fn known(&mut self, block: Block, statement: &Statement) -> Result<Option<&'static Keyword>, Fatal> {
        let Some(keyword) = block.find(statement.keyword()) else {
            let hint = hint(statement.keyword());
            self.warn(statement, format!("unknown keyword{hint}"));
            self.cursor.skip_block()?;
            return Ok(None);
        };
        let given = statement.args().len();
        match keyword.takes {
            Takes::Needed(words) if given < words => return Err(missing(statement, "value")),
            Takes::NamedBlock if given == 0 => return Err(missing(statement, "name")),
            Takes::Warned if given == 0 => {
                self.warn(statement, "value missing, statement ignored");
                return Ok(None);
            }
            Takes::Ignored if given == 0 => return Ok(None),
            _ => {}
        }
        if keyword.effect == Effect::Honoured {
            return Ok(Some(keyword));
        }
        if matches!(keyword.takes, Takes::Block | Takes::NamedBlock) {
            self.cursor.open()?;
            self.cursor.skip_rest()?;
        }
        Ok(None)
    }

    fn warn(&mut self, statement: &Statement, message: impl Into<String>) {
        self.cursor.warn(&statement.span, statement.keyword(), message);
    }

    fn note(&mut self, statement: &Statement, message: &str) {
        self.cursor.source().find(Severity::Note, &statement.span, statement.keyword(), message);
    }

    /// Warns at the end of the block that `keyword` began.
    fn warn_at_end(&mut self, keyword: &str, message: impl Into<String>) {
        let span = self.cursor.closed().clone();
        self.cursor.warn(&span, keyword, message);
    }

    /// The value, or a warning.
    fn accept<T>(&mut self, statement: &Statement, value: Result<T, String>) -> Option<T> {
        value.map_err(|reason| self.warn(statement, reason)).ok()
    }

    fn number(&mut self, statement: &Statement, min: u32, max: u32) -> Option<u32> {
        self.accept(statement, value::unsigned32(statement.value(), min, max))
    }

    fn boolean(&mut self, statement: &Statement) -> Option<bool> {
        self.accept(statement, value::boolean(statement.args().first().map(String::as_str)))
    }

    /// Microseconds within the bounds. As in keepalived, a word without a digit is 0 where 0 is allowed.
    fn timer(&mut self, statement: &Statement, min_us: u64, max_us: u64) -> Option<u64> {
        let word = statement.value();
        let Some(timer) = self.accept(statement, value::timer(word)) else {
            let zero = min_us == 0
                && !word.starts_with(|c: char| matches!(c, '-' | '+' | '.') || c.is_ascii_digit());
            return zero.then_some(0);
        };
        if !(min_us..=max_us).contains(&timer.us) {
            let reason =
                if timer.us < min_us { "must be above 0".to_string() } else { "is too long".to_string() };
            self.warn(statement, format!("{} {reason}", statement.value()));
            return None;
        }
        if timer.rounded {
            self.warn(statement, format!("{} has more than six decimals, rounded", statement.value()));
        }
        Some(timer.us)
    }

    /// Sets one of the times of any level. False when the keyword is none of them.
    fn timing(&mut self, statement: &Statement, timing: &mut TimingDraft, min_retry: u32) -> bool {
        match statement.keyword() {
            "delay_loop" => replace(&mut timing.delay_loop_us, self.timer(statement, 1, u64::MAX)),
            "connect_timeout" => {
                replace(&mut timing.connect_timeout_us, self.timer(statement, 1, MAX_CONNECT_TIMEOUT_US));
            }
            "delay_before_retry" => {
                replace(&mut timing.delay_before_retry_us, self.timer(statement, 0, u64::MAX));
            }
            "warmup" => replace(&mut timing.warmup_us, self.timer(statement, 0, u64::MAX)),
            "retry" => replace(&mut timing.retry, self.number(statement, min_retry, u32::MAX)),
            _ => return false,
        }
        true
    }

    /// Sets a script; the first one stays.
    fn script(&mut self, statement: &Statement, script: &mut Option<Script>) {
        if script.is_some() {
            self.warn(statement, "given before, this one is ignored");
            return;
        }
        *script = self.accept(statement, Script::parse(&statement.raw));
    }

    /// Sets a text; the last one counts.
    fn text(&mut self, statement: &Statement, text: &mut Option<String>) {
        if text.is_some() {
            self.warn(statement, "given before, this one is used");
        }
        *text = Some(statement.value().to_string());
    }

    /// An interface name.
    fn interface(&mut self, statement: &Statement) -> Option<String> {
        let name = statement.value();
        if name.len() > MAX_INTERFACE {
            self.warn(statement, format!("interface name `{name}` is longer than {MAX_INTERFACE} bytes"));
            return None;
        }
        Some(name.to_string())
    }

    fn find_track_file(&self, name: &str) -> Option<&TrackFile> {
        self.draft.track_files.iter().find(|file| file.name == name)
    }
}

/// Takes the new value where there is one.
fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

fn missing(statement: &Statement, what: &str) -> Fatal {
    let keyword = statement.keyword().to_string();
    let reason = format!("{keyword} needs a {what}");
    Fatal { span: statement.span.clone(), keyword, reason }
}

/// What somebody may have meant who wrote an unknown keyword.
fn hint(keyword: &str) -> &'static str {
    match keyword {
        "nb_sock_retry" => ", use retry",
        "connection_timeout" => ", use connect_timeout",
        "real" => ", use real_server",
        "virtual" => ", use virtual_server",
        "lb_algorithm" => ", use lvs_sched",
        _ => "",
    }
}

/// 4294.967295 seconds.
const MAX_CONNECT_TIMEOUT_US: u64 = u32::MAX as u64;
/// Bytes of an interface name.
const MAX_INTERFACE: usize = 15;
