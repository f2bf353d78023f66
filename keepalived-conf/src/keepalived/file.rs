// SPDX-License-Identifier: Apache-2.0
//! One file as physical lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::define::MAX_LINE;
use super::report::{Finding, Severity};
use super::strict::Strict;
use crate::lex;
use crate::span::Span;

/// Bytes of all files together.
pub(super) const MAX_BYTES: usize = 1 << 28;

/// A file being read.
pub(super) struct File {
    /// As findings call it.
    pub name: Arc<str>,
    /// Where its includes are looked for.
    pub directory: PathBuf,
    text: Vec<u8>,
    at: usize,
    line: u32,
    /// What `include` demanded before this file said otherwise.
    pub strict: Strict,
}

impl File {
    /// A file before its first line. `strict` is what `include` demands outside it.
    pub fn new(name: Arc<str>, directory: PathBuf, text: Vec<u8>, strict: Strict) -> File {
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        File { name, directory, text, at, line: 0, strict }
    }

    /// The next physical line without its end, or what is wrong with it.
    pub fn next_line(&mut self) -> Option<Result<(String, Span), Finding>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let (length, size) = match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end, end + 1),
            None => (rest.len(), rest.len()),
        };
        let bytes = &rest[..length];
        self.at += size;
        self.line = self.line.saturating_add(1);
        let span = Span::new(&self.name, self.line, 1);
        let message = if size > MAX_LINE {
            Some(format!("line too long: {size} bytes, at most {MAX_LINE} are read; line ignored"))
        } else if bytes.contains(&0) {
            Some("line with a NUL byte ignored".to_string())
        } else {
            None
        };
        let text = String::from_utf8_lossy(&bytes[..length.min(MAX_LINE)]);
        Some(match message {
            None => Ok((text.trim_end_matches('\r').to_string(), span)),
            Some(message) => {
                let word = text.split(|c| lex::is_blank(c) || c == '\0').find(|word| !word.is_empty());
                let keyword = word.unwrap_or_default().to_string();
                Err(Finding { severity: Severity::Warning, span, keyword, message })
            }
        })
    }
}

/// The bytes of a regular file. An included one must not be executable: keepalived takes such a file for a script.
pub(super) fn read(path: &Path, included: bool) -> Result<Vec<u8>, String> {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("not a regular file".to_string());
    }
    if included && meta.permissions().mode() & 0o111 != 0 {
        return Err("executable, so no configuration".to_string());
    }
    if meta.len() > MAX_BYTES as u64 {
        return Err("too large".to_string());
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
