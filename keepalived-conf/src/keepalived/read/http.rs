// SPDX-License-Identifier: Apache-2.0
//! HTTP_GET and SSL_GET.

use super::Reader;
use super::checker::connecting;
use super::draft::RealServerDraft;
use crate::keepalived::cursor::Statement;
use crate::keepalived::keyword::Block;
use crate::keepalived::object::{Check, HttpCheck, HttpProtocol, Regex, StatusCodes, Url};
use crate::keepalived::report::Fatal;
use crate::keepalived::script::{self, Escapes};
use crate::keepalived::value;

impl Reader {
    pub(super) fn http(&mut self, header: &Statement, server: &mut RealServerDraft) -> Result<(), Fatal> {
        let tls = header.keyword() == "SSL_GET";
        let (block, url_block) = match tls {
            true => (Block::SslGet, Block::SslUrl),
            false => (Block::HttpGet, Block::HttpUrl),
        };
        let mut http = HttpCheck::default();
        let mut checker = connecting(header, Check::Tcp, server);
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(block, &statement)? else { continue };
            match keyword.name {
                "url" => http.urls.extend(self.url(url_block)?),
                "nb_get_retry" => {
                    // One warning, whatever is wrong.
                    match value::unsigned32(statement.value(), 0, u32::MAX) {
                        Ok(retry) => {
                            checker.timing.retry = Some(retry);
                            self.warn(&statement, "deprecated, use retry");
                        }
                        Err(reason) => self.warn(&statement, reason),
                    }
                }
                "http_protocol" => match statement.value() {
                    "1.0" => http.protocol = HttpProtocol::V10,
                    "1.0C" | "1.0c" => http.protocol = HttpProtocol::V10Close,
                    "1.1" => http.protocol = HttpProtocol::V11,
                    word => self.warn(&statement, format!("`{word}` is unknown, 1.0, 1.0C or 1.1 expected")),
                },
                "virtualhost" => self.text(&statement, &mut http.virtualhost),
                "enable_sni" => http.enable_sni = self.boolean(&statement).unwrap_or(http.enable_sni),
                "sni_name" => {
                    http.enable_sni = true;
                    if !statement.args().is_empty() {
                        self.text(&statement, &mut http.sni_name);
                    }
                }
                "fast_recovery" => {
                    http.fast_recovery = self.boolean(&statement).unwrap_or(http.fast_recovery)
                }
                "tls_compliant" => {
                    http.tls_compliant = self.boolean(&statement).unwrap_or(http.tls_compliant)
                }
                _ => drop(self.common(&statement, &mut checker)),
            }
        }
        if http.urls.is_empty() {
            self.warn_at_end(header.keyword(), "url missing, checker removed");
            return Ok(());
        }
        checker.check = if tls { Check::Ssl(http) } else { Check::Http(http) };
        self.add(header, checker, server);
        Ok(())
    }

    fn url(&mut self, block: Block) -> Result<Option<Url>, Fatal> {
        let mut url = Url::default();
        let mut path = None;
        let mut codes = Vec::new();
        let mut regex = RegexDraft::default();
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(block, &statement)? else { continue };
            match keyword.name {
                "path" => self.text(&statement, &mut path),
                "digest" => self.digest(&statement, &mut url.digest),
                "status_code" => self.status_codes(&statement, &mut codes),
                "virtualhost" => self.text(&statement, &mut url.virtualhost),
                "tls_compliant" => url.tls_compliant = self.boolean(&statement).unwrap_or(url.tls_compliant),
                _ => self.regex_keyword(keyword.name, &statement, &mut regex),
            }
        }
        let Some(path) = path else {
            self.warn_at_end("url", "path missing, url ignored");
            return Ok(None);
        };
        url.path = path;
        if !codes.is_empty() {
            url.status_codes = StatusCodes::merged(codes);
        }
        match regex.finish() {
            Ok(regex) => url.regex = regex,
            Err((regex, reason)) => {
                url.regex = regex;
                self.warn_at_end("url", reason);
            }
        }
        Ok(Some(url))
    }

    fn digest(&mut self, statement: &Statement, digest: &mut Option<String>) {
        let word = statement.value();
        if digest.is_some() {
            self.warn(statement, "given before, this one is ignored");
        } else if word.len() != 32 || !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.warn(statement, "32 hexadecimal digits expected");
        } else {
            *digest = Some(word.to_ascii_lowercase());
        }
    }

    /// Adds the good items; the others cost one warning.
    fn status_codes(&mut self, statement: &Statement, codes: &mut Vec<(u32, u32)>) {
        let mut bad = Vec::new();
        for word in statement.args() {
            match status_codes(word) {
                Some(range) => codes.push(range),
                None => bad.push(word.as_str()),
            }
        }
        if !bad.is_empty() {
            self.warn(statement, format!("`{}`: codes from 100 to 599 expected, ignored", bad.join(" ")));
        }
    }

    fn regex_keyword(&mut self, keyword: &str, statement: &Statement, regex: &mut RegexDraft) {
        match keyword {
            "regex" => {
                let words = self.accept(statement, script::split(&statement.raw, Escapes::Replaced));
                match words.as_deref() {
                    None => {}
                    Some([_, pattern]) => regex.pattern = Some(pattern.clone()),
                    Some(_) => self.warn(statement, "one expression expected, quote it"),
                }
            }
            "regex_no_match" => regex.rest.no_match = true,
            "regex_options" => {
                let known = statement.args().iter().filter(|word| REGEX_OPTIONS.contains(&word.as_str()));
                for word in known {
                    if !regex.rest.options.contains(word) {
                        regex.rest.options.push(word.clone());
                    }
                }
                regex.given = true;
            }
            "regex_min_offset" => {
                if let Some(offset) = self.number(statement, 0, u32::MAX) {
                    (regex.rest.min_offset, regex.given) = (u64::from(offset), true);
                }
            }
            "regex_max_offset" => {
                if let Some(offset) = self.number(statement, 0, u32::MAX) {
                    regex.rest.max_offset = Some(u64::from(offset));
                }
            }
            // The size of a stack that today's expressions do not have.
            "regex_stack" => regex.given = true,
            _ => unreachable!("every honoured keyword is listed here"),
        }
    }
}

/// A regular expression as written: its parts may come in any order.
#[derive(Default)]
struct RegexDraft {
    pattern: Option<String>,
    rest: Regex,
    given: bool,
}

impl RegexDraft {
    /// The expression, if there is one, and what is wrong beside it.
    fn finish(mut self) -> Result<Option<Regex>, (Option<Regex>, &'static str)> {
        let given = self.given || self.rest.no_match || self.rest.max_offset.is_some();
        let Some(pattern) = self.pattern else {
            return if given { Err((None, "options of a regex without regex, ignored")) } else { Ok(None) };
        };
        self.rest.pattern = pattern;
        if self.rest.max_offset.is_some_and(|max| self.rest.min_offset > max) {
            (self.rest.min_offset, self.rest.max_offset) = (0, None);
            return Err((Some(self.rest), "regex_min_offset is above regex_max_offset, both ignored"));
        }
        Ok(Some(self.rest))
    }
}

/// `N` or `N-M`.
fn status_codes(word: &str) -> Option<(u32, u32)> {
    let (from, to) = word.split_once('-').unwrap_or((word, word));
    let code = |text| value::unsigned32(text, 100, 599).ok();
    let (from, to) = (code(from)?, code(to)?);
    (from <= to).then_some((from, to))
}

const REGEX_OPTIONS: [&str; 24] = [
    "allow_empty_class",
    "alt_bsux",
    "auto_callout",
    "caseless",
    "dollar_endonly",
    "dotall",
    "dupnames",
    "extended",
    "firstline",
    "match_unset_backref",
    "multiline",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "ucp",
    "ungreedy",
    "utf",
    "never_backslash_c",
    "alt_circumflex",
    "alt_verbnames",
    "use_offset_limit",
];
