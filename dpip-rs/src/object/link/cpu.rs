// SPDX-License-Identifier: Apache-2.0
//! Listings of the CPUs that serve links.

use model::link::{CpuCounters, CpuInfo};

use super::{pairs, per_second};
use crate::args::Call;
use crate::failure::Failure;

/// All CPUs under the headings that scripts know (the misspelling too), or one CPU without.
pub fn listing(call: &Call, cpus: &[CpuInfo], only: Option<u16>) -> Result<String, Failure> {
    let counted = call.options.stats && call.options.interval.is_none();
    let show = |cpu: &CpuInfo| if counted { head(cpu) + &totals(cpu.counters) } else { head(cpu) };
    let chosen = chosen(cpus, only)?;
    if only.is_some() {
        return Ok(chosen.into_iter().map(show).collect());
    }
    let (workers, control): (Vec<&CpuInfo>, Vec<&CpuInfo>) = chosen.into_iter().partition(|cpu| cpu.worker);
    let control: String = control.into_iter().map(show).collect();
    let workers: String = workers.into_iter().map(show).collect();
    Ok(format!("<< Controll Plane >>\n{control}<< Data Plane >>\n{workers}"))
}

/// All CPUs, or the one asked for.
pub fn chosen(cpus: &[CpuInfo], only: Option<u16>) -> Result<Vec<&CpuInfo>, Failure> {
    let chosen: Vec<_> = cpus.iter().filter(|cpu| only.is_none_or(|only| only == cpu.cpu)).collect();
    match only.filter(|_| chosen.is_empty()) {
        Some(number) => Err(Failure::Refused(format!("the daemon does not use cpu{number}"))),
        None => Ok(chosen),
    }
}

/// What the loops of the CPUs gained per second.
pub fn rates(
    before: &[CpuInfo],
    after: &[CpuInfo],
    only: Option<u16>,
    seconds: f64,
) -> Result<String, Failure> {
    let mut text = String::new();
    for new in chosen(after, only)? {
        let old = before.iter().find(|old| old.cpu == new.cpu).map_or(new.counters, |old| old.counters);
        if only.is_none() {
            text += &format!("cpu{}:\n", new.cpu);
        }
        text += &gains(old, new.counters, seconds);
    }
    Ok(text)
}

fn head(cpu: &CpuInfo) -> String {
    let queues = match cpu.queues.as_slice() {
        [] => "none".to_owned(),
        queues => queues.iter().map(|queue| format!("{queue:<16}")).collect(),
    };
    let CpuInfo { cpu, socket, .. } = cpu;
    format!("{}: cpu{cpu}: socket {socket}\n    queues {queues}\n", cpu + 1)
}

fn totals(counters: CpuCounters) -> String {
    groups(20, [""; 11], |count| count(counters).to_string())
}

fn gains(old: CpuCounters, new: CpuCounters, seconds: f64) -> String {
    let units = ["/lps", "/nps", "/nps", "/nps", "/nps", "/nps", "/nps", "/pps", "/Bps", "/pps", "/Bps"];
    groups(16, units, |count| per_second(count(old), count(new), seconds))
}

/// One counter.
type Count = fn(CpuCounters) -> u64;

/// The eleven counters in their three groups; `units` follow the titles.
fn groups(width: usize, units: [&str; 11], value: impl Fn(Count) -> String) -> String {
    let counters: [(&str, Count); 11] = [
        ("lcore_loop", |c| c.lcore_loop),
        ("pktburst", |c| c.pktburst),
        ("zpktburst", |c| c.zpktburst),
        ("fpktburst", |c| c.fpktburst),
        ("z2hpktburst", |c| c.z2hpktburst),
        ("h2fpktburst", |c| c.h2fpktburst),
        ("dropped", |c| c.dropped),
        ("ipackets", |c| c.ipackets),
        ("ibytes", |c| c.ibytes),
        ("opackets", |c| c.opackets),
        ("obytes", |c| c.obytes),
    ];
    let titles: Vec<String> =
        counters.iter().zip(units).map(|((title, _), unit)| format!("{title}{unit}")).collect();
    let cells: Vec<(&str, String)> =
        titles.iter().zip(counters).map(|(title, (_, count))| (title.as_str(), value(count))).collect();
    pairs(width, &[&cells[..4], &cells[4..7], &cells[7..]])
}
