// SPDX-License-Identifier: Apache-2.0
//! A client: curl, one new connection per request.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::netns::Netns;
use crate::server::Server;

/// Requests one after another, or all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The next when the last is done.
    InTurn,
    /// Up to 200 at once.
    AtOnce,
    /// The next when the last is done; a handshake may take four SYNs, where a flood crowds them out of a device's ring.
    Patiently,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Bodies of answers with status 200.
    pub bodies: Vec<Vec<u8>>,
    /// What curl said about the others.
    pub failures: Vec<String>,
}

/// Fetches `http://TARGET/PATH` `count` times.
///
/// # Errors
/// curl is not installed or its output makes no sense. A failed request is no error here.
pub fn fetch(ns: &Netns, target: SocketAddr, path: &str, count: usize, pace: Pace) -> Result<Fetched> {
    let dir = tempfile::tempdir()?;
    let mut cmd = ns
        .cmd("curl")
        .words("--silent --max-time 60 --header Connection:close --connect-timeout")
        .arg(if pace == Pace::Patiently { 14 } else { 3 })
        .arg("--output")
        .arg(dir.path().join("#1").display())
        .args(["--write-out", "%{http_code} %{exitcode} %{errormsg}\n"])
        .timeout(Duration::from_secs(90));
    if pace == Pace::AtOnce {
        cmd = cmd.words("--parallel --parallel-immediate --parallel-max 200");
    }
    let done = cmd.arg(format!("http://{target}/{path}?[1-{count}]")).run()?;
    let mut fetched = Fetched::default();
    for line in done.stdout.lines() {
        if !line.starts_with("200 0 ") {
            fetched.failures.push(line.to_owned());
        }
    }
    for n in 1..=count {
        if let Ok(body) = std::fs::read(dir.path().join(n.to_string())) {
            fetched.bodies.push(body);
        }
    }
    if done.stdout.lines().count() != count || fetched.bodies.len() + fetched.failures.len() < count {
        bail!("{count} requests, {} bodies: curl ended with {done}", fetched.bodies.len());
    }
    Ok(fetched)
}

/// How many bodies each server has sent. Each body must be that of a server, byte by byte, and no request may have failed.
///
/// # Errors
/// See above.
pub fn shares(fetched: &Fetched, servers: &[Server]) -> Result<Vec<usize>> {
    if !fetched.failures.is_empty() {
        bail!("{} requests failed: {:?}", fetched.failures.len(), fetched.failures);
    }
    let bodies: Vec<Vec<u8>> = servers.iter().map(Server::body).collect();
    let mut shares = vec![0; servers.len()];
    for body in &fetched.bodies {
        let sender = bodies.iter().position(|b| b == body);
        shares[sender
            .with_context(|| format!("{} bytes are of no server: {:?}", body.len(), start(body)))?] += 1;
    }
    Ok(shares)
}

/// Downloads `http://TARGET/PATH` to a pipe and returns its SHA-256, as `sha256sum` prints it.
///
/// # Errors
/// The download fails.
pub fn sha256(ns: &Netns, target: SocketAddr, path: &str) -> Result<String> {
    let script = "set -o pipefail; curl --silent --show-error --fail --max-time 110 \"$0\" | sha256sum";
    let url = format!("http://{target}/{path}");
    let text = ns.cmd("bash").args(["-c", script, &url]).timeout(Duration::from_secs(120)).check()?;
    first_word(&text)
}

/// SHA-256 of a file, as `sha256sum` prints it.
///
/// # Errors
/// It cannot be read.
pub fn sha256_of_file(file: &Path) -> Result<String> {
    first_word(&crate::command::Cmd::new("sha256sum").arg(file.display()).check()?)
}

/// Pings an address and returns how many of `count` were answered.
///
/// # Errors
/// ping is not installed or prints no summary.
pub fn ping(ns: &Netns, target: IpAddr, count: u32) -> Result<u32> {
    let done = ns.cmd("ping").words("-n -i 0.05 -W 2 -c").arg(count).arg(target).run()?;
    let summary = done.stdout.lines().find(|line| line.contains("packets transmitted"));
    let received = summary.and_then(|line| line.split(", ").nth(1)).and_then(|part| part.split(' ').next());
    received.and_then(|n| n.parse().ok()).with_context(|| format!("ping prints no summary: {done}"))
}

fn first_word(text: &str) -> Result<String> {
    Ok(text.split_whitespace().next().context("sha256sum prints a sum")?.to_owned())
}

fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned()
}
