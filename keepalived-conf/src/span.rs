// SPDX-License-Identifier: Apache-2.0
//! Where something was written, and what is wrong there.

use std::fmt;
use std::sync::Arc;

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file as the user named it, or as the including file did.
    pub file: Arc<str>,
    /// Line, from 1; 0 for what has no line, such as a block still open at the end of the file.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

impl Span {
    /// The place `line`, `column` of `file`.
    pub fn new(file: &Arc<str>, line: u32, column: u32) -> Span {
        Span { file: Arc::clone(file), line, column }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why a file cannot be used: `FILE:LINE: REASON`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{span}: {reason}")]
pub struct Error {
    /// The place of the offending word.
    pub span: Span,
    /// What is wrong and how to mend it, lower case, no full stop.
    pub reason: String,
}

impl Error {
    /// The error `reason` at `span`.
    pub fn new(span: &Span, reason: impl Into<String>) -> Error {
        Error { span: span.clone(), reason: reason.into() }
    }
}
