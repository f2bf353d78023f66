// SPDX-License-Identifier: Apache-2.0
//! `dpip config`: the files that the daemon runs by.

use cli::json;
use sockopt::{Files, Reply, Request};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;

/// `dpip config`.
pub static OBJECT: Object = Object {
    name: "config",
    about: "the files that the daemon runs by",
    commands: &[Command {
        verb: Verb::Reload,
        forms: &[""],
        about: "read dpvs.conf and keepalived.conf again and change what they say differently",
        parse: reload,
    }],
    terms: &[],
    text,
    json,
};

fn reload(call: &Call) -> Result<Job, Failure> {
    call.words().end()?;
    Ok(Job::Ask(Request::Files(Files::Reload)))
}

fn text(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Told(lines)] = replies else { return Err(Failure::unexpected()) };
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

fn json(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Told(lines)] = replies else { return Err(Failure::unexpected()) };
    Ok(json::document("told", lines))
}
