// SPDX-License-Identifier: Apache-2.0
//! DPDK's messages go to the `log` crate under the target `dpdk`, one level lower than DPDK thinks of them, so that a
//! normal start says nothing; and the warnings of one operation can be caught to explain its failure.

use std::ffi::{c_char, c_uint};
use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};

use log::Level;

/// Where the warnings go while somebody listens.
static CAUGHT: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Most lines kept for one operation: the first ones, where the cause is, and the last.
const KEPT: usize = 4;

/// Sends DPDK's messages here from now on.
pub(crate) fn redirect() {
    // SAFETY: `sink` has the signature asked for, lives for ever and never unwinds.
    // A failure leaves DPDK's own stream in place, which is good enough.
    unsafe { dpdk_sys::shim_log_to(sink) };
}

/// Sends the messages of the libraries under af_xdp here too, once their driver is loaded.
pub(crate) fn redirect_bpf() {
    // SAFETY: looks the libraries up among those loaded; the print function passed stays for ever.
    unsafe { dpdk_sys::shim_bpf_log() };
}

/// Runs `f` and returns what DPDK warned of meanwhile, joined to one line.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> (T, String) {
    *lock() = Some(Vec::new());
    let result = f();
    let lines = lock().take().unwrap_or_default();
    (result, lines.join("; "))
}

fn lock() -> std::sync::MutexGuard<'static, Option<Vec<String>>> {
    CAUGHT.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn sink(level: c_uint, text: *const c_char, len: usize) {
    // SAFETY: the shim passes the bytes of the message that stdio hands to it, valid during this call.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    // The caller is C: a logger that panics must not unwind into it.
    let _ = catch_unwind(|| String::from_utf8_lossy(bytes).lines().for_each(|line| take(level, line.trim())));
}

fn take(level: c_uint, line: &str) {
    if line.is_empty() {
        return;
    }
    if level <= WARNING
        && let Some(lines) = lock().as_mut()
    {
        lines.truncate(KEPT - 1);
        lines.push(line.to_owned());
    }
    log::log!(target: "dpdk", severity(level, line), "{line}");
}

/// `RTE_LOG_WARNING`.
const WARNING: c_uint = 5;

/// EAL's and drivers' words that are true and nothing to act upon.
const HARMLESS: [&str; 11] = [
    "failed to create multiq qdisc",         // net_tap wants it for rte_flow only
    "Could not add multiq qdisc",            // the same
    "Specified qdisc kind is unknown",       // the same
    "Failed to send start req to secondary", // net_tap looks for processes that share it
    "Disabling rte flow support",            // the same
    "No available 1048576 kB hugepages",     // when the 2 MiB ones are used
    "TSC using RDTSC",                       // virtual machines
    "No bpffs found",                        // libxdp can do without
    "without a working bpffs",               // the same
    "Falling back to loading single prog",   // the same
    "skipping unrecognized data section",    // libbpf, of libxdp's own program
];

fn severity(level: c_uint, line: &str) -> Level {
    match level {
        0..=WARNING if HARMLESS.iter().any(|text| line.contains(text)) => Level::Debug,
        0..=4 => Level::Error,
        WARNING => Level::Warn,
        6 | 7 => Level::Debug,
        _ => Level::Trace,
    }
}
