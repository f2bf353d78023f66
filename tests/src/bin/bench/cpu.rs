// SPDX-License-Identifier: Apache-2.0
//! On-CPU time of threads, and what a cycle is.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Time each thread of a process has spent on a CPU.
///
/// The first field of `schedstat` counts nanoseconds and, unlike `stat`, is not rounded to ticks.
pub fn times(pid: u32) -> Result<HashMap<u32, Duration>> {
    let threads =
        fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))?;
    let time = |entry: fs::DirEntry| {
        let tid: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((tid, on_cpu(pid, tid).ok()?))
    };
    Ok(threads.flatten().filter_map(time).collect())
}

/// What the thread that was busiest between two looks has spent: in both programs that is the one that polls.
pub fn busiest(before: &HashMap<u32, Duration>, after: &HashMap<u32, Duration>) -> Duration {
    let spent =
        |(tid, time): (&u32, &Duration)| time.saturating_sub(before.get(tid).copied().unwrap_or_default());
    after.iter().map(spent).max().unwrap_or_default()
}

/// Time one thread has spent on a CPU.
fn on_cpu(pid: u32, tid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/task/{tid}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let nanos = text.split_whitespace().next().and_then(|word| word.parse().ok());
    nanos.map(Duration::from_nanos).with_context(|| format!("{path} does not begin with a number"))
}

/// The machine: model, CPUs, cycles a second.
pub struct Machine {
    /// What the processor calls itself.
    pub model: String,
    /// CPUs online.
    pub cpus: usize,
    /// Cycles of the time-stamp counter in a second.
    pub hz: f64,
}

impl Machine {
    /// Reads `/proc/cpuinfo`. Its `cpu MHz` is the rate of the time-stamp counter on virtual machines; elsewhere the governor may
    /// change it, and cycles are of that rate then.
    pub fn read() -> Result<Machine> {
        let info = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let field = |name: &str| {
            let line = info.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let mhz: f64 =
            field("cpu MHz").and_then(|text| text.parse().ok()).context("/proc/cpuinfo tells no cpu MHz")?;
        Ok(Machine {
            model: field("model name").unwrap_or_else(|| "unknown".into()),
            cpus: std::thread::available_parallelism()?.get(),
            hz: mhz * 1e6,
        })
    }
}
