// SPDX-License-Identifier: Apache-2.0
//! `--import`: the services of a keepalived.conf.
//!
//! What the file names becomes as the file says, with the least change and all at once; other services are left alone. Nobody checks
//! the servers: each counts as alive.

use std::path::Path;

use cli::Exit;
use keepalived_conf::{commands, keepalived};

use crate::args::{Line, Misuse};
use crate::desired::Desired;
use crate::fetch;
use crate::options::Opt;
use crate::request::Services;
use crate::restore;
use crate::session::{Session, Stop};

/// Makes the table what the file says.
///
/// # Errors
///
/// [`Stop`] when the file cannot be read, when what it says is no table, or when the daemon does not answer.
pub fn run(session: &mut Session<'_>, line: &Line) -> Result<Exit, Stop> {
    let unusable = |reason: String| Misuse::line(format!("{reason}; nothing was changed"));
    let report = keepalived::load(Path::new(&line.command_value), &keepalived::host_id())
        .map_err(|fatal| unusable(fatal.to_string()))?;
    let remarks = report.findings.iter().map(ToString::to_string);
    let remarks = remarks.chain(report.adjustments.iter().map(ToString::to_string));
    for remark in remarks.chain(report.skipped.iter().map(ToString::to_string)) {
        session.complain(remark);
    }
    let servers = report.config.services.iter().flat_map(|service| &service.real_servers);
    if servers.clone().any(|server| !server.checkers.is_empty()) {
        session.complain("not done: health checks; every server counts as alive");
    }
    let text = commands::ipvsadm(&report.config).map_err(|error| unusable(error.to_string()))?;
    let mut desired = Desired::default();
    for command in text.lines() {
        if let Some(remark) = command.strip_prefix("# ") {
            session.complain(format_args!("not done: {remark}"));
            continue;
        }
        let set = restore::change(command, session)?;
        desired.apply(&set).map_err(|reason| unusable(format!("{command}: {reason}")))?;
    }
    let mut running = fetch::services(session.ask, &Services { key: None, worker: None })?;
    if !report.config.globals.lvs_flush {
        running.retain(|service| desired.has(&service.key));
    }
    restore::make(session, desired.changes(&running), line.has(Opt::DryRun))
}
