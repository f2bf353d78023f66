// SPDX-License-Identifier: Apache-2.0
//! The `keepalived-conf` command.
#![forbid(unsafe_code)]

mod args;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod manual;

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;
use keepalived_conf::keepalived::{self, Fatal, Report};
use keepalived_conf::{commands, dump, plan};

fn main() -> ExitCode {
    let matches = args::command().get_matches();
    let ended = match matches.subcommand() {
        Some(("dump", matches)) => print_dump(matches),
        Some(("check", matches)) => check(matches),
        Some(("ipvsadm", matches)) => print_commands(matches),
        Some(("print", matches)) => print_normal_form(matches),
        Some(("diff", matches)) => print_plan(matches),
        _ => unreachable!("clap demands one of the commands"),
    };
    let (text, status) = ended.unwrap_or_else(|reason| {
        // Nobody is left to be told when standard error itself is closed.
        let _ = writeln!(io::stderr().lock(), "keepalived-conf: {reason}");
        (String::new(), REFUSED)
    });
    match print(&text) {
        Ok(()) => ExitCode::from(status),
        Err(_) => ExitCode::from(REFUSED),
    }
}

/// What a command prints, and its exit status; or why it cannot.
type Ended = Result<(String, u8), String>;

/// A document is printed for what keepalived would refuse, too: it says so.
fn print_dump(matches: &ArgMatches) -> Ended {
    let (path, id) = (args::path(matches, "FILE"), args::config_id(matches));
    let mut text = match keepalived::load(path, &id) {
        Ok(report) => serde_json::to_string_pretty(&dump::Document(&report)),
        Err(fatal) if fatal.span.line == 0 => return Err(fatal.to_string()),
        Err(fatal) => serde_json::to_string_pretty(&dump::fatal(&id, &fatal)),
    }
    .map_err(|error| error.to_string())?;
    text.push('\n');
    Ok((text, DONE))
}

fn check(matches: &ArgMatches) -> Ended {
    let report = match keepalived::load(args::path(matches, "FILE"), &args::config_id(matches)) {
        Ok(report) => report,
        Err(fatal) => return Ok((format!("{fatal}\n"), UNUSABLE)),
    };
    let mut text = String::new();
    let lines = report.findings.iter().map(ToString::to_string);
    let lines = lines.chain(report.adjustments.iter().map(ToString::to_string));
    for line in lines.chain(report.skipped.iter().map(ToString::to_string)) {
        text.push_str(&line);
        text.push('\n');
    }
    let strict = matches.get_flag("strict") && report.has_warnings();
    Ok((text, if strict { REFUSED } else { DONE }))
}

fn print_commands(matches: &ArgMatches) -> Ended {
    let report = load(args::path(matches, "FILE"), matches)?;
    commands::ipvsadm(&report.config).map(|text| (text, DONE)).map_err(|error| error.to_string())
}

fn print_normal_form(matches: &ArgMatches) -> Ended {
    let report = load(args::path(matches, "FILE"), matches)?;
    Ok((keepalived::print::config(&report.config), DONE))
}

fn print_plan(matches: &ArgMatches) -> Ended {
    let old = load(args::path(matches, "OLD"), matches)?;
    let new = load(args::path(matches, "NEW"), matches)?;
    let steps = plan::between(&old.config, &new.config).map_err(|error| error.to_string())?;
    let lines: Vec<String> = steps.iter().map(|step| format!("{step}\n")).collect();
    Ok((lines.concat(), DONE))
}

fn load(path: &Path, matches: &ArgMatches) -> Result<Report, String> {
    keepalived::load(path, &args::config_id(matches)).map_err(|fatal: Fatal| fatal.to_string())
}

/// A reader that has gone away (`keepalived-conf dump F | head`) has seen enough.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

const DONE: u8 = 0;
const REFUSED: u8 = 1;
const UNUSABLE: u8 = 2;
