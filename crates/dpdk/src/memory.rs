// SPDX-License-Identifier: Apache-2.0
//! What memory the machine offers: free hugepages, and whether this process may have them.

use std::fs;
use std::path::Path;
use std::ptr;

/// Free hugepages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hugepages {
    /// Size of a page in KiB.
    pub kib: u64,
    /// How many are free.
    pub free: u64,
}

impl Hugepages {
    /// Free memory in MiB.
    pub(crate) fn mib(self) -> u64 {
        self.kib * self.free / 1024
    }
}

/// The page size with the most free memory, if any page is free and this process can get one.
pub(crate) fn hugepages() -> Option<Hugepages> {
    let best = listed(Path::new("/sys/kernel/mm/hugepages")).into_iter().max_by_key(|h| h.mib())?;
    (best.free > 0 && obtainable(best.kib)).then_some(best)
}

/// What the folder of the kernel says; empty where there is none.
fn listed(folder: &Path) -> Vec<Hugepages> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let kib = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let free = fs::read_to_string(entry.path().join("free_hugepages")).ok()?.trim().parse().ok()?;
            Some(Hugepages { kib, free })
        })
        .collect()
}

/// Whether one page can really be had: in a container the kernel lists pages that a control group then denies, which
/// EAL would not survive.
fn obtainable(kib: u64) -> bool {
    let Ok(len) = usize::try_from(kib * 1024) else { return false };
    // The size is told as its binary logarithm in the upper bits.
    let flags = libc::MAP_PRIVATE
        | libc::MAP_ANONYMOUS
        | libc::MAP_HUGETLB
        | ((len.trailing_zeros() as i32) << libc::MAP_HUGE_SHIFT);
    // SAFETY: a new anonymous mapping, placed by the kernel; nothing of ours is touched.
    let page = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return false;
    }
    // Populating by advice reports a denial; touching the page would kill the process instead. Kernels before 5.14
    // do not know the advice (EINVAL): there the mapping has to do.
    // SAFETY: `page` is a mapping of `len` bytes that nobody else knows of.
    let populated = unsafe { libc::madvise(page, len, libc::MADV_POPULATE_WRITE) } == 0
        || std::io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
    // SAFETY: the mapping made above, not used any more.
    unsafe { libc::munmap(page, len) };
    populated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_folder_is_read() {
        let folder = std::env::temp_dir().join(format!("dpdk-hugepages-{}", std::process::id()));
        for (name, free) in [("hugepages-2048kB", "3\n"), ("hugepages-1048576kB", "0\n"), ("other", "9\n")] {
            fs::create_dir_all(folder.join(name)).expect("a temporary folder");
            fs::write(folder.join(name).join("free_hugepages"), free).expect("a temporary file");
        }
        let mut found = listed(&folder);
        found.sort_by_key(|h| h.kib);
        fs::remove_dir_all(&folder).expect("it was just made");
        assert_eq!(found, [Hugepages { kib: 2048, free: 3 }, Hugepages { kib: 1_048_576, free: 0 }]);
        assert_eq!(found[0].mib(), 6);
        assert_eq!(listed(Path::new("/nonexistent")), []);
    }
}
