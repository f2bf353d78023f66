// SPDX-License-Identifier: Apache-2.0
//! Files of the process: DPDK's drivers open theirs so that programs started later would have them too.

use std::io;

/// Keeps every file that is open now from the programs that this process will start, but standard input, output and error. Packet
/// memory and packet sockets are nobody else's business.
///
/// # Errors
/// The system does not tell which files there are.
pub fn keep_files() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<libc::c_int>().ok()) else {
            continue;
        };
        if fd > 2 {
            // SAFETY: F_SETFD takes any number and changes nothing but what execve(2) does with the file; a number that is no
            // file any more, such as that of the listing itself, is an error and ignored. No memory is involved.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::process::Command;

    #[test]
    fn programs_started_later_do_not_have_the_files() {
        let file = tempfile::tempfile().expect("a file");
        // SAFETY: the file is open as long as this test.
        let fd = unsafe { libc::dup(file.as_raw_fd()) };
        let has = || {
            let path = format!("/proc/self/fd/{fd}");
            Command::new("readlink").arg(path).status().expect("readlink is everywhere").success()
        };
        assert!(has());
        super::keep_files().expect("a list of files");
        assert!(!has());
        // SAFETY: nobody else has the number.
        unsafe { libc::close(fd) };
    }
}
