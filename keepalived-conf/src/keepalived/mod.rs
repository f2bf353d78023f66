// SPDX-License-Identifier: Apache-2.0
//! keepalived.conf: lenient as keepalived's own test mode, with every finding kept beside the result.
//!
//! ```text
//!   file -> source   lines: conditions, definitions, sequences, includes
//!        -> cursor   statements and braces, one ahead
//!        -> read     keywords (keyword is the table) -> drafts, as written
//!        -> settle   defaults, inheritance, corrections -> object, as it acts
//! ```
//!
//! The effective values are those that keepalived would use. Nothing outside the named files is looked at: no script,
//! user, interface or host name.

pub mod cursor;
pub mod define;
mod file;
pub mod keyword;
pub mod object;
pub mod print;
mod read;
pub mod report;
pub mod script;
pub mod sequence;
mod settle;
pub mod source;
pub mod strict;
pub mod value;

use std::path::Path;

pub use object::Config;
pub use report::{Adjustment, Code, Fatal, Finding, Report, Severity, Skipped};

/// The configuration id of this machine: its name, up to the first dot.
pub fn host_id() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_string()
}

/// Reads the file that `path` names, or the files that match it where it is a pattern, for the configuration id
/// `config_id`: what `@ID` lines are compared with.
///
/// # Errors
///
/// What stops keepalived too: a keyword without its value, a file that an `include` variant demands, a main file that
/// cannot be read; and input whose expansion never ends.
pub fn load(path: &Path, config_id: &str) -> Result<Report, Fatal> {
    let source = source::Source::open(path, config_id)?;
    read::config(source).map(settle::report)
}

/// Reads `text` as if it stood in the file `name`; relative includes are looked for where `name` is.
///
/// # Errors
///
/// Those of [`load`].
pub fn parse(text: &[u8], name: &str, config_id: &str) -> Result<Report, Fatal> {
    let source = source::Source::of_text(text, name, config_id);
    read::config(source).map(settle::report)
}
