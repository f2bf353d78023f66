// SPDX-License-Identifier: Apache-2.0
//! Cycles per packet of a real dpvsd on a memory-only DPDK device, beside dpdk-testpmd on the same device.
//!
//! ```text
//!   file of frames ─> net_pcap (infinite_rx) ─> one worker ─> net_pcap (no tx file: frees what is sent)
//! ```
//!
//! Cycles per packet are the rate of the time-stamp counter times the on-CPU time of the polling thread, divided by the packets it
//! received. Each case is measured in three windows, testpmd right after the director; a cell is the median, then the lowest and highest.
//! Every window also looks at what became of the packets: a row is printed only if they did what its name says. Rows that open connections
//! have four million flows, which come round again after their connections, which live for a second or two, have expired.
//! What the device itself costs is testpmd's `io`; `5tswap` touches the headers of every packet and looks nothing up.
#![forbid(unsafe_code)]

mod cpu;
mod director;
mod frames;
mod testpmd;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cpu::Machine;
use crate::director::Director;
use crate::frames::Traffic;
use crate::testpmd::Testpmd;

/// One row of the table.
struct Case {
    name: &'static str,
    traffic: Traffic,
    flows: u32,
    /// Cycles that this journey may cost at most, the device's share taken off.
    budget: Option<u32>,
}

/// Enough flows for two seconds of the fastest director, and one power of two less the driver's own needs of buffers.
const OPENING: u32 = 4_000_000;

const CASES: &[Case] = &[
    Case { name: "FULLNAT UDP hit, 1 flow", traffic: Traffic::Udp, flows: 1, budget: None },
    Case { name: "FULLNAT UDP hit, 1 000 flows", traffic: Traffic::Udp, flows: 1_000, budget: Some(130) },
    Case { name: "FULLNAT UDP hit, 100 000 flows", traffic: Traffic::Udp, flows: 100_000, budget: Some(330) },
    Case {
        name: "FULLNAT UDP hit, 1 000 000 flows",
        traffic: Traffic::Udp,
        flows: 1_000_000,
        budget: Some(600),
    },
    Case { name: "FULLNAT TCP hit, 1 000 flows", traffic: Traffic::Tcp, flows: 1_000, budget: Some(140) },
    Case { name: "FULLNAT TCP hit, 100 000 flows", traffic: Traffic::Tcp, flows: 100_000, budget: Some(340) },
    Case {
        name: "FULLNAT UDP, every packet opens",
        traffic: Traffic::UdpOpen,
        flows: OPENING,
        budget: Some(1_500),
    },
    Case { name: "FULLNAT TCP, every SYN opens", traffic: Traffic::TcpOpen, flows: OPENING, budget: None },
    Case { name: "miss: address of nobody", traffic: Traffic::NoHost, flows: 1_000, budget: Some(60) },
    Case { name: "miss: port without service", traffic: Traffic::NoPort, flows: 1_000, budget: Some(60) },
];

/// Packets and the time they took.
#[derive(Clone, Copy, Debug)]
struct Sample {
    time: Duration,
    packets: u64,
}

/// Where packet buffers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// In hugepages, which somebody reserved.
    Huge,
    /// In ordinary pages: translation misses cost more at many flows.
    Small,
}

impl Memory {
    /// Hugepages where enough of them are free for `mbufs` packets, else ordinary pages; `Err` has the MiB of hugepages that would do.
    fn find(mbufs: u32) -> Result<Result<Memory, u64>> {
        let info = std::fs::read_to_string("/proc/meminfo")?;
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        // Buffers of both programs have a little less than 2.5 KiB; rings take the rest.
        let needed = u64::from(mbufs) * 5 / 2048 + 512;
        // Besides buffers there are tables, and what else runs on the machine.
        let spare = 6144;
        Ok(if field("HugePages_Free:") * field("Hugepagesize:") / 1024 >= needed {
            Ok(Memory::Huge)
        } else if field("MemAvailable:") / 1024 >= ordinary_mib(mbufs) + spare {
            Ok(Memory::Small)
        } else {
            Err(needed)
        })
    }

    /// EAL's words for it, with room for `mbufs` packets.
    fn eal_args(self, mbufs: u32) -> Vec<String> {
        match self {
            Memory::Huge => vec!["--in-memory".into()],
            Memory::Small => {
                vec!["--no-huge".into(), "--no-shconf".into(), "-m".into(), ordinary_mib(mbufs).to_string()]
            }
        }
    }
}

/// MiB of ordinary pages for `mbufs` buffers: none crosses a page, so each has one of 4 KiB.
fn ordinary_mib(mbufs: u32) -> u64 {
    u64::from(mbufs) * 17 / 4096 + 512
}

/// The pcap driver's arguments for a file: received over and over, sent nowhere.
fn pcap_args(file: &Path) -> String {
    format!("rx_pcap={},infinite_rx=1", file.display())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|arg| arg == "--quick");
    let wanted = args.iter().find(|arg| !arg.starts_with('-'));
    let (rounds, window) = if quick { (1, Duration::from_millis(300)) } else { (3, Duration::from_secs(2)) };
    let machine = Machine::read()?;
    println!("{} x {}, {:.0} MHz", machine.cpus, machine.model, machine.hz / 1e6);
    println!("cycles per packet, 60-byte frames, one worker; median (lowest-highest) of {rounds}");
    println!(
        "{:<34} {:>9} {:>16} {:>14} {:>14} {:>8} {:>8} {:>7}",
        "case", "buffers", "dpvsd", "testpmd io", "5tswap", "minus io", "budget", "Mpps"
    );
    let chosen = |case: &&Case| match wanted {
        Some(word) => case.name.contains(word.as_str()),
        None => !quick || case.flows <= 1_000,
    };
    for case in CASES.iter().filter(chosen) {
        measure(case, &machine, rounds, window)?;
    }
    Ok(())
}

/// One line of the table.
fn measure(case: &Case, machine: &Machine, rounds: usize, window: Duration) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("frames.pcap");
    let frames = frames::write(&file, case.traffic, case.flows)?;
    // The driver keeps every frame of the file in a buffer of its own, on top of what is in flight.
    let mbufs = (frames + 16_384).next_power_of_two().max(1 << 17) - 1;
    let memory = match Memory::find(mbufs)? {
        Ok(memory) => memory,
        Err(needed) => {
            println!("{:<34} not measured: it needs {needed} MiB of hugepages", case.name);
            return Ok(());
        }
    };
    let ours = {
        let mut director = Director::start(dir.path(), &file, mbufs, case, memory)?;
        cells(machine, rounds, || director.sample(window))?
    };
    let bench = |mode| {
        let mut testpmd = Testpmd::start(&file, mode, mbufs, memory)?;
        cells(machine, rounds, || testpmd.sample(window))
    };
    let (io, swap) = (bench("io")?, bench("5tswap")?);
    println!(
        "{:<34} {:>9} {:>16} {:>14} {:>14} {:>8.0} {:>8} {:>7.2}",
        case.name,
        match memory {
            Memory::Huge => "hugepages",
            Memory::Small => "ordinary",
        },
        ours.text(),
        io.text(),
        swap.text(),
        ours.median - io.median,
        case.budget.map_or("-".to_owned(), |budget| budget.to_string()),
        machine.hz / ours.median / 1e6
    );
    Ok(())
}

/// Median and extremes of some rounds.
struct Cells {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Cells {
    fn text(&self) -> String {
        format!("{:.0} ({:.0}-{:.0})", self.median, self.lowest, self.highest)
    }
}

fn cells(machine: &Machine, rounds: usize, mut sample: impl FnMut() -> Result<Sample>) -> Result<Cells> {
    let mut cycles = Vec::new();
    for _ in 0..rounds {
        let Sample { time, packets } = sample()?;
        ensure!(packets > 0, "no packet was received");
        cycles.push(machine.hz * time.as_secs_f64() / packets as f64);
    }
    cycles.sort_by(f64::total_cmp);
    Ok(Cells { median: cycles[cycles.len() / 2], lowest: cycles[0], highest: cycles[cycles.len() - 1] })
}
