// SPDX-License-Identifier: Apache-2.0
//! Large tables on huge pages, as in the daemon; its allocator is behind libdpdk, which this crate does without.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What glibc reads at the start of a program, and the word that has its allocator ask for huge pages (glibc 2.35).
const TUNABLES: &str = "GLIBC_TUNABLES";
const HUGE_PAGES: &str = "glibc.malloc.hugetlb=1";

/// Starts this program once more in its own place, with an allocator on huge pages; returns at once where it has one already.
///
/// The C library reads the word before `main`, so it cannot be said to a program that runs.
///
/// # Errors
/// The program cannot be started again.
pub fn on_huge_pages() -> io::Result<()> {
    if env::var(TUNABLES).is_ok_and(|said| said.contains(HUGE_PAGES)) {
        return Ok(());
    }
    Err(Command::new(env::current_exe()?).args(env::args_os().skip(1)).env(TUNABLES, HUGE_PAGES).exec())
}
