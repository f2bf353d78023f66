// SPDX-License-Identifier: Apache-2.0
//! `dpip link`: ports, VLANs and the CPUs that serve them.

mod change;
mod cpu;
mod port;

use cli::json;
use model::link::{LinkInfo, LinkStats};
use serde::Serialize;
use sockopt::{Get, Reply};

use super::drops;
use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;
use crate::words;

/// `dpip link`.
pub static OBJECT: Object = Object {
    name: "link",
    about: "ports, VLANs and the CPUs that serve them",
    commands: &[
        Command {
            verb: Verb::Show,
            forms: &["[IF]", "cpu|cpuN"],
            about: "list links or CPUs; -s adds counters, -v what a device can do, -i repeats",
            parse: show,
        },
        Command {
            verb: Verb::Stats,
            forms: &["[IF]"],
            about: "list the counters of links, and where every packet went",
            parse: stats,
        },
        Command {
            verb: Verb::Set,
            forms: &["IF [promisc on|off] [allmulticast on|off] [link up|down] [mtu N] [addr MAC]"],
            about: "change a link; several items are changed together or not at all",
            parse: change::parse,
        },
    ],
    terms: &[
        ("promisc", "receive frames of all stations"),
        ("allmulticast", "receive all multicast frames"),
        ("mtu N", "longest IP packet in bytes, 68 to 9000"),
        ("addr MAC", "Ethernet address: six hexadecimal octets, as 02:00:00:00:00:01"),
    ],
    text,
    json,
};

/// What `dpip link show` is about.
enum Subject<'a> {
    /// One link or all.
    Link(Option<&'a str>),
    /// One CPU or all.
    Cpu(Option<u16>),
}

fn subject(call: &Call) -> Result<Subject<'_>, Failure> {
    let mut words = call.words();
    let first = match words.next() {
        Some("dev") => Some(words.value("dev")?),
        other => other,
    };
    if let Some("status") = words.clone().next() {
        return Err(Failure::usage("`status` is for bonding devices, which are not supported"));
    }
    words.end()?;
    let cpu = |name: &str| name.strip_prefix("cpu").and_then(|number| number.parse().ok());
    Ok(match first {
        Some("cpu") => Subject::Cpu(None),
        Some(name) => cpu(name).map_or(Subject::Link(first), |number| Subject::Cpu(Some(number))),
        None => Subject::Link(None),
    })
}

fn show(call: &Call) -> Result<Job, Failure> {
    let counted = call.options.stats || call.options.interval.is_some();
    Ok(Job::Show(match subject(call)? {
        Subject::Cpu(_) => vec![Get::Cpus],
        Subject::Link(dev) => {
            let dev = dev.map(str::to_owned);
            let mut gets = vec![Get::Links { dev: dev.clone() }];
            gets.extend(counted.then_some(Get::LinkStats { dev }));
            gets
        }
    }))
}

fn stats(call: &Call) -> Result<Job, Failure> {
    let dev = words::only_name(call.words())?.map(str::to_owned);
    Ok(Job::Show(vec![Get::LinkStats { dev }, Get::Traffic]))
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    match replies {
        [Reply::Links(links)] => Ok(port::listing(call, links, &[])),
        [Reply::Links(links), Reply::LinkStats(stats)] => Ok(port::listing(call, links, stats)),
        [Reply::Cpus(cpus)] => cpu::listing(call, cpus, chosen_cpu(call)?),
        [Reply::LinkStats(stats), Reply::Traffic(traffic)] => {
            Ok(format!("{}\n{}", port::table(stats), drops::balance(traffic, call.options.verbose)))
        }
        _ => Err(Failure::unexpected()),
    }
}

/// What changed between two answers to the same questions, `seconds` apart.
///
/// # Errors
///
/// When the replies are none of `dpip link show`.
pub fn interval(call: &Call, before: &[Reply], after: &[Reply], seconds: f64) -> Result<String, Failure> {
    match (before, after) {
        ([Reply::Links(_), Reply::LinkStats(before)], [Reply::Links(_), Reply::LinkStats(after)]) => {
            Ok(port::rates(before, after, seconds))
        }
        ([Reply::Cpus(before)], [Reply::Cpus(after)]) => {
            cpu::rates(before, after, chosen_cpu(call)?, seconds)
        }
        _ => Err(Failure::unexpected()),
    }
}

fn chosen_cpu(call: &Call) -> Result<Option<u16>, Failure> {
    match subject(call)? {
        Subject::Cpu(number) => Ok(number),
        Subject::Link(_) => Ok(None),
    }
}

/// A link in JSON: with its counters, when asked for.
#[derive(Serialize)]
struct Counted<'a> {
    #[serde(flatten)]
    info: &'a LinkInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<&'a LinkStats>,
}

/// `dpip link stats` in JSON.
#[derive(Serialize)]
struct Totals<'a> {
    links: &'a [LinkStats],
    traffic: &'a model::stats::Traffic,
}

fn json(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let plain = |info| Counted { info, stats: None };
    match replies {
        [Reply::Links(links)] => Ok(json::document("links", &links.iter().map(plain).collect::<Vec<_>>())),
        [Reply::Links(links), Reply::LinkStats(stats)] => {
            let counted = |info| Counted { info, stats: port::stats_of(stats, info) };
            Ok(json::document("links", &links.iter().map(counted).collect::<Vec<_>>()))
        }
        [Reply::Cpus(cpus)] => Ok(json::document("cpus", &cpu::chosen(cpus, chosen_cpu(call)?)?)),
        [Reply::LinkStats(links), Reply::Traffic(traffic)] => {
            Ok(json::document("stats", &Totals { links, traffic }))
        }
        _ => Err(Failure::unexpected()),
    }
}

/// Titles and values of counters, one pair of lines for each group, in columns of `width`.
fn pairs(width: usize, groups: &[&[(&str, String)]]) -> String {
    let line = |cells: Vec<&str>| {
        let cells: String = cells.into_iter().map(|cell| format!("{cell:<width$}")).collect();
        format!("    {cells}\n")
    };
    let lines = |group: &&[(&str, String)]| {
        let (titles, values) = group.iter().map(|(title, value)| (*title, value.as_str())).unzip();
        line(titles) + &line(values)
    };
    groups.iter().map(lines).collect()
}

/// What a counter gained per second.
fn per_second(before: u64, after: u64, seconds: f64) -> String {
    format!("{:.0}", after.saturating_sub(before) as f64 / seconds)
}

#[cfg(test)]
mod tests;
