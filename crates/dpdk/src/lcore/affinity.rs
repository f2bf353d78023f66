// SPDX-License-Identifier: Apache-2.0
//! Which CPUs a thread may run on.

use std::io;
use std::mem;

/// The CPUs the calling thread may run on, in a container only those it was given.
pub(crate) fn get() -> Vec<usize> {
    // SAFETY: an all-zero CPU set is an empty one.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is as big as said.
    let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    // More than 1024 CPUs do not fit the set (EINVAL): the first one exists anywhere.
    if rc != 0 {
        return vec![0];
    }
    // SAFETY: the index is below CPU_SETSIZE.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Lets the calling thread run on these CPUs. Failing leaves it where it is, which is only slower.
pub(crate) fn set(cpus: &[usize]) {
    let _ = apply(cpus);
}

/// Binds the calling thread to one CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    apply(&[cpu])
}

fn apply(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: an all-zero CPU set is an empty one.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for &cpu in cpus.iter().filter(|&&cpu| cpu < libc::CPU_SETSIZE as usize) {
        // SAFETY: the index is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: `set` is as big as said.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
