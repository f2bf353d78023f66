// SPDX-License-Identifier: Apache-2.0
//! DPDK's environment: initialised once, with arguments chosen for the machine, torn down when nobody needs it any more.

mod args;

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::fs;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use dpdk_sys::RteMempool;

use crate::device::DeviceSpec;
use crate::error::{Error, rte_errno};
use crate::lcore::affinity;
use crate::pci::PciAddress;
use crate::pool::PoolConfig;
use crate::{logs, memory};

/// What the environment is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalConfig {
    /// The limit of memory for packets and tables without hugepages, in MiB.
    pub memory_mib: u32,
    /// Hugepages that have to be free for them to be taken, in MiB.
    pub hugepages_mib: u32,
    /// Whether it is on hugepages; `None` when there are enough.
    pub hugepages: Option<bool>,
    /// PCI devices to give to DPDK, each with its driver's arguments. With none, the PCI bus is left alone.
    pub pci: Vec<(PciAddress, String)>,
    /// Talk to other DPDK processes, as memif has to.
    pub multi_process: bool,
    /// EAL's own options from the operator. They win over what would be chosen here.
    pub args: Vec<String>,
}

impl Default for EalConfig {
    fn default() -> EalConfig {
        EalConfig {
            memory_mib: 256,
            hugepages_mib: 256,
            hugepages: None,
            pci: Vec::new(),
            multi_process: false,
            args: Vec::new(),
        }
    }
}

impl EalConfig {
    /// What these devices need.
    pub fn for_devices<'a>(specs: impl IntoIterator<Item = &'a DeviceSpec>) -> EalConfig {
        let mut config = EalConfig::default();
        for spec in specs {
            config.pci.extend(spec.pci().map(|address| (address, spec.args().to_owned())));
            config.multi_process |= spec.driver() == crate::Driver::Memif;
        }
        config
    }

    /// The same with room for this pool too. Call it once per pool.
    pub fn with_pool(mut self, pool: &PoolConfig) -> EalConfig {
        // Twice the net size: without hugepages, 16384 mbufs of 37 MiB did not fit into 64 MiB.
        self.memory_mib = self.memory_mib.max(2 * pool.mib() + 128);
        // On hugepages little is lost between buffers: what does not fill a page, and rings.
        self.hugepages_mib = self.hugepages_mib.max(pool.mib() + pool.mib() / 64 + 128);
        self
    }

    /// The same with EAL options of the operator's.
    pub fn with_args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> EalConfig {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// What memory the environment runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Hugepages of this size in KiB.
    Hugepages(u64),
    /// Ordinary pages: works everywhere, and costs speed.
    Ordinary {
        /// Limit in MiB.
        mib: u32,
        /// Why no hugepages.
        why: String,
    },
    /// As the operator's own EAL options say.
    Given,
}

/// What was chosen for the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picked {
    /// Memory.
    pub memory: Memory,
    /// The arguments EAL was given, program name left out.
    pub args: Vec<String>,
}

impl fmt::Display for Picked {
    /// One line for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.memory {
            Memory::Hugepages(kib) => write!(f, "memory=hugepages page={kib}kB")?,
            Memory::Ordinary { mib, why } => write!(f, "memory=ordinary limit={mib}MB why='{why}'")?,
            Memory::Given => write!(f, "memory=given")?,
        }
        write!(f, " eal='{}'", self.args.join(" "))
    }
}

/// DPDK's environment. Can be initialised once in the life of a process, even after it was torn down.
///
/// Dropping it does not pull the ground from under pools, ports, rings and workers: they keep what it stands for alive. It
/// is torn down when the last of them goes on the thread that initialised it; on any other, the end of the process does it.
#[derive(Debug)]
pub struct Eal {
    runtime: Arc<Runtime>,
    picked: Picked,
    cpus: Vec<usize>,
}

impl Eal {
    /// Initialises the environment: on hugepages when enough are free, else without; the PCI bus untouched unless devices
    /// of it are named; no telemetry socket; nothing shared with other processes. DPDK's messages go to the `log` crate
    /// from now on.
    ///
    /// # Errors
    /// Options that make no sense, no memory, or it was initialised before. After a failure inside EAL another attempt
    /// fails too: it keeps what it read of its options.
    pub fn init(config: EalConfig) -> Result<Eal, Error> {
        let allowed = affinity::get();
        let machine =
            args::Machine { cpus: &allowed, hugepages: memory::hugepages(), hugetlbfs: hugetlbfs() };
        let picked = args::pick(&config, &machine)?;
        logs::redirect();
        let (rc, said) = logs::catch(|| init(&picked.args));
        logs::redirect_bpf();
        // EAL pins the thread that calls it, and every thread that it starts later would inherit that.
        affinity::set(&allowed);
        if rc < 0 {
            return Err(match rte_errno() {
                cause if cause.raw_os_error() == Some(libc::EALREADY) => Error::Again,
                cause => Error::Eal { args: picked.args.join(" "), cause, said },
            });
        }
        let cpus = if args::chooses_lcores(&config.args) { worker_cpus() } else { allowed };
        Ok(Eal {
            runtime: Arc::new(Runtime {
                pools: Mutex::default(),
                main: thread::current().id(),
                untidy: AtomicBool::new(false),
            }),
            picked,
            cpus,
        })
    }

    /// What was chosen, for the log.
    pub fn picked(&self) -> &Picked {
        &self.picked
    }

    /// The CPUs that workers may use: those of EAL's worker lcores when the operator chose lcores, else those this
    /// process may run on.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// DPDK's version, such as `DPDK 22.11.11`.
    pub fn version() -> String {
        // SAFETY: returns a static string.
        unsafe { CStr::from_ptr(dpdk_sys::rte_version()) }.to_string_lossy().into_owned()
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }
}

/// The running environment, shared by everything that lives in it.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// All pools ever made.
    pools: Mutex<Vec<NonNull<RteMempool>>>,
    /// The thread that is the main lcore.
    main: ThreadId,
    /// A driver was used that leaves a closed device with EAL's interrupt thread.
    untidy: AtomicBool,
}

// SAFETY: the pointers are only handed to functions of DPDK that any thread may call.
unsafe impl Send for Runtime {}
// SAFETY: as above.
unsafe impl Sync for Runtime {}

impl Runtime {
    /// Gives up tearing the environment down. EAL unmaps the memory while its interrupt thread goes on, which crashes
    /// when a driver left a closed device with that thread: 22.11's memif does.
    pub(crate) fn leave(&self) {
        self.untidy.store(true, Ordering::Relaxed);
    }

    /// Remembers a pool.
    pub(crate) fn adopt(&self, pool: NonNull<RteMempool>) {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push(pool);
    }
}

impl Drop for Runtime {
    /// Tears the environment down if that is safe: no mbuf is out, and this is the thread that set it up. Otherwise the end
    /// of the process does.
    fn drop(&mut self) {
        let pools = self.pools.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the pools are valid: nothing frees them before the clean-up below.
        let out: u32 = pools.iter().map(|p| unsafe { dpdk_sys::rte_mempool_in_use_count(p.as_ptr()) }).sum();
        if out > 0 {
            log::debug!(target: "dpdk", "{out} mbufs are still in use: memory is left to the end of the process");
            return;
        }
        // The main lcore has a cache of mbufs and no `Arc` to keep us: it may be freeing one right now, unless it is us.
        if *self.untidy.get_mut() || self.main != thread::current().id() {
            return;
        }
        // SAFETY: every port, ring, queue and worker holds the `Arc` around us, so none is left; no mbuf is out; no lcore
        // touches its cache; no driver left something with EAL's interrupt thread, which goes on.
        unsafe { dpdk_sys::rte_eal_cleanup() };
    }
}

/// Calls `rte_eal_init`, which keeps the strings and reorders the array: both are leaked.
fn init(args: &[String]) -> i32 {
    let program = std::iter::once("dpvsd").chain(args.iter().map(String::as_str));
    let strings = program.map(|arg| CString::new(arg).expect("checked when the arguments were picked"));
    let mut argv: Vec<*mut c_char> = strings.map(CString::into_raw).collect();
    let argc = argv.len() as i32;
    argv.push(std::ptr::null_mut());
    let argv = argv.leak();
    let _quiet = Quiet::new();
    // SAFETY: `argv` holds `argc` strings and a null, all of them alive for ever.
    unsafe { dpdk_sys::rte_eal_init(argc, argv.as_mut_ptr()) }
}

/// CPUs of the worker lcores.
fn worker_cpus() -> Vec<usize> {
    // SAFETY: reads the configuration of the running environment; `i` is `u32::MAX`, the start, or an lcore.
    let next = |i| unsafe { dpdk_sys::rte_get_next_lcore(i, 1, 0) };
    let lcores =
        std::iter::successors(Some(next(u32::MAX)), |&i| Some(next(i))).take_while(|&i| i < MAX_LCORE);
    // SAFETY: `i` is an enabled lcore. A negative answer means that it may run on several CPUs.
    lcores.filter_map(|i| usize::try_from(unsafe { dpdk_sys::rte_lcore_to_cpu_id(i as i32) }).ok()).collect()
}

/// `RTE_MAX_LCORE` of every distribution's build; the search ends there at the latest.
const MAX_LCORE: u32 = 128;

/// Whether a file system for hugepages is mounted.
fn hugetlbfs() -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(2) == Some("hugetlbfs"))
}

/// Standard output closed to EAL, which prints its whole usage there when an option is wrong.
struct Quiet {
    stdout: i32,
}

impl Quiet {
    fn new() -> Quiet {
        // SAFETY: plain system calls on descriptors; the copy is restored on drop.
        unsafe {
            let stdout = libc::dup(1);
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if stdout >= 0 && null >= 0 {
                libc::dup2(null, 1);
            }
            if null >= 0 {
                libc::close(null);
            }
            Quiet { stdout }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.stdout < 0 {
            return;
        }
        // SAFETY: `stdout` is the copy made in `new` and ours. What C printed is flushed before the old file is back.
        unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::dup2(self.stdout, 1);
            libc::close(self.stdout);
        }
    }
}
