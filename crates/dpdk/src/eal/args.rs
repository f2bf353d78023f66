// SPDX-License-Identifier: Apache-2.0
//! Which arguments EAL gets: pure, from what is wanted and what the machine has.

use super::{EalConfig, Memory, Picked};
use crate::error::Error;
use crate::memory::Hugepages;

/// What the machine offers.
pub(crate) struct Machine<'a> {
    /// CPUs this process may use.
    pub cpus: &'a [usize],
    /// Hugepages it can get.
    pub hugepages: Option<Hugepages>,
    /// Whether a file system for them is mounted.
    pub hugetlbfs: bool,
}

/// Options that decide about memory and sharing: with one of them nothing of the kind is added.
const MEMORY: [&str; 13] = [
    "-m",
    "--no-huge",
    "--in-memory",
    "--legacy-mem",
    "--socket-mem",
    "--socket-limit",
    "--numa-mem",
    "--numa-limit",
    "--huge-dir",
    "--huge-unlink",
    "--file-prefix",
    "--no-shconf",
    "--single-file-segments",
];
/// Options that decide about lcores. `-s` are service cores, which need a core list too.
const LCORES: [&str; 6] = ["-l", "-c", "--lcores", "-s", "-S", "--main-lcore"];
/// Options that decide about the PCI bus.
const PCI: [&str; 5] = ["-a", "--allow", "-b", "--block", "--no-pci"];
/// Options that end the process or make it something else.
const REFUSED: [(&str, &str); 4] = [
    ("-h", "it would print EAL's help and exit; the options are described in DPDK's 'EAL parameters'"),
    ("--help", "it would print EAL's help and exit; the options are described in DPDK's 'EAL parameters'"),
    ("--proc-type", "the director is always the primary process"),
    ("--base-virtaddr", "it is for secondary processes, which are not supported"),
];

/// The arguments, without the program's name.
pub(crate) fn pick(config: &EalConfig, machine: &Machine) -> Result<Picked, Error> {
    for arg in &config.args {
        refuse(arg)?;
    }
    let mut args = Vec::new();
    if !chooses_lcores(&config.args) {
        args.push(format!("--lcores=0@({})", list(machine.cpus)));
    }
    if !given(&config.args, &PCI) {
        args.extend(pci(config));
    }
    let memory = if given(&config.args, &MEMORY) { Memory::Given } else { memory(config, machine) };
    if let (Some(true), Memory::Ordinary { why, .. }) = (config.hugepages, &memory) {
        return Err(Error::Hugepages(why.clone()));
    }
    args.extend(memory_args(&memory, config));
    if !given(&config.args, &["--telemetry", "--no-telemetry"]) {
        args.push("--no-telemetry".to_owned());
    }
    args.extend(config.args.iter().cloned());
    Ok(Picked { memory, args })
}

/// Whether the operator chose the lcores.
pub(crate) fn chooses_lcores(args: &[String]) -> bool {
    given(args, &LCORES)
}

fn refuse(arg: &str) -> Result<(), Error> {
    let error = |why| Err(Error::EalOption { option: arg.to_owned(), why });
    if arg.contains('\0') {
        return error("it contains a zero byte");
    }
    REFUSED.iter().find(|(option, _)| is(arg, option)).map_or(Ok(()), |(_, why)| error(why))
}

/// Whether one of `options` is among `args`.
fn given(args: &[String], options: &[&str]) -> bool {
    args.iter().any(|arg| options.iter().any(|option| is(arg, option)))
}

/// `--name` and `--name=value`, or `-x` and `-xvalue`.
fn is(arg: &str, option: &str) -> bool {
    match arg.strip_prefix(option) {
        Some(rest) if option.starts_with("--") => rest.is_empty() || rest.starts_with('='),
        Some(_) => true,
        None => false,
    }
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// Without `--no-pci` or a list EAL takes every network card it finds away from the machine.
fn pci(config: &EalConfig) -> Vec<String> {
    if config.pci.is_empty() {
        return vec!["--no-pci".to_owned()];
    }
    let device = |(address, args): &(_, String)| match args.as_str() {
        "" => format!("--allow={address}"),
        args => format!("--allow={address},{args}"),
    };
    config.pci.iter().map(device).collect()
}

fn memory(config: &EalConfig, machine: &Machine) -> Memory {
    let ordinary = |why| Memory::Ordinary { mib: config.memory_mib, why };
    match machine.hugepages {
        _ if config.hugepages == Some(false) => ordinary("hugepages are switched off".to_owned()),
        None => ordinary("no hugepages are free".to_owned()),
        Some(pages) if pages.mib() < u64::from(config.hugepages_mib) => ordinary(format!(
            "{} MB of hugepages are free and {} MB needed",
            pages.mib(),
            config.hugepages_mib
        )),
        Some(_) if config.multi_process && !machine.hugetlbfs => {
            ordinary("memif on hugepages needs a mounted hugetlbfs".to_owned())
        }
        Some(pages) => Memory::Hugepages(pages.kib),
    }
}

fn memory_args(memory: &Memory, config: &EalConfig) -> Vec<String> {
    let own = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect();
    match memory {
        Memory::Given => Vec::new(),
        // --in-memory closes the channel between processes, so a private prefix has to keep instances apart.
        Memory::Hugepages(_) if config.multi_process => {
            own(&["--huge-unlink", &format!("--file-prefix=dpvs-{}", std::process::id())])
        }
        Memory::Hugepages(_) => own(&["--in-memory"]),
        // --no-huge and --in-memory exclude each other; --no-shconf is what keeps instances apart here.
        Memory::Ordinary { mib, .. } => own(&["--no-huge", "--no-shconf", "-m", &mib.to_string()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Machine = Machine { cpus: &[2, 3], hugepages: None, hugetlbfs: false };
    const HUGE: Machine =
        Machine { cpus: &[0], hugepages: Some(Hugepages { kib: 2048, free: 512 }), hugetlbfs: true };

    fn args(config: EalConfig, machine: &Machine) -> String {
        pick(&config, machine).expect("these options are fine").args.join(" ")
    }

    #[test]
    fn hugepages_can_be_insisted_on_and_done_without() {
        let with = |hugepages| EalConfig { hugepages: Some(hugepages), ..EalConfig::default() };
        assert!(args(with(false), &HUGE).contains("--no-huge"));
        assert!(args(with(true), &HUGE).contains("--in-memory"));
        let refused = pick(&with(true), &PLAIN).expect_err("there are none");
        assert_eq!(refused.to_string(), "hugepages are asked for, but no hugepages are free");
    }

    #[test]
    fn without_hugepages_it_runs_on_ordinary_ones() {
        assert_eq!(
            args(EalConfig::default(), &PLAIN),
            "--lcores=0@(2,3) --no-pci --no-huge --no-shconf -m 256 --no-telemetry"
        );
    }

    #[test]
    fn hugepages_are_taken_when_there_are_enough() {
        assert_eq!(args(EalConfig::default(), &HUGE), "--lcores=0@(0) --no-pci --in-memory --no-telemetry");
        let much = EalConfig { memory_mib: 3000, hugepages_mib: 2000, ..EalConfig::default() };
        let picked = pick(&much, &HUGE).expect("ordinary memory will do");
        assert_eq!(
            picked.to_string(),
            "memory=ordinary limit=3000MB why='1024 MB of hugepages are free and 2000 MB needed' \
             eal='--lcores=0@(0) --no-pci --no-huge --no-shconf -m 3000 --no-telemetry'"
        );
    }

    #[test]
    fn memif_keeps_the_channel_between_processes() {
        let memif = EalConfig { multi_process: true, ..EalConfig::default() };
        assert_eq!(
            args(memif, &HUGE),
            format!(
                "--lcores=0@(0) --no-pci --huge-unlink --file-prefix=dpvs-{} --no-telemetry",
                std::process::id()
            )
        );
    }

    #[test]
    fn named_pci_devices_are_the_only_ones_taken() {
        let address = "03:00.0".parse().expect("an address");
        let config = EalConfig { pci: vec![(address, "a=1".to_owned())], ..EalConfig::default() };
        assert_eq!(args(config, &HUGE), "--lcores=0@(0) --allow=0000:03:00.0,a=1 --in-memory --no-telemetry");
    }

    #[test]
    fn the_operators_options_win() {
        let config = EalConfig::default().with_args(["-l", "0,1", "-m512", "--no-huge", "--allow=01:00.0"]);
        assert_eq!(args(config, &HUGE), "--no-telemetry -l 0,1 -m512 --no-huge --allow=01:00.0");
        let config = EalConfig::default().with_args(["--telemetry", "--log-level=8"]);
        assert_eq!(args(config, &HUGE), "--lcores=0@(0) --no-pci --in-memory --telemetry --log-level=8");
    }

    #[test]
    fn options_that_end_the_process_are_refused() {
        for option in ["-h", "--help", "--proc-type=secondary", "--base-virtaddr=0x1", "a\0b"] {
            let error = pick(&EalConfig::default().with_args([option]), &PLAIN).expect_err(option);
            assert!(error.to_string().starts_with("EAL option '"), "{error}");
        }
    }
}
