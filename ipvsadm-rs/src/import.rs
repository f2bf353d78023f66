// SPDX-License-Identifier: Apache-2.0
//! `--import`: the services of a keepalived.conf.
//!
//! What the file names becomes as the file says, with the least change and all at once; other services are left alone. Nobody checks
//! the servers: each counts as alive.

use std::path::Path;

use cli::Exit;
use desired::remarks::{self, Reader};
use desired::vips::{self, Vips};
use desired::{Rest, Running, tunnels};
use keepalived_conf::keepalived::Config;
use keepalived_conf::{Span, keepalived};
use sockopt::Set;

use crate::args::{Line, Misuse};
use crate::fetch::{self, Failure};
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
    let said = report.findings.iter().map(ToString::to_string);
    let said = said.chain(report.adjustments.iter().map(ToString::to_string));
    let said = said.chain(report.skipped.iter().map(ToString::to_string));
    said.chain(remarks::of(&report.config, Reader::Tool)).for_each(|remark| session.complain(remark));
    let import = desired::import(&report.config).map_err(|error| unusable(error.to_string()))?;
    let mut services = fetch::services(session.ask, &Services { key: None, worker: None })?;
    if !report.config.globals.lvs_flush {
        services.retain(|service| import.desired.has(&service.key));
    }
    let running = Running { services: &services, timeouts: fetch::timeouts(session.ask)? };
    let mut steps = beside(session, &report.config)?;
    steps.extend(import.desired.changes(running, Rest::Remove));
    let place = |step: &Set| {
        let other = || tunnels::place(&report.config, step).or_else(|| vips::span(&report.config, step));
        import.place(step).or_else(other)
    };
    make(session, place, steps, line.has(Opt::DryRun))
}

/// Tunnels, and virtual addresses of masters: what services need. Nobody knows here what else was of the file before.
fn beside(session: &mut Session<'_>, config: &Config) -> Result<Vec<Set>, Stop> {
    let mut steps = Vec::new();
    if !config.tunnels.is_empty() {
        let present = fetch::tunnels(session.ask)?;
        steps.extend(tunnels::changes(&tunnels::wanted(config), &[], &present).come);
    }
    if !config.vrrp_instances.is_empty() {
        let links = fetch::links(session.ask)?;
        let present = fetch::addresses(session.ask)?;
        steps.extend(Vips::default().changes(config, &links, &present).come);
        vips::elsewhere(config, &links).into_iter().for_each(|line| session.complain(line));
    }
    Ok(steps)
}

/// Makes changes together, or prints what they would be; a refusal names the line that asked for what is refused.
fn make<'c>(
    session: &mut Session<'_>,
    place: impl Fn(&Set) -> Option<&'c Span>,
    steps: Vec<Set>,
    dry_run: bool,
) -> Result<Exit, Stop> {
    if steps.is_empty() {
        return Ok(Exit::Done);
    }
    match fetch::transaction(session.ask, steps.clone(), dry_run) {
        Ok(plan) => restore::print(session, &plan),
        Err(Failure::Refused(status)) => {
            let step = steps.get(status.step.unwrap_or(0) as usize);
            let place = step.and_then(place).map_or(String::new(), |place| format!("{place}: "));
            session.complain(format_args!("{place}{status}; nothing was changed"));
            Ok(Exit::Refused)
        }
        Err(failure) => Err(failure.into()),
    }
}
